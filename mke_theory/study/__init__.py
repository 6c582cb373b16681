"""Comparisons: arms, tasks, placebos, the one runner, and the records of what came out."""
