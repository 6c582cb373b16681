"""A study does what is wanted and not recorded, survives its failures, and goes on after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.models import coordinates
from mke_theory.study import result, study
from mke_theory.study.arms import ARMS, REFERENCE
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.records import Record, Records, read
from mke_theory.study.result import Cell, Failure, Run
from mke_theory.study.study import execute, feasible, plan
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.toy.digits import Digits
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import TrainConfig
from tests.study.toys import Maps, Questions, Toy

QUICK = TrainConfig(steps=3, learning_rate=0.01)
MOON = TwoMoon(Recipe(QUICK, QUICK), points=100)
STUDENT = ARMS["mm_student"]


@dataclass(frozen=True)
class Tiny(Task):
    name: ClassVar[str] = "tiny"
    title: ClassVar[str] = "tiny"
    varies: ClassVar[str] = "everything"

    recipe: Recipe = Recipe(teacher=QUICK, student=QUICK)
    truth: bool = True
    broken_seed: int = -1
    damaged: bool = False

    def knows_truth(self) -> bool:
        return self.truth

    def problem(self, seed: int) -> Problem:
        if self.damaged:
            raise ValueError("the file is damaged")
        y = torch.arange(12) % 2
        x = y.float().unsqueeze(1) + 0.01 * torch.arange(12).unsqueeze(1)
        pool = Pool({"a": x, "b": -x}, y)
        if seed == self.broken_seed:
            pool = pool.with_labels(torch.zeros_like(y))  # one class only
        known = y if self.truth else torch.full_like(y, UNKNOWN)
        return Problem.of(pool.only(["a"]), pool.with_labels(known), pool, ("a",), 2)

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        return coordinates({name: (1,) for name in modalities}, 2, hidden=(width or 2,))

    def width(self, modalities: tuple[str, ...]) -> int:
        return 2


def alone(folder: Path | None = None, **changes: Any) -> RunConfiguration:
    return RunConfiguration(folder, trainer="one by one", **changes)


def together(**changes: Any) -> RunConfiguration:
    return RunConfiguration(trainer="vectorised", **changes)


def compared(record: Record) -> dict[str, Any]:
    """A record but for the time that it took."""
    return {**record.to_dict(), "seconds": None, "training": None}


# --- what is planned -----------------------------------------------------------------------------


def test_teachers_come_first_and_are_always_there() -> None:
    runs = plan([Tiny()], [STUDENT], range(2))
    assert [(one.arm.name, one.seed) for one in runs] == [
        ("um_teacher", 0),
        ("um_teacher", 1),
        ("mm_student", 0),
        ("mm_student", 1),
    ]
    assert plan([Tiny()], [ARMS[REFERENCE]], range(1)) == runs[:1]


def test_an_arm_that_would_repeat_another_is_not_planned() -> None:
    adjusted = Recipe(QUICK, QUICK, Objective(adjustment=0.5))
    for task, missing in ((Tiny(), {"um_teacher_adjusted"}), (Tiny(adjusted), set())):
        planned = {one.arm.name for one in plan([task], ARMS.values(), range(1))}
        assert planned == set(ARMS) - missing


def test_what_is_no_list_of_tasks_or_arms_is_refused() -> None:
    with pytest.raises(TypeError, match=r"give a list of them: \[task\]"):
        plan(Tiny(), [STUDENT], [0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"arms is 'um_teacher'; give a list"):
        plan([Tiny()], "um_teacher", [0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="arms holds 'um_teacher', which is no Arm"):
        plan([Tiny()], ["um_teacher"], [0])  # type: ignore[list-item]


def test_arms_that_need_the_truth_are_left_out_by_name() -> None:
    wanted = plan([Tiny(), Tiny(truth=False)], ARMS.values(), range(2))
    runs, lines = feasible(wanted)
    gone = {(one.task.knows_truth(), one.arm.name) for one in set(wanted) - set(runs)}
    needy = ["mm_student_sup", "mm_student_flips", "mm_student_evidence_flips"]
    assert gone == {(False, name) for name in needy}
    assert lines == [
        f"left out tiny {name}: it needs the class of every sample of D_u" for name in needy
    ]


def test_random_errors_are_left_out_where_labels_are_no_single_class() -> None:
    threshold = Tiny(Recipe(QUICK, QUICK, Objective(pseudo_labels=PseudoLabelTerm(threshold=0.6))))
    flips = {"mm_student_flips", "mm_student_evidence_flips"}
    for task in (Questions(), threshold):
        runs, lines = feasible(plan([task], ARMS.values(), range(1)))
        assert {one.arm.name for one in runs} == set(ARMS) - flips - {"um_teacher_adjusted"}
        why = "random errors stand for labels of one class a sample, without a threshold"
        assert lines == [f"left out {task.name} {name}: {why}" for name in ARMS if name in flips]


def test_every_arm_runs_where_pixels_have_classes() -> None:
    runs, lines = feasible(plan([Maps()], ARMS.values(), range(1)))
    assert {one.arm.name for one in runs} == set(ARMS) - {"um_teacher_adjusted"} and lines == []


def test_damaged_data_raise_before_any_work() -> None:
    with pytest.raises(ValueError, match="damaged"):
        feasible(plan([Tiny(), Tiny(damaged=True)], [], range(1)))


def test_a_teacher_that_cannot_be_built_raises_before_any_work() -> None:
    with pytest.raises(ValueError, match=r"sizes is \[32, -3\]"):
        feasible(plan([Tiny(), Digits(hidden=-3)], [STUDENT], range(2)))


def test_no_problem_is_kept_by_the_process_that_only_looks_ahead() -> None:
    result._drawn.cache_clear()
    feasible(plan([Tiny()], [], range(1)))
    assert result._drawn.cache_info().currsize == 0


# --- what is done --------------------------------------------------------------------------------


def test_without_truth_the_record_has_agreement_and_no_shares(tmp_path: Path) -> None:
    with Records.open(tmp_path) as records:
        done, failures = execute(plan([Tiny(truth=False)], [STUDENT], [0]), records, alone())
    assert failures == [] and len(done) == 2
    metrics = done[1].metrics
    assert (metrics["unlabelled"], metrics["corrected"]) == (None, None)
    assert done[0].metrics["agreement"] == 1.0 and metrics["agreement"] is not None


def test_what_is_recorded_is_not_done_again_and_checkpoints_are_cleared(tmp_path: Path) -> None:
    runs = plan([Tiny()], [ARMS["um_student"], STUDENT], range(2))
    with Records.open(tmp_path) as records:
        done, _ = execute(runs[:3], records, alone(tmp_path))
    before = (tmp_path / "records.jsonl").read_bytes()
    (tmp_path / "checkpoints" / "half.pt.7.part").write_bytes(b"half")
    with Records.open(tmp_path) as records:
        assert execute(runs[:3], records, alone(tmp_path))[0] == done
        assert (tmp_path / "records.jsonl").read_bytes() == before
        more, _ = execute(runs, records, alone(tmp_path))
    assert more[:3] == done
    assert (tmp_path / "records.jsonl").read_bytes().startswith(before)
    left = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert sorted(left) == sorted(f"{record.key}.pt" for record in more[:2])  # the teachers'
    assert all(record.arm == REFERENCE for record in more[:2])


def test_without_resume_everything_is_done_again_with_the_same_outcome(tmp_path: Path) -> None:
    runs = plan([Tiny()], [STUDENT], range(2))
    with Records.open(tmp_path) as records:
        first, _ = execute(runs, records, alone(tmp_path))
        stamp = (tmp_path / "checkpoints" / f"{first[0].key}.pt").stat().st_mtime_ns
        again, _ = execute(runs, records, alone(tmp_path), resume=False)
    assert [compared(one) for one in again] == [compared(one) for one in first]
    assert (tmp_path / "checkpoints" / f"{first[0].key}.pt").stat().st_mtime_ns > stamp
    assert len((tmp_path / "records.jsonl").read_bytes().splitlines()) == 2 * len(runs)


@pytest.mark.parametrize("configuration", [alone(), together()], ids=["alone", "together"])
def test_one_failure_does_not_stop_the_others(
    configuration: RunConfiguration, tmp_path: Path
) -> None:
    runs = plan([Tiny(broken_seed=1)], [STUDENT], range(3))
    with Records.open(tmp_path) as records:
        done, failures = execute(runs, records, configuration)
    assert [(one.arm, one.seed) for one in done] == [
        ("um_teacher", 0),
        ("um_teacher", 2),
        ("mm_student", 0),
        ("mm_student", 2),
    ]
    # The student is not tried: its teacher says what is wrong.
    assert [(one.run.arm.name, one.run.seed) for one in failures] == [("um_teacher", 1)]
    assert "class 0 alone" in failures[0].error


def test_a_run_without_a_record_is_a_failure_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = study.record_of

    def broken(found: Any, configuration: RunConfiguration) -> Record:
        if found.run.seed == 1:
            raise MemoryError("full")
        return once(found, configuration)

    monkeypatch.setattr(study, "record_of", broken)
    with Records.open(tmp_path) as records:
        done, failures = execute(plan([Tiny()], [], range(2)), records, together())
    assert [record.seed for record in done] == [0]
    assert [(one.run.seed, one.error) for one in failures] == [(1, "MemoryError: full")]


def test_without_records_nothing_is_asked_for_or_written(tmp_path: Path) -> None:
    runs = plan([Tiny()], [STUDENT], range(1))
    assert execute(runs, None, alone(tmp_path)) == ([], [])
    assert not (tmp_path / "records.jsonl").exists()


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The count of teachers and runs that are carried out."""
    count: Counter[str] = Counter()
    teach, carry_out = study.train_teachers, study.run

    def taught(cells: Sequence[Cell], *rest: Any) -> Any:
        count["teachers"] += len(cells)
        return teach(cells, *rest)

    def carried(runs: Sequence[Run], *rest: Any, **named: Any) -> Any:
        count["runs"] += len(runs)
        count["parts"] += 1
        return carry_out(runs, *rest, **named)

    monkeypatch.setattr(study, "train_teachers", taught)
    monkeypatch.setattr(study, "run", carried)
    return count


@pytest.mark.parametrize("configuration", [alone(), together()], ids=["alone", "together"])
def test_a_teacher_is_trained_once_and_what_is_missing_is_added(
    configuration: RunConfiguration, tmp_path: Path, trained: Counter[str]
) -> None:
    runs = plan([Tiny()], [STUDENT, ARMS["um_student"]], range(3))
    with Records.open(tmp_path) as records:
        execute(runs, records, configuration)
        assert (trained["teachers"], trained["runs"]) == (3, 9)
        assert trained["parts"] == (9 if configuration.trainer == "one by one" else 1)
        trained.clear()
        execute(runs, records, configuration)
        assert trained == {}
        execute([*runs, Run(Tiny(), ARMS["mm_student_sup"], 1)], records, configuration)
    assert (trained["teachers"], trained["runs"]) == (1, 1)


def test_an_interrupted_study_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = plan([MOON], [STUDENT], range(4))
    asked: list[int] = []
    once = study.run

    def interrupted(part: Sequence[Run], *rest: Any, **named: Any) -> Any:
        asked.append(len(part))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return once(part, *rest, **named)

    monkeypatch.setattr(study, "run", interrupted)
    configuration = together(together=4)
    with Records.open(tmp_path) as records, pytest.raises(KeyboardInterrupt):
        execute(runs, records, configuration)
    with Records.open(tmp_path) as records:
        assert len(records) == 4
        done, _ = execute(runs, records, configuration)
    assert asked == [4, 4, 4]
    assert [(one.arm, one.seed) for one in done] == [(one.arm.name, one.seed) for one in runs]
    with Records.open(tmp_path) as records:
        assert execute(runs, records, configuration)[0] == done
    assert asked == [4, 4, 4]


@pytest.mark.parametrize("kind", ["one by one", "vectorised"])
def test_two_workers_leave_the_records_of_one(kind: Any, tmp_path: Path) -> None:
    runs = plan([MOON], [STUDENT], range(2))
    found = []
    for workers in (1, 2):
        configuration = RunConfiguration(trainer=kind, workers=workers, together=2)
        with Records.open(tmp_path / str(workers)) as records:
            done, failures = execute(runs, records, configuration)
        assert failures == []
        found.append([compared(record) for record in done])
        assert {one.key: one for one in read(tmp_path / str(workers))} == {
            one.key: one for one in done
        }
    assert found[0] == found[1] and len(found[0]) == 4


def test_runs_of_one_task_and_arm_stay_together() -> None:
    tasks = [Tiny(), Questions(), MOON]
    runs = plan(tasks, [STUDENT, ARMS["um_student"]], range(4))
    parts = study._parts(runs, RunConfiguration(workers=1, together=8))
    assert sorted(map(str, runs)) == sorted(str(one) for _, part in parts for one in part)
    assert {trainer for trainer, _ in parts} == {"vectorised"}
    assert max(len(part) for _, part in parts) <= 8
    kinds = [(one.task.name, one.arm.name) for _, part in parts for one in part]
    assert sum(a != b for a, b in pairwise(kinds)) == 8  # nine kinds, each in one piece
    mixed = study._parts([*runs, Run(Broken0(), STUDENT, 1)], RunConfiguration())
    assert mixed[-1] == ("one by one", [Run(Broken0(), STUDENT, 1)])
    assert study._parts([], RunConfiguration()) == []


@dataclass(frozen=True)
class Broken0(Toy):
    """A task without a problem at seed 0, by which its trainer would be chosen."""

    name: ClassVar[str] = "broken_at_0"

    def problem(self, seed: int) -> Problem:
        if seed == 0:
            raise ValueError("no data at seed 0")
        return super().problem(seed)


# --- processes that train together ---------------------------------------------------------------


@pytest.mark.parametrize("alike", [ValueError, FloatingPointError])
@pytest.mark.parametrize("apart", [MemoryError, OSError, RuntimeError])
def test_processes_that_train_together_go_on_only_after_what_all_of_them_meet(
    alike: type[Exception], apart: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is launched: the data of the run cannot be read.
    one = Run(Tiny(), STUDENT, 0)
    for kind in (alike, apart):

        def broken(*_: object, kind: type[Exception] = kind) -> Problem:
            raise kind("what happened")

        monkeypatch.setattr(result, "_drawn", broken)
        shared = alone(hardware=Hardware(devices=2))
        lost = Failure(one.cell.teacher, f"{kind.__name__}: what happened")
        part = ("one by one", [one.cell.teacher])
        assert study._trained_teachers(part, alone()) == {one.cell: lost}
        if kind is alike:
            assert study._trained_teachers(part, shared) == {one.cell: lost}
        else:
            with pytest.raises(apart, match="what happened"):
                study._trained_teachers(part, shared)


def test_a_student_that_one_of_several_processes_may_have_lost_alone_ends_the_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Run(Tiny(), STUDENT, 0)
    shared = alone(hardware=Hardware(devices=2))
    for cause, ends in ((ValueError("alike"), False), (OSError("alone"), True)):
        found = [Failure.of(one, cause)]
        monkeypatch.setattr(study, "run", lambda *_, found=found, **__: found)
        part: Any = ("one by one", [one], {})
        assert study._recorded(part, alone()) == found
        if not ends:
            assert study._recorded(part, shared) == found
            continue
        with pytest.raises(OSError, match="alone"):
            study._recorded(part, shared)


def test_the_first_process_says_what_is_to_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = plan([Tiny()], [STUDENT], range(2))
    sent: list[Any] = []

    def heard(wanted: Any, hardware: Hardware) -> Any:
        sent.append(wanted)
        return wanted if wanted else [1]  # the first one's list reaches the others

    carried: list[Run] = []
    once = study.run

    def noted(part: Sequence[Run], *rest: Any, **named: Any) -> Any:
        carried.extend(part)
        return once(part, *rest, **named)

    monkeypatch.setattr(study, "broadcast", heard)
    monkeypatch.setattr(study, "run", noted)
    with Records.open(tmp_path) as records:
        execute([runs[0], *runs[2:]], records, alone())
        execute(runs, records, replace(alone(), threads=1))
    execute(runs, None, alone())
    assert sent == [[0, 1, 2], [1], []]
    assert [runs.index(one) for one in carried] == [0, 2, 3, 1, 1]
