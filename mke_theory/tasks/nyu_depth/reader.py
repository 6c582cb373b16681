"""The frames of NYU Depth V2 for a task, from whichever files, read once and kept in the cache."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from mke_theory.data.file_hashes import content_of
from mke_theory.tasks.files.cache import prepared
from mke_theory.tasks.nyu_depth.frames import Frames, joined
from mke_theory.tasks.nyu_depth.matlab import FILES, Depth, read_matlab
from mke_theory.tasks.nyu_depth.pictures import Coding, picture_files, read_extra, read_pictures

_VERSION = 1  # raise it when the same files and settings come to give other numbers


Format = Literal["pictures", "matlab"]


@dataclass(frozen=True)
class Files:
    """The files that are read, and how: all that the frames depend on but for their content."""

    folder: Path
    source: Format
    size: tuple[int, int]
    depth: Depth = "in-painted"
    extra: Path | None = None
    extra_depth: Coding = "millimetres"
    skip_bad: bool = False


def load(files: Files, cache: Path | None = None) -> Frames:
    """The frames of these files, from the cache folder where they were read before.

    One process gives the same arrays again until a file changes. Raises as
    `read_pictures`, `read_matlab` and `read_extra` do.
    """
    return _load(files, content_hash(files.folder, files.source, files.extra), cache)


@lru_cache(maxsize=2)
def _load(files: Files, content: str, cache: Path | None) -> Frames:

    def build() -> dict[str, np.ndarray]:
        frames = _read(files)
        return {field.name: getattr(frames, field.name) for field in fields(Frames)}

    settings = {
        "version": _VERSION,
        "content": content,
        "source": files.source,
        "size": files.size,
        "depth": files.depth,
        "extra_depth": files.extra_depth,
        "skip_bad": files.skip_bad,
    }
    return Frames(**prepared("nyu_depth", json.dumps(settings), build, cache=cache))


def content_hash(folder: Path, source: Format, extra: Path | None = None) -> str:
    """A hash of the names and contents of the files that are read, of those that are there."""
    named = picture_files(folder) if source == "pictures" else [folder / name for name in FILES]
    found = content_of((path for path in named if path.is_file()), folder)
    if extra is None:
        return found
    others = (*(extra / "rgb").rglob("*"), *(extra / "depth").rglob("*"))
    return f"{found} {content_of((path for path in others if path.is_file()), extra)}"


def _read(files: Files) -> Frames:
    if files.source == "pictures":
        frames = read_pictures(files.folder, files.size, skip_bad=files.skip_bad)
    else:
        frames = read_matlab(files.folder, files.size, files.depth, skip_bad=files.skip_bad)
    if files.extra is None:
        return frames
    others = read_extra(files.extra, files.size, files.extra_depth, skip_bad=files.skip_bad)
    return joined(frames, others)
