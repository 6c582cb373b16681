"""RAVDESS: the emotion of a speaker, by face and by speech."""

from mke_theory.tasks.ravdess.task import Ravdess

__all__ = ["Ravdess"]
