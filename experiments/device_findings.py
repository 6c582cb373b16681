"""The findings of a check of a device, with the goals that they meet or miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mke_theory.training.hardware import Hardware

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Finding:
    """A line of the report. `met` is None where the value is measured and no goal is set for it."""

    name: str
    value: str
    goal: str = ""
    met: bool | None = None
    numbers: Sequence[float] = ()


@dataclass(frozen=True)
class Scale:
    """The device, and how much is done on it."""

    device: Device
    small: bool

    @property
    def turns(self) -> int:
        """The times that a duration is measured."""
        return 2 if self.small else 5

    @property
    def hardware(self) -> Hardware:
        return Hardware(self.device)

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)


def apart(found: Sequence[float], expected: Sequence[float]) -> tuple[float, float]:
    """The distance of losses at the first step and at the most, relative to `expected`."""
    off = np.abs(np.array(found) / np.array(expected) - 1)
    return float(off[0]), float(off.max())


def within(name: str, value: float, most: float) -> Finding:
    """A finding that is to be at most this; NaN is not."""
    return Finding(name, f"{value:.1e}", f"at most {most:.0e}", bool(value <= most), (value,))


def measured(
    name: str, values: Sequence[float], goal: str = "", met: bool | None = None
) -> Finding:
    """Median [least, most] and how many; a single value as it is."""
    middle, low, high = (f"{f(values):.4g}" for f in (np.median, np.min, np.max))
    spread = f" [{low}, {high}]" if len(values) > 1 else ""
    return Finding(name, f"{middle}{spread}, n = {len(values)}", goal, met, tuple(values))
