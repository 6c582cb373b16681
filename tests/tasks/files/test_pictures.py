"""Pictures are read as they were written, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.files.pictures import read_picture
from tests.tasks.files.clips import write_picture

pytest.importorskip("PIL", reason="needs the extra mke_theory[data]")


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [("RGB", (5, 7, 3), np.uint8), ("L", (5, 7), np.uint8), ("I;16", (5, 7), np.uint16)],
)
def test_pixels_are_those_written(
    tmp_path: Path, mode: str, shape: tuple[int, ...], dtype: type[np.generic]
) -> None:
    largest = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, largest + 1, shape, dtype=dtype)
    pixels[0, 0], pixels[-1, -1] = 0, largest
    path = write_picture(tmp_path / "a.png", pixels)
    found = read_picture(path, mode=mode)  # type: ignore[arg-type]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, pixels)
    for other in {"RGB", "L", "I;16"} - {mode}:
        with pytest.raises(ValueError, match=rf"a\.png: has mode {mode}, {other} is wanted"):
            read_picture(path, mode=other)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["P", "1", "RGBA", "LA", "CMYK"])
def test_other_modes_are_refused(tmp_path: Path, mode: str) -> None:
    from PIL import Image

    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (7, 5)).save(path)
    for wanted in ("RGB", "L", "I;16"):
        with pytest.raises(ValueError, match=rf"a\.\w+: has mode {mode}"):
            read_picture(path, mode=wanted)  # type: ignore[arg-type]


def test_32_bits_are_read_where_16_are_enough(tmp_path: Path) -> None:
    pixels = np.array([[0, 65535]], dtype=np.int32)
    path = write_picture(tmp_path / "a.tif", pixels)
    found = read_picture(path, mode="I;16")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, pixels)
    for wrong in (-1, 65536):
        write_picture(path, np.array([[wrong]], dtype=np.int32))
        with pytest.raises(ValueError, match=r"a\.tif: has values outside 0 to 65535"):
            read_picture(path, mode="I;16")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_a_cut_picture_is_refused_or_whole(tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    path = write_picture(tmp_path / name, pixels)
    file, whole = path.read_bytes(), read_picture(path, mode="RGB")
    refused = 0
    for length in range(len(file)):
        path.write_bytes(file[:length])
        try:
            # Bytes after the last pixel may be missing: they tell nothing.
            np.testing.assert_array_equal(read_picture(path, mode="RGB"), whole)
        except ValueError as error:
            assert name in str(error)
            refused += 1
    assert refused >= len(file) - 24


def test_damaged_pixels_are_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    path = write_picture(tmp_path / "a.png", pixels)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 40] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png: not a readable picture"):
        read_picture(path, mode="RGB")


@pytest.mark.data("nyudv2")
def test_real_pictures(data_root: Path) -> None:
    folder = data_root / "nyudv2"
    for kind, mode in (("rgb", "RGB"), ("depth", "L")):
        first = min((folder / kind).iterdir())
        picture = read_picture(first, mode=mode)  # type: ignore[arg-type]
        assert picture.shape[:2] == (240, 320)
        assert len(np.unique(picture)) > 20
