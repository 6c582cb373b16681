"""MATLAB 5 files, read by hand-made bytes, as SciPy writes them, and damaged in every place."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mke_theory.tasks.nyu_depth.matlab import read_parts
from mke_theory.tasks.nyu_depth.matlab5 import Value, read_mat


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(name: str, of: int, shape: tuple[int, ...], *parts: bytes, order: str = "<") -> bytes:
    """A variable of class `of`: 1 a cell array, 4 text, 6 numbers."""
    head = (
        element(6, struct.pack(f"{order}II", of, 0), order),
        element(5, struct.pack(f"{order}{len(shape)}i", *shape), order),
        element(1, name.encode(), order),
    )
    return element(14, b"".join((*head, *parts)), order)


def write(path: Path, *variables: bytes, order: str = "<") -> Path:
    mark = struct.pack(f"{order}H", 0x100) + (b"IM" if order == "<" else b"MI")
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + mark + b"".join(variables))
    return path


def packed(variable: bytes) -> bytes:
    data = zlib.compress(variable)
    return struct.pack("<II", 15, len(data)) + data


DOUBLES = element(9, struct.pack("<6d", 1, 2, 3, 4, 5, 6))
SMALL = struct.pack("<HHBBxx", 2, 2, 7, 9)  # two bytes of data within the tag


@pytest.mark.parametrize("form", [bytes, packed])
def test_numbers_by_hand(tmp_path: Path, form: type[bytes]) -> None:
    """Columns come first in the file; small elements and compressed ones are read alike."""
    path = write(
        tmp_path / "a.mat",
        form(matrix("a", 6, (2, 3), DOUBLES)),
        form(matrix("unread", 3, (1, 1))),
        form(matrix("b", 6, (1, 2), SMALL)),
    )
    found = read_mat(path, ("a", "b", "absent"))
    assert sorted(found) == ["a", "b"]
    assert np.asarray(found["a"]).tolist() == [[1, 3, 5], [2, 4, 6]]
    assert np.asarray(found["b"]).tolist() == [[7, 9]]


def test_bytes_in_the_other_order(tmp_path: Path) -> None:
    small = struct.pack(">HHBBxx", 2, 2, 7, 9)
    word = matrix("", 4, (1, 3), element(4, "bed".encode("utf-16-be"), ">"), order=">")
    path = write(
        tmp_path / "a.mat",
        matrix("a", 6, (1, 2), element(3, struct.pack(">2h", -1, 300), ">"), order=">"),
        matrix("b", 6, (2, 1), small, order=">"),
        matrix("c", 1, (1, 1), word, order=">"),
        order=">",
    )
    found = read_mat(path, ("a", "b", "c"))
    assert np.asarray(found["a"]).tolist() == [[-1, 300]]
    assert np.asarray(found["b"]).tolist() == [[7], [9]] and found["c"] == ("bed",)


@pytest.mark.parametrize("do_compression", [False, True])
def test_what_scipy_writes(tmp_path: Path, do_compression: bool) -> None:
    rng = np.random.default_rng(0)
    whole = {
        f"x{at}": rng.integers(0, 100, (3, at + 1)).astype(kind)
        for at, kind in enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"))
    }
    texts = np.array(["wall", "night stand", ""], dtype=object)
    savemat(tmp_path / "a.mat", {**whole, "texts": texts}, do_compression=do_compression)
    found = read_mat(tmp_path / "a.mat", (*whole, "texts"))
    assert found.pop("texts") == ("wall", "night stand", "")
    assert sorted(found) == sorted(whole)
    for name, values in found.items():
        np.testing.assert_array_equal(values, whole[name])


ODD: list[tuple[bytes, str]] = [
    (element(9, bytes(8)), "type 9 where a matrix is expected"),
    (matrix("a", 6, (2, 3), DOUBLES) * 2, "a is there twice"),
    (matrix("a", 6, (2, 4), DOUBLES), r"a has 48 bytes for \(2, 4\)"),
    (matrix("a", 6, (-1, -6), DOUBLES), r"shape \(-1, -6\)"),
    (matrix("a", 6, (2**31 - 1,) * 5, DOUBLES), "a has 48 bytes for"),
    (matrix("a", 6, (2, 3), element(8, bytes(48))), "a has numbers of type 8"),
    (matrix("a", 6, (2, 3), DOUBLES, DOUBLES), "a is no array of real numbers"),
    (matrix("a", 0x806, (2, 3), DOUBLES), "a is no array of real numbers"),  # complex
    (matrix("a", 4, (1, 1), SMALL), "a is no array of real numbers"),
    (matrix("a", 1, (1, 2), matrix("", 4, (1, 2), SMALL)), r"a has 1 cells for \(1, 2\)"),
    (matrix("a", 1, (1, 1), matrix("", 6, (1, 2), SMALL)), "a has a cell that is no text"),
    (matrix("a", 1, (1, 1), matrix("", 4, (1, 9), SMALL)), "a cell of 2 letters"),
    (matrix("a", 1, (1, 1), matrix("", 4, (2, 1), SMALL)), "a cell of 2 letters"),
    (element(14, element(6, bytes(8))), "lacks its flags, shape or name"),
    (struct.pack("<II", 0x50002, 0), "has 5 bytes in a tag"),
    (struct.pack("<II", 14, 2**32 - 1), "has 0 of the 4294967295 bytes"),
    (b"\0" * 7, "ends within a tag"),
    (packed(matrix("a", 6, (2, 3), DOUBLES))[:-1], "bytes of an element"),
    (packed(matrix("a", 6, (2, 3), DOUBLES) * 2), "is more than one"),
    (packed(b""), "not enough values"),
    (packed(bytes(2**26 + 1)), "cut off, or larger than"),
    (element(15, b"no zlib stream"), "incorrect header check"),
]


@pytest.mark.parametrize(("content", "message"), ODD)
def test_what_contradicts_itself_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path / "a.mat", content)
    with pytest.raises(ValueError, match=rf"a\.mat: damaged.*{message}.*fetch it again"):
        read_mat(path, ("a",))


@pytest.mark.parametrize("content", [b"", b"text" * 50, b"\x89HDF\r\n\x1a\n".ljust(200)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mat: damaged, or no MATLAB 5 file"):
        read_mat(tmp_path / "a.mat", ("a",))


def damaged(content: bytes) -> Iterator[bytes]:
    """The content cut off after each byte, and with each bit turned."""
    for end in range(len(content)):
        yield content[:end]
    for bit in range(8 * len(content)):
        other = bytearray(content)
        other[bit // 8] ^= 1 << bit % 8
        yield bytes(other)


@pytest.mark.parametrize("do_compression", [False, True])
def test_no_damage_changes_the_split_unnoticed(tmp_path: Path, do_compression: bool) -> None:
    """SciPy's parser ends the process at dozens of these."""
    path = tmp_path / "splits.mat"
    split: dict[str, Value] = {"trainNdxs": np.array([3.0, 4, 5, 6]), "testNdxs": np.array([1, 2])}
    savemat(path, split, do_compression=do_compression)
    right = ["test"] * 2 + ["train"] * 4
    assert read_parts(path, 6).tolist() == right
    refused = 0
    for content in damaged(path.read_bytes()):
        with path.open("r+b") as file:  # faster than a new file each time
            file.write(content)
            file.truncate()
        try:
            assert read_parts(path, 6).tolist() == right
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 1000
