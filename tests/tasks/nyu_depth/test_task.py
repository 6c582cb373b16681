"""The task on small folders: the labelled frames, inputs, models, scores and settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mke_theory.data.pool import Pool
from mke_theory.tasks.nyu_depth import NYUDepth
from mke_theory.tasks.nyu_depth.frames import class_map, small
from tests.tasks.nyu_depth.made_frames import (
    SIZE,
    TEST,
    WHOLE,
    colours,
    depth_in_metres,
    extra_frames,
    labels40,
    labels894,
    map_class,
    same_inputs,
    task,
    write_mat_files,
)

Image = pytest.importorskip("PIL.Image", reason="needs the extra mke_theory[data]")
pytest.importorskip("h5py", reason="needs the extra mke_theory[data]")


def test_seeds_label_different_blocks(made: Path, tmp_path: Path) -> None:
    drawn = [task(tmp_path).at(made).problem(seed) for seed in range(8)]
    groups = [tuple(sorted(set(_groups(problem.labelled)))) for problem in drawn]
    assert max(map(len, groups)) <= 2  # the last of three blocks has ten frames alone
    assert len(set(groups)) > 1
    for problem in drawn:
        assert len(problem.labelled) == 15
        assert not set(_groups(problem.labelled)) & set(_groups(problem.unlabelled))
    assert len({problem.split_hash for problem in drawn}) > 1
    again = task(tmp_path).at(made).problem(3)
    assert again.split_hash == drawn[3].split_hash


def test_the_fixed_blocks_are_the_same_for_all_seeds(made: Path, tmp_path: Path) -> None:
    fixed = NYUDepth(size=SIZE, split="fixed blocks", cache=str(tmp_path))
    problems = [fixed.at(made).problem(seed) for seed in (0, 1)]
    assert problems[0].split_hash == problems[1].split_hash
    assert set(_groups(problems[0].labelled)) == {"train block 0"}
    assert [len(getattr(problems[0], part)) for part in ("labelled", "unlabelled", "test")] == [
        15,
        25,
        3,
    ]


def test_all_frames_are_labelled_and_once_more_without_labels(made: Path, tmp_path: Path) -> None:
    whole = NYUDepth(size=SIZE, split="all frames", cache=str(tmp_path)).at(made).problem(0)
    assert [len(getattr(whole, part)) for part in ("labelled", "unlabelled", "test")] == [40, 40, 3]
    assert bool((whole.unlabelled.labels == -1).all())
    assert torch.equal(whole.truth.labels, whole.labelled.labels)


def test_modalities_and_labels(made: Path, tmp_path: Path) -> None:
    problem = task(tmp_path, geometry="depth").at(made).problem(0)
    assert problem.modalities == ("image", "depth") and problem.labelled.modalities == ("image",)
    batch = problem.test[slice(0, 3)]
    assert batch.inputs["image"].shape == (3, 3, *SIZE)
    assert batch.inputs["depth"].shape == (3, 2, *SIZE)
    assert batch.target.shape == (3, *SIZE) and batch.target.dtype == torch.int64
    kept = labels40(TEST[0])[2::4, 2::4]
    expected = class_map(13, otherprop_is_void=True).of_label[kept]
    np.testing.assert_array_equal(batch.target[0], expected)
    assert bool((batch.target[:, :, 0] >= 0).any()) and problem.classes == 13


def test_inputs_are_standardised_over_train(made: Path, tmp_path: Path) -> None:
    problem = NYUDepth(size=SIZE, split="fixed blocks", cache=str(tmp_path)).at(made).problem(0)
    labelled, unlabelled = (
        pool[slice(0, 99)].inputs["image"] for pool in (problem.labelled, problem.unlabelled)
    )
    both = torch.cat([labelled, unlabelled])
    torch.testing.assert_close(both.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(both.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


def test_statistics_know_nothing_of_test(root: Path, tmp_path: Path) -> None:
    before = task(tmp_path / "a").at(root).problem(0)
    for frame in TEST:
        picture = Image.fromarray(np.full((*WHOLE, 3), 255, dtype=np.uint8))
        picture.save(root / f"nyudv2/rgb/{frame:04d}.jpg")
        Image.fromarray(np.full(WHOLE, 250, dtype=np.uint8)).save(
            root / f"nyudv2/depth/{frame:04d}.png"
        )
    after = task(tmp_path / "b").at(root).problem(0)
    same_inputs(before.unlabelled[slice(0, 9)].inputs, after.unlabelled[slice(0, 9)].inputs)
    changed = after.test[slice(0, 3)].inputs["depth"][:, 0]
    assert not torch.equal(before.test[slice(0, 3)].inputs["depth"][:, 0], changed)


def test_normals_are_added_on_request(made: Path, tmp_path: Path) -> None:
    problem = task(tmp_path, geometry="normals").at(made).problem(0)
    found = problem.test[slice(0, 3)].inputs["depth"]
    assert found.shape == (3, 6, *SIZE)
    # Depth grows downwards, so the surface leans back and faces up, which is −y.
    assert float(found[:, 3].mean()) > 0.05 and float(found[:, 4].mean()) < -0.5


def test_the_other_direction_swaps_the_modalities(made: Path, tmp_path: Path) -> None:
    back = (
        NYUDepth(teacher="depth", size=SIZE, labelled_frames=15, cache=str(tmp_path))
        .at(made)
        .problem(0)
    )
    there = task(tmp_path).at(made).problem(0)
    assert back.modalities == ("depth", "image") and back.labelled.modalities == ("depth",)
    same_inputs(back.test[slice(0, 3)].inputs, there.test[slice(0, 3)].inputs)
    assert back.teacher_modalities == ("depth",)


def test_models_answer_for_each_pixel(made: Path, tmp_path: Path) -> None:
    small_task = task(tmp_path, channels=4)
    problem = small_task.at(made).problem(0)
    for used in (("image",), ("depth",), ("image", "depth")):
        inputs = {name: problem.test[slice(0, 2)].inputs[name] for name in used}
        assert small_task.model(problem, used)(inputs).shape == (2, 13, *SIZE)


def test_scenes_are_the_test_frames_before_scaling(made: Path, tmp_path: Path) -> None:
    whole = task(tmp_path)
    problem = whole.at(made).problem(0)
    shown = whole.scenes(problem)
    assert shown["rows"].tolist() == [0, 1, 2] and shown["names"].tolist()[0] == "bed"
    expected = small(colours(2), depth_in_metres(2), labels40(2), SIZE, "")
    np.testing.assert_allclose(
        shown["image"][1].transpose(2, 0, 1).astype(int), expected["image"].astype(int), atol=12
    )
    np.testing.assert_allclose(shown["depth"][1], expected["depth"], atol=0.5 / 25.5 + 1e-3)
    np.testing.assert_array_equal(shown["truth"], problem.test.labels)


def test_scores_by_hand() -> None:
    truth = torch.tensor([[[0, 0, 1, -1]]])
    predictions = torch.tensor([[[0, 1, 1, 7]]])
    # Class 0: 1 of 2 pixels in union; class 1: 1 of 2; class 7 is predicted on a void pixel alone.
    assert NYUDepth().scores(predictions, truth) == pytest.approx(
        {"mIoU": 0.5, "pixel accuracy": 2 / 3, "mean accuracy": 0.75}
    )
    assert next(iter(NYUDepth().scores(predictions, truth))) == NYUDepth.metric


def _groups(pool: Pool) -> list[str]:
    assert pool.groups is not None
    return list(pool.groups.tolist())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 12}, "allowed are 13 and 40"),
        ({"split": "random"}, "nyu_depth.split is 'random'; choose one of"),
        ({"geometry": "normal"}, "nyu_depth.geometry is 'normal'"),
        ({"size": (60,)}, "height and width"),
        ({"size": (4, 80)}, "at least 8"),
        ({"labelled_frames": 0}, "at least 1"),
        ({"split": "fixed blocks", "labelled_frames": 30}, "drawn by split=.random blocks."),
        ({"weights": "some/model"}, "encoder is 'small', which has no weights"),
        ({"encoder_size": "tiny"}, "choose another encoder, or leave both out"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(NYUDepth(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"otherprop_is_void": False}, "class 40 is also what is unlabelled"),
        ({"depth": "measured"}, "in-painted depth alone"),
        ({"labelled_frames": 40}, "there are 40 train frames"),
        ({"labelled_frames": 39}, "39 of 40 train frames; .* D_u is left none"),
    ],
)
def test_what_the_pictures_cannot_give_is_refused(
    made: Path, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        task(tmp_path, **settings).at(made).problem(0)  # type: ignore[arg-type]


def test_libraries_are_those_that_read_and_encode(root: Path, tmp_path: Path) -> None:
    assert NYUDepth().at(root).libraries() == ("PIL",)
    matlab = replace(NYUDepth(), source="matlab", encoder="resnet")
    assert matlab.at(tmp_path).libraries() == ("h5py", "transformers")
    assert replace(matlab, extra="frames").at(tmp_path).libraries() == (
        "PIL",
        "h5py",
        "transformers",
    )
    assert len(NYUDepth().class_names()) == 13 and "sofa" in NYUDepth().class_names()


def test_a_missing_folder_comes_with_the_remedy(tmp_path: Path) -> None:
    assert "prepare --data-root" in str(NYUDepth().at(tmp_path).missing())
    (tmp_path / "nyudv2").mkdir()
    assert NYUDepth().at(tmp_path).missing() is None
    assert "no folder nowhere" in str(NYUDepth(extra="nowhere").at(tmp_path).missing())
    with pytest.raises(FileNotFoundError, match="--data-root"):
        NYUDepth().problem(0)


def test_extra_frames_join_the_unlabelled(made: Path, tmp_path: Path) -> None:
    extra = extra_frames(tmp_path / "extra")
    joined = task(tmp_path, extra=str(extra))
    problem, plain = joined.at(made).problem(0), task(tmp_path).at(made).problem(0)
    assert len(problem.unlabelled) == len(plain.unlabelled) + 2
    assert bool((problem.truth.labels[-2:] == -1).all())
    assert not joined.at(made).knows_truth() and task(tmp_path).at(made).knows_truth()
    assert joined.at(made).data_hash() != task(tmp_path).at(made).data_hash()
    measured = problem.unlabelled[slice(len(plain.unlabelled), None)].inputs["depth"][:, 1]
    assert bool((measured[:, 1:] == 1).all()) and len(problem.test) == 3


def test_the_task_draws_whole_scenes(tmp_path: Path) -> None:
    scenes = ("x", "y", "a", "a", "b", "c")
    write_mat_files(tmp_path / "nyudv2", scenes=scenes)
    whole = NYUDepth(
        size=SIZE,
        labelled_frames=2,
        classes=40,
        otherprop_is_void=False,
        depth="measured",
        cache=str(tmp_path),
    )
    for seed in range(4):
        problem = whole.at(tmp_path).problem(seed)
        assert problem.labelled.groups is not None and problem.unlabelled.groups is not None
        labelled = problem.labelled.groups.tolist()
        assert labelled in (["a", "a"], ["b", "c"], ["a", "b"], ["a", "c"])
        assert not set(labelled) & set(problem.unlabelled.groups.tolist())
    batch = problem.test[slice(0, 1)]
    assert problem.classes == 40 and batch.target.max() < 40 and batch.target.min() >= 0
    exact = np.concatenate([[0], map_class()])[labels894(1)[2::4, 2::4]] - 1
    np.testing.assert_array_equal(batch.target[0], exact)
    assert not bool(batch.inputs["depth"][0, :, 0, 0].any())  # a hole: 0 metres, not measured


def test_a_room_in_train_and_test_is_refused(tmp_path: Path) -> None:
    write_mat_files(tmp_path / "nyudv2", scenes=("a", "x", "b", "c", "a", "d"))
    whole = NYUDepth(size=SIZE, labelled_frames=1, cache=str(tmp_path))
    with pytest.raises(ValueError, match="group 'a'"):
        whole.at(tmp_path).problem(0)
