"""The features of clips on disk, made shard by shard, and read back.

    vggsound_prepared/prepared.json      how many clips of each set; those that are missing or bad
    vggsound_prepared/audioset-audio/3f  features (`files.features`) of the films with one hash
    vggsound_prepared/vggsound-audio/3f, vggsound-video/3f

A shard is kept while its clips' files and the encoder are the same. So a preparation goes on where
it was stopped, and a clip that is added changes one shard. prepared.json is written last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from mke_theory.models.frozen import FrozenEncoder
from mke_theory.tasks.files.cache import key_of
from mke_theory.tasks.files.features import open_features, write_features
from mke_theory.tasks.vggsound.clips import read_clip
from mke_theory.tasks.vggsound.encoders import pooled
from mke_theory.tasks.vggsound.lists import Clip, clip_of
from mke_theory.tasks.vggsound.split import SETS, Set

PREPARE = "python -m mke_theory.tasks.vggsound prepare --data-root"
PREPARED = "vggsound_prepared"
INDEX = "prepared.json"

MODALITIES: dict[Set, tuple[str, ...]] = {"audioset": ("audio",), "vggsound": ("audio", "video")}

SHARDS = 256
"""Those of a set; of one, all clips are in memory at once, some 2 MB each."""

_VERSION = 3  # raise it when the same clips and encoders come to give other numbers


@dataclass(frozen=True)
class Shelf:
    """The prepared clips of one set, their features by modality [n, d] float16, and bad files."""

    clips: tuple[Clip, ...]
    features: Mapping[str, np.ndarray]
    bad: tuple[str, ...]


def write_shards(
    which: Set,
    files: Mapping[Clip, Path],
    encoders: Mapping[str, FrozenEncoder],
    folder: Path,
    *,
    workers: int = 1,
) -> tuple[int, list[str]]:
    """The number of clips in the shards, made as far as they are not there, and bad files."""
    shards: dict[str, dict[Clip, Path]] = {}
    for clip, path in sorted(files.items()):
        number = int(hashlib.sha256(clip.ytid.encode()).hexdigest()[:8], 16) % SHARDS
        name = f"{number:02x}"
        shards.setdefault(name, {})[clip] = path
    whole = {m: pooled(encoders[m], films=m == "video") for m in MODALITIES[which]}
    for old in (path for m in whole for path in _shards(folder / f"{which}-{m}")):
        if old.name not in shards:
            shutil.rmtree(old)
    count, bad = 0, list[str]()
    with tqdm(total=len(files), desc=which, unit="clip") as bar:
        for name, members in sorted(shards.items()):
            places = {m: folder / f"{which}-{m}" / name for m in whole}
            lines = _shard(which, members, whole, places, workers)
            bad += lines
            count += len(members) - len(lines)
            bar.update(len(members))
    return count, bad


def read_shelves(folder: Path) -> dict[Set, Shelf]:
    """The clips of both sets as they were prepared, in memory.

    Raises FileNotFoundError where the preparation was not finished, and ValueError where its
    prepared.json or a shard is damaged, a shard is missing, or shards are of several encoders.
    """
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; prepare the clips first, to the end")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        origins: dict[str, set[str]] = {"audio": set(), "video": set()}
        shelves = {which: _shelf(folder, which, origins, index[which]["bad"]) for which in SETS}
        if any(len(shelves[which].clips) != index[which]["prepared"] for which in SETS):
            raise ValueError("shards are missing, or there are others")
        if any(len(contents) > 1 for contents in origins.values()):
            raise ValueError(f"shards are of several encoders, {origins}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not usable ({error}); prepare the clips again") from error
    return shelves


def _shard(
    which: Set,
    files: Mapping[Clip, Path],
    encoders: Mapping[str, FrozenEncoder],
    places: Mapping[str, Path],
    workers: int,
) -> list[str]:
    """Make the features of a shard where they are not there already; lines on its bad files."""
    key = key_of(_VERSION, {}, tuple(files.values()))
    try:
        kept = [open_features(places[m], encoder=encoders[m], data_hash=key) for m in places]
        return list(kept[0].manifest.origin.settings["bad"])
    except (FileNotFoundError, ValueError):  # not there, not finished, or of other files
        for place in places.values():
            shutil.rmtree(place, ignore_errors=True)
    read = Parallel(n_jobs=workers)(delayed(_attempt)(path, which) for path in files.values())
    found = {clip: one for clip, one in zip(files, read, strict=True) if not isinstance(one, str)}
    bad = [one for one in read if isinstance(one, str)]
    for m, place in places.items() if found else ():
        write_features(
            place,
            encoders[m],
            np.stack([one[m] for one in found.values()]),
            data_set=which,
            data_hash=key,
            modality=m,
            keys=list(map(str, found)),
            settings={"bad": bad},
            progress=False,
        )
    return bad


def _attempt(path: Path, which: Set) -> Mapping[str, np.ndarray] | str:
    """The clip in a file, or what is wrong with it, by the file's name alone."""
    try:
        return read_clip(path, films="video" in MODALITIES[which])
    except (ValueError, OSError) as error:
        return str(error).replace(str(path), path.name)


def _shards(folder: Path) -> list[Path]:
    """The shards in a folder; what else a file manager leaves there is none."""
    return sorted(path for path in folder.glob("*") if path.is_dir())


def _shelf(folder: Path, which: Set, origins: Mapping[str, set[str]], bad: list[str]) -> Shelf:
    clips: list[Clip] = []
    found: dict[str, list[np.ndarray]] = {m: [] for m in MODALITIES[which]}
    for shard in _shards(folder / f"{which}-audio"):
        opened = {m: open_features(folder / f"{which}-{m}" / shard.name) for m in found}
        if len({one.keys for one in opened.values()}) != 1:
            raise ValueError(f"shard {shard.name} of {which} has other clips by modality")
        clips += map(clip_of, opened["audio"].keys)
        for m, one in opened.items():
            found[m].append(one.arrays["pooled"])
            origins[m].add(one.manifest.origin.content)
    if not clips:
        raise ValueError(f"has no shards of {which}")
    return Shelf(tuple(clips), {m: np.concatenate(x) for m, x in found.items()}, tuple(bad))
