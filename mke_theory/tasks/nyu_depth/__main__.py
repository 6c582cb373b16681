"""The command line of NYU Depth V2."""

from mke_theory.tasks.nyu_depth.prepare import main

main()
