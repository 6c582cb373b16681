"""The real frames: their number, their classes, and that they stand upright and unmirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mke_theory.tasks.files.depth import KINECT, normals
from mke_theory.tasks.files.pictures import read_picture
from mke_theory.tasks.nyu_depth import prepare as commands
from mke_theory.tasks.nyu_depth.frames import Frames, class_table
from mke_theory.tasks.nyu_depth.pictures import read_index
from mke_theory.tasks.nyu_depth.reader import Files, load
from mke_theory.tasks.nyu_depth.split import read_split
from mke_theory.tasks.nyu_depth.task import NYUDepth

pytest.importorskip("PIL", reason="needs the extra mke_theory[data]")
pytest.importorskip("h5py", reason="needs the extra mke_theory[data]")

pytestmark = pytest.mark.data("nyudv2")

LABEL = {name: label for label, name in enumerate(class_table()["name40"])}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def frames(data_root: Path, cache: Path) -> Frames:
    return load(Files(data_root / "nyudv2", "pictures", (60, 80)), cache)


def test_the_table_of_classes_is_that_of_the_pictures(data_root: Path) -> None:
    theirs = pd.read_csv(data_root / "nyudv2/classes40.csv")
    pd.testing.assert_frame_equal(class_table(), theirs)


def test_the_split_is_that_of_the_index(data_root: Path) -> None:
    index = read_index(data_root / "nyudv2")
    split = read_split()
    for part in ("train", "test"):
        assert index["frame"][index["split"] == part].to_list() == split[part].tolist()
    labelled = index["frame"][index["mke_split"] == "labelled"]
    assert labelled.to_list() == split["labelled"].tolist()


def test_sizes_of_the_fixed_blocks(data_root: Path, cache: Path) -> None:
    problem = NYUDepth(split="fixed blocks", cache=str(cache)).at(data_root).problem(0)
    assert [len(getattr(problem, part)) for part in ("labelled", "unlabelled", "test")] == [
        105,
        690,
        654,
    ]
    assert problem.classes == 13 and problem.test.labels.shape == (654, 60, 80)


def test_sizes_of_random_blocks(data_root: Path, cache: Path) -> None:
    task = NYUDepth(classes=40, cache=str(cache))
    problem = task.at(data_root).problem(1)
    assert (len(problem.labelled), len(problem.unlabelled)) == (105, 690)
    assert problem.labelled.groups is not None and len(set(problem.labelled.groups)) == 7
    assert problem.classes == 39
    assert problem.test[slice(0, 2)].inputs["depth"].shape == (2, 6, 60, 80)
    assert problem.skipped == ()


def test_check_knows_these_pictures(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands._check_command(data_root)
    assert "of 1449 frames, unchanged" in capsys.readouterr().out


def test_classes_have_sensible_shares(frames: Frames) -> None:
    counts = np.bincount(frames.label.ravel(), minlength=41) / frames.label.size
    assert counts.argmax() == LABEL["wall"] and counts[LABEL["wall"]] < 0.35
    assert counts[LABEL["floor"]] > 0.05 and (counts[1:] > 0).all() and len(counts) == 41
    # In train frames, what is unlabelled carries the number of otherprop.
    assert not (frames.label[frames.part == "train"] == 0).any()
    assert (frames.label[frames.part == "test"] == 0).mean() > 0.1


def test_frames_stand_upright(frames: Frames) -> None:
    row = np.arange(60)[None, :, None]
    low, high = (
        float((row * (frames.label == LABEL[name])).sum() / (frames.label == LABEL[name]).sum())
        for name in ("floor", "ceiling")
    )
    assert low > 40 and high < 15  # turned by a quarter, both would be near 30


def test_frames_are_not_mirrored(data_root: Path) -> None:
    """Depth, and so labels, are projected onto the colour camera beside the depth camera.

    So the border without labels is not as wide on the left as on the right: in these frames, whose
    writing can be read, four columns of each are without any on the left, and fewer on the right.
    """
    folder = data_root / "nyudv2/label40"
    frames = read_split()["test"][::10]
    labels = [read_picture(folder / f"{at:04d}.png", mode="L") for at in frames]
    void = (np.stack(labels) == 0).mean(axis=(0, 1))
    assert (void[:4] == 1).all() and not (void[-4:] == 1).all()
    assert void[:8].sum() > void[-8:].sum() + 0.3


@pytest.mark.parametrize("modality", ["image", "depth"])
def test_borders_of_classes_are_borders_of_what_is_seen(frames: Frames, modality: str) -> None:
    """A modality that alone is mirrored, or upside down, fits the labels less."""
    label = frames.label[::5].astype(int)
    seen = (frames.image.mean(axis=1) if modality == "image" else frames.depth)[::5].astype(float)
    border = np.diff(label, axis=2) != 0
    steps = np.abs(np.diff(seen, axis=2))
    fit = steps[border].mean()
    for turned in (steps[:, :, ::-1], steps[:, ::-1]):
        assert fit > 1.3 * turned[border].mean()


def test_floors_face_up_and_ceilings_down(frames: Frames) -> None:
    some = slice(0, None, 10)
    facing = normals(torch.from_numpy(frames.depth[some].astype(np.float32)), KINECT).numpy()
    label = frames.label[some]
    down = facing[:, 1]
    assert down[label == LABEL["floor"]].mean() < -0.6
    assert down[label == LABEL["ceiling"]].mean() > 0.4
    assert abs(down[label == LABEL["wall"]].mean()) < 0.2


def test_depth_is_that_of_rooms(frames: Frames) -> None:
    depth = frames.depth.astype(np.float32)
    assert depth.min() > 0.5 and depth.max() <= 255.5 / 25.5 + 1e-2
    assert 2 < np.median(depth) < 4
