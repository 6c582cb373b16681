"""Pictures of 8 bits as the numbers that trained networks take."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PICTURES = "uint8 [b, 3, h, w], RGB"
"""The raw batches of picture encoders, in words."""


@dataclass(frozen=True)
class PictureScaling:
    """(x/255 − mean)/sd by channel, after enlarging or shrinking to `size` where one is given.

    The defaults are the means and standard deviations of ImageNet in RGB, each in [0, 1]. `size` is
    (height, width); interpolation is bilinear, with antialiasing. Its repr says it all, and is part
    of an encoder's content.

    Raises ValueError where a number is out of range.
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    sd: tuple[float, float, float] = (0.229, 0.224, 0.225)
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.sd) != 3 or min(self.sd) <= 0:
            raise ValueError(f"{self!r} needs three means and three sds above 0")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"size is {self.size}; it has to be (height, width), each at least 1")

    def __call__(self, x: Tensor) -> Tensor:
        """The scaled pictures, [b, 3, h, w] float32; ValueError where `x` is no uint8 RGB."""
        if x.dtype != torch.uint8 or x.dim() != 4 or x.shape[1] != 3:
            raise ValueError(f"pictures have to be {PICTURES}; got {x.dtype} {list(x.shape)}")
        scaled = x.to(torch.float32) / 255
        if self.size is not None and tuple(x.shape[2:]) != self.size:
            scaled = F.interpolate(scaled, self.size, mode="bilinear", antialias=True)
        mean, sd = (torch.tensor(each, device=x.device) for each in (self.mean, self.sd))
        return (scaled - mean[:, None, None]) / sd[:, None, None]
