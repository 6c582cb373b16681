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
from typing import Literal, get_args

import numpy as np

from mke_theory.data.file_hashes import sha256_of
from mke_theory.data.pool import UNKNOWN
from mke_theory.tasks.vggsound import lists
from mke_theory.tasks.vggsound.classes import (
    SharedClass,
    Sharing,
    refuse_other_names,
    shared_classes,
)
from mke_theory.tasks.vggsound.lists import Clip

MANIFEST: Path = Path(__file__).parent / "manifests" / "vggsound_split.json"
"""The SHA-256 of the published test list, and of the two halves into which the rule splits it."""

Set = Literal["audioset", "vggsound"]
SETS: tuple[Set, ...] = get_args(Set)

Annotation = Literal["list", "VGGSounder"]
"""The true classes of a clip of VGGSound: its one class in the list, or all that VGGSounder finds
in it."""


@dataclass(frozen=True)
class Part:
    """Clips with their truth [n, k] int8 over the shared classes: 0, 1, or −1 where unknown."""

    clips: tuple[Clip, ...]
    truth: np.ndarray

    def rows(self, chosen: np.ndarray) -> Part:
        """The clips at these positions, in their order."""
        return Part(tuple(self.clips[row] for row in chosen), self.truth[chosen])

    def without(self, films: Collection[str]) -> Part:
        """The clips of other films than these."""
        return self.rows(np.flatnonzero([clip.ytid not in films for clip in self.clips]))


@dataclass(frozen=True)
class Split:
    """The three parts as the lists have them, whether or not the clips are at hand."""

    classes: tuple[SharedClass, ...]
    labelled: Part
    unlabelled: Part
    test: Part


def split_of(
    folder: Path,
    *,
    sharing: Sharing = "names",
    annotation: Annotation = "list",
) -> Split:
    """The parts by the lists in `folder` (see `lists`), each in the order of clip names.

    A D_u from the train list is of unknown truth under VGGSounder, which has test clips alone.

    Raises FileNotFoundError where a list is missing; ValueError where one is damaged, names do not
    fit the table of shared classes, or the rule and its manifest disagree.
    """
    shared = shared_classes(sharing)
    mids = lists.read_audioset_classes(folder / lists.AUDIOSET_CLASSES)
    names = dict.fromkeys(lists.read_classes(folder / lists.CLASSES))
    refuse_other_names(shared, tuple(names), mids)
    seen = [row.vggsound for row in shared]
    labelled = _part(
        lists.read_audioset(folder / lists.AUDIOSET, mids), [row.mid for row in shared]
    )
    listed = lists.read_vggsound(folder / lists.TEST, names, split="test")
    train = next((folder / name for name in lists.FULL if (folder / name).is_file()), None)
    test = _part(_annotated(folder, names, annotation, listed), seen)
    if train is None:
        refuse_stale_split(folder / lists.TEST, listed)
        side = np.array([part_of(clip.ytid) == "test" for clip in test.clips], dtype=bool)
        unlabelled, test = test.rows(np.flatnonzero(~side)), test.rows(np.flatnonzero(side))
    else:
        unlabelled = _part(lists.read_vggsound(train, names, split="train"), seen)
        if annotation != "list":
            unlabelled = Part(unlabelled.clips, np.full_like(unlabelled.truth, UNKNOWN))
    # The films of both halves of a test list that is split are kept out of D_l.
    labelled = labelled.without({clip.ytid for clip in listed})
    unlabelled = unlabelled.without({clip.ytid for clip in (*test.clips, *labelled.clips)})
    return Split(shared, labelled, unlabelled, test)


def wanted_clips(folder: Path) -> dict[Set, frozenset[Clip]]:
    """The clips of each set that some setting asks for, by the lists that are there.

    More classes make D_l larger, which takes films from D_u: no setting asks for all of them.
    """
    annotated = (folder / lists.ANNOTATION).is_file()
    splits = [
        split_of(folder, sharing=sharing, annotation=annotation)
        for sharing in get_args(Sharing)
        for annotation in (get_args(Annotation) if annotated else ("list",))
    ]
    heard = (clip for split in splits for clip in split.labelled.clips)
    seen = (clip for split in splits for clip in (*split.unlabelled.clips, *split.test.clips))
    return {"audioset": frozenset(heard), "vggsound": frozenset(seen)}


def part_of(ytid: str) -> Literal["unlabelled", "test"]:
    """The half of VGGSound's test list to which a film belongs, by a hash of its YTID."""
    first = hashlib.sha256(f"vggsound {ytid}".encode()).digest()[0]
    return "unlabelled" if first % 2 else "test"


def halves_hash(clips: Collection[Clip]) -> dict[str, str]:
    """For each half, the SHA-256 of its clips' sorted names, each ended by a newline."""
    halves = {"unlabelled": hashlib.sha256(), "test": hashlib.sha256()}
    for clip in sorted(clips):
        halves[part_of(clip.ytid)].update(f"{clip}\n".encode())
    return {name: half.hexdigest() for name, half in halves.items()}


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


def most_per_class(part: Part, most: int, rng: np.random.Generator) -> np.ndarray:
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


def _annotated(
    folder: Path,
    names: Collection[str],
    annotation: Annotation,
    listed: Mapping[Clip, frozenset[str]],
) -> Mapping[Clip, frozenset[str]]:
    """The classes of each test clip; ValueError where VGGSounder has clips that the list lacks."""
    if annotation == "list":
        return listed
    if annotation != "VGGSounder":
        raise ValueError(f"annotation is {annotation!r}; choose one of {get_args(Annotation)}")
    found = lists.read_vggsounder(folder / lists.ANNOTATION, names)
    if strange := sorted(set(found) - set(listed)):
        raise ValueError(
            f"{folder / lists.ANNOTATION}: has {len(strange)} clips that {lists.TEST} lacks, the "
            f"first is {strange[0]}; fetch both lists again"
        )
    return found


def _part(truth: Mapping[Clip, frozenset[str]], classes: Sequence[str]) -> Part:
    """The clips with one of the classes at least."""
    known = frozenset(classes)
    clips = sorted(clip for clip, names in truth.items() if not known.isdisjoint(names))
    table = [[name in truth[clip] for name in classes] for clip in clips]
    return Part(tuple(clips), np.array(table, dtype=np.int8).reshape(-1, len(classes)))
