"""MATLAB 5 files, as far as the split and the map of classes of NYU Depth V2 need them.

They are not read by SciPy, as its parser can crash the whole process where a file is damaged. Here
every size that a file states is compared with what is there before anything is taken, so that a
damaged file is an error at worst.

After a header of 128 bytes come elements, each a tag (type, number of bytes) and its data. Those of
type matrix are the variables; they hold elements in turn: flags, shape, name, and then numbers, the
codes of letters, or the matrices of a cell array. Compressed ones are unpacked first.
Ref: MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = NDArray[Any] | tuple[str, ...]

_HEADER = 128
_LIMIT = 1 << 26  # bytes that a compressed variable may unpack to

_BYTE, _INT, _UINT, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15  # types of elements
_NUMBERS = dict(zip((*range(1, 8), 9, 12, 13), "bBhHiIfdqQ", strict=True))
"""The letter of `struct` for the numbers of each type of element."""
_LETTERS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}

_CELL, _CHAR, _NUMERIC = 1, 4, range(6, 16)  # classes of matrices
_COMPLEX = 0x800


def read_mat(path: Path, names: Collection[str]) -> dict[str, Value]:
    """The variables of the file that are called `names`, of those that are there.

    An array of numbers comes in MATLAB's shape and in the type it is stored in (whole numbers may
    be stored as integers); a cell array of texts comes as a tuple. Raises ValueError, naming the
    file, where it is damaged, is of another kind, or one of `names` is neither of the two.
    """
    try:
        return _variables(memoryview(path.read_bytes()), names)
    except ValueError as error:
        raise ValueError(
            f"{path}: damaged, or no MATLAB 5 file ({error}); remove it and fetch it again"
        ) from error


def _variables(content: memoryview, names: Collection[str]) -> dict[str, Value]:
    order = _order(content)
    found: dict[str, Value] = {}
    for kind, data in _elements(content[_HEADER:], order):
        if kind == _COMPRESSED:
            kind, data = _only(_elements(_unpacked(data), order))
        matrix = _matrix(kind, data, order)
        if matrix.name in found:
            raise ValueError(f"{matrix.name} is there twice")
        if matrix.name in names:
            found[matrix.name] = _texts(matrix) if matrix.kind == _CELL else _numbers(matrix)
    return found


def _order(content: memoryview) -> str:
    """The order of the bytes of a number, as `struct` writes it."""
    mark = bytes(content[_HEADER - 2 : _HEADER])
    order = {b"IM": "<", b"MI": ">"}.get(mark)
    if order is None or struct.unpack_from(f"{order}H", content, _HEADER - 4) != (0x100,):
        raise ValueError("has another header")
    return order


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The type and the data of each element."""
    at = 0
    while at < len(content):
        if at + 8 > len(content):
            raise ValueError("ends within a tag")
        kind, size = struct.unpack_from(f"{order}II", content, at)
        start = at + 8
        if kind >> 16:  # a small one: up to four bytes stand in the tag itself
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise ValueError(f"has {size} bytes in a tag, which holds 4")
        if start + size > len(content):
            raise ValueError(f"has {len(content) - start} of the {size} bytes of an element")
        yield kind, content[start : start + size]
        # Compressed parts follow without a gap, all others begin at a multiple of 8 bytes.
        at = start + size if kind == _COMPRESSED else start + size + -(start + size) % 8


def _unpacked(data: memoryview) -> memoryview:
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(data, _LIMIT)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacking.eof:
        raise ValueError(f"a compressed variable is cut off, or larger than {_LIMIT} bytes")
    return memoryview(content)


def _only(elements: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    first, *others = elements
    if others:
        raise ValueError("a compressed variable is more than one")
    return first


@dataclass(frozen=True)
class _Matrix:
    name: str
    kind: int
    complex: bool
    shape: tuple[int, ...]
    parts: list[tuple[int, memoryview]]
    order: str


def _matrix(kind: int, data: memoryview, order: str) -> _Matrix:
    if kind != _MATRIX:
        raise ValueError(f"has an element of type {kind} where a matrix is expected")
    parts = list(_elements(data, order))
    if [part[0] for part in parts[:3]] != [_UINT, _INT, _BYTE]:
        raise ValueError("a variable lacks its flags, shape or name")
    flags, shape, name = (part[1] for part in parts[:3])
    if len(flags) != 8 or len(shape) % 4 or len(shape) < 8:
        raise ValueError("the flags or the shape of a variable have another size")
    (flag,) = struct.unpack_from(f"{order}I", flags)
    sizes = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if min(sizes) < 0:
        raise ValueError(f"a variable has shape {sizes}")
    text = bytes(name).decode("ascii")
    return _Matrix(text, flag & 0xFF, bool(flag & _COMPLEX), sizes, parts[3:], order)


def _numbers(matrix: _Matrix) -> NDArray[Any]:
    if matrix.kind not in _NUMERIC or matrix.complex or len(matrix.parts) != 1:
        raise ValueError(f"{matrix.name} is no array of real numbers")
    kind, data = matrix.parts[0]
    if kind not in _NUMBERS:
        raise ValueError(f"{matrix.name} has numbers of type {kind}")
    dtype = np.dtype(matrix.order + _NUMBERS[kind])
    if len(data) != math.prod(matrix.shape) * dtype.itemsize:
        raise ValueError(f"{matrix.name} has {len(data)} bytes for {matrix.shape} of {dtype}")
    return np.frombuffer(data, dtype).reshape(matrix.shape, order="F")


def _texts(matrix: _Matrix) -> tuple[str, ...]:
    if len(matrix.parts) != math.prod(matrix.shape):
        raise ValueError(f"{matrix.name} has {len(matrix.parts)} cells for {matrix.shape}")
    cells = (_matrix(kind, data, matrix.order) for kind, data in matrix.parts)
    return tuple(_text(cell, matrix.name) for cell in cells)


def _text(cell: _Matrix, where: str) -> str:
    if cell.kind != _CHAR or len(cell.parts) != 1 or cell.parts[0][0] not in _LETTERS:
        raise ValueError(f"{where} has a cell that is no text")
    kind, data = cell.parts[0]
    codec = _LETTERS[kind]
    if codec in ("utf-16", "utf-32"):
        codec += "-le" if cell.order == "<" else "-be"
    text = bytes(data).decode(codec)
    if len(text) != math.prod(cell.shape) or (text and cell.shape[0] != 1):
        raise ValueError(f"{where} has a cell of {len(text)} letters for shape {cell.shape}")
    return text
