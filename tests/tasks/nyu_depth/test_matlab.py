"""The authors' files, written small: axes as MATLAB leaves them come out upright."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.nyu_depth.matlab import (
    FRAMES_FILE,
    opened,
    read_mapping,
    read_matlab,
    read_parts,
)
from mke_theory.tasks.nyu_depth.pictures import read_pictures
from tests.tasks.nyu_depth.made_frames import (
    SIZE,
    WHOLE,
    colours,
    depth_in_metres,
    labels40,
    labels894,
    write_mat_files,
    write_pictures,
)

h5py = pytest.importorskip("h5py", reason="needs the extra mke_theory[data]")
pytest.importorskip("PIL", reason="needs the extra mke_theory[data]")


def test_frames_come_out_upright(mat_files: Path) -> None:
    found = read_matlab(mat_files, WHOLE, "in-painted")
    assert found.number.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.part.tolist() == ["test"] * 2 + ["train"] * 4
    for row, frame in enumerate(found.number.tolist()):
        np.testing.assert_array_equal(found.image[row].transpose(1, 2, 0), colours(frame))
        np.testing.assert_allclose(found.depth[row], depth_in_metres(frame), atol=1e-3)
        np.testing.assert_array_equal(found.label[row], labels40(frame))
    # By hand: red grows downwards, green to the right, and the first columns are unlabelled.
    assert found.image[0, 0, :3, 0].tolist() == [0, 5, 10]
    assert found.image[0, 1, 0, :3].tolist() == [0, 3, 6]
    assert found.label[0, 10, :4].tolist() == [0, 0, 32, 32]  # label 72 is of class 32 by the map


def test_scenes_are_the_groups(mat_files: Path, tmp_path: Path) -> None:
    scenes = read_matlab(mat_files, SIZE, "in-painted").group.tolist()
    assert scenes == ["o1", "o2", "k1", "k1", "k2", "k2"]
    nameless = write_mat_files(tmp_path / "nyudv2", scenes=())
    blocks = read_matlab(nameless, SIZE, "in-painted").group.tolist()
    assert blocks == ["test block 0"] * 2 + ["train block 0"] * 4


def test_holes_are_kept_where_depth_is_as_measured(mat_files: Path) -> None:
    measured = read_matlab(mat_files, WHOLE, "measured").depth
    assert not measured[:, :3, :5].any() and measured[:, 3:].all() and measured[:, :, 5:].all()
    filled = read_matlab(mat_files, WHOLE, "in-painted").depth
    np.testing.assert_array_equal(measured[:, 3:], filled[:, 3:])
    assert filled.all()


def test_pictures_and_mat_files_of_the_same_frames_agree(mat_files: Path, tmp_path: Path) -> None:
    pictures = read_pictures(write_pictures(tmp_path / "nyudv2", (3, 4, 5, 6), (1, 2)), SIZE)
    matlab = read_matlab(mat_files, SIZE, "in-painted")
    np.testing.assert_array_equal(pictures.label, matlab.label)
    np.testing.assert_array_equal(pictures.part, matlab.part)
    np.testing.assert_allclose(pictures.depth, matlab.depth, atol=0.5 / 25.5 + 1e-3)
    np.testing.assert_allclose(pictures.image.astype(int), matlab.image.astype(int), atol=12)


def test_what_hdf5_cannot_read_is_named_by_file(tmp_path: Path) -> None:
    folder = write_mat_files(tmp_path / "nyudv2")
    path = folder / FRAMES_FILE
    for unreadable in (KeyError("no type"), RuntimeError("no link"), OSError("no block")):
        with (
            pytest.raises(ValueError, match=r"labeled\.mat: cannot be read") as caught,
            opened(path),
        ):
            raise unreadable
        assert caught.value.__cause__ is unreadable


def test_a_folder_where_an_array_should_be_is_refused(tmp_path: Path) -> None:
    folder = write_mat_files(tmp_path / "nyudv2")
    with h5py.File(folder / FRAMES_FILE, "a") as file:
        del file["labels"]
        file.create_group("labels")
    with pytest.raises(ValueError, match="has no labels"):
        read_matlab(folder, SIZE, "in-painted")


@pytest.mark.parametrize("scenes", [("a",) * 5, ("a",) * 7])
def test_scenes_for_other_frames_are_refused(tmp_path: Path, scenes: tuple[str, ...]) -> None:
    folder = write_mat_files(tmp_path / "nyudv2", scenes=scenes)
    with pytest.raises(ValueError, match=rf"labeled\.mat: names {len(scenes)} scenes for 6 frames"):
        read_matlab(folder, SIZE, "in-painted")


def _with(folder: Path, name: str, values: np.ndarray | None) -> Path:
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        del file[name]
        if values is not None:
            file[name] = values
    return folder


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("labels", None, "has no labels"),
        ("images", np.zeros((6, 3, 48, 64), np.uint8), "expected is"),  # turned already
        ("images", np.zeros((6, 64, 48, 3), np.uint8), "expected is"),
        ("images", np.zeros((6, 3, 64, 48), np.uint16), "images is uint16 .* expected is uint8"),
        ("depths", np.zeros((6, 48, 64), np.float32), "depths is float32"),
        ("depths", np.zeros((6, 64, 48), np.uint16), "depths is uint16"),
        ("labels", np.zeros((5, 64, 48), np.uint16), "labels is uint16"),
        ("labels", np.full((6, 64, 48), 895, np.uint16), "frame 1: has label 895"),
        ("depths", np.full((6, 64, 48), 1500, np.float32), "frame 1.*another unit"),
        ("depths", np.full((6, 64, 48), 21, np.float32), "frame 1.*at most 20"),
    ],
)
def test_another_content_is_refused(
    mat_copy: Path, name: str, values: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=rf"labeled\.mat.*{message}|{message}"):
        read_matlab(_with(mat_copy, name, values), SIZE, "in-painted")


def test_one_bad_frame_can_be_left_out(mat_copy: Path) -> None:
    labels = np.stack([labels894(frame).T for frame in range(1, 7)])
    labels[4] = 900
    _with(mat_copy, "labels", labels)
    with pytest.raises(ValueError, match=r"1 of 6.*\n.*frame 5: has label 900"):
        read_matlab(mat_copy, SIZE, "in-painted")
    found = read_matlab(mat_copy, SIZE, "in-painted", skip_bad=True)
    assert found.number.tolist() == [1, 2, 3, 4, 6] and len(found.bad) == 1


@pytest.mark.parametrize("name", ["nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"])
def test_missing_and_damaged_files_are_named(mat_copy: Path, name: str) -> None:
    path = mat_copy / name
    path.write_bytes(path.read_bytes()[: 100 if name == "splits.mat" else 300])
    with pytest.raises(ValueError, match=name):
        read_matlab(mat_copy, SIZE, "in-painted")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}.*prepare --data-root"):
        read_matlab(mat_copy, SIZE, "in-painted")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ((1, 2, 3, 7), (4, 5, 6), "trainNdxs lists 7; allowed are whole numbers from 1 to 6"),
        ((0, 1, 2, 3), (4, 5, 6), "trainNdxs lists 0"),
        ((1, 2, 3), (4, 5, 6.5), r"testNdxs lists 6\.5"),
        ((1, 2, 3), (4, 5, np.nan), "testNdxs lists nan"),
        ((1, 2, 3), (4, 5, 1e300), r"testNdxs lists 1e\+300"),
        ((1, 2, 3), (3, 4, 5, 6), "frame 3 is listed 2 times"),
        ((1, 2, 2), (3, 4, 5, 6), "frame 2 is listed 2 times"),
        ((1, 2, 3), (5, 6), "frame 4 is listed 0 times"),
    ],
)
def test_bad_splits_are_refused(
    mat_copy: Path, train: tuple[float, ...], test: tuple[float, ...], message: str
) -> None:
    from scipy.io import savemat

    savemat(mat_copy / "splits.mat", {"trainNdxs": np.array(train), "testNdxs": np.array(test)})
    with pytest.raises(ValueError, match=rf"splits\.mat.*{message}"):
        read_parts(mat_copy / "splits.mat", 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"mapClass": np.arange(1, 41)}, "40 numbers; expected are 894"),
        ({"mapClass": np.full(894, 41)}, "mapClass lists 41; .* from 1 to 40"),
        ({"mapClass": np.full(894, 1.5)}, r"mapClass lists 1\.5"),
        ({"mapClass": np.full(894, np.nan)}, "mapClass lists nan"),
        ({"mapClass": np.array(["wall"], dtype=object)}, "mapClass holds texts"),
        ({"other": np.ones(894)}, "has no mapClass"),
        (
            {"mapClass": np.ones(894), "className": np.array(["floor", "wall"], dtype=object)},
            "'floor' where 'wall' is expected",
        ),
    ],
)
def test_bad_maps_are_refused(mat_copy: Path, content: dict[str, np.ndarray], message: str) -> None:
    from scipy.io import savemat

    savemat(mat_copy / "classMapping40.mat", content)
    with pytest.raises(ValueError, match=rf"classMapping40\.mat.*{message}"):
        read_mapping(mat_copy / "classMapping40.mat")


def test_another_split_of_some_frames_is_refused(tmp_path: Path) -> None:
    folder = write_mat_files(tmp_path / "nyudv2", train=(2, 4, 5, 6), test=(1, 3))
    with pytest.raises(ValueError, match=r"splits\.mat: 2 frames .* frame 2, which is 'test'"):
        read_matlab(folder, SIZE, "in-painted", skip_bad=True)


def test_a_file_that_another_process_writes_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / FRAMES_FILE
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((2, 3, 16, 12), np.uint8)
    code = f"import h5py, sys; f = h5py.File({str(path)!r}, 'r+'); print(1); sys.stdin.read()"
    given = [sys.executable, "-u", "-c", code]
    with subprocess.Popen(given, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with opened(path) as file:
            assert file["images"].shape == (2, 3, 16, 12)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(errno.EAGAIN, "unable to lock file"), False),
        (OSError(errno.EIO, "input/output error"), False),
        (OSError("file signature not found"), True),
    ],
)
def test_nobody_is_sent_to_fetch_a_file_that_need_not_be_damaged(
    error: OSError, again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FRAMES_FILE
    path.write_bytes(b"something")

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(ValueError, match=FRAMES_FILE) as raised, opened(path):
        pass
    assert ("fetch it again" in str(raised.value)) is again
    assert again or "another program holds it" in str(raised.value)
