"""Encoders: one modality of a sample in, a feature vector [n, out_features] out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class Flatten(nn.Module):
    """The modality as it is, as one row of numbers: the encoder of the published TwoMoon net."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.out_features = math.prod(shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class MLP(nn.Module):
    """Linear layers of the given sizes with ReLU between them, and after the last if `activate`."""

    def __init__(self, sizes: Sequence[int], *, activate: bool = False) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes is {list(sizes)}; it needs an input and an output, each ≥ 1")
        layers: list[nn.Module] = [nn.Flatten()]
        for i, (inward, outward) in enumerate(pairwise(sizes)):
            layers.append(nn.Linear(inward, outward))
            if activate or i < len(sizes) - 2:
                layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)
        self.out_features = sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ConvEncoder(nn.Module):
    """A small convolutional encoder for images or spectrograms [n, c, h, w].

    Stage i is a convolution with stride strides[i], a kernel one wider, and ReLU; a linear layer
    with ReLU makes the features. There is no batch statistic, so a sample's features depend on that
    sample alone.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        channels: Sequence[int] = (16, 32),
        strides: Sequence[int] = (2, 2),
        features: int = 64,
    ) -> None:
        super().__init__()
        if len(channels) != len(strides) or min(strides, default=1) < 1:
            raise ValueError(f"channels {channels} need as many strides, each ≥ 1; got {strides}")
        colours, height, width = shape
        stages: list[nn.Module] = []
        for outward, stride in zip(channels, strides, strict=True):
            stages.append(nn.Conv2d(colours, outward, stride + 1, stride, padding=stride // 2))
            stages.append(nn.ReLU())
            colours = outward
            height, width = ((side - 1 - stride % 2) // stride + 1 for side in (height, width))
        self.stages = nn.Sequential(*stages)
        self.project = MLP([colours * height * width, features], activate=True)
        self.out_features = features

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.stages(x))


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation over 8 channels at a time, or over all where 8 does not divide them.

    It looks at one sample alone, unlike batch normalisation. Ref: wu2018group.
    """
    return nn.GroupNorm(channels // 8 if channels % 8 == 0 else 1, channels)


def channels_of(backbone: nn.Module) -> tuple[int, ...]:
    """The channels of a backbone's maps; TypeError where it does not state them."""
    channels = getattr(backbone, "channels", None)
    if not isinstance(channels, tuple) or not channels:
        raise TypeError(
            f"{type(backbone).__name__} has no channels; a backbone has to state those of its maps "
            "as a tuple"
        )
    return channels


def width_of(encoder: nn.Module) -> int:
    """The number of features that an encoder gives; TypeError where it does not state it."""
    width = getattr(encoder, "out_features", None)
    if not isinstance(width, int):
        raise TypeError(f"{type(encoder).__name__} has no out_features; an encoder has to state it")
    return width
