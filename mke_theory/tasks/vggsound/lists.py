"""The lists of AudioSet and VGGSound as their authors publish them: clips and their classes.

Layout of the folder, `<data root>/av_event_metadata`, with the files as their authors publish them:

    audioset/balanced_train_segments.csv   YTID, start_seconds, end_seconds, positive_labels
    audioset/class_labels_indices.csv      index, mid, display_name of 527 classes
    audioset/ontology.json                 which class is a kind of which
    vggsound/stat.csv                      name, clips and group of 309 classes
    vggsound/test.csv                      file name and class of 15,446 clips
    vggsound/vggsound.csv or train.csv     YTID, start seconds, class, split (for D_u; optional)
    vggsound/vggsounder.csv                several classes a clip of test (optional)

A clip is ten seconds of a film on YouTube: `YTID_SSSSSS`, the film's 11 letters and the second at
which it starts, in six digits. Damaged lines are refused with the file's name and their number.

Ref: gemmeke2017audioset; chen2020vggsound; zverev2025vggsounder.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

FOLDER = "av_event_metadata"
AUDIOSET = "audioset/balanced_train_segments.csv"
AUDIOSET_CLASSES = "audioset/class_labels_indices.csv"
ONTOLOGY = "audioset/ontology.json"
CLASSES = "vggsound/stat.csv"
TEST = "vggsound/test.csv"
FULL = ("vggsound/vggsound.csv", "vggsound/train.csv")
ANNOTATION = "vggsound/vggsounder.csv"

Modality = Literal["A", "V", "AV"]
"""The senses by which VGGSounder finds a class: it is heard, it is seen, or both."""

Key = TypeVar("Key")
Value = TypeVar("Value")

_YTID = re.compile(r"[A-Za-z0-9_-]{11}")
_CLIP = re.compile(r"([A-Za-z0-9_-]{11})_([0-9]{6})")
_MODALITIES = ("A", "V", "AV")
_SPLITS = ("train", "test")


@dataclass(frozen=True, order=True)
class Clip:
    """Ten seconds of a film: `ytid` names the film, `start` is in whole seconds."""

    ytid: str
    start: int

    def __post_init__(self) -> None:
        if not _YTID.fullmatch(self.ytid):
            raise ValueError(f"a YTID has 11 letters, digits, - or _; got {self.ytid!r}")
        if not 0 <= self.start <= 999_999:
            raise ValueError(f"the start has to lie in 0 to 999999 s; got {self.start}")

    def __str__(self) -> str:
        return f"{self.ytid}_{self.start:06}"


def parse_name(stem: str) -> Clip | None:
    """The clip of a file name without its ending, or None where it is no `YTID_SSSSSS`."""
    found = _CLIP.fullmatch(stem)
    return Clip(found[1], int(found[2])) if found else None


def read_audioset_classes(path: Path) -> dict[str, str]:
    """The display name of each class of AudioSet by its mid, in the order of the list."""
    names: dict[str, str] = {}
    for place, row in _rows(path, (3,)):
        if row == ["index", "mid", "display_name"]:
            continue
        _refuse(place, row[1] in names, f"class {row[1]} is listed twice")
        _refuse(place, not row[1] or not row[2].strip(), f"a class needs mid and name; got {row}")
        names[row[1]] = row[2]
    return _some(path, names)


def read_audioset(path: Path, classes: Sequence[str]) -> dict[Clip, frozenset[str]]:
    """The mids of each segment; `classes` are the known ones. A start within a second is cut off.

    The comment lines and the spaces of AudioSet's own files are allowed.
    """
    known, found = frozenset(classes), dict[Clip, frozenset[str]]()
    for place, (ytid, start, _, labels) in _rows(path, (4,)):
        if ytid == "YTID":
            continue
        clip = _clip(place, ytid, start)
        mids = frozenset(mid.strip() for mid in labels.split(","))
        _refuse(place, clip in found, f"clip {clip} is listed twice")
        _refuse(place, not mids <= known, f"no such class: {', '.join(sorted(mids - known))}")
        found[clip] = mids
    return _some(path, found)


def read_classes(folder: Path) -> tuple[str, ...]:
    """The names of VGGSound's classes, in the order of stat.csv."""
    names: dict[str, None] = {}
    for place, (name, _, _) in _rows(folder / CLASSES, (3,)):
        _refuse(place, name in names, f"class {name!r} is listed twice")
        _refuse(place, not name.strip(), "a class needs a name")
        names[name] = None
    return tuple(_some(folder / CLASSES, names))


def read_vggsound(
    path: Path, classes: Sequence[str], *, split: Literal["train", "test"]
) -> dict[Clip, str]:
    """The class of each clip of a split.

    Rows are `file name, class`, all of them of the split that the file is named after, or
    `YTID, start seconds, class, split`.
    """
    known, found = frozenset(classes), dict[Clip, str]()
    for place, row in _rows(path, (2, 4)):
        if len(row) == 4:
            _refuse(place, row[3] not in _SPLITS, f"the split is {row[3]!r}; {_SPLITS} are known")
            if row[3] != split:
                continue
            clip, label = _clip(place, row[0], row[1]), row[2]
        else:
            clip, label = _named(place, Path(row[0]).stem), row[1]
        _refuse(place, clip in found, f"clip {clip} is listed twice")
        _refuse(place, label not in known, f"no such class: {label!r}")
        found[clip] = label
    return _some(path, found)


def read_vggsounder(
    path: Path, classes: Sequence[str]
) -> dict[Clip, tuple[tuple[str, Modality], ...]]:
    """(class, heard or seen or both) of everything that VGGSounder finds in each clip."""
    known, found = frozenset(classes), dict[Clip, dict[str, Modality]]()
    for place, (name, label, modality, *_) in _rows(path, (6,)):
        if name == "video_id":
            continue
        clip = _named(place, name)
        _refuse(place, label not in known, f"no such class: {label!r}")
        _refuse(place, modality not in _MODALITIES, f"{modality!r} is none of {_MODALITIES}")
        _refuse(place, label in found.setdefault(clip, {}), f"{clip} has {label!r} twice")
        found[clip][label] = modality  # type: ignore[assignment]  # checked two lines above
    return {clip: tuple(labels.items()) for clip, labels in _some(path, found).items()}


def read_ontology(path: Path) -> dict[str, frozenset[str]]:
    """The mids of all kinds of a class, itself among them: a dog's bark is an animal's sound."""
    try:
        entries = json.loads(_text(path))
        children = {entry["id"]: tuple(entry["child_ids"]) for entry in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the ontology of AudioSet ({error!r}); fetch it again") from (
            error
        )

    def kinds(mid: str, above: frozenset[str]) -> frozenset[str]:
        if mid in above or mid not in children:
            raise ValueError(f"{path}: class {mid} is a kind of itself, or is not described")
        return frozenset({mid}).union(*(kinds(child, above | {mid}) for child in children[mid]))

    return {mid: kinds(mid, frozenset()) for mid in children}


Place = Callable[[str], ValueError]
"""A function from what is wrong to an error that says where."""


def _rows(path: Path, columns: tuple[int, ...]) -> Iterator[tuple[Place, list[str]]]:
    """The rows of a list with one of these numbers of columns, each with its place."""
    lines = _text(path).splitlines()
    reader = csv.reader(lines, skipinitialspace=True, strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _at(path, reader.line_num)(f"not readable ({error})") from error
        if not row or row[0].startswith("#"):
            continue
        place = _at(path, reader.line_num)
        wanted = " or ".join(map(str, columns))
        _refuse(place, len(row) not in columns, f"has {len(row)} columns, {wanted} are wanted")
        yield place, row


def _at(path: Path, line: int) -> Place:
    return lambda what: ValueError(f"{path}, line {line}: {what}; fetch the list again")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such list; fetch it from its authors") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text ({error}); fetch the list again") from error


def _clip(place: Place, ytid: str, start: str) -> Clip:
    try:
        return Clip(ytid, int(float(start)))
    except (ValueError, OverflowError) as error:
        raise place(str(error)) from error


def _named(place: Place, name: str) -> Clip:
    clip = parse_name(name)
    if clip is None:
        raise place(f"{name!r} is no YTID_SSSSSS")
    return clip


def _refuse(place: Place, wrong: bool, what: str) -> None:
    if wrong:
        raise place(what)


def _some(path: Path, found: dict[Key, Value]) -> dict[Key, Value]:
    if not found:
        raise ValueError(f"{path}: lists nothing; fetch it again")
    return found
