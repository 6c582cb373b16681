"""The run configuration: trainer, devices, processes, and the folder that a study writes to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware

TrainerName = Literal["one by one", "vectorised"]
Draws = Literal["own", "shared"]

LEAST_PART = 32
"""Runs that are carried out together: fewer would not pay for writing down their step."""


@dataclass(frozen=True)
class RunConfiguration:
    """Settings that decide how runs are carried out, and not what they are.

    folder: of records, checkpoints and artifacts; None keeps nothing on disk.
    workers: parts carried out at the same time, each in a process with `threads` threads. Where
        several processes train one model together, it is 1.
    trainer: "auto" trains the jobs of a task vectorised where they allow it and it pays.
    draws: "own" gives every vectorised job the noise that it has alone, "shared" draws the noise of
        all together, which is faster and as good, but not the same.
    together: the most runs that are trained vectorised, and recorded, together.
    checkpoint_every: steps between two checkpoints of a job that is trained alone.

    Raises ValueError where a number is below 1, or the hardware does not fit the rest.
    """

    folder: Path | None = None
    hardware: Hardware = Hardware()
    workers: int = 1
    threads: int = 1
    trainer: Literal["auto", "one by one", "vectorised"] = "auto"
    draws: Draws = "own"
    together: int = 512
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "together", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if self.draws not in get_args(Draws):
            raise ValueError(f"draws is {self.draws!r}; choose own or shared")
        if self.trainer not in ("auto", *get_args(TrainerName)):
            raise ValueError(
                f"trainer is {self.trainer!r}; choose auto, {' or '.join(get_args(TrainerName))}"
            )
        if self.workers > 1 and self.hardware.processes > 1:
            raise ValueError(
                f"workers is {self.workers}, but {self.hardware.processes} processes train each "
                "run together; set workers to 1"
            )
        if self.trainer == "vectorised" and not self.can_vectorise:
            raise ValueError(
                f"vectorised training is in '32-true' on one device; the hardware is "
                f"{self.hardware.named()}: choose another trainer"
            )

    @property
    def can_vectorise(self) -> bool:
        """True on one device and in single precision, with steps carried out in the usual way."""
        usual = Hardware(self.hardware.accelerator, workers=self.hardware.workers)
        return self.hardware == usual

    def checkpoint(self, key: str) -> Checkpoint | None:
        """The checkpoint of the run with this key; None where nothing is to be written."""
        if self.folder is None:
            return None
        return Checkpoint(self.folder / "checkpoints" / f"{key}.pt", self.checkpoint_every)

    def part_size(self, runs: int) -> int:
        """The size of a part of the runs: four parts a worker, each recorded when it is done.

        None has fewer than 32 runs or more than `together`.
        """
        return min(self.together, max(LEAST_PART, -(-runs // (4 * self.workers))))
