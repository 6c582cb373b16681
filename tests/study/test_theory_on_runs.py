"""The theory of a study is computed once, from what its runs left beside their records."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from mke_theory.data.problem import Problem
from mke_theory.method.algorithm import predictions_of
from mke_theory.study import records
from mke_theory.study import theory_on_runs as appraisals
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.records import Record, Records
from mke_theory.study.result import Cell
from mke_theory.study.runner import train_teachers
from mke_theory.study.study import execute, plan
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.theory.appraise import appraise
from mke_theory.training.loop import Fit

Study = tuple[Path, list[Record]]


@dataclass(frozen=True)
class Moons(TwoMoon):
    """A small TwoMoon, so that theory takes a moment."""

    name: ClassVar[str] = "moons"
    points: int = 120


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A folder with the teacher and the MM student of two seeds."""
    folder = tmp_path_factory.mktemp("study")
    with Records.open(folder) as kept:
        runs = plan([Moons()], [ARMS["mm_student"]], range(2))
        done, failures = execute(runs, kept, RunConfiguration(folder, trainer="one by one"))
    assert failures == []
    return folder, done


@pytest.fixture(scope="module")
def appraised(study: Study) -> list[Record]:
    folder, done = study
    found, failures = appraisals.appraise_all(done, [Moons()], folder, seeds=2, workers=1)
    assert failures == []
    return found


def test_predictions_of_the_mm_student_alone_lie_beside_its_record(study: Study) -> None:
    folder, done = study
    assert [("answers" in one.artifacts, one.arm) for one in done] == [
        (False, "um_teacher"),
        (False, "um_teacher"),
        (True, "mm_student"),
        (True, "mm_student"),
    ]
    student = done[2]
    problem, saved = appraisals.predictions_on_disk(student, Moons(), folder)
    assert saved["embedding"].shape == (len(problem.unlabelled), 16)
    right = saved["student"] == problem.truth.labels.numpy()
    assert right.mean() == pytest.approx(student.metrics["unlabelled"])
    agree = saved["student"] == saved["pseudo"]
    assert agree.mean() == pytest.approx(student.metrics["agreement"])
    cell = Cell(Moons(), 0)
    teacher = train_teachers([cell], RunConfiguration(trainer="one by one"))[cell]
    assert isinstance(teacher, Fit)
    labels = predictions_of(teacher.model, problem.unlabelled)
    assert np.array_equal(labels.numpy(), saved["pseudo"])


def test_an_appraisal_holds_what_the_theory_gives(study: Study, appraised: list[Record]) -> None:
    folder, done = study
    assert [(one.task, one.arm, one.seed) for one in appraised] == [
        ("moons", "mm_student", 0),
        ("moons", "mm_student", 1),
    ]
    assert appraised[0].metrics == {} and appraised[0].environment == done[2].environment
    problem, saved = appraisals.predictions_on_disk(done[2], Moons(), folder)
    views = appraise(
        {name: x.numpy() for name, x in problem.unlabelled.inputs.items()},
        ["x1"],
        saved["embedding"],
        pseudo=saved["pseudo"],
        student=saved["student"],
        truth=problem.truth.labels.numpy(),
        classes=2,
    )
    for view, kept in zip(views, appraised[0].extra["theory"], strict=True):
        assert kept["certificate"] == pytest.approx(view.certificate.value)
        assert kept["student_error"] <= kept["certificate"] <= kept["trivial"] + 1e-12
        assert kept["student_error"] == pytest.approx(1 - done[2].metrics["unlabelled"])
        rows = {row["theorem"]: row for row in kept["ledger"]}
        assert rows["certificate"]["status"] == "holds"
        assert rows["certificate"]["value"] == pytest.approx(kept["certificate"])


def test_what_is_appraised_is_not_appraised_again(
    study: Study, appraised: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, done = study
    assert [*records.read(folder / appraisals.FOLDER)] == appraised
    monkeypatch.setattr(appraisals, "appraise", lambda *_, **__: pytest.fail("computed again"))
    again, failures = appraisals.appraise_all(done, [Moons()], folder, seeds=2, workers=1)
    assert (again, failures) == (appraised, [])


def test_one_appraisal_that_fails_does_not_end_the_others(study: Study, tmp_path: Path) -> None:
    folder, done = study
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    (tmp_path / done[2].artifacts["answers"]).unlink()
    found, failures = appraisals.appraise_all(done, [Moons()], tmp_path, seeds=2, workers=1)
    assert [one.seed for one in found] == [1]
    assert len(failures) == 1 and failures[0].startswith("theory of moons seed 0: FileNotFound")


@dataclass(frozen=True)
class Unknown(Moons):
    """The same, but the class of one sample of D_u is not known."""

    says: bool = False

    def knows_truth(self) -> bool:
        return self.says

    def problem(self, seed: int) -> Problem:
        problem = super().problem(seed)
        labels = problem.truth.labels.clone()
        labels[3] = -1
        return replace(problem, truth=replace(problem.truth, labels=labels))


def test_students_that_cannot_be_appraised_are_left_out(study: Study, tmp_path: Path) -> None:
    folder, done = study
    none: tuple[list[Record], list[str]] = ([], [])
    assert appraisals.appraise_all(done, [Moons()], tmp_path, seeds=0, workers=1) == none
    bare = [replace(one, artifacts={}) for one in done]
    assert appraisals.appraise_all(bare, [Moons()], tmp_path, seeds=2, workers=1) == none
    assert appraisals.appraise_all(done, [Unknown()], tmp_path, seeds=2, workers=1) == none
    with pytest.raises(ValueError, match="truth is not known for every sample"):
        appraisals.predictions_on_disk(done[2], Unknown(says=True), folder)


def test_saved_labels_are_whole_numbers(study: Study) -> None:
    folder, done = study
    _, saved = appraisals.predictions_on_disk(done[3], Moons(), folder)
    for name in ("pseudo", "student"):
        assert saved[name].dtype == np.int64 and set(np.unique(saved[name])) == {0, 1}
    assert (
        saved["embedding"].dtype == np.float32
        and torch.isfinite(torch.from_numpy(saved["embedding"])).all()
    )
