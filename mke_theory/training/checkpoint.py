"""A run's state on disk: written whole or not at all, checked before it is believed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.training.stepper import Stepper


@dataclass(frozen=True)
class Checkpoint:
    """The place where a run leaves its state, and the steps between two times."""

    path: Path
    every: int = 1000

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every is {self.every}; it has to be at least 1")


@dataclass
class State:
    """The part of a checkpoint beside weights and optimiser.

    generators: for each process, the states of the generators that its model's layers draw from.
    """

    step: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    generators: list[list[Tensor]] = field(default_factory=list)


def outline(model: nn.Module) -> str:
    """A hash of the names and shapes of all weights and buffers."""
    shapes = [(name, tuple(x.shape)) for name, x in model.state_dict().items()]
    return hashlib.sha256(str(shapes).encode()).hexdigest()[:8]


def save(
    stepper: Stepper,
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    fingerprint: str,
) -> None:
    """Write the whole state beside `path`, then put it in place in one move."""
    if stepper.rank == 0:
        content = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "state": vars(state),
            "fingerprint": fingerprint,
        }
        # Two runs at a time may write the same checkpoint; each writes a part of its own.
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(content, part)
            os.replace(part, path)
        except (OSError, RuntimeError) as problem:  # torch reports a full disk as RuntimeError
            with contextlib.suppress(OSError):
                part.unlink()
            raise OSError(
                f"the checkpoint {path} cannot be written ({problem}); make room or choose another "
                "folder, and run again: what was saved before is kept"
            ) from problem


def resumed(
    stepper: Stepper,
    checkpoint: Checkpoint | None,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    fingerprint: str,
) -> State:
    """The state to go on from, model and optimiser set to theirs; a new one where there is none.

    The first process reads the file and hands it to the others, which need not see its disk.
    Raises ValueError, in all of them, where it is damaged or belongs to another run.
    """
    found: dict[str, Any] | ValueError | None = None
    if stepper.rank == 0 and checkpoint is not None and checkpoint.path.exists():
        try:
            found = _content(checkpoint.path, fingerprint)
        except ValueError as problem:
            found = problem
    found = stepper.from_first(found)
    if isinstance(found, ValueError):
        raise found
    if found is None:
        return State()
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    state = State(**found["state"])
    state.history = [(int(step), float(loss)) for step, loss in state.history]
    return state


def _content(path: Path, fingerprint: str) -> dict[str, Any]:
    """The content of the file. No code in it is run."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the check sums
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = content["fingerprint"]
    except Exception as problem:  # torch raises half a dozen kinds for a damaged file
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({type(problem).__name__}); remove it, and the "
            "run starts from the beginning"
        ) from problem
    if found != fingerprint:
        raise ValueError(
            f"{path} is the checkpoint of another run ({found}; this one is {fingerprint}); remove "
            "it or choose another output folder"
        )
    return content
