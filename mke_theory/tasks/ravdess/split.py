"""The committed splits of RAVDESS by actor: one in two parts, and four folds.

Ref: livingstone2018ravdess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mke_theory.tasks.ravdess.names import Recording, parse_recording

SPLIT: Path = Path(__file__).parent / "manifests" / "ravdess_split.txt"
SPLIT_SHA256 = "ebf8a3a8d19a8381a7ea43fa1d24bed3ddb8f339d403ede6d33e5d644afaaab1"
"""The SHA-256 of the lines of `SPLIT`, each ended by one newline."""

FOLDS: Path = Path(__file__).parent / "manifests" / "ravdess_folds.txt"
FOLDS_SHA256 = "4e9262444ce0096b0752780f00a6dc8ac96910f11ea736ad7cbe32d8e2183d49"
"""The SHA-256 of the lines of `FOLDS`, each ended by one newline."""

_PARTS = ("train", "test")

Part = Literal["train", "test"]


def read_split(path: Path | None = None, *, sha256: str | None = None) -> dict[Recording, Part]:
    """Every recording of speech and its part, in the order of the list: "train" or "test".

    Lines are "<part> <recording>". Without a path it is the committed split, whose hash has to be
    `SPLIT_SHA256`. Raises ValueError where the hash is another one, a line is none of these, a
    recording comes twice, a part is empty or an actor is in both.
    """
    if path is None:
        path, sha256 = SPLIT, SPLIT_SHA256
    lines = _lines(path, sha256)
    split: dict[Recording, Part] = {}
    for number, line in enumerate(lines, 1):
        try:
            part, recording = _parsed(line)
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {error}") from error
        if recording in split:
            raise ValueError(f"{path}: line {number}: {recording} is listed twice")
        split[recording] = part
    _refuse_shared_actors(path, split)
    return split


def read_folds() -> tuple[frozenset[int], ...]:
    """The actors of each fold, every actor in one: six a fold, three of them male (odd) by number.

    Fold k holds actors 6k + 1 to 6k + 6, so that the last one is the test part of the committed
    split. Raises ValueError where the hash of the list is not `FOLDS_SHA256`.
    """
    pairs = [line.split() for line in _lines(FOLDS, FOLDS_SHA256)]
    numbers = sorted({int(fold) for fold, _ in pairs})
    return tuple(frozenset(int(actor) for fold, actor in pairs if int(fold) == k) for k in numbers)


def _lines(path: Path, sha256: str | None) -> list[str]:
    """The lines of a list; ValueError where their hash is another than the one given."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = hash_of(lines)
    if sha256 is not None and found != sha256:
        raise ValueError(
            f"{path}: SHA-256 of the lines is {found}, {sha256} is expected; the split has been "
            "changed: install the package again"
        )
    return lines


def hash_of(lines: list[str]) -> str:
    """The SHA-256 of the lines, each ended by one newline."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _parsed(line: str) -> tuple[Part, Recording]:
    part, _, text = line.partition(" ")
    if part not in _PARTS:
        raise ValueError(f"the part is {part!r}; known are {', '.join(_PARTS)}")
    return "train" if part == "train" else "test", parse_recording(text)


def _refuse_shared_actors(path: Path, split: Mapping[Recording, Part]) -> None:
    actors = {part: {one.actor for one in split if split[one] == part} for part in _PARTS}
    empty = [part for part in _PARTS if not actors[part]]
    if empty:
        raise ValueError(f"{path}: no recording is in {empty[0]}")
    both = sorted(actors["train"] & actors["test"])
    if both:
        raise ValueError(f"{path}: actor {both[0]:02} is in train and in test; keep it in one")
