"""The pairs of recording and image in `av_digits`, and the train and test parts of both."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

TRAIN_SPEAKERS = ("george", "jackson", "lucas", "nicolas")
TEST_SPEAKERS = ("theo", "yweweler")
RANKS = {"train": 3, "test": 1}
"""The most images that go with one recording of each part."""

FOLDER = "av_digits"
"""The folder of the data set under the data root."""

PREPARE = "python -m mke_theory.tasks.av_digits prepare --data-root"
"""The command that fetches the data; the folder above `av_digits` follows it."""

LISTED = 10
"""The most files that one message names."""

_NAME = re.compile(r"([0-9])_([a-z]+)_([0-9]+)\.wav")
_TYPES = {
    "split": "str",
    "rank": "int64",
    "digit": "int64",
    "wav": "str",
    "speaker": "str",
    "mnist_index": "int64",
    "writer": "int64",
}


@dataclass(frozen=True)
class Pairs:
    """m pairs, one entry each: `recording` and `image` are rows of `DigitData.audio` and `.images`.

    `split` is "train" or "test"; `rank` r is the r-th image that goes with the same recording;
    `speaker` and `writer` are the groups that a split must not cut.
    """

    split: np.ndarray
    rank: np.ndarray
    digit: np.ndarray
    recording: np.ndarray
    image: np.ndarray
    speaker: np.ndarray
    writer: np.ndarray

    def __len__(self) -> int:
        return len(self.digit)

    def rows(self, index: np.ndarray) -> Pairs:
        """The pairs of the given rows (numbers or a mask), in that order."""
        return Pairs(*(getattr(self, field.name)[index] for field in fields(self)))

    def select(self, split: str, ranks: Sequence[int] = (0,)) -> Pairs:
        """The pairs of "train" or "test" that have one of the `ranks`, in order."""
        if split not in RANKS:
            raise ValueError(f"split must be one of {list(RANKS)}; got {split!r}")
        chosen = (self.split == split) & np.isin(self.rank, list(ranks))
        if not chosen.any():
            there = sorted(set(self.rank[self.split == split].tolist()))
            raise ValueError(f"no {split} pair has a rank in {list(ranks)}; there are {there}")
        return self.rows(chosen)


def parse_name(name: str) -> tuple[int, str, int] | None:
    """Digit, speaker and take of `<digit>_<speaker>_<take>.wav`; None for any other name."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), match[2], int(match[3])) if match else None


def held_out_writers(writers: np.ndarray) -> np.ndarray:
    """The writers of the test part: every third of the sorted numbers, beginning with the third."""
    return np.unique(writers)[2::3]


def make_pairs(names: Sequence[str], labels: np.ndarray, writers: np.ndarray) -> Pairs:
    """The pairs of recordings `names` and images with `labels` and `writers`, the same everywhere.

    For each part and digit the recordings are sorted by (speaker, take) and the images by the
    SHA-256 of "mnist-t10k-<row>"; image k goes to recording k modulo their number, with rank k
    over their number, as long as the rank is below `RANKS`. No image occurs twice.
    """
    spoken = _recordings(names).sort_values(["speaker", "take"])
    written = pd.DataFrame({"digit": labels, "writer": writers})
    written["test"] = np.isin(writers, held_out_writers(writers))
    keys = [hashlib.sha256(f"mnist-t10k-{row}".encode()).hexdigest() for row in range(len(labels))]
    written = written.iloc[np.argsort(keys)]
    parts = []
    for split, speakers in (("train", TRAIN_SPEAKERS), ("test", TEST_SPEAKERS)):
        for digit in range(10):
            recordings = spoken[(spoken.digit == digit) & spoken.speaker.isin(speakers)]
            images = written[(written.digit == digit) & (written.test == (split == "test"))]
            images = images.head(RANKS[split] * len(recordings))
            rank, at = np.divmod(np.arange(len(images)), max(len(recordings), 1))
            chosen = recordings.iloc[at]
            part = {
                "split": split,
                "rank": rank,
                "digit": digit,
                "recording": chosen.index.to_numpy(),
                "image": images.index.to_numpy(),
                "speaker": chosen.speaker.to_numpy(),
                "writer": images.writer.to_numpy(),
            }
            parts.append(pd.DataFrame(part))
    return _pairs(pd.concat(parts))


def read_pairs(path: Path, names: Sequence[str], labels: np.ndarray) -> Pairs:
    """The pairs of a table as `write_pairs` makes it, for recordings `names` and images `labels`.

    Raises ValueError, with the line, where the table contradicts names or labels, has an unknown
    part, or has a speaker or writer in both parts.
    """
    table = read_table(path, _TYPES)
    spoken = _recordings(names)
    at = pd.Index([f"recordings/{name}" for name in names]).get_indexer(table.wav)
    image = table.mnist_index.to_numpy()
    _refuse(path, table, "wav", at < 0, "that recording is not there")
    _refuse(path, table, "split", ~table.split.isin(list(RANKS)), f"known are {list(RANKS)}")
    _refuse(path, table, "rank", table["rank"] < 0, "ranks begin at 0")
    outside = (image < 0) | (image >= len(labels))
    _refuse(path, table, "mnist_index", outside, f"allowed are 0 to {len(labels) - 1}")
    _refuse(path, table, "digit", table.digit != labels[image], "MNIST has another digit there")
    named = spoken.iloc[at]
    _refuse(path, table, "digit", table.digit != named.digit.array, "the wav has another digit")
    _refuse(path, table, "speaker", table.speaker != named.speaker.array, "the wav has another one")
    pairs = _pairs(table.assign(recording=at, image=image))
    for kind, group in (("speaker", pairs.speaker), ("writer", pairs.writer)):
        test = pairs.split == "test"
        both = np.intersect1d(group[test], group[~test])
        if len(both):
            raise ValueError(f"{path}: {kind} {both[0]} is in train and in test; keep it in one")
    return pairs


def write_pairs(path: Path, pairs: Pairs, names: Sequence[str]) -> None:
    """Write `pairs` as a table, whole or not at all."""
    wav = [names[row] for row in pairs.recording]
    table = {
        "pair_id": np.arange(len(pairs)),
        "split": pairs.split,
        "rank": pairs.rank,
        "digit": pairs.digit,
        "wav": [f"recordings/{name}" for name in wav],
        "speaker": pairs.speaker,
        "take": _recordings(wav)["take"].array,
        "mnist_index": pairs.image,
        "writer": pairs.writer,
    }
    write_table(path, pd.DataFrame(table))


def read_table(path: Path, types: Mapping[str, str]) -> pd.DataFrame:
    """The columns `types` of a CSV file, as these types; at least one row."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `{PREPARE}` makes it")
    try:
        table = pd.read_csv(path, usecols=list(types), dtype=dict(types), encoding="utf-8")
    except (ValueError, OverflowError) as error:
        wanted = ", ".join(f"{name} ({kind})" for name, kind in types.items())
        raise ValueError(f"{path}: not a table of {wanted}: {error}") from error
    if table.empty or table.isna().any(axis=None):
        raise ValueError(f"{path}: has no rows, or empty cells in {list(types)}")
    return table


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV file, whole or not at all, with the same bytes on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    table.to_csv(part, index=False, lineterminator="\r\n")
    os.replace(part, path)


def _recordings(names: Sequence[str]) -> pd.DataFrame:
    parsed = [parse_name(name) for name in names]
    odd = [name for name, found in zip(names, parsed, strict=True) if found is None]
    if odd or not parsed:
        raise ValueError(
            f"recordings are named <digit>_<speaker>_<take>.wav; got {odd[:LISTED] or 'none'}"
        )
    table = pd.DataFrame(parsed, columns=["digit", "speaker", "take"])
    unknown = set(table.speaker) - {*TRAIN_SPEAKERS, *TEST_SPEAKERS}
    if unknown:
        raise ValueError(
            f"no part is laid down for the speakers {sorted(unknown)}; known are "
            f"{[*TRAIN_SPEAKERS, *TEST_SPEAKERS]}"
        )
    return table


def _pairs(table: pd.DataFrame) -> Pairs:
    if table.empty:
        raise ValueError("no recording and image share a digit and a part, so there are no pairs")
    kinds = {"split": str, "speaker": str}
    return Pairs(
        **{
            field.name: table[field.name].to_numpy(dtype=kinds.get(field.name, np.int64))
            for field in fields(Pairs)
        }
    )


def _refuse(
    path: Path, table: pd.DataFrame, column: str, wrong: np.ndarray | pd.Series, reason: str
) -> None:
    lines = np.flatnonzero(wrong)
    if len(lines):
        first = int(lines[0])
        raise ValueError(
            f"{path}: line {first + 2} has {column} {table[column].iloc[first]}; {reason} "
            f"({len(lines)} of {len(table)} lines are like that)"
        )
