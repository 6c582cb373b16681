"""The lists of AudioSet and VGGSound as their authors publish them: clips and their classes.

Layout of the folder, `<data root>/av_event_metadata`:

    audioset/balanced_train_segments.csv   YTID, start_seconds, end_seconds, positive_labels
    audioset/class_labels_indices.csv      index, mid, display_name of 527 classes
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
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

FOLDER = "av_event_metadata"
AUDIOSET = "audioset/balanced_train_segments.csv"
AUDIOSET_CLASSES = "audioset/class_labels_indices.csv"
CLASSES = "vggsound/stat.csv"
TEST = "vggsound/test.csv"
FULL = ("vggsound/vggsound.csv", "vggsound/train.csv")
ANNOTATION = "vggsound/vggsounder.csv"

NEEDED = (AUDIOSET, AUDIOSET_CLASSES, CLASSES, TEST)

Key = TypeVar("Key")
Value = TypeVar("Value")


class Clip(NamedTuple):
    """Ten seconds of a film: `ytid` names the film, `start` is in whole seconds."""

    ytid: str
    start: int

    def __str__(self) -> str:
        return f"{self.ytid}_{self.start:06}"


def clip_of(stem: str) -> Clip:
    """The clip of a file name without its ending; ValueError where it is no `YTID_SSSSSS`."""
    found = re.fullmatch(r"([A-Za-z0-9_-]{11})_([0-9]{6})", stem)
    if found is None:
        raise ValueError(f"{stem!r} is no YTID_SSSSSS: 11 letters, digits, - or _, and 6 digits")
    return Clip(found[1], int(found[2]))


def read_audioset_classes(path: Path) -> dict[str, str]:
    """The display name of each class of AudioSet by its mid, in the order of the list."""
    return read_rows(path, (3,), lambda row: (_named(row[1]), _named(row[2])), header="index")


def read_audioset(path: Path, mids: Collection[str]) -> dict[Clip, frozenset[str]]:
    """The mids of each segment, all of them known; a start within a second is cut off.

    The comment lines and the spaces of AudioSet's own files are allowed.
    """

    def parse(row: list[str]) -> tuple[Clip, frozenset[str]]:
        labels = (_known(mid.strip(), mids) for mid in row[3].split(","))
        return _clip(row[0], row[1]), frozenset(labels)

    return read_rows(path, (4,), parse, header="YTID")


def read_classes(path: Path) -> tuple[str, ...]:
    """The names of VGGSound's classes, in the order of stat.csv."""
    return tuple(read_rows(path, (3,), lambda row: (_named(row[0]), row)))


def read_vggsound(
    path: Path, classes: Collection[str], *, split: Literal["train", "test"]
) -> dict[Clip, frozenset[str]]:
    """The class of each clip of a split.

    Rows are `file name, class`, all of them of the split that the file is named after, or
    `YTID, start seconds, class, split`.
    """

    def parse(row: list[str]) -> tuple[Clip, frozenset[str]] | None:
        if len(row) == 2:
            return clip_of(Path(row[0]).stem), frozenset({_known(row[1], classes)})
        if _known(row[3], ("train", "test"), "split") != split:
            return None
        return _clip(row[0], row[1]), frozenset({_known(row[2], classes)})

    return read_rows(path, (2, 4), parse)


def read_vggsounder(path: Path, classes: Collection[str]) -> dict[Clip, frozenset[str]]:
    """The classes that VGGSounder finds in each clip, be they heard ("A"), seen ("V") or both."""

    def parse(row: list[str]) -> tuple[tuple[Clip, str], str]:
        how = _known(row[2], ("A", "V", "AV"), "kind")
        return (clip_of(row[0]), _known(row[1], classes)), how

    found: dict[Clip, frozenset[str]] = {}
    for clip, label in read_rows(path, (6,), parse, header="video_id"):
        found[clip] = found.get(clip, frozenset()) | {label}
    return found


def read_rows(
    path: Path,
    columns: tuple[int, ...],
    parse: Callable[[list[str]], tuple[Key, Value] | None],
    header: str = "#",
) -> dict[Key, Value]:
    """The pairs that `parse` makes of the rows, None being none; each key once, and at least one.

    Empty rows, comments and a row that begins with `header` do not count.

    Raises FileNotFoundError where there is no such list, and ValueError with its name and line
    where a row has none of these numbers of columns, or `parse` refuses it by a ValueError.
    """
    reader = csv.reader(_text(path).splitlines(), skipinitialspace=True, strict=True)
    found: dict[Key, Value] = {}
    try:
        for row in reader:
            if not row or row[0] == header or row[0].startswith("#"):
                continue
            if len(row) not in columns:
                wanted = " or ".join(map(str, columns))
                raise ValueError(f"has {len(row)} columns, {wanted} are wanted")
            if (pair := parse(row)) is None:
                continue
            if pair[0] in found:
                raise ValueError(f"{row} is there twice")
            found[pair[0]] = pair[1]
    except (ValueError, csv.Error) as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}; fetch the list again"
        ) from error
    if not found:
        raise ValueError(f"{path}: lists nothing; fetch it again")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such list; fetch it from its authors") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text ({error}); fetch the list again") from error


def _clip(ytid: str, start: str) -> Clip:
    seconds = float(start)
    if not 0 <= seconds < 1_000_000:
        raise ValueError(f"the start has to lie in 0 to 999999 s; got {start}")
    return clip_of(f"{ytid}_{int(seconds):06}")


def _known(name: str, allowed: Collection[str], what: str = "class") -> str:
    if name not in allowed:
        raise ValueError(f"no such {what}: {name!r}")
    return name


def _named(name: str) -> str:
    if not name.strip():
        raise ValueError("a class needs a name")
    return name
