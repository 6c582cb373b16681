"""Changes of a sample and its label together."""

from __future__ import annotations

from dataclasses import dataclass

from mke_theory.rng import Stream
from mke_theory.types import Batch


@dataclass(frozen=True)
class Augmentation:
    """The identity, and the interface."""

    def batch(self, batch: Batch, stream: Stream) -> Batch:
        """The changed samples with their labels: the same keys, shapes and types."""
        return batch


def augmented(batch: Batch, steps: tuple[Augmentation, ...], stream: Stream) -> Batch:
    """The batch after all steps, in order."""
    for step in steps:
        batch = step.batch(batch, stream)
    return batch
