"""The classes that AudioSet and VGGSound share, by rule from their published names.

The paper used 46 shared classes and does not list them; the table here is derived from the names
alone and is not the paper's. It is committed as `manifests/vggsound_audioset_classes.csv`, with the
rule of each row, and a test derives it again from the lists.

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

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from mke_theory.tasks.vggsound.lists import AUDIOSET_CLASSES, CLASSES, read_rows

TABLE: Path = Path(__file__).parent / "manifests" / "vggsound_audioset_classes.csv"

Rule = Literal["name", "punctuation", "bracket", "synonym", "playing"]
Sharing = Literal["names", "names and instruments"]
"""The rows of the table that count: all but those by "playing", or all."""


class SharedClass(NamedTuple):
    """A class with its name in VGGSound, its mid and name in AudioSet, and why they are one."""

    vggsound: str
    mid: str
    audioset: str
    rule: Rule


def shared_classes(sharing: Sharing = "names", table: Path = TABLE) -> tuple[SharedClass, ...]:
    """The rows of the committed table, in the order of VGGSound's list."""
    if sharing not in get_args(Sharing):
        raise ValueError(f"sharing is {sharing!r}; choose one of {get_args(Sharing)}")

    def parse(row: list[str]) -> tuple[str, SharedClass]:
        if row[3] not in get_args(Rule):
            raise ValueError(f"no such rule: {row[3]!r}")
        return row[0], SharedClass(*row)  # type: ignore[arg-type]  # checked above

    rows = read_rows(table, (4,), parse, header="vggsound").values()
    return tuple(row for row in rows if sharing != "names" or row.rule != "playing")


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
