"""Arrays of `.npz` and `.npy` files: without pickles, and no larger than they say."""

from __future__ import annotations

import errno
import io
import lzma
import math
import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mke_theory.data.zip_lists import refuse_lost_members

Array = NDArray[Any]

_ENDING, _MAGIC = ".npy", b"\x93NUMPY"
_LONGEST_HEAD = 1 << 16  # bytes; NumPy itself reads headers of at most 10,000
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,  # encrypted; NotImplementedError is one too: a method unknown to Python
    OverflowError,
    SyntaxError,
    tokenize.TokenError,  # of a header that looks like one of Python 2
)
"""The errors that NumPy and zipfile raise for damaged files."""


def read_npz(path: Path, remedy: str) -> dict[str, Array]:
    """The arrays of the file by name, in its order, each checked against its check sum.

    Raises OSError where the file cannot be opened; ValueError, which ends with `remedy`, where it
    is damaged, holds anything but arrays without Python objects, two arrays of one name, or an
    array whose header states another size than is there, and where all of it would not fit into
    the memory of this machine.
    """
    with path.open("rb") as file:  # what is damaged must not leave the file open
        try:
            if file.read(len(_MAGIC)) == _MAGIC:
                raise ValueError("it is one array, without names")
            with zipfile.ZipFile(file) as whole:
                refuse_lost_members(whole)
                _refuse_too_much(whole)
                found: dict[str, Array] = {}
                for entry in whole.infolist():
                    name = entry.filename.removesuffix(_ENDING)
                    if name in found:
                        raise ValueError(f"it holds {name} twice")
                    with whole.open(entry) as member:
                        found[name] = _array(member, entry)
                return found
        except (OSError, *DAMAGE) as problem:
            if isinstance(problem, OSError) and problem.errno not in (None, errno.EINVAL):
                raise  # of the disk; the others are of bz2, and of a place before the beginning
            raise ValueError(
                f"{path} cannot be read as .npz without objects ({problem}); {remedy}"
            ) from None


def read_npy(path: Path, remedy: str) -> Array:
    """The one array of the file. Raises as `read_npz`; an .npy file has no check sum."""
    content = bytearray(path.read_bytes())
    try:
        return _parsed(content, "it")
    except DAMAGE as problem:
        raise ValueError(
            f"{path} cannot be read as .npy without objects ({problem}); {remedy}"
        ) from None


def _refuse_too_much(whole: zipfile.ZipFile) -> None:
    size = sum(entry.file_size for entry in whole.infolist())
    room = _memory()
    if size > room:
        raise ValueError(
            f"its arrays unpack to {size / 2**30:.1f} GiB, and this machine has "
            f"{room / 2**30:.1f} GiB of memory"
        )


def _memory() -> float:
    """The bytes of memory of this machine, where the system tells."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _array(member: IO[bytes], entry: zipfile.ZipInfo) -> Array:
    """The array of a member, whose check sum is looked at before anything of it is believed."""
    content = bytearray(entry.file_size)
    at = 0
    while at < len(content):
        read = member.readinto(memoryview(content)[at:])  # type: ignore[attr-defined]
        if not read:
            raise ValueError(f"{entry.filename} ends after {at} of {len(content)} bytes")
        at += read
    return _parsed(content, entry.filename)


def _parsed(content: bytearray, name: str) -> Array:
    """The array, which keeps `content` in memory."""
    head = io.BytesIO(content[:_LONGEST_HEAD])
    shape, by_column, dtype = _header(head, name)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects; make them numbers or strings")
    size, there = math.prod(shape) * dtype.itemsize, len(content) - head.tell()
    if size != there or min(shape, default=0) < 0:
        raise ValueError(f"{name} has {there} bytes for {shape} of {dtype}")
    order: Any = "F" if by_column else "C"
    if not size:
        return np.empty(shape, dtype, order)
    return np.frombuffer(content, dtype, offset=head.tell()).reshape(shape, order=order)


def _header(head: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type."""
    version = np.lib.format.read_magic(head)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(head)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(head)
    raise ValueError(f"{name} is of version {version} of the format")
