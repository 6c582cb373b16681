"""The command line of the spoken and written digits."""

from mke_theory.tasks.av_digits.prepare import main

main()
