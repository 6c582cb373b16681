"""`python -m mke_theory.command`, where the console script is not on the path."""

import sys

from mke_theory.command.main import main

sys.exit(main())
