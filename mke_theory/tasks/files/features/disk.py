"""The files of a folder of features: room taken for them, rows put into them, one writer only."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mke_theory.tasks.files.features.manifest import DTYPE, Manifest, Tap

_NO_SUCH_CALL = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def file_name(number: int, tap: str) -> str:
    """The file of a tap: its number, and its name in letters that every system takes."""
    return f"{number}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', tap)[:80]}.npy"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to the folder, for as long as this one lives.

    Raises BlockingIOError where another one writes. A killed process leaves no lock behind. Where
    the system has no `flock` (Windows), nothing is locked.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"{folder}: another process is writing features here; wait for it, or name another "
                "folder"
            ) from None
        yield
    finally:
        os.close(handle)


def room_for(folder: Path, manifest: Manifest) -> None:
    """Make every array's file whole in size, and keep what is in those that are already.

    The disk's room is taken now, so that a full disk shows before the work and not after.
    """
    for tap in manifest.taps.values():
        path, head = folder / tap.file, _head(manifest, tap)
        size = len(head) + manifest.origin.samples * _row_bytes(tap)
        if path.is_file() and path.stat().st_size == size:
            with path.open("rb") as file:
                if file.read(len(head)) == head:
                    continue
        with path.open("wb") as file:
            file.write(head)
            file.flush()
            _take(file.fileno(), size)
            os.fsync(file.fileno())


def put_rows(
    folder: Path, manifest: Manifest, arrays: Mapping[str, np.ndarray], start: int
) -> None:
    """Write some samples' features, from sample `start` on, and wait until the disk has them."""
    for name, tap in manifest.taps.items():
        with (folder / tap.file).open("r+b") as file:
            file.seek(len(_head(manifest, tap)) + start * _row_bytes(tap))
            file.write(arrays[name].view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())


def _take(handle: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
            return
        except OSError as error:
            if error.errno not in _NO_SUCH_CALL:
                raise
    os.truncate(handle, size)


def _head(manifest: Manifest, tap: Tap) -> bytes:
    """The head of the .npy file of a tap."""
    head = io.BytesIO()
    shape = (manifest.origin.samples, *tap.shape)
    np.lib.format.write_array_header_1_0(
        head, {"descr": DTYPE, "fortran_order": False, "shape": shape}
    )
    return head.getvalue()


def _row_bytes(tap: Tap) -> int:
    return int(np.prod(tap.shape, dtype=np.int64)) * np.dtype(DTYPE).itemsize
