"""Frames of NYU Depth V2 as trained encoders of pictures take them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mke_theory.tasks.files.cache import prepared
from mke_theory.tasks.files.commands import data_set
from mke_theory.tasks.files.features.raw_samples import RawSamples, refuse_other_modality
from mke_theory.tasks.files.hha import hha_pictures
from mke_theory.tasks.nyu_depth.frames import Frames
from mke_theory.tasks.nyu_depth.matlab import FILES, FOLDER, PREPARE
from mke_theory.tasks.nyu_depth.pictures import INDEX
from mke_theory.tasks.nyu_depth.reader import Files, Format, content_hash, load

_VERSION = 1  # raise it when the same frames come to give other pictures


def frame_samples(
    data_root: Path,
    modality: str,
    size: tuple[int, int] = (240, 320),
    *,
    cache: Path | None = None,
    skip_bad: bool = False,
) -> RawSamples:
    """All 1,449 frames, uint8 [n, 3, h, w] at `size`: colours, or depth as HHA (see `hha`).

    They are in the order of their numbers, by which they are named ("0001"). Where the folder has
    pictures they are read, else the authors' .mat files. Raises WrongRootError where there are
    neither, ValueError for another modality, and as `reader.load` does.
    """
    refuse_other_modality("nyu_depth", modality, ("image", "depth"))
    remedy = f"name the folder above {FOLDER}, or fetch the data by `{PREPARE} {data_root}`"
    folder = data_set(data_root, FOLDER, (INDEX, *FILES), remedy)
    source: Format = "pictures" if (folder / INDEX).is_file() else "matlab"
    frames = load(Files(folder, source, size, skip_bad=skip_bad), cache)
    keys = tuple(f"{number:04}" for number in frames.number.tolist())

    content = content_hash(folder, source)
    settings: dict[str, object] = {"size": list(size), "source": source}
    values = frames.image
    if modality == "depth":
        settings["as"] = "hha"
        key = json.dumps([_VERSION, content, settings, skip_bad])
        values = prepared("nyu_depth_hha", key, lambda: {"hha": _hha(frames)}, cache=cache)["hha"]
    return RawSamples(values, keys, modality, "nyu_depth", content, settings)


def _hha(frames: Frames) -> np.ndarray:
    """HHA pictures of all frames, uint8 [n, 3, h, w]."""
    bar = tqdm(frames.depth, desc="HHA", unit="frame")
    return np.concatenate([hha_pictures(depth.astype(np.float32)) for depth in bar])
