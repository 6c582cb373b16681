"""The command line of RAVDESS."""

from mke_theory.tasks.ravdess.prepare import main

main()
