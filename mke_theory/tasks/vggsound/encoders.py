"""The encoders of `vggsound`: small ones, or published ones with features of any width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from mke_theory.models import MLP, ConvEncoder


def small(shape: Sequence[int], width: int) -> nn.Module:
    """A convolutional encoder of [n, colours, height, width] that grows with `width`."""
    colours, height, across = shape
    return ConvEncoder(
        (colours, height, across),
        channels=(width, 2 * width, 4 * width),
        strides=(4, 2, 2),
        features=4 * width,
    )


def projected(encoder: nn.Module, width: int) -> nn.Module:
    """A published encoder, whose own width is fixed, with features that grow with `width`."""
    return Projected(encoder, width)


class Projected(nn.Module):
    """An encoder's features through a linear layer and ReLU: [n, 4 · width]."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.project = MLP([cast(int, encoder.out_features), 4 * width], activate=True)
        self.out_features = 4 * width

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.encoder(x))
