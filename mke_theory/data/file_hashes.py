"""Hashes of the contents of files; a process reads a file again only where it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_of(files: Iterable[Path], root: Path | None = None) -> str:
    """16 hexadecimal digits of the names and contents of the files, in any order.

    The names are those below `root`, or the last part alone. A missing file counts as absent. A
    hash is kept for as long as no file's size or time of change becomes another.
    """
    listed = tuple(sorted(files))
    return _content_of(listed, root, stamp_of(listed))


@lru_cache(maxsize=32)
def _content_of(files: tuple[Path, ...], root: Path | None, stamp: str) -> str:
    digest = hashlib.sha256()
    for path in files:
        name = path.name if root is None else path.relative_to(root).as_posix()
        digest.update(f"{name} {sha256_of(path) if path.is_file() else 'absent'}\n".encode())
    return digest.hexdigest()[:16]


def stamp_of(files: Iterable[Path]) -> str:
    """64 hexadecimal digits that change with a file's path, size or time of change, cheaply.

    A missing file counts as missing. A process learns from it whether files are still as it read
    them; do not record it, because a copy of a file has another time.
    """
    digest = hashlib.sha256()
    for path in files:
        found = path.stat() if path.is_file() else None
        state = "absent" if found is None else f"{found.st_size} {found.st_mtime_ns}"
        digest.update(f"{state}  {path}\n".encode())
    return digest.hexdigest()
