"""The commands of AudioSet and VGGSound: `missing` and `prepare`.

    python -m mke_theory.tasks.vggsound missing --data-root DIR > missing.txt

counts the clips of each part that are listed, present and missing, and names the missing ones.

    python -m mke_theory.tasks.vggsound prepare --data-root DIR [--skip-bad]

reads the lists in DIR/av_event_metadata (see `lists`) and the clips in DIR/audioset_clips
and DIR/vggsound_clips (see `clips`; any part of them will do), and writes their features into
DIR/vggsound_prepared (see `store`), with prepared.json on what is missing or bad. It can be stopped
at any moment and goes on from there. Films are not fetched: their host's terms do not allow it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mke_theory.models.frozen import FrozenEncoder
from mke_theory.tasks.files.commands import data_set, run_command
from mke_theory.tasks.vggsound.clips import FILMS, SOUNDS, find_clips, not_understood
from mke_theory.tasks.vggsound.encoders import PICTURE, SOUND, clip_encoders
from mke_theory.tasks.vggsound.lists import FOLDER, NEEDED, Clip
from mke_theory.tasks.vggsound.split import SETS, Set, wanted_clips
from mke_theory.tasks.vggsound.store import INDEX, PREPARED, write_shards

CLIPS: dict[Set, str] = {"audioset": "audioset_clips", "vggsound": "vggsound_clips"}

_ENDINGS: dict[Set, tuple[str, ...]] = {"audioset": SOUNDS, "vggsound": FILMS}
_LISTED = 10  # the most clips that one message names


def prepare(
    data_root: Path,
    encoders: Mapping[str, FrozenEncoder],
    *,
    skip_bad: bool = False,
    workers: int = 1,
) -> list[str]:
    """The features of all clips at hand that some setting wants are made; a line on each set.

    `encoders` are those of "audio" and "video", see `clip_encoders`. All clips are read before the
    first bad one is complained about, so that one call finds them all.

    Raises FileNotFoundError where lists are missing; ValueError where a list is damaged, a set has
    no clip at all, or clips are bad and `skip_bad` is off.
    """
    wanted, files = at_hand(data_root)
    for which in SETS:
        if not files[which]:
            raise ValueError(
                f"{data_root / CLIPS[which]}: has none of the {len(wanted[which])} clips that the "
                f"lists want; they are called YTID_SSSSSS and end in {', '.join(_ENDINGS[which])}"
            )
    folder, index = data_root / PREPARED, dict[Set, dict[str, Any]]()
    (folder / INDEX).unlink(missing_ok=True)
    for which in SETS:
        count, bad = write_shards(which, files[which], encoders, folder, workers=workers)
        missing = sorted(map(str, wanted[which] - set(files[which])))
        index[which] = {"prepared": count, "missing": missing, "bad": bad}
    _refuse_bad(index, skip_bad)
    named = {"encoders": {m: [one.name, one.content] for m, one in encoders.items()}}
    (folder / INDEX).write_text(json.dumps(named | index, indent=1) + "\n", encoding="utf-8")
    counts = [
        f"{which}: {one['prepared']} of {len(wanted[which])} clips prepared, "
        f"{len(one['missing'])} missing, {len(one['bad'])} bad"
        for which, one in index.items()
    ]
    return [*counts, *passed_over(data_root, wanted)]


def passed_over(data_root: Path, wanted: Mapping[Set, Collection[Clip]]) -> list[str]:
    """A line for each set some of whose files have a name that means no clip."""
    lines = []
    for which in SETS:
        others = not_understood(data_root / CLIPS[which], wanted[which], _ENDINGS[which])
        if others:
            lines.append(
                f"{which}: {len(others)} files were not read, as their names mean no clip, such as "
                f"{others[0].name}; name them YTID_SSSSSS, with the start in seconds"
            )
    return lines


def at_hand(data_root: Path) -> tuple[dict[Set, frozenset[Clip]], dict[Set, dict[Clip, Path]]]:
    """The clips of each set that some setting wants, and the files of those that are there.

    Raises as `prepare` where lists are missing or damaged.
    """
    wanted = wanted_clips(_lists(data_root))
    files = {
        which: find_clips(data_root / CLIPS[which], wanted[which], _ENDINGS[which])
        for which in SETS
    }
    return wanted, files


def _lists(data_root: Path) -> Path:
    """The folder of the authors' lists; WrongRootError where there is none of them."""
    remedy = f"put the authors' lists into {FOLDER} there, or name the folder above it"
    return data_set(data_root, FOLDER, NEEDED, remedy)


def _refuse_bad(index: Mapping[Set, Mapping[str, Any]], skip_bad: bool) -> None:
    bad = [line for one in index.values() for line in one["bad"]]
    empty = [which for which, one in index.items() if not one["prepared"]]
    if not empty and (skip_bad or not bad):
        return
    listed = "\n".join(bad[:_LISTED])
    rest = f"\n... and {len(bad) - _LISTED} more" if len(bad) > _LISTED else ""
    remedy = f"no clip of {empty[0]} is left" if empty else "or leave them out with --skip-bad"
    raise ValueError(
        f"{len(bad)} clips cannot be used:\n{listed}{rest}\nPut others there, {remedy}"
    )


def _prepare_command(
    data_root: Path,
    skip_bad: bool = False,
    workers: int = 1,
    sound: str = SOUND,
    picture: str = PICTURE,
) -> None:
    """Turn the clips at hand into features of trained encoders; films are not fetched.

    Args:
        data_root: folder of av_event_metadata and the clips; vggsound_prepared is written there.
        skip_bad: leave out clips that cannot be read; prepared.json names them.
        workers: how many processes read clips.
        sound: the encoder of sounds; also ast:WEIGHTS (a folder or a name on the hub), FILE.onnx.
        picture: that of pictures; also resnet:WEIGHTS, convnext:WEIGHTS, FILE.onnx, FILE.pt2.
    """
    _lists(data_root)
    encoders = clip_encoders(sound, picture)
    lines = prepare(data_root, encoders, skip_bad=skip_bad, workers=workers)
    print(*lines, f"{data_root / PREPARED / INDEX}: names those that are missing or bad", sep="\n")


def _missing_command(data_root: Path) -> None:
    """Count and name the clips that are wanted and not there, without reading any.

    First comes a line for each set, "# SET: n clips listed, n present, n missing", then one for
    each missing clip, "SET YTID_SSSSSS". Listed are the clips that some setting wants.

    Args:
        data_root: folder of av_event_metadata and the clips.
    """
    wanted, files = at_hand(data_root)
    absent = {which: sorted(wanted[which] - set(files[which])) for which in SETS}
    for which in SETS:
        n, gone = len(wanted[which]), len(absent[which])
        print(f"# {which}: {n} clips listed, {n - gone} present, {gone} missing")
    for which in SETS:
        print("".join(f"{which} {clip}\n" for clip in absent[which]), end="")


def main() -> None:
    """The commands `missing` and `prepare`."""
    run_command("vggsound", {"missing": _missing_command, "prepare": _prepare_command})
