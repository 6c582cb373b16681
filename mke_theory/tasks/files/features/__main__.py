"""The command line of features."""

from mke_theory.tasks.files.features.command import main

main()
