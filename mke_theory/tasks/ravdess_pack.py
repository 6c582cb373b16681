"""RAVDESS in 15 MB: action units of the face and log-mel bands of the speech, no film or sound.

Layout of the folder, `<data root>/ravdess`:

    index.csv       clip, label (0 to 7), actor, split; other columns are not read
    face_au.csv     clip, 17 intensities AU.._r and 18 presences AU.._c, means over the film
    logmel40.npz    clip; frames [t, 40], those of all clips one after the other; start; length
    SHA256SUMS      optional: `<SHA-256>  <file>`, read by `check`

A clip is named by its recording (see `ravdess_names`), channel first. The action units are those
of OpenFace.

Ref: livingstone2018ravdess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mke_theory.tasks.download import sha256_of
from mke_theory.tasks.ravdess_clips import LISTED, Clips, absent, in_order, song_note
from mke_theory.tasks.ravdess_names import SONG, Part, Recording, parse_recording
from mke_theory.tasks.ravdess_speech import BANDS, statistics

INDEX, FACE, SPEECH, SUMS = "index.csv", "face_au.csv", "logmel40.npz", "SHA256SUMS"
NEEDED = f"the pack is {INDEX}, {FACE} and {SPEECH}"
UNITS = 35

_UNIT = re.compile("AU[0-9]{2}_[rc]")


def read_pack(folder: Path, split: Mapping[Recording, Part], *, skip_bad: bool = False) -> Clips:
    """The recordings of `split` that the pack holds; song is left out.

    Raises FileNotFoundError where a file is missing, and ValueError, with file and clip, where
    files disagree with each other, a label with its name or a part with `split`, a number is not
    finite, or a recording is absent. With `skip_bad` absent ones are only noted.
    """
    table = _read_index(folder / INDEX)
    names = table["clip"].tolist()
    face = _read_face(folder / FACE, names)
    speech = _read_speech(folder / SPEECH, names)
    _refuse_other_parts(folder / INDEX, table, split)
    row = {recording: at for at, recording in enumerate(table["recording"])}
    lacking = absent(folder, split, row, skip_bad=skip_bad)
    kept = in_order(folder, split, row)
    rows = [row[recording] for recording in kept]
    notes = song_note(folder / INDEX, int(table["sung"].sum()))
    told = np.stack([speech[at] for at in rows])
    return Clips(kept, face[rows], told, tuple(lacking), notes)


def check_pack(folder: Path, split: Mapping[Recording, Part]) -> str:
    """What is verified of the pack, in words.

    All its files are compared with SHA256SUMS, where that is there, and then read. Raises as
    `read_pack` does, and ValueError, with the file, where the content is another one.
    """
    count, sums = 0, folder / SUMS
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else ():
        wanted, _, name = line.partition("  ")
        path = folder / name.removeprefix("./")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, but {SUMS} lists it")
        if sha256_of(path) != wanted:
            raise ValueError(f"{path}: is not the file that {SUMS} lists; fetch it again")
        count += 1
    found = len(read_pack(folder, split).recordings)
    listed = f"{count} files are those of {SUMS}" if count else f"no {SUMS} to compare with"
    return f"{folder}: {found} recordings, all readable; {listed}"


def _read_index(path: Path) -> pd.DataFrame:
    kinds = {"clip": "str", "label": "int64", "actor": "int64", "split": "str"}
    table = _read_table(path, kinds)
    if table["clip"].duplicated().any():
        raise ValueError(f"{path}: lists {table['clip'][table['clip'].duplicated()].iloc[0]} twice")
    try:
        table["recording"] = [parse_recording(clip) for clip in table["clip"]]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    for recording, label, actor in zip(
        table["recording"], table["label"], table["actor"], strict=True
    ):
        if (label, actor) != (recording.label, recording.actor):
            raise ValueError(
                f"{path}: clip {recording} has label {label} and actor {actor}; its name says "
                f"{recording.label} and {recording.actor}"
            )
    table["sung"] = [recording.channel == SONG for recording in table["recording"]]
    return table


def _read_face(path: Path, clips: Sequence[str]) -> np.ndarray:
    """Action units [n, 35] in the order of `clips`."""
    table = _read_table(path, {"clip": "str"}).set_index("clip")
    units = [name for name in table.columns if _UNIT.fullmatch(name)]
    if len(units) != UNITS:
        raise ValueError(f"{path}: has {len(units)} columns AU.._r and AU.._c; {UNITS} are wanted")
    _refuse_other_clips(path, table.index.tolist(), clips)
    values = table.loc[list(clips), units].apply(pd.to_numeric, errors="coerce").to_numpy()
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise ValueError(f"{path}: clip {clips[wrong[0]]} has cells that are no finite numbers")
    return values.astype(np.float32)


def _read_speech(path: Path, clips: Sequence[str]) -> list[np.ndarray]:
    """The statistics of each of `clips`, in their order."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {NEEDED}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            names = [str(name) for name in stored["clip"]]
            frames, starts, lengths = stored["frames"], stored["start"], stored["length"]
    except Exception as error:  # NumPy and zipfile raise whatever their parsers trip over
        raise ValueError(f"{path}: damaged, or lacks an array ({error}); fetch it again") from error
    _refuse_other_clips(path, names, clips)
    if (
        frames.ndim != 2
        or frames.shape[1] != BANDS
        or not starts.shape == lengths.shape == (len(names),)
    ):
        raise ValueError(
            f"{path}: frames have shape {frames.shape}, not [t, {BANDS}], or start and length are "
            "not one number a clip"
        )
    _refuse_other_places(path, names, starts, lengths, len(frames))
    at = {name: row for row, name in enumerate(names)}
    told = []
    for clip in clips:
        start, length = int(starts[at[clip]]), int(lengths[at[clip]])
        try:
            told.append(statistics(frames[start : start + length]))
        except ValueError as error:
            raise ValueError(f"{path}: clip {clip}: {error}") from error
    return told


def _refuse_other_places(
    path: Path, names: Sequence[str], starts: np.ndarray, lengths: np.ndarray, total: int
) -> None:
    """Raise ValueError where the clips do not follow each other without a gap, to the last frame.

    Otherwise a clip could be given frames of another one.
    """
    end = 0
    for name, start, length in zip(names, starts.tolist(), lengths.tolist(), strict=True):
        if start != end or length < 0 or end + length > total:
            raise ValueError(
                f"{path}: clip {name} is said to be frames {start} to {start + length}; the clip "
                f"before it ends at {end}, and there are {total}"
            )
        end += length
    if end != total:
        raise ValueError(f"{path}: has {total} frames, but its clips end at {end}")


def _read_table(path: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {NEEDED}")
    try:
        table = pd.read_csv(path, dtype=dict(kinds), encoding="utf-8")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: not a table with {', '.join(kinds)} ({error})") from error
    absent = [name for name in kinds if name not in table.columns]
    if absent or table.empty or table[list(kinds)].isna().any(axis=None):
        raise ValueError(f"{path}: needs rows with {', '.join(kinds)}, and no empty cells there")
    return table


def _refuse_other_clips(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    odd = sorted({*found} ^ {*wanted})
    if odd or len(found) != len(wanted):
        raise ValueError(
            f"{path}: has other clips than {INDEX}, or one twice: {', '.join(odd[:LISTED])}"
        )


def _refuse_other_parts(path: Path, table: pd.DataFrame, split: Mapping[Recording, Part]) -> None:
    for recording, part in zip(table["recording"], table["split"], strict=True):
        if recording.channel != SONG and split.get(recording) != part:
            raise ValueError(
                f"{path}: clip {recording} is in {part!r}, in the committed split it is in "
                f"{split.get(recording)!r}"
            )
