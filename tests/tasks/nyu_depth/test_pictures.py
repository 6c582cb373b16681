"""Folders of pictures: bad files are named or left out, frames without labels are read too."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.nyu_depth import NYUDepth
from mke_theory.tasks.nyu_depth.pictures import read_extra, read_index, read_pictures
from tests.tasks.nyu_depth.made_frames import (
    SIZE,
    TRAIN,
    WHOLE,
    depth_in_metres,
    extra_frames,
)

Image = pytest.importorskip("PIL.Image", reason="needs the extra mke_theory[data]")


def _png(values: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(values).save(path)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "cut jpg": ("rgb/0005.jpg", lambda p: p.write_bytes(p.read_bytes()[:400]), "0005.jpg"),
    "no jpg": ("rgb/0005.jpg", lambda p: p.write_bytes(b"text"), "0005.jpg"),
    "grey jpg": ("rgb/0005.jpg", _png(np.zeros(WHOLE, np.uint8)), "0005.jpg.*mode L"),
    "no depth": ("depth/0005.png", lambda p: p.unlink(), "depth/0005.png: no such file"),
    "no label": ("label40/0005.png", lambda p: p.unlink(), "label40/0005.png: no such file"),
    "16-bit depth": ("depth/0005.png", _png(np.ones(WHOLE, np.uint16)), "0005.png.*mode I;16"),
    "small depth": ("depth/0005.png", _png(np.ones((24, 32), np.uint8)), "frame 0005.*same height"),
    "class 77": ("label40/0005.png", _png(np.full(WHOLE, 77, np.uint8)), "frame 0005.*0 to 40"),
    "colour labels": ("label40/0005.png", _png(np.ones((*WHOLE, 3), np.uint8)), "mode RGB"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_file_is_named_or_left_out(root: Path, tmp_path: Path, kind: str) -> None:
    name, damage, message = BAD[kind]
    damage(root / "nyudv2" / name)
    with pytest.raises(ValueError, match=message) as caught:
        read_pictures(root / "nyudv2", SIZE)
    assert "1 of 43" in str(caught.value)
    fixed = NYUDepth(size=SIZE, split="fixed blocks", cache=str(tmp_path), skip_bad=True)
    problem = fixed.at(root).problem(0)
    assert (len(problem.labelled), len(problem.unlabelled)) == (14, 25)
    assert len(problem.skipped) == 1 and "0005" in problem.skipped[0]


def test_what_is_left_out_moves_no_block(root: Path) -> None:
    (root / "nyudv2/depth/0005.png").unlink()
    found = read_pictures(root / "nyudv2", SIZE, skip_bad=True)
    assert 5 not in found.number
    first, second = (list(found.number).index(frame) for frame in TRAIN[14:16])
    assert found.group[first] == "train block 0" and found.group[second] == "train block 1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0003,train,labelled", "0003,train,unlabelled", "by the rule"),
        ("0003,train,labelled", "0003,valid,labelled", "line 2, frame 3: split has to be"),
        ("0003,train,labelled", "0004,train,labelled", "listed before"),
        ("0003,train,labelled", "0000,train,labelled", "count from 1"),
        ("0003,train,labelled", "0021,train,labelled", "frame 21, which is 'test' there"),
        ("0074,train", "1450,train", "lists frame 1450; the data set has frames 1 to 1449"),
        ("0003,train,labelled", "three,train,labelled", "not a table"),
        ("0003,train,labelled", "0003,,labelled", "empty cells"),
        ("frame,split", "picture,split", "not a table"),
    ],
)
def test_a_bad_index_is_refused(root: Path, old: str, new: str, message: str) -> None:
    path = root / "nyudv2/index.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"index\.csv.*{message}"):
        read_pictures(root / "nyudv2", SIZE)


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"index\.csv"):
        read_index(tmp_path)


def test_extra_depth_is_read_in_millimetres(tmp_path: Path) -> None:
    found = read_extra(extra_frames(tmp_path), WHOLE, "millimetres")
    assert found.group.tolist() == ["extra", "extra"] and found.part.tolist() == ["extra"] * 2
    expected = depth_in_metres(1)  # "a" comes before "b.2"
    np.testing.assert_allclose(found.depth[0][2:], expected[2:], atol=2e-3)
    assert not found.depth[:, :2].any() and not found.label.any()


def test_a_sign_for_missing_depth_is_not_taken_for_depth(tmp_path: Path) -> None:
    """Missing is 0; some files have 65535 instead, or the two bytes of a number turned."""
    extra_frames(tmp_path, ("a",))
    measured = np.round(1000 * depth_in_metres(0)).astype(np.uint16)
    for wrong in (np.where(measured > 1500, 65535, measured), measured.byteswap()):
        Image.fromarray(wrong.astype(np.uint16)).save(tmp_path / "depth/a.png")
        with pytest.raises(ValueError, match=r"a\.png: depth is up to 6.* or a sign for"):
            read_extra(tmp_path, WHOLE, "millimetres")


def test_extra_depth_of_8_bit_pictures_is_coded_as_theirs(tmp_path: Path) -> None:
    extra_frames(tmp_path, ("a",))
    with pytest.raises(ValueError, match=r"a\.png.*mode I;16"):
        read_extra(tmp_path, SIZE, "8 bit")
    Image.fromarray(np.full(WHOLE, 25, np.uint8)).save(tmp_path / "depth/a.png")
    assert (read_extra(tmp_path, SIZE, "8 bit").depth == 1).all()


def test_extra_folders_are_scenes(tmp_path: Path) -> None:
    extra_frames(tmp_path, ("a",), "kitchen_0001")
    extra_frames(tmp_path, ("c", "d"), "office_0002")
    found = read_extra(tmp_path, SIZE, "millimetres")
    assert found.group.tolist() == ["kitchen_0001", "office_0002", "office_0002"]


def test_bad_extra_frames_are_named_or_left_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="rgb: holds no"):
        read_extra(tmp_path, SIZE, "millimetres")
    extra_frames(tmp_path, ("a", "b", "c"))
    (tmp_path / "depth/a.png").unlink()
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(tmp_path / "rgb/b.png")
    with pytest.raises(ValueError, match=r"(?s)depth/a\.png: no such file.*b\.png: is 48 by 48"):
        read_extra(tmp_path, SIZE, "millimetres")
    assert len(read_extra(tmp_path, SIZE, "millimetres", skip_bad=True)) == 1
    shutil.copy(tmp_path / "rgb/c.png", tmp_path / "rgb/c.jpg")
    with pytest.raises(ValueError, match="c is there with 2 endings"):
        read_extra(tmp_path, SIZE, "millimetres")
