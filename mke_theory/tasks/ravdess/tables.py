"""RAVDESS as the task reads it: tables of face and speech by recording, and short sound files.

Layout of the folder, `<data root>/ravdess`, as `prepare` writes it:

    index.csv          clip, label (0 to 7), actor; other columns are not read
    face_au.csv        clip, 17 intensities AU.._r (0 to 5) and 18 presences AU.._c (0 to 1)
    face_geometry.csv  clip, head, gaze and landmarks (`tracking.GEOMETRY`); for one setting only
    logmel40.npz       clip; frames [t, 40], those of all clips one after the other; start; length
    audio_8k           03-<clip>.flac, the sound at 8 kHz; for the pre-trained ear only
    SHA256SUMS         optional: `<SHA-256>  <file>`, read by `check`

A clip is named by its recording (see `names`), channel first.

Ref: livingstone2018ravdess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mke_theory.data.file_hashes import content_of, sha256_of
from mke_theory.tasks.ravdess.face_tables import FACE, SHAPE, read_face
from mke_theory.tasks.ravdess.names import Recording, parse_recording
from mke_theory.tasks.ravdess.speech import BANDS, statistics
from mke_theory.tasks.ravdess.split import Part

FOLDER = "ravdess"
"""The folder of the data set under the data root."""

INDEX, SPEECH, SOUND, SUMS = "index.csv", "logmel40.npz", "audio_8k", "SHA256SUMS"

LISTED = 10
"""The most files, clips or actors that one message names."""


@dataclass(frozen=True)
class Clips:
    """n recordings of speech in the order of the split.

    face: [n, d] float32, action units, then geometry where that was asked for. speech: [n, d]
    float32, see `speech.statistics`. skipped: a line for each that is absent or bad and was left
    out because that was asked for.
    """

    recordings: tuple[Recording, ...]
    face: np.ndarray
    speech: np.ndarray
    skipped: tuple[str, ...] = ()


def files(*, geometry: bool) -> tuple[str, ...]:
    """The names of the tables that are read."""
    return (INDEX, FACE, *((SHAPE,) if geometry else ()), SPEECH)


def read_tables(
    folder: Path,
    split: Mapping[Recording, Part],
    *,
    skip_bad: bool = False,
    geometry: bool = False,
) -> Clips:
    """The recordings of `split` that the tables hold; song is left out.

    Raises FileNotFoundError where a file is missing, and ValueError, with file and clip, where
    files disagree with each other, a label with its name, or a recording is absent or its features
    are damaged. With `skip_bad` absent and damaged ones are left out, with a line each in
    `skipped`; ValueError still where nothing is left of a part.
    """
    wanted = files(geometry=geometry)
    for name in wanted:
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: no such file; {', '.join(wanted)} are needed"
            )
    clip = _read_index(folder / INDEX)
    read = [read_face(folder / name, [*clip.values()]) for name in wanted[1:-1]]
    read.append(_read_speech(folder / SPEECH, [*clip.values()]))
    bad = [line for _, lines in read for line in lines]
    if bad and not skip_bad:
        raise ValueError(
            f"{listed(bad)}\nFetch the file again, or leave these recordings out with --skip-bad"
        )
    lacking = absent(folder, split, clip, skip_bad=skip_bad)
    whole = {one for one in clip if all(clip[one] in found for found, _ in read)}
    kept = in_order(folder, split, whole)
    *face, speech = (np.stack([found[clip[one]] for one in kept]) for found, _ in read)
    return Clips(kept, np.concatenate(face, 1), speech, (*lacking, *bad))


def content_hash(folder: Path, names: Iterable[str]) -> str:
    """A hash of the files of those names; one that is not there counts as absent."""
    return content_of((folder / name for name in names), folder)


def check_tables(folder: Path, split: Mapping[Recording, Part]) -> str:
    """A line on what is verified of the tables.

    All files are compared with SHA256SUMS, where that is there, and the tables then read. Raises as
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
    clips = read_tables(folder, split, geometry=(folder / SHAPE).is_file())
    compared = f"{count} files are those of {SUMS}" if count else f"no {SUMS} to compare with"
    return f"{folder}: {len(clips.recordings)} recordings, all readable; {compared}"


def in_order(
    folder: Path, split: Mapping[Recording, Part], there: Container[Recording]
) -> tuple[Recording, ...]:
    """The recordings of `split` that are there, in its order; ValueError where a part has none."""
    for part in ("train", "test"):
        if not any(found == part and recording in there for recording, found in split.items()):
            raise ValueError(f"{folder}: has no recording of a {part} actor that can be used")
    return tuple(recording for recording in split if recording in there)


def absent(
    folder: Path,
    split: Mapping[Recording, Part],
    there: Container[Recording],
    *,
    skip_bad: bool,
) -> list[str]:
    """A line for each actor of whom recordings are not there; ValueError without `skip_bad`."""
    wanted = Counter(recording.actor for recording in split)
    lacking = Counter(recording.actor for recording in split if recording not in there)
    lines = [
        f"{folder}: {count} of {wanted[actor]} recordings of actor {actor:02} are not there"
        for actor, count in sorted(lacking.items())
    ]
    if lines and not skip_bad:
        raise ValueError(
            f"{listed(lines)}\nAdd them, or go on without them by --skip-bad; all numbers are then "
            "of the others alone"
        )
    return lines


def listed(lines: Sequence[str]) -> str:
    """The first ten lines, and how many more there are."""
    more = f"\n... and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return "\n".join(lines[:LISTED]) + more


def _read_index(path: Path) -> dict[Recording, str]:
    """The recordings of the index and their names in it; label and actor agree with the name."""
    kinds = {"clip": "str", "label": "int64", "actor": "int64"}
    try:
        table = pd.read_csv(path, dtype=dict(kinds), encoding="utf-8")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: not a table with {', '.join(kinds)} ({error})") from error
    lacking = [name for name in kinds if name not in table.columns]
    if lacking or table.empty or table[list(kinds)].isna().any(axis=None):
        raise ValueError(f"{path}: needs rows with {', '.join(kinds)}, and no empty cells there")
    if table["clip"].duplicated().any():
        raise ValueError(f"{path}: lists {table['clip'][table['clip'].duplicated()].iloc[0]} twice")
    found = {}
    for clip, label, actor in table[list(kinds)].itertuples(index=False):
        try:
            recording = parse_recording(clip)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if (label, actor) != (recording.label, recording.actor):
            raise ValueError(
                f"{path}: clip {recording} has label {label} and actor {actor}; its name says "
                f"{recording.label} and {recording.actor}"
            )
        found[recording] = str(clip)
    return found


def _read_speech(path: Path, clips: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The statistics of `clips`, by clip, and a line for each whose bands have none."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            names = [str(name) for name in stored["clip"]]
            frames, starts, lengths = stored["frames"], stored["start"], stored["length"]
    except Exception as error:  # NumPy and zipfile raise whatever their parsers trip over
        raise ValueError(f"{path}: damaged, or lacks an array ({error}); fetch it again") from error
    odd = sorted({*names} ^ {*clips})
    if odd or len(names) != len(clips):
        raise ValueError(
            f"{path}: has other clips than {INDEX}, or one twice: {', '.join(odd[:LISTED])}"
        )
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
    found, bad = {}, []
    for clip, start, length in zip(names, starts.tolist(), lengths.tolist(), strict=True):
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
