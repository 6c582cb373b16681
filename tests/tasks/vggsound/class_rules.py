"""The rules by which the committed table of shared classes follows from the published names.

Names are compared in small letters, as `mke_theory.tasks.vggsound.classes` says.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from mke_theory.data.file_hashes import sha256_of
from mke_theory.tasks.vggsound.classes import Rule, SharedClass
from mke_theory.tasks.vggsound.lists import (
    AUDIOSET_CLASSES,
    CLASSES,
    read_audioset_classes,
    read_classes,
)


def derive(vggsound: Sequence[str], audioset: Mapping[str, str]) -> tuple[SharedClass, ...]:
    """The shared classes by the rules above; `audioset` has the names by mid."""
    found: dict[str, SharedClass] = {}
    for rule in get_args(Rule):
        taken = {row.mid for row in found.values()}
        theirs = {mid: _theirs(rule, name) for mid, name in audioset.items() if mid not in taken}
        ours = {name: _ours(rule, name) for name in vggsound if name not in found}
        pairs = [(n, m) for n, own in ours.items() for m, forms in theirs.items() if own in forms]
        names, mids = Counter(name for name, _ in pairs), Counter(mid for _, mid in pairs)
        for name, mid in pairs:
            if names[name] == mids[mid] == 1:
                found[name] = SharedClass(name, mid, audioset[mid], rule)
    return tuple(found[name] for name in vggsound if name in found)


def table_text(folder: Path) -> str:
    """The table of the lists in `folder`, as it is committed."""
    rows = derive(read_classes(folder / CLASSES), read_audioset_classes(folder / AUDIOSET_CLASSES))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([SharedClass._fields, *rows])
    return (
        "# Classes that VGGSound and AudioSet share, derived from their names by the rules in\n"
        "# vggsound/classes.py. It is not the table of the paper, whose 46 classes are not listed."
        f"\n# VGGSound {Path(CLASSES).name}, SHA-256 {sha256_of(folder / CLASSES)}, CC BY 4.0\n"
        f"# AudioSet {Path(AUDIOSET_CLASSES).name}, SHA-256 {sha256_of(folder / AUDIOSET_CLASSES)},"
        f" CC BY 4.0\n{table.getvalue()}"
    )


def _ours(rule: Rule, name: str) -> str | None:
    """The form of VGGSound's name that a rule looks for, or None."""
    if rule == "playing":
        before, playing, instrument = name.lower().strip().partition("playing ")
        return _bare(instrument) if playing and not before else None
    return _small(name) if rule == "name" else _bare(name)


def _theirs(rule: Rule, name: str) -> set[str]:
    """The forms of AudioSet's name that a rule looks at."""
    plain = re.sub(r"\([^)]*\)", " ", name)
    synonyms = {_bare(part) for part in plain.split(",")} - {""}
    forms = {
        "name": {_small(name)},
        "punctuation": {_bare(name)},
        "bracket": {_bare(plain)},
        "synonym": synonyms,
        "playing": {_bare(name), _bare(plain), *synonyms},
    }
    return forms[rule]


def _small(name: str) -> str:
    return " ".join(name.lower().split())


def _bare(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))
