"""The classes that AudioSet and VGGSound share, by rule from their published names.

The paper used 46 shared classes and does not list them; the table here is derived from the names
alone and is not the paper's. It is committed as `manifests/vggsound_audioset_classes.csv`, with the
rule of each row; `python -m mke_theory.tasks.vggsound classes --data-root DIR` derives it again.

Names are compared in small letters. Rules, the first that fits counts:

    name          the two names are the same
    punctuation   the same but for punctuation: "ambulance siren", "Ambulance (siren)"
    bracket       AudioSet's without the part in brackets: "wind noise"
    synonym       one of AudioSet's names between commas: "airplane"
    playing       VGGSound says "playing" before a name that one of the rules above would match

A pair counts only if no other name of either list takes part in one by the same rule.
Ref: gemmeke2017audioset; chen2020vggsound.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mke_theory.data.file_hashes import sha256_of
from mke_theory.tasks.vggsound.lists import (
    AUDIOSET_CLASSES,
    CLASSES,
    read_audioset_classes,
    read_classes,
)

TABLE: Path = Path(__file__).parent / "manifests" / "vggsound_audioset_classes.csv"

Rule = Literal["name", "punctuation", "bracket", "synonym", "playing"]
Sharing = Literal["names", "names and instruments"]
"""The rows of the table that count: all but those by "playing", or all."""

_COLUMNS = ("vggsound", "mid", "audioset", "rule")
_PLAYING = "playing "


@dataclass(frozen=True)
class SharedClass:
    """A class with its name in VGGSound, its mid and name in AudioSet, and why they are one."""

    vggsound: str
    mid: str
    audioset: str
    rule: Rule


def shared_classes(sharing: Sharing = "names", table: Path = TABLE) -> tuple[SharedClass, ...]:
    """The rows of the committed table, in the order of VGGSound's list."""
    if sharing not in get_args(Sharing):
        raise ValueError(f"sharing is {sharing!r}; choose one of {get_args(Sharing)}")
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    rows = list(csv.reader(lines, strict=True))
    if not rows or tuple(rows[0]) != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise ValueError(f"{table}: needs the columns {', '.join(_COLUMNS)}")
    strange = {row[3] for row in rows[1:]} - set(get_args(Rule))
    if strange:
        raise ValueError(f"{table}: no such rule: {', '.join(sorted(strange))}")
    found = tuple(SharedClass(*row) for row in rows[1:])  # type: ignore[arg-type]
    return tuple(row for row in found if sharing != "names" or row.rule != "playing")


def refuse_other_names(
    shared: Sequence[SharedClass], vggsound: Sequence[str], audioset: Mapping[str, str]
) -> None:
    """Raise ValueError where a row of the table is not in the lists of classes."""
    for row in shared:
        if row.vggsound not in vggsound:
            raise ValueError(f"{CLASSES} has no class {row.vggsound!r}; fetch it from its authors")
        if audioset.get(row.mid) != row.audioset:
            raise ValueError(
                f"{AUDIOSET_CLASSES}: class {row.mid} is {audioset.get(row.mid)!r}, the table has "
                f"{row.audioset!r}; fetch the list from its authors"
            )


def derive(vggsound: Sequence[str], audioset: Mapping[str, str]) -> tuple[SharedClass, ...]:
    """The shared classes by the rules above; `audioset` has the names by mid."""
    found: dict[str, SharedClass] = {}
    taken: set[str] = set()
    for rule, ours, theirs in _RULES:
        written = {mid: theirs(display) for mid, display in audioset.items() if mid not in taken}
        pairs = [
            (name, mid)
            for name, forms in ((name, ours(name)) for name in vggsound if name not in found)
            for mid, others in written.items()
            if forms & others
        ]
        names, mids = Counter(name for name, _ in pairs), Counter(mid for _, mid in pairs)
        for name, mid in pairs:
            if names[name] == mids[mid] == 1:
                found[name] = SharedClass(name, mid, audioset[mid], rule)
                taken.add(mid)
    return tuple(found[name] for name in vggsound if name in found)


def table_text(folder: Path) -> str:
    """The table of the lists in `folder`, as it is committed."""
    rows = derive(read_classes(folder), read_audioset_classes(folder / AUDIOSET_CLASSES))
    lines = [
        "# Classes that VGGSound and AudioSet share, derived from their names by the rules in",
        "# vggsound/classes.py. It is not the table of the paper, whose 46 classes are not listed.",
        f"# VGGSound {Path(CLASSES).name}, SHA-256 {sha256_of(folder / CLASSES)}, CC BY 4.0",
        f"# AudioSet {Path(AUDIOSET_CLASSES).name}, SHA-256 {sha256_of(folder / AUDIOSET_CLASSES)},"
        " CC BY 4.0",
    ]
    cells = [_COLUMNS, *((row.vggsound, row.mid, row.audioset, row.rule) for row in rows)]
    quoted = [[f'"{cell}"' if "," in cell else cell for cell in row] for row in cells]
    return "\n".join([*lines, *(",".join(row) for row in quoted)]) + "\n"


def _small(name: str) -> str:
    return " ".join(name.lower().split())


def _bare(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))


def _unbracketed(name: str) -> str:
    return re.sub(r"\([^)]*\)", " ", name)


def _synonyms(name: str) -> set[str]:
    return {_bare(part) for part in _unbracketed(name).split(",")} - {""}


def _played(name: str) -> set[str]:
    small = _small(name)
    return {_bare(small.removeprefix(_PLAYING))} if small.startswith(_PLAYING) else set()


Forms = Callable[[str], set[str]]

_RULES: tuple[tuple[Rule, Forms, Forms], ...] = (
    ("name", lambda ours: {_small(ours)}, lambda theirs: {_small(theirs)}),
    ("punctuation", lambda ours: {_bare(ours)}, lambda theirs: {_bare(theirs)}),
    ("bracket", lambda ours: {_bare(ours)}, lambda theirs: {_bare(_unbracketed(theirs))}),
    ("synonym", lambda ours: {_bare(ours)}, _synonyms),
    (
        "playing",
        _played,
        lambda theirs: {_bare(theirs), _bare(_unbracketed(theirs)), *_synonyms(theirs)},
    ),
)
