"""The command line of AudioSet and VGGSound."""

from mke_theory.tasks.vggsound.prepare import main

main()
