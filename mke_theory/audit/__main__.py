"""The command line of audits."""

import sys

from mke_theory.audit.command import main

sys.exit(main())
