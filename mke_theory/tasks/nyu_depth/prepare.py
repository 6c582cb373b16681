"""The commands `prepare` and `check` of NYU Depth V2: its public files, fetched and verified.

The addresses are those that the data set's page and public code name. There is no published hash
for any of them, so that they are verified by what is in them: number of frames, shapes, ranges,
names, the authors' split. That no pixel was changed on the way cannot be verified by that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.data.file_hashes import sha256_of
from mke_theory.tasks.files.commands import data_set, refuse_root_to_fill, run_command
from mke_theory.tasks.files.depth import Array
from mke_theory.tasks.files.download import download
from mke_theory.tasks.nyu_depth.matlab import (
    FILES,
    FOLDER,
    FRAMES_FILE,
    LABELS,
    MAPPING_FILE,
    PREPARE,
    SPLITS_FILE,
    Mapping40,
    opened,
    read_mapping,
    read_parts,
    refuse_other_structure,
    texts,
)
from mke_theory.tasks.nyu_depth.pictures import INDEX, read_pictures
from mke_theory.tasks.nyu_depth.reader import content_hash
from mke_theory.tasks.nyu_depth.split import FRAMES, SPLIT, refuse_other_split

FRAMES_URL = "http://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/nyu_depth_v2_labeled.mat"
SPLITS_URL = "http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat"
MAPPING_URL = "https://github.com/ankurhanda/nyuv2-meta-data/raw/master/classMapping40.mat"

SHAPE = (FRAMES, 3, 640, 480)
DEEPEST = 10.0
"""Metres: the authors' tools cut depth off here."""

UNVERIFIED = (
    "not verified, as no hash is published: that the content is the authors', bit for bit. "
    "Your copy, to compare with others'"
)


def prepare(
    data_root: Path,
    *,
    frames_url: str = FRAMES_URL,
    splits_url: str = SPLITS_URL,
    mapping_url: str = MAPPING_URL,
    shape: tuple[int, int, int, int] = SHAPE,
    progress: bool = True,
) -> Path:
    """Fetch what is missing into `<data_root>/nyudv2` and verify it; returns that folder.

    The frames are 2.8 GB. May be stopped at any moment, the next call goes on. Files that are
    there stay; one that `check` refuses has to be removed by hand. Raises as `download` and
    `check_matlab` do.
    """
    folder = data_root / FOLDER
    for url, name in zip(
        (splits_url, mapping_url, frames_url), (*FILES[1:], FILES[0]), strict=True
    ):
        if not (folder / name).is_file():
            download(url, folder / name, sha256=None, progress=progress)
    check_matlab(folder, shape)
    return folder


def check_matlab(folder: Path, shape: tuple[int, int, int, int] = SHAPE) -> None:
    """Return if the .mat files in `folder` agree with the description of the data set.

    Every frame is read. Raises FileNotFoundError where a file is missing, and ValueError, with file
    and frame, for another number or size of frames, another split, names that contradict each
    other, labels outside the map, depth outside (0, 10] m (or [0, 10] where measured), and pictures
    of one colour.
    """
    mapping = read_mapping(folder / MAPPING_FILE)
    with opened(folder / FRAMES_FILE) as file:
        count = refuse_other_structure(file)
        if file["images"].shape != shape:
            raise ValueError(f"{file.filename}: images are {file['images'].shape}, not {shape}")
        part = read_parts(folder / SPLITS_FILE, count)
        refuse_other_split(str(folder / SPLITS_FILE), np.arange(1, count + 1), part)
        _refuse_other_names(file, mapping, count)
        for at in range(count):
            _refuse_odd_frame(file, at)


def check_pictures(folder: Path) -> str:
    """The hash of a folder of pictures, if it is the one in the manifest of the split.

    Raises FileNotFoundError or ValueError, naming the first ten, where frames cannot be read, and
    ValueError where all can but some are others.
    """
    frames = read_pictures(folder, (8, 8))  # any size tells whether they can be read
    wanted = json.loads(SPLIT.read_text(encoding="utf-8"))["pictures"]
    found = content_hash(folder, "pictures")
    if found != wanted:
        raise ValueError(
            f"{folder}: {len(frames)} frames can be read, but their content has hash {found}, not "
            f"{wanted} as {SPLIT.name} states: some pictures are others"
        )
    return found


def _refuse_other_names(file: Any, mapping: Mapping40, count: int) -> None:
    for name, length in (("names", LABELS), ("scenes", count)):
        if name in file and len(file[name][()].ravel()) != length:
            raise ValueError(
                f"{file.filename}: {name} has {len(file[name][()].ravel())} entries, not {length}"
            )
    if "names" not in file or not mapping.labels:
        return
    for at, (mine, theirs) in enumerate(zip(texts(file, "names"), mapping.labels, strict=True)):
        if mine != theirs:
            raise ValueError(
                f"{file.filename}: label {at + 1} is {mine!r} but {theirs!r} in {MAPPING_FILE}"
            )


def _refuse_odd_frame(file: Any, at: int) -> None:
    def above(x: Array) -> bool:
        return bool(np.isfinite(x).all() and x.min() > 0 and x.max() <= DEEPEST)

    def not_below(x: Array) -> bool:
        return bool(np.isfinite(x).all() and x.min() >= 0 and x.max() <= DEEPEST)

    rules: tuple[tuple[str, Callable[[Array], bool], str], ...] = (
        ("images", lambda x: bool(x.min() < x.max()), "more than one colour"),
        ("depths", above, f"0 < depth ≤ {DEEPEST:g} m"),
        ("rawDepths", not_below, f"0 ≤ depth ≤ {DEEPEST:g} m"),
        ("labels", lambda x: 0 < x.max() <= LABELS, f"labels up to {LABELS}, and not 0 throughout"),
    )
    for name, holds, wanted in rules:
        try:
            values = file[name][at]
        except OSError as error:
            raise ValueError(
                f"{file.filename}: {name} of frame {at + 1} cannot be read ({error}); remove the "
                "file and fetch it again"
            ) from error
        if not holds(values):
            raise ValueError(
                f"{file.filename}: {name} of frame {at + 1} run from {values.min()} to "
                f"{values.max()}; expected is {wanted}"
            )


def _prepare_command(
    data_root: Path,
    frames_url: str = FRAMES_URL,
    splits_url: str = SPLITS_URL,
    mapping_url: str = MAPPING_URL,
) -> None:
    """Fetch the authors' files (2.8 GB) into <data-root>/nyudv2 and verify them.

    Args:
        data_root: folder above nyudv2; it is made where the folder above it is there.
        frames_url: the labelled frames, a MATLAB 7.3 file.
        splits_url: the authors' split.
        mapping_url: the map from 894 labels to 40 classes.
    """
    refuse_root_to_fill(data_root, FOLDER)
    folder = prepare(
        data_root, frames_url=frames_url, splits_url=splits_url, mapping_url=mapping_url
    )
    _report_matlab(folder)


def _check_command(data_root: Path) -> None:
    """Verify the files in <data-root>/nyudv2, be they the authors' or pictures.

    Args:
        data_root: folder above nyudv2.
    """
    remedy = f"name the folder above {FOLDER}, or fetch the data by `{PREPARE} {data_root}`"
    folder = data_set(data_root, FOLDER, (INDEX, *FILES), remedy)
    if (folder / INDEX).is_file():
        print(f"{folder}: pictures of {FRAMES} frames, unchanged (hash {check_pictures(folder)})")
    if (folder / FRAMES_FILE).is_file() or not (folder / INDEX).is_file():
        check_matlab(folder)
        _report_matlab(folder)


def _report_matlab(folder: Path) -> None:
    print(f"{folder}: {FRAMES} frames with the shapes, ranges, names and split they should have")
    print(f"{UNVERIFIED}:")
    for name in FILES:
        print(f"  {sha256_of(folder / name)}  {name}")


def main() -> None:
    """The commands `prepare` and `check`."""
    run_command("nyu_depth", {"prepare": _prepare_command, "check": _check_command})
