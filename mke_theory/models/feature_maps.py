"""The class of every pixel from feature maps of frozen encoders: small heads, logits added.

A sample of a modality is one row of numbers: maps of several sizes, one after the other, as a
trained encoder gave them. A head reads them by 1 × 1 convolutions alone, and mixes them at the
second finest size: with a hundred labelled pictures anything wider learns them by heart.
Ref: xue2021mke (an expert for each modality, their logits added).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mke_theory.data.pool import is_present
from mke_theory.models.encoders import group_norm
from mke_theory.models.fusion import by_modality
from mke_theory.models.multimodal import Hidden

MIXED_DROPOUT = 0.2
"""The share of mixed channels that are taken away in training."""


@dataclass(frozen=True)
class MapShapes:
    """The maps (channels, height, width) that a row of numbers holds, finest first.

    Raises ValueError where there is none, a number is below 1, or a map is finer than the first.
    """

    maps: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        if not self.maps or any(len(shape) != 3 or min(shape) < 1 for shape in self.maps):
            raise ValueError(f"maps are {self.maps}; give (channels, height, width), each ≥ 1")
        if any(h > self.size[0] or w > self.size[1] for _, h, w in self.maps):
            raise ValueError(f"maps are {self.maps}; the first has to be the finest")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the finest map, and of the logits."""
        return self.maps[0][1:]

    @property
    def numbers(self) -> int:
        """The length of a row."""
        return sum(c * h * w for c, h, w in self.maps)

    def split(self, rows: Tensor) -> list[Tensor]:
        """The maps [n, c, h, w] in rows [n, numbers]; ValueError for rows of another length."""
        if rows.dim() != 2 or rows.shape[1] != self.numbers:
            raise ValueError(
                f"samples are {tuple(rows.shape)}; maps {self.maps} are rows of {self.numbers}"
            )
        parts = rows.split([c * h * w for c, h, w in self.maps], dim=1)
        return [part.reshape(-1, *shape) for part, shape in zip(parts, self.maps, strict=True)]


class MapHead(nn.Module):
    """Logits [n, k, *shapes.size] of rows of feature maps [n, shapes.numbers].

    Each map is projected to `width` channels and brought to the second finest size, where they are
    added, mixed with their mean over the picture, and mixed once more; the finest map adds logits
    of its own. In training each channel of a map is taken away with probability `dropout`, which
    does for a hundred pictures what noise on all numbers does, at none of its cost.
    """

    def __init__(
        self, shapes: MapShapes, classes: int, *, width: int = 96, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.shapes, self.dropout = shapes, dropout
        self.grid = max((s[1:] for s in shapes.maps if s[1:] != shapes.size), default=shapes.size)
        self.project = nn.ModuleList(nn.Conv2d(c, width, 1) for c, _, _ in shapes.maps)
        self.norm = group_norm(width)
        self.everywhere = nn.Conv2d(width, width, 1)
        self.mix = nn.Conv2d(width, width, 1)
        self.classify = nn.Conv2d(width, classes, 1)
        self.fine = nn.Conv2d(shapes.maps[0][0], classes, 1)

    def forward(self, rows: Tensor) -> Tensor:
        maps = [F.dropout2d(x, self.dropout, self.training) for x in self.shapes.split(rows)]
        levels = [
            resized(project(each), self.grid)
            for project, each in zip(self.project, maps, strict=True)
        ]
        x = torch.relu(self.norm(torch.stack(levels).sum(dim=0)))
        x = x + self.everywhere(x.mean(dim=(2, 3), keepdim=True))
        x = F.dropout2d(x, MIXED_DROPOUT, self.training)
        x = torch.relu(x + self.mix(x))
        return resized(self.classify(x), self.shapes.size) + self.fine(maps[0])


class MapHeads(nn.Module):
    """Logits [n, k, h, w] of {modality: rows [n, d]}: the sum of those of the modalities' heads.

    A modality that a sample lacks (NaN throughout, or the key is absent) adds nothing to it. All
    modalities need maps of one finest size. Raises ValueError where they have not, or where an
    input has no modality of the model.
    """

    def __init__(
        self,
        shapes: Mapping[str, MapShapes],
        classes: int,
        *,
        width: int = 96,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if classes < 2 or width < 1:
            raise ValueError(f"classes is {classes} (at least 2) and width {width} (at least 1)")
        if not shapes or len({each.size for each in shapes.values()}) > 1:
            sizes = {name: each.size for name, each in shapes.items()}
            raise ValueError(f"modalities need maps of one finest size, at least one; got {sizes}")
        self.heads = by_modality(
            {
                name: MapHead(each, classes, width=width, dropout=dropout)
                for name, each in shapes.items()
            }
        )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the model reads, in order."""
        return tuple(self.heads)

    def forward(self, inputs: Mapping[str, Tensor], hidden: Hidden | None = None) -> Tensor:
        """Logits. Maps are features already: `hidden` perturbs the inputs themselves."""
        known = {name: inputs[name] for name in self.modalities if name in inputs}
        if not known:
            raise ValueError(f"the model reads {self.modalities}; got {tuple(inputs)}")
        present = {name: is_present(x) for name, x in known.items()}
        rows = {name: torch.where(torch.isnan(x), 0.0, x) for name, x in known.items()}
        if hidden is not None:
            rows = hidden(rows)
        parts: Sequence[Tensor] = [
            torch.where(present[name].reshape(-1, 1, 1, 1), self.heads[name](x), 0.0)
            for name, x in rows.items()
        ]
        return torch.stack(tuple(parts)).sum(dim=0)


class Enlarged(nn.Module):
    """Another model, its logits brought to `size` (height, width) by bilinear interpolation."""

    def __init__(self, model: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.size = model, size

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return resized(self.model(inputs), self.size)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [n, c, h, w] at another height and width: means over areas where that divides evenly.

    Elsewhere by bilinear interpolation.
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    down = [
        have // want if have % want == 0 else 0
        for have, want in zip(x.shape[2:], size, strict=True)
    ]
    if min(down) > 1:
        return F.avg_pool2d(x, tuple(down))
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
