"""Artifacts hold what figures and theory read: regions, the MM student's predictions, scenes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.study.artifacts import is_planar, keep, load
from mke_theory.study.result import Result
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.training.predict import embed, predict
from tests.study.toys import SHORT, Maps, Questions, Toy, carried_out, noisy

MOON = TwoMoon(recipe=Recipe(SHORT, SHORT))


def kept(result: Result, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Kind of artifact to its arrays."""
    found = {}
    for kind, name in keep(folder, "key", result).items():
        with np.load(folder / name, allow_pickle=False) as saved:
            found[kind] = dict(saved)
    return found


@pytest.fixture(scope="module")
def moon() -> Result:
    return carried_out("mm_student", MOON)


def test_decision_regions_are_those_of_the_model(moon: Result, tmp_path: Path) -> None:
    regions, problem = kept(moon, tmp_path)["regions"], moon.problem
    side = len(regions["x"])
    assert regions["prediction"].shape == (side, side)
    assert np.array_equal(regions["labels"], problem.test.labels.numpy())
    for row, column in ((17, 60), (0, 0)):  # [row, column] belongs to (x[column], y[row])
        x, y = float(regions["x"][column]), float(regions["y"][row])
        point = Pool({"x1": torch.tensor([[x]]), "x2": torch.tensor([[y]])}, torch.tensor([-1]))
        predicted = predict(moon.model, point).argmax(dim=1).item()
        assert regions["prediction"][row, column] == predicted
    assert np.array_equal(regions["points"][:, 0], problem.test.inputs["x1"][:, 0].numpy())
    assert np.array_equal(regions["points"][:, 1], problem.test.inputs["x2"][:, 0].numpy())


def test_two_numbers_that_are_all_there_span_a_plane(moon: Result) -> None:
    assert is_planar(moon.problem) and not is_planar(Toy().problem(0))
    missing = moon.problem.test.inputs["x2"].clone()
    missing[3] = torch.nan
    test = replace(moon.problem.test, inputs={**moon.problem.test.inputs, "x2": missing})
    assert not is_planar(replace(moon.problem, test=test))
    assert not is_planar(replace(moon.problem, classes=9))


def test_predictions_of_the_mm_student_alone_are_kept(moon: Result, tmp_path: Path) -> None:
    answers, on_unlabelled = kept(moon, tmp_path)["answers"], moon.problem.unlabelled
    assert np.array_equal(answers["student"], moon.predictions["unlabelled"].numpy())
    assert np.array_equal(answers["pseudo"], moon.pseudo.hard.numpy())
    expected = embed(moon.model, on_unlabelled).numpy()
    assert np.array_equal(answers["embedding"], expected) and expected.shape == (270, 16)
    for arm in ("um_teacher", "mm_student_noreg", "mm_student_sup"):
        assert set(kept(carried_out(arm, MOON), tmp_path)) == {"regions"}


def test_answers_to_questions_are_decided_and_maps_have_none(tmp_path: Path) -> None:
    questions = carried_out("mm_student", Questions())
    assert set(kept(questions, tmp_path)) == set()  # a row of answers is no class
    assert set(kept(carried_out("mm_student", Maps()), tmp_path)) == set()


def test_confidence_of_the_evidence_student_and_its_teacher_on_test(tmp_path: Path) -> None:
    result = carried_out("mm_student_evidence")
    test = result.problem.test
    found = kept(result, tmp_path)
    assert set(found) == {"confidence"}
    arrays = found["confidence"]
    for who, model in (("student", result.model), ("teacher", result.teacher)):
        p = torch.softmax(predict(model, test).double(), dim=1)
        right = p.argmax(1) == test.labels
        np.testing.assert_allclose(arrays[f"{who}_confidence"], p.max(1).values.numpy())
        assert np.array_equal(arrays[f"{who}_right"], right.numpy())
    # The student's outputs are log probabilities already: their exponential is the confidence.
    log_p = predict(result.model, test)
    np.testing.assert_allclose(arrays["student_confidence"], log_p.exp().max(1).values.numpy())
    assert set(kept(carried_out("mm_student_evidence_shuffled"), tmp_path)) == set()


def test_confidence_is_that_of_samples_of_known_class(tmp_path: Path) -> None:
    result = carried_out("mm_student_evidence")
    whole = kept(result, tmp_path)["confidence"]
    labels = result.problem.test.labels.clone()
    labels[[0, 5]] = UNKNOWN
    test = result.problem.test.with_labels(labels)
    found = kept(replace(result, problem=replace(result.problem, test=test)), tmp_path)
    for name, x in found["confidence"].items():
        assert len(x) == 10 and np.array_equal(x, whole[name][(labels != UNKNOWN).numpy()])


def test_a_file_is_read_as_it_was_kept_or_named_as_damaged(moon: Result, tmp_path: Path) -> None:
    name = keep(tmp_path, "key", moon)["regions"]
    expected = kept(moon, tmp_path)["regions"]
    found = load(tmp_path / name)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[one], expected[one]) for one in found)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
    with pytest.raises(OSError, match=r"key\.npz is damaged: .*--no-resume"):
        load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")


@dataclass(frozen=True)
class Shown(Maps):
    """Two test samples of the maps are shown in a figure."""

    name: ClassVar[str] = "shown"
    recipe: Recipe = noisy("hard")

    def scenes(self, problem: Problem) -> dict[str, np.ndarray]:
        return {"rows": np.array([4, 1]), "truth": problem.test.labels[[4, 1]].numpy()}


def test_scenes_hold_the_predictions_of_every_arm_on_what_is_shown(tmp_path: Path) -> None:
    for arm in ("um_teacher", "mm_student"):
        result = carried_out(arm, Shown())
        scenes = kept(result, tmp_path)["scenes"]
        assert np.array_equal(scenes["predictions"], result.predictions["test"][[4, 1]].numpy())
        assert np.array_equal(scenes["truth"], result.problem.test.labels[[4, 1]].numpy())
        assert scenes["rows"].tolist() == [4, 1]


@pytest.mark.parametrize("task", [Maps(), Questions()], ids=["maps", "questions"])
def test_confidence_of_pixels_and_of_answers(task: Task, tmp_path: Path) -> None:
    result = carried_out("mm_student_evidence", task)
    arrays, test = kept(result, tmp_path)["confidence"], result.problem.test
    multilabel = isinstance(task, Questions)
    for who, model in (("student", result.model), ("teacher", result.teacher)):
        logits = predict(model, test).double()
        p = torch.sigmoid(logits) if multilabel else torch.softmax(logits, dim=1)
        sure = torch.maximum(p, 1 - p) if multilabel else p.max(dim=1).values
        classes = (p >= 0.5).float() if multilabel else p.argmax(dim=1)
        known = test.labels != UNKNOWN  # all 20 pixels of a map are sites, in another order
        expected = sorted(sure[known].tolist())
        assert sorted(arrays[f"{who}_confidence"].tolist()) == pytest.approx(expected)
        right = (classes == test.labels)[known]
        assert int(arrays[f"{who}_right"].sum()) == int(right.sum())
