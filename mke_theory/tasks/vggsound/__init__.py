"""AudioSet and VGGSound: the sounds in a clip."""

from mke_theory.tasks.vggsound.task import VGGSound

__all__ = ["VGGSound"]
