"""The clips of D_l, D_u and test and their true classes, by the lists alone.

D_l are AudioSet's balanced train segments with a shared class. D_u are VGGSound's train clips where
a list of them is there, and test is VGGSound's test list. Where there is only the test list, a
committed rule splits it: a hash of the film's YTID decides, so that a film is on one side
whatever its clips. AudioSet and VGGSound draw on the same site. A film of D_l is therefore kept out
where it is also in test, and a film of D_u where it is in test or in D_l.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mke_theory.data.file_hashes import sha256_of
from mke_theory.data.pool import UNKNOWN
from mke_theory.tasks.vggsound.classes import (
    SharedClass,
    Sharing,
    refuse_other_names,
    shared_classes,
)
from mke_theory.tasks.vggsound.lists import (
    ANNOTATION,
    AUDIOSET,
    AUDIOSET_CLASSES,
    FULL,
    ONTOLOGY,
    TEST,
    Clip,
    Modality,
    read_audioset,
    read_audioset_classes,
    read_classes,
    read_ontology,
    read_vggsound,
    read_vggsounder,
)

MANIFEST: Path = Path(__file__).parent / "manifests" / "vggsound_split.json"
"""The SHA-256 of the published test list, and of the two halves into which the rule splits it."""

Annotation = Literal[
    "list", "VGGSounder", "VGGSounder audible", "VGGSounder visible", "VGGSounder both"
]
"""The true classes of a clip of VGGSound: its one class in the list, or all that VGGSounder finds,
of any kind, heard, seen, or both heard and seen."""

Source = Literal["either", "train list", "test list"]
"""The list that D_u comes from; either takes the train list where it is there."""

_SHOWN: dict[Annotation, frozenset[Modality]] = {
    "VGGSounder": frozenset({"A", "V", "AV"}),
    "VGGSounder audible": frozenset({"A", "AV"}),
    "VGGSounder visible": frozenset({"V", "AV"}),
    "VGGSounder both": frozenset({"AV"}),
}

Truth = Mapping[Clip, Collection[str]]


@dataclass(frozen=True)
class Wanted:
    """Clips with their truth [n, k] int8 over the shared classes: 0, 1, or −1 where unknown."""

    clips: tuple[Clip, ...]
    truth: np.ndarray

    def rows(self, chosen: np.ndarray) -> Wanted:
        """The clips at these positions, in their order."""
        return Wanted(tuple(self.clips[row] for row in chosen), self.truth[chosen])


@dataclass(frozen=True)
class Split:
    """The three parts as the lists have them, whether or not the clips are at hand.

    `notes` has lines on what was left out because a film would have been in two parts.
    """

    classes: tuple[SharedClass, ...]
    labelled: Wanted
    unlabelled: Wanted
    test: Wanted
    notes: tuple[str, ...]


def split_of(
    folder: Path,
    *,
    sharing: Sharing = "names",
    annotation: Annotation = "list",
    source: Source = "either",
    ontology: bool = False,
) -> Split:
    """The parts by the lists in `folder` (see `lists`), each in the order of clip names.

    With `ontology` a segment of AudioSet also has the classes of which its classes are a kind.
    A D_u from the train list is of unknown truth under VGGSounder, which has test clips alone.

    Raises FileNotFoundError where a list is missing; ValueError where one is damaged, names do not
    fit the table of shared classes, or the rule and its manifest disagree.
    """
    shared = shared_classes(sharing)
    audioset, vggsound = read_audioset_classes(folder / AUDIOSET_CLASSES), read_classes(folder)
    refuse_other_names(shared, vggsound, audioset)
    kinds = read_ontology(folder / ONTOLOGY) if ontology else {}
    heard = read_audioset(folder / AUDIOSET, tuple(audioset))
    labelled = _wanted(heard, [kinds.get(row.mid, frozenset({row.mid})) for row in shared])
    names = [frozenset({row.vggsound}) for row in shared]
    train = _train_list(folder, source)
    listed = _as_sets(read_vggsound(folder / TEST, vggsound, split="test"))
    truth: Truth = listed
    if annotation != "list":
        truth = _found(folder, vggsound, annotation, listed)
    if train is None:
        refuse_stale_split(folder / TEST, listed)
        unlabelled, test = _halves(_wanted(truth, names))
    else:
        of_train = _as_sets(read_vggsound(train, vggsound, split="train"))
        unlabelled, test = _wanted(of_train, names), _wanted(truth, names)
        if annotation != "list":
            unlabelled = Wanted(unlabelled.clips, np.full_like(unlabelled.truth, UNKNOWN))
    return _apart(shared, labelled, unlabelled, test, frozenset(clip.ytid for clip in listed))


def part_of(ytid: str) -> Literal["unlabelled", "test"]:
    """The half of VGGSound's test list to which a film belongs, by a hash of its YTID."""
    first = hashlib.sha256(f"vggsound {ytid}".encode()).digest()[0]
    return "unlabelled" if first % 2 else "test"


def halves_hash(clips: Collection[Clip]) -> dict[str, str]:
    """For each half, the SHA-256 of its clips' sorted names, each ended by a newline."""
    lines: dict[str, list[str]] = {"unlabelled": [], "test": []}
    for clip in sorted(clips):
        lines[part_of(clip.ytid)].append(f"{clip}\n")
    return {
        part: hashlib.sha256("".join(names).encode()).hexdigest() for part, names in lines.items()
    }


def refuse_stale_split(listed: Path, clips: Collection[Clip], manifest: Path = MANIFEST) -> None:
    """Raise ValueError where the published list is split otherwise than the manifest says.

    Another list than the published one is split by the same rule, and not compared.
    """
    committed = json.loads(manifest.read_text(encoding="utf-8"))
    if sha256_of(listed) == committed["list"] and halves_hash(clips) != committed["sha256"]:
        raise ValueError(
            f"{manifest.name}: the rule no longer splits {listed} as it did; published numbers "
            "would be of another test set: restore part_of"
        )


def most_per_class(part: Wanted, most: int, rng: np.random.Generator) -> np.ndarray:
    """Rows [m], sorted, of clips drawn until no class that lacks clips has one left.

    In a random order a clip is taken if one of its classes has fewer than `most` clips so far; a
    class may end with more, where clips have several.
    """
    taken, count = [], np.zeros(part.truth.shape[1], dtype=np.int64)
    for row in rng.permutation(len(part.clips)):
        present = part.truth[row] == 1
        if (count[present] < most).any():
            taken.append(row)
            count += present
    return np.sort(np.array(taken, dtype=np.int64))


def _train_list(folder: Path, source: Source) -> Path | None:
    if source == "test list":
        return None
    there = [folder / name for name in FULL if (folder / name).is_file()]
    if not there and source == "train list":
        raise FileNotFoundError(f"{folder}: has neither {' nor '.join(FULL)}; fetch one of them")
    return there[0] if there else None


def _as_sets(listed: Mapping[Clip, str]) -> dict[Clip, frozenset[str]]:
    return {clip: frozenset({name}) for clip, name in listed.items()}


def _found(
    folder: Path, classes: Sequence[str], annotation: Annotation, listed: Collection[Clip]
) -> Truth:
    """The classes of each clip by VGGSounder; ValueError where it has clips that the list lacks."""
    if annotation not in _SHOWN:
        raise ValueError(f"annotation is {annotation!r}; choose list or one of {tuple(_SHOWN)}")
    shown = _SHOWN[annotation]
    found = read_vggsounder(folder / ANNOTATION, classes)
    strange = sorted(set(found) - set(listed))
    if strange:
        raise ValueError(
            f"{folder / ANNOTATION}: has {len(strange)} clips that {TEST} lacks, the first is "
            f"{strange[0]}; fetch both lists again"
        )
    return {
        clip: frozenset(name for name, how in labels if how in shown)
        for clip, labels in found.items()
    }


def _wanted(truth: Truth, classes: Sequence[frozenset[str]]) -> Wanted:
    """The clips with one of the classes at least; a class is what any of its names stands for."""
    of_name: dict[str, list[int]] = {}
    for column, names in enumerate(classes):
        for name in names:
            of_name.setdefault(name, []).append(column)
    found = {
        clip: sorted({column for name in names for column in of_name.get(name, ())})
        for clip, names in truth.items()
    }
    clips = tuple(sorted(clip for clip, columns in found.items() if columns))
    table = np.zeros((len(clips), len(classes)), dtype=np.int8)
    for row, clip in enumerate(clips):
        table[row, found[clip]] = 1
    return Wanted(clips, table)


def _halves(everything: Wanted) -> tuple[Wanted, Wanted]:
    side = np.array([part_of(clip.ytid) == "test" for clip in everything.clips], dtype=bool)
    return everything.rows(np.flatnonzero(~side)), everything.rows(np.flatnonzero(side))


def _apart(
    shared: tuple[SharedClass, ...],
    labelled: Wanted,
    unlabelled: Wanted,
    test: Wanted,
    tested: frozenset[str],
) -> Split:
    """The parts without the films that would be in two of them; `tested` are all of the test list.

    Where the test list itself is split, the films of both halves are kept out of D_l.
    """
    films = frozenset(clip.ytid for clip in test.clips)
    labelled, first = _without(labelled, tested)
    unlabelled, second = _without(unlabelled, films)
    unlabelled, third = _without(unlabelled, frozenset(clip.ytid for clip in labelled.clips))
    notes = (
        f"{first} clips of AudioSet left out of D_l: VGGSound's test list has their film",
        f"{second} clips left out of D_u: test has their film",
        f"{third} clips left out of D_u: D_l has their film",
    )
    return Split(shared, labelled, unlabelled, test, notes)


def _without(part: Wanted, films: frozenset[str]) -> tuple[Wanted, int]:
    kept = np.flatnonzero([clip.ytid not in films for clip in part.clips])
    return part.rows(kept), len(part.clips) - len(kept)
