"""Many runs in one process: the records of single runs, from stacks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from mke_theory.study.vectorised_runs import Stacking, Trained, execute_stacked, fit_many

from mke_theory.data.problem import Problem
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import GaussianNoise
from mke_theory.study import run
from mke_theory.study import vectorised_runs as ensemble
from mke_theory.study.arms import ARMS
from mke_theory.study.records import Records
from mke_theory.study.study import Failure, Means, execute, plan
from mke_theory.study.task import Recipe
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.simulated import Simulated
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import TrainConfig
from mke_theory.training.vectorised import engine as stack

FEW = TrainConfig(steps=30, learning_rate=0.02)
TOLD_APART = ("key", "environment", "seconds", "training")
RECIPE = Recipe(FEW, FEW, Objective(transform=(GaussianNoise(0.5),)))
WORLD = Simulated(RECIPE, Gaussian(), labelled=20, unlabelled=60, test=40, hidden=(8,))
MOON = TwoMoon(RECIPE, points=100)


@dataclass(frozen=True)
class Failing(TwoMoon):
    name: ClassVar[str] = "failing"

    def problem(self, seed: int) -> Problem:
        if seed == 1:
            raise ValueError("no data at seed 1")
        return super().problem(seed)


def compared(record: dict[str, Any]) -> dict[str, Any]:
    """What a stacked run shares with the single one: all but its key, place and time."""
    return {k: v for k, v in record.items() if k not in TOLD_APART}


def close(one: Any, other: Any) -> bool:
    """Equal, floats up to 1e-6."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(close, one, other))
    return one == (pytest.approx(other, abs=1e-6) if isinstance(one, float) else other)


def test_stacked_records_with_own_draws_are_those_of_single_runs(tmp_path: Path) -> None:
    jobs = plan([MOON, WORLD], ARMS.values(), range(2))
    with Records.open(tmp_path / "single") as book:
        single, failures = execute(jobs, book, Means())
    assert failures == []
    with Records.open(tmp_path / "stacked") as book:
        stacked, failures = execute_stacked(jobs, book, Means(), Stacking("own", runs=7))
    assert failures == []
    assert len(single) == len(stacked) == len(jobs)
    for one, other in zip(single, stacked, strict=True):
        one.pop("artifacts", None)
        assert close(compared(one), compared(other)), (one["task"], one["arm"], one["seed"])
        assert one["key"] != other["key"]
        assert other["environment"]["students"] == "stacked, own draws"


def test_an_interrupted_sweep_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = plan([MOON], [ARMS["mm_student"]], range(4))
    asked: list[int] = []
    once = ensemble._carried_out

    def counted(jobs: Any, *rest: Any) -> Any:
        asked.append(len(jobs))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return once(jobs, *rest)

    monkeypatch.setattr(ensemble, "_carried_out", counted)
    stacking = Stacking(runs=4)
    with Records.open(tmp_path) as book, pytest.raises(KeyboardInterrupt):
        execute_stacked(jobs, book, Means(), stacking)
    with Records.open(tmp_path) as book:
        assert len(book) == 4  # two seeds, each with its teacher
        done, _ = execute_stacked(jobs, book, Means(), stacking)
    assert asked == [4, 4, 4]
    assert [(r["arm"], r["seed"]) for r in done] == [(j.arm.name, j.seed) for j in jobs]
    with Records.open(tmp_path) as book:
        assert execute_stacked(jobs, book, Means(), stacking)[0] == done
    assert asked == [4, 4, 4]


def test_workers_change_nothing(tmp_path: Path) -> None:
    short = replace(RECIPE, teacher=replace(FEW, steps=5), student=replace(FEW, steps=5))
    jobs = plan([TwoMoon(short, points=100)], [ARMS["mm_student"]], range(2))
    found = []
    for workers in (1, 2):
        with Records.open(tmp_path / str(workers)) as book:
            done, _ = execute_stacked(jobs, book, Means(workers=workers), Stacking(runs=2))
            found.append([compared(record) for record in done])
    assert found[0] == found[1]


def test_a_run_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    jobs = plan([Failing(RECIPE, points=100)], [ARMS["mm_student"]], range(3))
    with Records.open(tmp_path) as book:
        done, failures = execute_stacked(jobs, book, Means())
    assert sorted((r["arm"], r["seed"]) for r in done) == [
        ("mm_student", 0),
        ("mm_student", 2),
        ("um_teacher", 0),
        ("um_teacher", 2),
    ]
    assert sorted((f.job.arm.name, f.job.seed) for f in failures) == [
        ("mm_student", 1),
        ("um_teacher", 1),
    ]
    assert all("no data at seed 1" in failure.error for failure in failures)


@dataclass(frozen=True)
class Looking(TwoMoon):
    """A task whose model looks at values where there are two modalities: no stack can train it."""

    name: ClassVar[str] = "looking"

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> torch.nn.Module:
        made = super().model(problem, modalities, width)
        if len(modalities) > 1:
            made.register_forward_hook(
                lambda *given: -given[2] if bool(given[2].isnan().any()) else None
            )
        return made


def test_a_student_that_no_stack_can_train_leaves_the_others_alone(tmp_path: Path) -> None:
    jobs = plan([Looking(RECIPE, points=100), MOON], [ARMS["mm_student"]], range(2))
    with Records.open(tmp_path) as book:
        done, failures = execute_stacked(jobs, book, Means())
    assert len(done) == 6
    assert {(f.job.task.name, f.job.arm.name) for f in failures} == {("looking", "mm_student")}
    assert len(failures) == 2
    assert all("train it by fit" in failure.error for failure in failures)


def test_too_little_memory_halves_the_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    once = stack.fit_stack

    def small(students: Any, **options: Any) -> Any:
        made = once(students, **options)
        if len(students) > 1:
            raise MemoryError("too many")  # all are trained by now: they have to start again
        return made

    expected = fit_many([MOON], range(2), [], stacking=Stacking("own"))
    monkeypatch.setattr(ensemble, "fit_stack", small)
    found = fit_many([MOON], range(2), [], stacking=Stacking("own"))
    for one, other in zip(expected, found, strict=True):
        assert isinstance(one, Trained) and isinstance(other, Trained)
        for weight, again in zip(one.teacher.parameters(), other.teacher.parameters(), strict=True):
            torch.testing.assert_close(weight, again)


def test_a_run_without_an_account_is_a_failure_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = run.record_of

    def broken(task: Any, arm: Any, seed: int, *rest: Any) -> Any:
        if seed == 1:
            raise MemoryError("full")
        return once(task, arm, seed, *rest)

    monkeypatch.setattr(ensemble, "record_of", broken)
    with Records.open(tmp_path) as book:
        done, failures = execute_stacked(plan([MOON], [], range(2)), book, Means())
    assert [record["seed"] for record in done] == [0]
    assert [(failure.job.seed, failure.error) for failure in failures] == [(1, "MemoryError: full")]


def test_a_precision_that_stacks_do_not_have_is_refused(tmp_path: Path) -> None:
    means = Means(hardware=Hardware(precision="64-true"))
    with pytest.raises(ValueError, match="precision is '64-true'"):
        fit_many([MOON], [0], means=means)
    with Records.open(tmp_path) as book, pytest.raises(ValueError, match="precision"):
        execute_stacked(plan([MOON], [], [0]), book, means)


def test_a_teacher_that_diverges_takes_its_students_along() -> None:
    wild = replace(RECIPE, teacher=replace(FEW, optimizer="sgd", learning_rate=1e300))
    outcomes = fit_many([TwoMoon(wild, points=100), MOON], [0], [ARMS["mm_student"]])
    assert [type(one) for one in outcomes] == [Failure, Trained, Failure, Trained]
    assert isinstance(outcomes[2], Failure)
    assert "no longer finite" in outcomes[2].error


def test_fit_many_hands_out_models_that_answer() -> None:
    outcomes = fit_many([WORLD], [3], [ARMS["mm_student"], ARMS["um_student"]])
    assert [one.arm.name for one in outcomes if isinstance(one, Trained)] == [
        "um_teacher",
        "mm_student",
        "um_student",
    ]
    student = outcomes[1]
    assert isinstance(student, Trained)
    with torch.no_grad():
        logits = student.fit.model(student.problem.test.inputs)
    assert logits.shape == (40, 2)
    right = logits.argmax(1) == student.problem.test.labels
    assert student.test_accuracy == pytest.approx(float(right.double().mean()))
    assert student.fit.steps == 30


def test_stackings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="draws is 'none'"):
        Stacking("none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="runs is 0"):
        Stacking(runs=0)
    with pytest.raises(ValueError, match="size is -1"):
        Stacking(size=-1)


def test_what_is_no_task_no_arm_and_no_stacking_is_refused() -> None:
    with pytest.raises(TypeError, match=r"give a list of them: \[task\]"):
        fit_many(MOON, [0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'um_teacher', which is no Arm"):
        fit_many([MOON], [0], ["um_teacher"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="stacking is 'own'"):
        fit_many([MOON], [0], stacking="own")  # type: ignore[arg-type]
