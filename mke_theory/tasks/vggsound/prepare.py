"""The commands of AudioSet and VGGSound: `prepare`, `missing` and `classes`.

    python -m mke_theory.tasks.vggsound missing --data-root DIR > missing.txt

counts the clips of each part that are listed, present and missing, and names the missing ones.

    python -m mke_theory.tasks.vggsound prepare --data-root DIR [--skip-bad]

reads the lists in DIR/av_event_metadata (see `lists`) and the clips in DIR/audioset_clips
and DIR/vggsound_clips (see `clips`; any part of them will do), and writes shards into
DIR/vggsound_prepared, with report.json on what is missing or bad. It can be stopped at any moment
and goes on from the last whole shard. Films are not fetched: their host's terms do not allow it.

    python -m mke_theory.tasks.vggsound classes --data-root DIR

prints the table of shared classes that follows from the lists.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mke_theory.tasks.files.commands import data_set, run_command
from mke_theory.tasks.vggsound.classes import Sharing, table_text
from mke_theory.tasks.vggsound.clips import FILMS, SOUNDS, Found, Reading, find_clips
from mke_theory.tasks.vggsound.lists import (
    ANNOTATION,
    AUDIOSET,
    CLASSES,
    FOLDER,
    ONTOLOGY,
    TEST,
    Clip,
)
from mke_theory.tasks.vggsound.shards import (
    CLIPS_PER_SHARD,
    PREPARED,
    SETS,
    Made,
    Set,
    make_shards,
    write_index,
)
from mke_theory.tasks.vggsound.split import Annotation, split_of

CLIPS: dict[Set, str] = {"audioset": "audioset_clips", "vggsound": "vggsound_clips"}
REPORT = "report.json"

Part = Literal["labelled", "unlabelled", "test"]
"""The use of a clip: to train on with labels or without, or to test on."""

_SET: dict[Part, Set] = {"labelled": "audioset", "unlabelled": "vggsound", "test": "vggsound"}
_ENDINGS: dict[Set, tuple[str, ...]] = {"audioset": SOUNDS, "vggsound": FILMS}
_LISTED = 10  # the most clips that one message names


@dataclass(frozen=True)
class Outcome:
    """One set when it is prepared: the clips that the lists want, their files, and the shards."""

    wanted: frozenset[Clip]
    found: Found
    made: Made

    @property
    def missing(self) -> list[str]:
        """The names of the wanted clips that have no file, sorted."""
        return [str(clip) for clip in sorted(self.wanted - set(self.found.files))]


def prepare(
    data_root: Path,
    *,
    audioset: Path | None = None,
    vggsound: Path | None = None,
    reading: Reading | None = None,
    skip_bad: bool = False,
    workers: int = 1,
    clips_per_shard: int = CLIPS_PER_SHARD,
) -> dict[Set, Outcome]:
    """The shards of all clips at hand that some setting of the task wants, and their index.

    `audioset` and `vggsound` are folders of clips elsewhere. All clips are read before the first
    bad one is complained about, so that one call finds them all, and the next has them already.

    Raises FileNotFoundError where lists or folders are missing; ValueError where a list is damaged,
    a set has no clip at all, or clips are bad and `skip_bad` is off.
    """
    reading = reading or Reading()
    folder = data_root / PREPARED
    wanted, notes = wanted_clips(data_root / FOLDER)
    places = _places(data_root, audioset, vggsound)
    found = {which: _found(places[which], wanted[which], _ENDINGS[which]) for which in SETS}
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = {}
    for which in SETS:
        files = found[which].files
        order = sorted(wanted[which])
        made = make_shards(
            which, order, files, reading, folder, workers=workers, size=clips_per_shard
        )
        outcomes[which] = Outcome(wanted[which], found[which], made)
    (folder / REPORT).write_text(report_text(outcomes, notes), encoding="utf-8")
    _refuse_bad(folder, outcomes, skip_bad)
    write_index(folder, reading, {which: outcome.made for which, outcome in outcomes.items()})
    return outcomes


def wanted_clips(lists: Path) -> tuple[dict[Set, frozenset[Clip]], tuple[str, ...]]:
    """The clips of each set that some setting of the task asks for, by the lists that are there.

    With them come notes on what was left out because its film would have been in two parts.
    """
    parts, notes = wanted_parts(lists)
    wanted = {
        which: frozenset(
            clip for part, clips in parts.items() for clip in clips if _SET[part] == which
        )
        for which in SETS
    }
    return wanted, notes


def wanted_parts(lists: Path) -> tuple[dict[Part, frozenset[Clip]], tuple[str, ...]]:
    """The clips of each part that some setting asks for, and the notes of `wanted_clips`."""
    described, annotated = (lists / ONTOLOGY).is_file(), (lists / ANNOTATION).is_file()
    annotations: tuple[Annotation, ...] = ("list", "VGGSounder") if annotated else ("list",)
    # More classes make D_l larger, which takes films from D_u: the largest split does not hold all.
    splits = [
        split_of(lists, sharing=sharing, annotation=annotation, ontology=ontology)
        for ontology in ((True, False) if described else (False,))
        for sharing in reversed(get_args(Sharing))
        for annotation in annotations
    ]
    wanted = {
        part: frozenset(clip for split in splits for clip in getattr(split, part).clips)
        for part in _SET
    }
    return wanted, splits[0].notes


def report_text(outcomes: Mapping[Set, Outcome], notes: Sequence[str]) -> str:
    """report.json: by set how many clips are wanted and prepared, and which are missing or bad."""
    report: dict[str, object] = {
        which: {
            "wanted": len(outcome.wanted),
            "prepared": outcome.made.clips,
            "missing": outcome.missing,
            "bad": list(outcome.made.bad),
            "files of clips that are not wanted": outcome.found.strange,
        }
        for which, outcome in outcomes.items()
    }
    return json.dumps(report | {"films in two parts": list(notes)}, indent=1) + "\n"


def _found(folder: Path, wanted: Collection[Clip], endings: tuple[str, ...]) -> Found:
    found = find_clips(folder, wanted, endings)
    if not found.files:
        raise ValueError(
            f"{folder}: has none of the {len(wanted)} clips that the lists want; they are called "
            f"YTID_SSSSSS and end in {', '.join(endings)}"
        )
    return found


def _places(data_root: Path, audioset: Path | None, vggsound: Path | None) -> dict[Set, Path]:
    return {
        "audioset": audioset or data_root / CLIPS["audioset"],
        "vggsound": vggsound or data_root / CLIPS["vggsound"],
    }


def _refuse_bad(folder: Path, outcomes: Mapping[Set, Outcome], skip_bad: bool) -> None:
    bad = [line for outcome in outcomes.values() for line in outcome.made.bad]
    empty = [which for which, outcome in outcomes.items() if not outcome.made.clips]
    if not empty and (skip_bad or not bad):
        return
    listed = "\n".join(bad[:_LISTED])
    rest = f"\n... and {len(bad) - _LISTED} more" if len(bad) > _LISTED else ""
    remedy = f"no clip of {empty[0]} is left" if empty else "or leave them out with --skip-bad"
    raise ValueError(
        f"{len(bad)} clips cannot be used ({folder / REPORT} has them all):\n{listed}{rest}\n"
        f"Put others there, {remedy}"
    )


def _prepare_command(
    data_root: Path,
    audioset_clips: Path | None = None,
    vggsound_clips: Path | None = None,
    skip_bad: bool = False,
    workers: int = 1,
    reading: Reading = Reading(),  # noqa: B008  # frozen
) -> None:
    """Turn the clips at hand into features; films are not fetched.

    Args:
        data_root: folder of av_event_metadata; vggsound_prepared is written beside it.
        audioset_clips: folder of AudioSet's clips, if not audioset_clips in the data root.
        vggsound_clips: folder of VGGSound's clips, if not vggsound_clips in the data root.
        skip_bad: leave out clips that cannot be read; report.json names them.
        workers: how many processes read clips.
        reading: what of a clip is kept.
    """
    _lists(data_root)
    outcomes = prepare(
        data_root,
        audioset=audioset_clips,
        vggsound=vggsound_clips,
        reading=reading,
        skip_bad=skip_bad,
        workers=workers,
    )
    for which, outcome in outcomes.items():
        print(
            f"{which}: {outcome.made.clips} of {len(outcome.wanted)} clips prepared, "
            f"{len(outcome.missing)} missing, {len(outcome.made.bad)} bad"
        )
    print(f"{data_root / PREPARED / REPORT}: names them")


def _missing_command(
    data_root: Path, audioset_clips: Path | None = None, vggsound_clips: Path | None = None
) -> None:
    """Count and name the clips that are wanted and not there, without reading any.

    First comes a line for each part, "# part: n clips of SET listed, n present, n missing", then
    one for each missing clip, "SET part YTID_SSSSSS". Listed are the clips that some setting wants.

    Args:
        data_root: folder of av_event_metadata.
        audioset_clips: folder of AudioSet's clips, if not audioset_clips in the data root.
        vggsound_clips: folder of VGGSound's clips, if not vggsound_clips in the data root.
    """
    parts, _ = wanted_parts(_lists(data_root))
    places = _places(data_root, audioset_clips, vggsound_clips)
    missing: list[str] = []
    for part, wanted in parts.items():
        which = _SET[part]
        absent = wanted - _present(places[which], wanted, _ENDINGS[which])
        listed, there = len(wanted), len(wanted) - len(absent)
        print(f"# {part}: {listed} clips of {which} listed, {there} present, {len(absent)} missing")
        missing += [f"{which} {part} {clip}" for clip in sorted(absent)]
    for which in SETS:
        if not places[which].is_dir():
            print(f"# {places[which]}: no such folder; it is where clips of {which} belong")
    print(*missing, sep="\n", end="\n" if missing else "")


def _classes_command(data_root: Path) -> None:
    """Print the table of the classes that both sets share, as it follows from their lists.

    Args:
        data_root: folder of av_event_metadata.
    """
    print(table_text(_lists(data_root)), end="")


def _lists(data_root: Path) -> Path:
    """The folder of the authors' lists; WrongRootError where there is none of them."""
    remedy = f"put the authors' lists into {FOLDER} there, or name the folder above it"
    return data_set(data_root, FOLDER, (AUDIOSET, CLASSES, TEST), remedy)


def _present(folder: Path, wanted: Collection[Clip], endings: tuple[str, ...]) -> set[Clip]:
    return set(find_clips(folder, wanted, endings).files) if folder.is_dir() else set()


def main() -> None:
    """The commands `prepare`, `missing` and `classes`."""
    commands = {
        "prepare": _prepare_command,
        "missing": _missing_command,
        "classes": _classes_command,
    }
    run_command("vggsound", commands)
