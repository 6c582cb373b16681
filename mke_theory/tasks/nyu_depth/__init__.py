"""NYU Depth V2: the class of every pixel."""

from mke_theory.tasks.nyu_depth.pretrained import NYUDepthPretrained
from mke_theory.tasks.nyu_depth.task import NYUDepth

__all__ = ["NYUDepth", "NYUDepthPretrained"]
