"""RAVDESS as tables of 15 MB: action units of the face, log-mel bands of the speech, no film.

Layout of the folder, `<data root>/ravdess`:

    index.csv       clip, label (0 to 7), actor, split; other columns are not read
    face_au.csv     clip, 17 intensities AU.._r (0 to 5) and 18 presences AU.._c (0 to 1)
    logmel40.npz    clip; frames [t, 40], those of all clips one after the other; start; length
    SHA256SUMS      optional: `<SHA-256>  <file>`, read by `check`

A clip is named by its recording (see `names`), channel first. The action units are those
of OpenFace, means over the film.

Ref: livingstone2018ravdess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mke_theory.data.file_hashes import content_of, sha256_of
from mke_theory.tasks.ravdess.action_units import read_units
from mke_theory.tasks.ravdess.clips import LISTED, Clips, absent, in_order, listed, song_note
from mke_theory.tasks.ravdess.names import SONG, Recording, parse_recording
from mke_theory.tasks.ravdess.speech import BANDS, statistics
from mke_theory.tasks.ravdess.split import Part

INDEX, FACE, SPEECH, SUMS = "index.csv", "face_au.csv", "logmel40.npz", "SHA256SUMS"


def read_tables(folder: Path, split: Mapping[Recording, Part], *, skip_bad: bool = False) -> Clips:
    """The recordings of `split` that the tables hold; song is left out.

    Raises FileNotFoundError where a file is missing, and ValueError, with file and clip, where
    files disagree with each other, a label with its name or a part with `split`, or a recording is
    absent or its action units or its bands are damaged. With `skip_bad` absent and damaged ones are
    left out, with a line each in `skipped`.
    """
    for name in (INDEX, FACE, SPEECH):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: no such file; {INDEX}, {FACE} and {SPEECH} are needed"
            )
    table = _read_index(folder / INDEX)
    names = table["clip"].tolist()
    face, bad = read_units(folder / FACE, names)
    speech, more = _read_speech(folder / SPEECH, names)
    bad += more
    if bad and not skip_bad:
        raise ValueError(
            f"{listed(bad)}\nFetch the file again, or leave these recordings out with --skip-bad"
        )
    _refuse_other_parts(folder / INDEX, table, split)
    clip = dict(zip(table["recording"], names, strict=True))
    lacking = absent(folder, split, clip, skip_bad=skip_bad)
    kept = in_order(folder, split, {r for r in clip if clip[r] in face and clip[r] in speech})
    units, bands = (np.stack([of[clip[r]] for r in kept]) for of in (face, speech))
    notes = song_note(folder / INDEX, int(table["sung"].sum()))
    return Clips(kept, units, bands, (*lacking, *bad), notes)


def content_hash(folder: Path) -> str:
    """A hash of the three files that are read; one that is not there counts as absent."""
    return content_of((folder / name for name in (INDEX, FACE, SPEECH)), folder)


def check_tables(folder: Path, split: Mapping[Recording, Part]) -> str:
    """A line on what is verified of the tables.

    All its files are compared with SHA256SUMS, where that is there, and then read. Raises as
    `read_tables` does, and ValueError, with the file, where the content is another one.
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
    found = len(read_tables(folder, split).recordings)
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


def _read_speech(path: Path, clips: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The statistics of `clips`, by clip, and a line for each whose bands have none."""
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
    found, bad = {}, []
    for clip in clips:
        start, length = int(starts[at[clip]]), int(lengths[at[clip]])
        try:
            found[clip] = statistics(frames[start : start + length])
        except ValueError as error:
            bad.append(f"{path}: clip {clip}: {error}")
    return found, bad


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
                f"{path}: clip {name} is listed as frames {start} to {start + length}; the clip "
                f"before it ends at {end}, and there are {total}"
            )
        end += length
    if end != total:
        raise ValueError(f"{path}: has {total} frames, but its clips end at {end}")


def _read_table(path: Path, kinds: Mapping[str, str]) -> pd.DataFrame:
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
