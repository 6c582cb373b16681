"""Real data sets as .npz files: cuts lose nothing, and nobody is on both sides of a split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import datasets

from mke_theory.study.keys import canonical
from mke_theory.tasks.ravdess.speech import statistics
from mke_theory.tasks.toy.array_reading import read_arrays
from mke_theory.tasks.toy.arrays import RECIPE, Arrays
from tests.experiments.synthetic_calls import sibling

views_of, tasks_of = sibling("multi_view"), sibling("npz_tasks")
TASKS, Views, split = tasks_of.TASKS, views_of.Views, tasks_of.split
SHIPPED = ("digits_halves", "digits_quarters", "wine", "breast_cancer", "iris")
BY_FOLDER = {
    "av_digits": ("written_halves", "spoken_bands", "spoken_statistics", "spoken_and_written"),
    "ravdess": ("ravdess_face", "ravdess_speech", "ravdess_regions"),
    "nyudv2": ("nyu_cells",),
}
NOWHERE = Path("nowhere")


def at(name: str, root: Path, files: Path) -> Arrays:
    found: Arrays = replace(TASKS[name].at(root), files=files)
    return found


# --- cuts by hand --------------------------------------------------------------------------------


def test_cells_and_their_statistics_by_hand() -> None:
    """Two frames of 10 × 20; the second cell of the first is a plane, 2 down and 3 across."""
    down, across = np.meshgrid(np.arange(10.0), np.arange(10.0), indexing="ij")
    frames = np.zeros((2, 10, 20))
    frames[0, :, 10:] = 2 * down + 3 * across
    frames[1] = 7.0
    cells = views_of._cells(frames)
    assert cells.shape == (4, 10, 10)
    assert np.array_equal(cells[1], frames[0, :, 10:])
    found = views_of._statistics(cells)
    assert np.array_equal(found[0], np.zeros(6))
    # mean 5 · 4.5; variance (2² + 3²) · 8.25 with 8.25 that of 0 … 9
    assert found[1] == pytest.approx([22.5, np.sqrt(13 * 8.25), 2, 3, 2, 3])
    assert np.array_equal(found[2:], [[7, 0, 0, 0, 0, 0]] * 2)


def test_steps_up_and_down_have_a_size_but_no_slope() -> None:
    board = (np.indices((10, 10)).sum(axis=0) % 2).astype(float)
    # 5 steps of +1 and 4 of −1 in even lines, the other way round in odd ones
    assert views_of._statistics(board[None])[0] == pytest.approx([0.5, 0.5, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("digits_halves", datasets.load_digits),
        ("digits_quarters", datasets.load_digits),
        ("wine", datasets.load_wine),
        ("breast_cancer", datasets.load_breast_cancer),
        ("iris", datasets.load_iris),
    ],
)
def test_every_column_is_in_one_modality(name: str, whole: object) -> None:
    x, labels = whole(return_X_y=True)  # type: ignore[operator]
    views = getattr(views_of, name)(NOWHERE)
    cut = np.concatenate([part.reshape(len(x), -1) for part in views.inputs.values()], axis=1)
    assert cut.shape == x.shape
    assert np.array_equal(np.sort(cut, axis=1), np.sort(x, axis=1))
    assert np.array_equal(views.labels, labels)


def test_the_size_of_nuclei_is_cut_from_their_outline_by_name() -> None:
    table = datasets.load_breast_cancer(as_frame=True).data
    columns = [
        f"{pre}{name}{post}"
        for pre, post in (("mean ", ""), ("", " error"), ("worst ", ""))
        for name in ("radius", "texture", "perimeter", "area")
    ]
    size = views_of.breast_cancer(NOWHERE).inputs["size"]
    assert np.array_equal(size.reshape(len(table), -1), table[columns].to_numpy())


# --- splits --------------------------------------------------------------------------------------


def made_up(n: int = 300, **given: np.ndarray) -> object:
    return Views({"a": np.zeros((n, 1)), "b": np.zeros((n, 1))}, np.arange(n) % 3, **given)


def test_a_split_by_hand() -> None:
    part = split(made_up(), 5, 0)
    assert dict(zip(*np.unique(part, return_counts=True), strict=True)) == {
        "labelled": 15,
        "test": 100,
        "unlabelled": 185,
    }
    assert np.array_equal(np.bincount((np.arange(300) % 3)[part == "labelled"]), [5, 5, 5])
    assert np.array_equal(part, split(made_up(), 5, 0))
    assert not np.array_equal(part, split(made_up(), 5, 1))


def test_a_third_of_the_groups_is_test() -> None:
    groups = np.arange(300) // 25  # 12 groups
    tested = set()
    for seed in range(20):
        part = split(made_up(groups=groups), 5, seed)
        test, rest = set(groups[part == "test"]), set(groups[part != "test"])
        assert len(test) == 4 and not test & rest and (part != "").all()
        tested |= test
    assert len(tested) == 12  # the seed picks them; one is missed with chance (2/3)^20


def test_the_data_s_own_test_part_is_kept_and_large_parts_are_cut() -> None:
    own = np.arange(6000) < 2400
    part = split(made_up(6000, test=own), 5, 3)
    assert (part == "test").sum() == 1500 and own[part == "test"].all()
    assert (part == "unlabelled").sum() == 1500 and not own[part == "unlabelled"].any()
    assert (part == "").sum() == 6000 - 3015


# --- tasks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_the_problem_is_that_of_the_arrays_task_on_the_file(name: str, tmp_path: Path) -> None:
    task = at(name, NOWHERE, tmp_path / "files")
    problem = task.problem(3)
    path = tmp_path / "files" / f"{name}_3.npz"
    same = Arrays(file=str(path))
    assert same.problem(3).split_hash == problem.split_hash
    # The file says it all: another seed of `arrays` splits it alike.
    assert same.problem(4).split_hash == problem.split_hash != task.problem(4).split_hash
    first = next(iter(read_arrays(path)))
    assert problem.teacher_modalities == problem.labelled.modalities == (first,)
    assert len(problem.modalities) == (4 if name == "digits_quarters" else 2)
    assert (problem.truth.labels >= 0).all() and task.knows_truth() and same.knows_truth()


def test_settings_are_the_defaults_and_the_files_place_is_no_part_of_a_run(tmp_path: Path) -> None:
    plain = canonical(Arrays())
    for name, task in TASKS.items():
        assert task.name == name and task.title != name
        assert task.recipe == RECIPE
        here = canonical(at(name, NOWHERE, tmp_path))
        assert here == canonical(task)
        added = {key: here.pop(key) for key in ("cut", "per_class")}
        assert here | {"class": "Arrays"} == plain and added["cut"] == name


def test_the_hash_of_the_data_changes_with_data_and_size() -> None:
    task = TASKS["wine"].at(NOWHERE)
    assert task.data_hash() == TASKS["wine"].at(NOWHERE).data_hash()
    others = (TASKS["iris"].at(NOWHERE), replace(task, per_class=6))
    assert len({task.data_hash(), *(other.data_hash() for other in others)}) == 3


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    for folder, names in BY_FOLDER.items():
        for name in names:
            assert folder in str(at(name, tmp_path, tmp_path).missing())
    assert {*SHIPPED, *(name for names in BY_FOLDER.values() for name in names)} == set(TASKS)
    assert all(at(name, tmp_path, tmp_path).missing() is None for name in SHIPPED)


# --- with the data -------------------------------------------------------------------------------


@pytest.mark.data("av_digits")
@pytest.mark.data("ravdess")
@pytest.mark.data("nyudv2")
@pytest.mark.parametrize("name", [name for names in BY_FOLDER.values() for name in names])
def test_nobody_is_on_both_sides(name: str, data_root: Path, tmp_path: Path) -> None:
    task = at(name, data_root, tmp_path)
    if lacking := task.missing():
        pytest.skip(lacking)
    problem = task.problem(0)  # refuses a group on both sides
    assert problem.test.groups is not None and problem.unlabelled.groups is not None
    assert not set(problem.test.groups.tolist()) & set(problem.unlabelled.groups.tolist())
    assert len(problem.test) >= 480 and 800 <= len(problem.unlabelled) <= 1500
    assert 0 < problem.unlabelled.inputs[problem.modalities[1]].std() < 2  # standardised
    for x in problem.test.inputs.values():
        assert torch.isfinite(x).all()  # type: ignore[arg-type]


@pytest.mark.data("ravdess")
def test_the_regions_of_a_face_are_those_of_the_table(data_root: Path) -> None:
    header = pd.read_csv(data_root / "ravdess" / "face_au.csv", nrows=0).columns[1:]
    named = [f"AU{n:02}_r" for n in views_of.INTENSITIES] + [
        f"AU{n:02}_c" for n in views_of.PRESENCES
    ]
    assert list(header) == named
    views = views_of.ravdess_face(data_root)
    assert [x.shape[1] for x in views.inputs.values()] == [14, 21]


@pytest.mark.data("ravdess")
def test_low_bands_are_the_statistics_of_the_lower_bands(data_root: Path) -> None:
    with np.load(data_root / "ravdess" / "logmel40.npz") as stored:
        clip = stored["frames"][: stored["length"][0]].astype(np.float32)
        name = str(stored["clip"][0])
    clips = views_of._clips(data_root)
    row = [str(recording) for recording in clips.recordings].index(name)
    views = views_of.ravdess_speech(data_root)
    for part, bands in (("low", clip[:, :20]), ("high", clip[:, 20:])):
        assert views.inputs[part][row].ravel() == pytest.approx(statistics(bands), rel=1e-5)
