"""A made-up encoder and samples, in small, and the features that they give."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.tasks.files.features import Features, write_features

KEYS = tuple(f"frame {number:02}" for number in range(11))
PICTURES = np.random.default_rng(0).integers(0, 256, (11, 3, 4, 6), dtype=np.uint8)
TAPS = ("coarse", "fine/maps")


def two_taps(batch: Tensor) -> dict[str, Tensor]:
    """The mean of each colour [b, 3], and every second pixel over 255 [b, 3, 2, 3]."""
    x = batch.float()
    return {"coarse": x.mean(dim=(2, 3)), "fine/maps": x[:, :, ::2, ::2] / 255}


@dataclass(frozen=True, eq=False)
class MadeUp:
    """An encoder as `models.frozen.FrozenEncoder` is one, that notes how many samples it saw."""

    compute: Callable[[Tensor], dict[str, Tensor]] = two_taps
    name: str = "made_up"
    content: str = "0123456789abcdef"
    taps: tuple[str, ...] = TAPS
    seen: list[int] = field(default_factory=list)

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        self.seen.append(len(batch))
        return self.compute(batch)


ORIGIN: dict[str, Any] = {
    "data_set": "made up",
    "data_hash": "feedbeef",
    "modality": "image",
    "keys": KEYS,
    "settings": {"size": [4, 6]},
}


def written(folder: Path, encoder: MadeUp | None = None, **changed: Any) -> Features:
    """The features of the pictures, in chunks of four, or with other arguments."""
    given = {**ORIGIN, "batch": 3, "chunk": 4, "progress": False, **changed}
    samples = given.pop("samples", PICTURES)
    return write_features(folder, encoder or MadeUp(), samples, **given)


def expected(pictures: np.ndarray = PICTURES) -> dict[str, np.ndarray]:
    """The features of pictures, computed at once."""
    found = two_taps(torch.from_numpy(pictures))
    return {name: x.numpy().astype(np.float16) for name, x in found.items()}


class Net(nn.Module):
    """The mean of each channel, in a submodule of that name."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)


def exported(folder: Path) -> Path:
    """A network for pictures of 8 × 8 as an archive of torch.export."""
    batch = {0: torch.export.Dim("batch")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = torch.zeros(2, 3, 8, 8)
        program = torch.export.export(Net().eval(), (given,), dynamic_shapes=(batch,))
        torch.export.save(program, folder / "net.pt2")
    return folder / "net.pt2"
