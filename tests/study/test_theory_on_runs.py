"""The theory of a study is computed once from what its runs left, and told from records alone."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from experiments import certificates, run_real
from mke_theory.data.pool import Pool
from mke_theory.method.pseudo_labels import decide
from mke_theory.models import MLP, multimodal
from mke_theory.study import records
from mke_theory.study import theory_on_runs as appraisals
from mke_theory.study.arms import ARMS
from mke_theory.study.runner import Place, run, train_teacher
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.theory import appraise as appraisal
from mke_theory.theory.appraise import appraise
from mke_theory.training.loop import TrainConfig
from mke_theory.training.predict import embed, predict

SHORT = TrainConfig(steps=30, optimizer="sgd", learning_rate=0.05)


@dataclass(frozen=True)
class Moons(TwoMoon):
    """A small TwoMoon, so that theory takes a moment."""

    name: ClassVar[str] = "moons"
    points: int = 120


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[records.Record]]:
    """A folder with the teacher and the MM student of two seeds."""
    folder = tmp_path_factory.mktemp("study")
    place, task, done = Place(folder=folder), Moons(), []
    for seed in (0, 1):
        problem = task.problem(seed)
        teacher = train_teacher(task, seed, problem, place)
        for arm in ("um_teacher", "mm_student"):
            done.append(run(task, ARMS[arm], seed, problem, teacher, place)[0])
    return folder, done


@pytest.fixture(scope="module")
def told(study: tuple[Path, list[records.Record]]) -> list[records.Record]:
    folder, done = study
    found, failures = appraisals.appraise_all(done, [Moons()], folder, seeds=2, workers=1)
    assert failures == []
    return found


# What a run leaves


def test_an_embedding_is_what_the_last_linear_layer_reads() -> None:
    model = multimodal({"a": MLP([2, 3], activate=True)}, 2, hidden=(4,))
    pool = Pool({"a": torch.randn(7, 2)}, torch.zeros(7, dtype=torch.int64))
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    found = embed(model, pool)
    assert found.shape == (7, 4)
    torch.testing.assert_close(last(found), predict(model, pool))
    assert not last._forward_pre_hooks  # nothing is left behind


def test_a_model_without_a_linear_layer_has_no_embedding() -> None:
    pool = Pool({"a": torch.randn(7, 2)}, torch.zeros(7, dtype=torch.int64))
    with pytest.raises(TypeError, match="no linear layer"):
        embed(nn.Identity(), pool)


def test_the_answers_of_the_mm_student_alone_are_kept(
    study: tuple[Path, list[records.Record]],
) -> None:
    folder, done = study
    for record in done:
        kept = "answers" in record.get("artifacts", {})
        assert kept == (record["arm"] == "mm_student")
    student = done[1]
    problem = Moons().problem(0)
    _, answers = appraisals.answers_of(student, Moons(), folder)
    assert answers["embedding"].shape == (len(problem.unlabelled), 16)
    right = answers["student"] == problem.unlabelled.labels.numpy()
    assert right.mean() == pytest.approx(student["metrics"]["unlabelled"])
    agree = answers["student"] == answers["pseudo"]
    assert agree.mean() == pytest.approx(student["metrics"]["agreement"])
    teacher = train_teacher(Moons(), 0, problem, Place()).model
    assert (decide(predict(teacher, problem.unlabelled)).numpy() == answers["pseudo"]).all()


# Appraisals


def test_an_appraisal_holds_what_the_theory_gives(
    study: tuple[Path, list[records.Record]], told: list[records.Record]
) -> None:
    folder, done = study
    assert [(one["task"], one["seed"]) for one in told] == [("moons", 0), ("moons", 1)]
    problem, answers = appraisals.answers_of(done[1], Moons(), folder)
    views = appraise(
        {name: x.numpy() for name, x in problem.unlabelled.inputs.items()},
        ["x1"],
        answers["embedding"],
        pseudo=answers["pseudo"],
        student=answers["student"],
        truth=problem.unlabelled.labels.numpy(),
        classes=2,
    )
    for view, kept in zip(views, told[0]["theory"], strict=True):
        assert kept["certificate"] == pytest.approx(view.certificate.value)
        assert kept["student_error"] <= kept["certificate"] <= kept["trivial"] + 1e-12
        assert kept["student_error"] == pytest.approx(1 - done[1]["metrics"]["unlabelled"])
        rows = {row["theorem"]: row for row in kept["ledger"]}
        assert rows["certificate"]["status"] == "holds"
        assert rows["certificate"]["value"] == pytest.approx(kept["certificate"])


def test_what_is_appraised_is_not_appraised_again(
    study: tuple[Path, list[records.Record]],
    told: list[records.Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, done = study
    monkeypatch.setattr(appraisals, "appraise", lambda *_, **__: pytest.fail("computed again"))
    again, failures = appraisals.appraise_all(done, [Moons()], folder, seeds=2, workers=1)
    assert (again, failures) == (told, [])


def test_one_appraisal_that_fails_does_not_end_the_others(
    study: tuple[Path, list[records.Record]], tmp_path: Path
) -> None:
    folder, done = study
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    (tmp_path / done[1]["artifacts"]["answers"]).unlink()
    found, failures = appraisals.appraise_all(done, [Moons()], tmp_path, seeds=2, workers=1)
    assert [one["seed"] for one in found] == [1]
    assert len(failures) == 1 and failures[0].startswith("theory of moons seed 0: FileNotFound")


def test_none_is_appraised_where_none_is_asked_for(
    study: tuple[Path, list[records.Record]], tmp_path: Path
) -> None:
    found, failures = appraisals.appraise_all(study[1], [Moons()], tmp_path, seeds=0, workers=1)
    assert (found, failures) == ([], [])


def test_the_main_job_appraises_the_seeds_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appraisal, "SECONDS", 0.05)
    short = [f"twomoon_fair.recipe.{who}.steps=5" for who in ("teacher", "student")]
    args = ["--tasks", "twomoon_fair", "--arms", "mm_student", "--seeds", "2", "--workers", "1"]
    call = [*args, "--out", str(tmp_path), "--set", "twomoon_fair.points=80", *short]
    assert run_real.main(call) == 0
    assert "- twomoon_fair: In percent" in capsys.readouterr().out
    assert [one["seed"] for one in records.read(tmp_path / appraisals.FOLDER)] == [0]
    assert {"theory.md", "ledger_twomoon_fair.md"} <= {path.name for path in tmp_path.iterdir()}
    other = [*call[:-4], "--theory", "0", "--out", str(tmp_path / "none"), *call[-4:]]
    assert run_real.main(other) == 0
    assert "- twomoon_fair: In percent" not in capsys.readouterr().out


# The study of certificates


def test_the_study_of_certificates_runs_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(certificates.TASKS, "moons", Moons())
    monkeypatch.setattr(certificates, "LOOKED_UP", 10)
    call = ["--tasks", "moons", "--seeds", "2", "--workers", "1", "--out", str(tmp_path)]
    assert certificates.main(call) == 0
    first = capsys.readouterr().out
    assert "| ε, μ " in first and "no graph: ε + L01(f, ỹ)" in first
    rows = records.read(tmp_path / "certificates")
    for row in rows:
        assert list(row["rungs"].pop("α")) == ["ε, μ"]
        for rungs in row["rungs"].values():
            assert row["metrics"]["student"] <= rungs["ε, μ"] <= rungs["ε, 2 μ"] + 1e-6
            assert rungs["ε, μ, class shares"] <= rungs["ε, μ"] + 1e-6
    monkeypatch.setattr(certificates, "certify", lambda *_: pytest.fail("computed again"))
    assert certificates.main(call) == 0
    assert capsys.readouterr().out == first


def test_the_study_of_certificates_refuses_a_task_that_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certificates.main(["--tasks", "nothing", "--out", str(tmp_path)]) == 2
    assert "there is no task 'nothing'" in capsys.readouterr().err
