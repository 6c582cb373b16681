"""RAVDESS as a task: labelled recordings, actors on one side, nothing learnt from test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.method.transforms import ModalityDropout
from mke_theory.study.overrides import changed
from mke_theory.study.result import Cell, Result
from mke_theory.study.runner import run
from mke_theory.tasks.ravdess import Ravdess
from mke_theory.tasks.ravdess import task as module
from mke_theory.tasks.ravdess.tables import Clips, files
from tests.tasks.ravdess.all_speech import all_speech
from tests.tasks.toy.own_arrays import true_classes

ROOT = Path("pretended")
KINDS, FACES = get_args(module.TestActors), get_args(module.Face)
BOTH = pytest.mark.parametrize(
    "task", [Ravdess(), Ravdess(teacher="speech")], ids=lambda task: task.name
)


def numbered(offset: float = 0.0, **other: Any) -> Clips:
    """All recordings; row r has r in every entry, and those of test actors `offset` more."""
    recordings = tuple(all_speech())
    value = np.arange(1440.0) + offset * np.array([one.actor > 18 for one in recordings])
    face = np.repeat(value[:, None], 35, axis=1).astype(np.float32)
    speech = np.repeat(value[:, None], 72, axis=1).astype(np.float32)
    return replace(Clips(recordings, face, speech), **other)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Clips]]:
    """The task reads the clips in this list."""
    given = [numbered()]
    monkeypatch.setattr(Ravdess, "missing", lambda *_: None)
    monkeypatch.setattr(module, "_load", lambda *_: given[0])
    yield given


def rows_of(pool: Pool) -> list[int]:
    """The numbers that `numbered` gave the samples, found from the standardised inputs."""
    train = np.arange(1080.0)
    x = pool.inputs[next(iter(pool.inputs))][:, 0].double().numpy()
    return (x * train.std() + train.mean()).round().astype(int).tolist()


@BOTH
@pytest.mark.parametrize("seed", [0, 1])
def test_forty_of_each_emotion_are_labelled(task: Ravdess, seed: int, pretend: list[Clips]) -> None:
    problem = task.at(ROOT).problem(seed)
    assert torch.bincount(problem.labelled.labels).tolist() == [40] * 8
    assert (len(problem.unlabelled), len(problem.test)) == (760, 360)
    assert problem.modalities == task._modalities and problem.classes == 8
    assert problem.labelled.modalities == (task.teacher,)
    parts = [rows_of(part) for part in (problem.labelled, problem.unlabelled, problem.test)]
    # Every recording is in one part, once.
    assert sorted(row for part in parts for row in part) == list(range(1440))
    for part, pool in zip(parts, (problem.labelled, problem.unlabelled, problem.test), strict=True):
        recordings = [pretend[0].recordings[row] for row in part]
        assert pool.groups is not None
        assert [f"actor {one.actor:02}" for one in recordings] == pool.groups.tolist()
    for part, own in zip(parts, true_classes(problem).values(), strict=True):
        assert [pretend[0].recordings[row].label for row in part] == own.tolist()
    assert {pretend[0].recordings[row].actor for row in parts[2]} == set(range(19, 25))


@pytest.mark.parametrize("count", [1, 4, 17])
def test_whole_actors_are_labelled(count: int, pretend: list[Clips]) -> None:
    task = Ravdess(labels="by actor", labelled_actors=count)
    drawn = []
    for seed in (0, 1):
        problem = task.at(ROOT).problem(seed)
        assert problem.labelled.groups is not None and problem.unlabelled.groups is not None
        known, others = set(problem.labelled.groups), set(problem.unlabelled.groups)
        assert len(known) == count and len(others) == 18 - count and not known & others
        assert len(problem.labelled) == 60 * count
        drawn.append(known)
    assert drawn[0] != drawn[1]


def test_both_directions_label_the_same_recordings(pretend: list[Clips]) -> None:
    labels: Any
    for labels in ("by class", "by actor"):
        tasks = (Ravdess(labels=labels), Ravdess(teacher="speech", labels=labels))
        ways = [task.at(ROOT).problem(3) for task in tasks]
        assert rows_of(ways[0].labelled) == rows_of(ways[1].labelled)
        again = Ravdess(labels=labels).at(ROOT).problem(3)
        assert again.split_hash == ways[0].split_hash


@BOTH
def test_nothing_of_test_moves_what_is_trained_on(task: Ravdess, pretend: list[Clips]) -> None:
    before = task.at(ROOT).problem(0)
    pretend[0] = numbered(1e6)
    after = task.at(ROOT).problem(0)
    for name in ("face", "speech"):
        assert torch.equal(before.unlabelled.inputs[name], after.unlabelled.inputs[name])
        assert not torch.equal(before.test.inputs[name], after.test.inputs[name])


def test_training_rows_have_mean_0_and_sd_1(pretend: list[Clips]) -> None:
    rng = np.random.default_rng(1)
    face, speech = (rng.normal(5, 2, (1440, d)).astype(np.float32) for d in (35, 72))
    pretend[0] = numbered(face=face, speech=speech)
    problem = Ravdess(labels_per_class=1).at(ROOT).problem(0)
    for x in problem.unlabelled.inputs.values():
        assert x.mean(dim=0).abs().max() < 0.01 and (x.std(dim=0) - 1).abs().max() < 0.01


def test_the_recipe_is_that_of_the_teacher() -> None:
    for teacher, dropped in (("face", 0.5), ("speech", 0.75)):
        for labels in ("by class", "by actor"):
            task = changed(Ravdess(), f"teacher={teacher}", f"labels={labels}")
            drop = ModalityDropout(dropped, only=(teacher,))
            assert task.recipe.objective.transform[1] == drop
    short = changed(Ravdess(teacher="speech"), "recipe.student.steps=7")
    assert replace(short, teacher="face").recipe == short.recipe


# Parts


def test_four_folds_test_every_actor_once(pretend: list[Clips]) -> None:
    for task in (
        Ravdess(test_actors="four folds"),
        Ravdess(test_actors="four folds", labels="by actor"),
    ):
        tested = []
        for seed in range(4):
            problem = task.at(ROOT).problem(seed)
            groups = problem.test.groups
            assert groups is not None and problem.unlabelled.groups is not None
            assert len(problem.test) == 360 and len(set(groups)) == 6
            assert len(problem.labelled) + len(problem.unlabelled) == 1080
            assert problem.labelled.groups is not None
            assert not set(groups) & {*problem.unlabelled.groups, *problem.labelled.groups}
            tested += sorted(set(groups))
        assert tested == [f"actor {actor:02}" for actor in range(1, 25)]
        again = task.at(ROOT).problem(5)
        assert set(again.test.groups.tolist()) == set(tested[6:12])  # type: ignore[union-attr]
        assert again.split_hash != task.at(ROOT).problem(1).split_hash


def test_the_last_fold_is_the_fixed_split(pretend: list[Clips]) -> None:
    fixed, folds = (Ravdess(test_actors=kind).at(ROOT).problem(3) for kind in KINDS)
    assert fixed.split_hash == folds.split_hash
    for part in ("labelled", "unlabelled", "test"):
        for name, x in getattr(fixed, part).inputs.items():
            assert torch.equal(x, getattr(folds, part).inputs[name])
    assert "are the same" in Ravdess().varies
    assert "four folds" in Ravdess(test_actors="four folds").varies


@pytest.mark.parametrize("kind", ["fixed", "four folds"])
def test_no_sentence_is_on_both_sides(kind: Any, pretend: list[Clips]) -> None:
    task = Ravdess(sentences="another at test", test_actors=kind, labels_per_class=20)
    problem = task.at(ROOT).problem(7)
    assert [len(p) for p in (problem.labelled, problem.unlabelled, problem.test)] == [160, 380, 180]
    for pool, statement in ((problem.labelled, 1), (problem.unlabelled, 1), (problem.test, 2)):
        said = {pretend[0].recordings[row].statement for row in _rows(pool, problem)}
        assert said == {statement}
    with pytest.raises(ValueError, match="is 40; there are 36 train recordings of neutral"):
        replace(task, labels_per_class=40).at(ROOT).problem(0)


def _rows(pool: Pool, problem: Problem) -> list[int]:
    """The numbers that `numbered` gave the samples, where train says the first sentence."""
    assert problem.test.groups is not None
    tested = set(problem.test.groups.tolist())
    spoken = enumerate(all_speech())
    train = [
        at for at, one in spoken if one.statement == 1 and f"actor {one.actor:02}" not in tested
    ]
    value = np.array(train, dtype=float)
    x = pool.inputs["face"][:, 0].double().numpy()
    found: list[int] = (x * value.std() + value.mean()).round().astype(int).tolist()
    return found


# Models


@BOTH
def test_models_read_what_is_there_and_grow_with_the_width(
    task: Ravdess, pretend: list[Clips]
) -> None:
    problem = task.at(ROOT).problem(0)
    for used in ((task.teacher,), task._modalities):
        sizes = []
        for width in (16, 32, None):
            model = task.model(problem, used, width)
            assert model(problem.test.only(used)[:3].inputs).shape == (3, 8)
            sizes.append(sum(weight.numel() for weight in model.parameters()))
        assert sizes[0] < sizes[1] < sizes[2]


def test_scores_are_accuracy_and_macro_f1() -> None:
    truth = torch.arange(8).repeat(2)
    predictions = truth.clone()
    predictions[0] = 1  # one neutral recording of two is called calm
    scores = Ravdess().scores(predictions, truth)
    assert list(scores) == ["accuracy", "macro F1"]
    assert scores["accuracy"] == pytest.approx(15 / 16)
    # Neutral: precision 1, recall 1/2; calm: precision 2/3, recall 1.
    assert scores["macro F1"] == pytest.approx((2 / 3 + 4 / 5 + 6) / 8)


# Refusals


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"labels_per_class": 0}, "labels_per_class is 0; it has to be at least 1"),
        ({"labelled_actors": 0}, "labelled_actors is 0"),
        ({"units": 7}, "units is 7; it has to be at least 8"),
        ({"labels": "by chance"}, "labels is 'by chance'; choose one of"),
        ({"teacher": "audio"}, "teacher is 'audio'; choose one of"),
        ({"test_actors": "all"}, "test_actors is 'all'; choose one of"),
        ({"sentences": "one"}, "sentences is 'one'; choose one of"),
        ({"face": "frames"}, "face is 'frames'; choose one of"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Ravdess(**settings)


def test_more_labels_than_there_are_recordings_are_refused(pretend: list[Clips]) -> None:
    with pytest.raises(ValueError, match="is 72; there are 72 train recordings of neutral"):
        Ravdess(labels_per_class=72).at(ROOT).problem(0)
    with pytest.raises(ValueError, match="is 18; there are 18 train actors"):
        Ravdess(labels="by actor", labelled_actors=18).at(ROOT).problem(0)


def test_what_is_missing_comes_with_the_remedy(tmp_path: Path) -> None:
    task = Ravdess()
    message = task.at(tmp_path).missing()
    assert message is not None
    for text in ("face_au.csv", "records/1188976", "records/3255102", "prepare", str(tmp_path)):
        assert text in message
    with pytest.raises(FileNotFoundError, match=r"no index\.csv, face_au\.csv, logmel40\.npz in"):
        task.at(tmp_path).problem(0)
    with pytest.raises(FileNotFoundError, match="needs a data root"):
        task.problem(0)
    assert task.missing() is not None


def test_files_that_are_not_read_change_no_hash(tmp_path: Path) -> None:
    for name in (*files(geometry=True),):
        (tmp_path / "ravdess").mkdir(exist_ok=True)
        (tmp_path / "ravdess" / name).write_text(name)
    task, more = (Ravdess(face=kind).at(tmp_path) for kind in FACES)
    before = task.data_hash(), more.data_hash()
    (tmp_path / "ravdess" / "face_geometry.csv").write_text("other")
    assert task.data_hash() == before[0] != before[1] != more.data_hash()


# Real data


@pytest.mark.data("ravdess")
@BOTH
def test_the_tables_give_the_task(task: Ravdess, data_root: Path) -> None:
    assert task.at(data_root).missing() is None and task.at(data_root).problem(0).skipped == ()
    problem = task.at(data_root).problem(0)
    assert [len(p) for p in (problem.labelled, problem.unlabelled, problem.test)] == [320, 760, 360]
    assert problem.test.inputs["face"].shape == (360, 35)
    assert problem.test.inputs["speech"].shape == (360, 720)
    assert len(str(task.at(data_root).data_hash())) == 16
    train = torch.cat(
        [problem.labelled.inputs[task.teacher], problem.unlabelled.inputs[task.teacher]]
    )
    assert train.mean(dim=0).abs().max() < 1e-4


@pytest.mark.data("ravdess")
def test_a_teacher_of_faces_is_far_above_chance(data_root: Path) -> None:
    """One draw: 1 of 8 is chance, which 360 recordings exceed by 0.125 once in 10^9 draws."""
    task = Ravdess().at(data_root)
    (result,) = run([Cell(task, 0).teacher])
    assert isinstance(result, Result)
    assert result.test_accuracy > 0.25
