"""Arrays whose teacher is an array of its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.recording import key_of, record_of
from mke_theory.study.result import Result, Run
from mke_theory.study.runner import run
from mke_theory.study.task import Recipe
from mke_theory.tasks.toy import Arrays
from mke_theory.training.loop import TrainConfig
from tests.study.answered import logits_of_the_network
from tests.tasks.toy.own_arrays import Content, content, given_parts, saved

ALONE = RunConfiguration(trainer="one by one")
FEW = TrainConfig(steps=20, batch_size=8, learning_rate=0.01)
SHORT = Recipe(FEW, FEW, Arrays().recipe.objective)


def with_teacher(arrays: Content | None = None, seed: int = 0) -> Content:
    given = given_parts() if arrays is None else arrays
    draw = np.random.default_rng(seed)
    return {**given, "teacher": draw.normal(size=(30, 3)).astype(np.float32)}


def test_the_answers_go_where_their_rows_go(tmp_path: Path) -> None:
    arrays = with_teacher()
    problem = saved(tmp_path, arrays).problem(0)
    logits = torch.from_numpy(arrays["teacher"])
    assert problem.answered and problem.modalities == ("sound", "image") and problem.classes == 3
    assert torch.equal(problem.unlabelled.answers, logits[9:21])  # type: ignore[arg-type]
    assert torch.equal(problem.test.answers, logits[21:])  # type: ignore[arg-type]
    assert problem.labelled.answers is None  # nobody said that they are of other models
    honest = replace(saved(tmp_path, arrays), cross_fitted=True).problem(0)
    assert torch.equal(honest.labelled.answers, logits[:9])  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_are_split_as_without_answers(seed: int, tmp_path: Path) -> None:
    plain = saved(tmp_path, content()).problem(seed)
    problem = saved(tmp_path, with_teacher(content())).problem(seed)
    assert problem.split_hash == plain.split_hash


def test_students_are_those_of_the_network_that_answered(tmp_path: Path) -> None:
    task = replace(saved(tmp_path, given_parts()), recipe=SHORT)
    given = logits_of_the_network(task, 0)
    whole = torch.cat([given.labelled, given.unlabelled, given.test])
    arms = [ARMS[name] for name in ("um_teacher", *Arrays.usual_arms, "noisy_student")]
    trained = run([Run(task, arm, 0) for arm in arms], ALONE)
    saved(tmp_path, {**given_parts(), "teacher": whole.numpy()})
    by_answers = replace(task, cross_fitted=True)
    found = run([Run(by_answers, arm, 0) for arm in arms], ALONE)
    for one, other in zip(trained, found, strict=True):
        assert isinstance(one, Result) and isinstance(other, Result), (one, other)
        for part in ("unlabelled", "test"):
            assert torch.equal(one.predictions[part], other.predictions[part]), str(one.run)
    record = record_of(found[0], ALONE)  # type: ignore[arg-type]
    assert record.extra["teacher"] == {"answers": task.data_hash(), "cross_fitted": True}


def test_other_answers_are_another_run(tmp_path: Path) -> None:
    task = saved(tmp_path, with_teacher())
    keys = {key_of(Run(task, ARMS["mm_student"], 0), ALONE)}
    honest = replace(task, cross_fitted=True)
    keys.add(key_of(Run(honest, ARMS["mm_student"], 0), ALONE))
    saved(tmp_path, with_teacher(seed=1))
    keys.add(key_of(Run(task, ARMS["mm_student"], 0), ALONE))
    assert len(keys) == 3


def test_no_answer_where_alpha_is_missing(tmp_path: Path) -> None:
    arrays = with_teacher()
    for name in ("sound", "teacher"):
        arrays[name] = np.where(np.isin(np.arange(30), [10, 25])[:, None], np.nan, arrays[name])
    arrays["teacher"][:9] = np.nan  # rows of D_l are not asked about
    task = replace(saved(tmp_path, arrays), recipe=SHORT)
    names = ("um_teacher", "mm_student", "mm_student_evidence")
    for one in run([Run(task, ARMS[name], 0) for name in names], ALONE):
        assert isinstance(one, Result), one
        assert one.pseudo.target[1] == -1 and (one.pseudo.target[2:] >= 0).all()
        assert (one.predictions["test"] >= 0).all()


def test_the_teacher_may_know_classes_that_d_l_lacks(tmp_path: Path) -> None:
    arrays = with_teacher()
    arrays["teacher"] = np.eye(4)[np.arange(30) % 4]
    problem = saved(tmp_path, arrays).problem(0)
    assert problem.classes == 4


BAD: dict[str, tuple[Callable[[Content], Content], str]] = {
    "rows": (
        lambda a: {**a, "teacher": a["teacher"][:29]},
        "teacher has 29 rows but labels has 30",
    ),
    "classes": (
        lambda a: {**a, "teacher": a["teacher"][:, :2]},
        "labels has class 2, but the answers in `teacher` have 2 columns",
    ),
    "class numbers": (lambda a: {**a, "teacher": a["labels"]}, r"are \(30,\); .* np\.eye\(k\)"),
    "pixels": (lambda a: {**a, "teacher": np.zeros((30, 3, 2, 2)) - 1}, r"have to be \[n, k\]"),
    "percent": (lambda a: {**a, "teacher": np.full((30, 3), 100 / 3)}, "sum to 100 to 100"),
    "NaN": (
        lambda a: {**a, "teacher": np.where(np.arange(30)[:, None] == 12, np.nan, a["teacher"])},
        r"none \(NaN\) in row 12, of the unlabelled part, which has sound; give one, or leave",
    ),
    "words": (lambda a: {**a, "teacher": np.full((30, 3), "a")}, "`teacher` are <U1; .* real"),
}


@pytest.mark.parametrize("case", BAD)
def test_answers_that_are_refused(case: str, tmp_path: Path) -> None:
    change, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        saved(tmp_path, change(with_teacher())).problem(0)


def test_cross_fitted_answers_have_to_be_there(tmp_path: Path) -> None:
    task = replace(saved(tmp_path, given_parts()), cross_fitted=True)
    with pytest.raises(ValueError, match=r"arrays\.cross_fitted says .* no array 'teacher'"):
        task.problem(0)
    arrays = with_teacher()
    arrays["teacher"][3] = np.nan
    task = replace(saved(tmp_path, arrays), cross_fitted=True)
    with pytest.raises(ValueError, match="in row 3, of the labelled part"):
        task.problem(0)
