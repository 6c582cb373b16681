"""Spoken and written digits."""

from mke_theory.tasks.av_digits.task import AVDigits

__all__ = ["AVDigits"]
