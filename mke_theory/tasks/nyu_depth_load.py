"""The frames of NYU Depth V2 that a task asks for, read once and then kept in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from mke_theory.tasks.download import sha256_of, stamp_of
from mke_theory.tasks.nyu_depth_frames import Frames, joined
from mke_theory.tasks.nyu_depth_official import FILES, Reading, read_official
from mke_theory.tasks.nyu_depth_pack import Coding, files_of_pack, read_extra, read_pack
from mke_theory.tasks.prepared import prepared

_VERSION = 1  # raise it when the same files and settings come to give other numbers


@dataclass(frozen=True)
class Files:
    """Which files are read, and how: all that the frames depend on but for what is in them."""

    folder: Path
    source: Literal["pack", "official"]
    size: tuple[int, int]
    depth: Reading = "in-painted"
    extra: Path | None = None
    extra_depth: Coding = "millimetres"
    skip_bad: bool = False


def load(files: Files, cache: Path | None = None) -> Frames:
    """The frames of these files, from the cache folder where they were read before.

    One process gives the same arrays again until a file changes. Raises as `read_pack`,
    `read_official` and `read_extra` do.
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


def content_hash(folder: Path, source: str, extra: Path | None = None) -> str:
    """A hash of the names and contents of the files that are read, of those that are there.

    One process reads a file again only where its size or its time of change has become another.
    """
    named = files_of_pack(folder) if source == "pack" else [folder / name for name in FILES]
    roots = [(folder, tuple(sorted(named)))]
    if extra is not None:
        others = (*(extra / "rgb").rglob("*"), *(extra / "depth").rglob("*"))
        roots.append((extra, tuple(sorted(others))))
    return _content_hash(tuple(roots), stamp_of(path for _, paths in roots for path in paths))


@lru_cache(maxsize=2)
def _content_hash(roots: tuple[tuple[Path, tuple[Path, ...]], ...], stamp: str) -> str:
    digest = hashlib.sha256()
    for root, paths in roots:
        for path in paths:
            if path.is_file():
                line = f"{path.relative_to(root).as_posix()} {sha256_of(path)}\n"
                digest.update(line.encode())
    return digest.hexdigest()[:16]


def _read(files: Files) -> Frames:
    if files.source == "pack":
        frames = read_pack(files.folder, files.size, skip_bad=files.skip_bad)
    else:
        frames = read_official(files.folder, files.size, files.depth, skip_bad=files.skip_bad)
    if files.extra is None:
        return frames
    others = read_extra(files.extra, files.size, files.extra_depth, skip_bad=files.skip_bad)
    return joined(frames, others)
