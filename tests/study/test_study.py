from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from experiments import run_real
from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.method.objective import Objective
from mke_theory.models import coordinates
from mke_theory.study import study
from mke_theory.study.arms import ARMS
from mke_theory.study.records import Records
from mke_theory.study.runner import Place
from mke_theory.study.study import TEACHER, Job, Means, execute, feasible, plan
from mke_theory.study.task import Recipe, Task
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import TrainConfig

QUICK = TrainConfig(steps=3, learning_rate=0.01)


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
        hidden = y if self.truth else torch.full_like(y, UNKNOWN)
        return Problem.of(pool.only(["a"]), pool.with_labels(hidden), pool, ("a",), 2)

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        return coordinates({name: (1,) for name in modalities}, 2, hidden=(width or 2,))

    def width(self, modalities: tuple[str, ...]) -> int:
        return 2


def test_teachers_come_first_and_are_always_there() -> None:
    jobs = plan([Tiny()], [ARMS["mm_student"]], range(2))
    assert [(job.arm.name, job.seed) for job in jobs] == [
        ("um_teacher", 0),
        ("um_teacher", 1),
        ("mm_student", 0),
        ("mm_student", 1),
    ]


def test_an_arm_that_would_repeat_another_is_not_planned() -> None:
    adjusted = Recipe(QUICK, QUICK, Objective(adjustment=0.5))
    for task, missing in ((Tiny(), {"um_teacher_adjusted"}), (Tiny(adjusted), set())):
        planned = {job.arm.name for job in plan([task], ARMS.values(), range(1))}
        assert planned == set(ARMS) - missing


def test_arms_that_need_the_truth_are_left_out_by_name() -> None:
    wanted = plan([Tiny(), Tiny(truth=False)], ARMS.values(), range(2))
    jobs, lines = feasible(wanted)
    gone = {(job.task.knows_truth(), job.arm.name) for job in set(wanted) - set(jobs)}
    assert gone == {(False, "mm_student_sup"), (False, "mm_student_flips")}
    assert len(lines) == 2
    assert "tiny mm_student_flips" in "".join(lines)


def test_damaged_data_raise_before_any_work() -> None:
    with pytest.raises(ValueError, match="damaged"):
        feasible(plan([Tiny(), Tiny(damaged=True)], [], range(1)))


def test_without_truth_the_record_has_agreement_and_no_shares(tmp_path: Path) -> None:
    jobs = plan([Tiny(truth=False)], [ARMS["mm_student"]], range(1))
    with Records.open(tmp_path) as book:
        done, failures = execute(jobs, book, Means())
    assert not failures
    metrics = done[1]["metrics"]
    assert metrics["unlabelled"] is None
    assert metrics["corrected"] is None
    assert 0.0 <= metrics["agreement"] <= 1.0
    assert 0.0 <= metrics["test"] <= 1.0


def test_what_is_recorded_is_not_done_again_and_checkpoints_are_cleared(tmp_path: Path) -> None:
    jobs = plan([Tiny()], [ARMS["um_student"], ARMS["mm_student"]], range(2))
    with Records.open(tmp_path) as book:
        done, _ = execute(jobs[:3], book, Means())
    before = (tmp_path / "records.jsonl").read_bytes()
    (tmp_path / "checkpoints" / "half.pt.7.part").write_bytes(b"half")
    with Records.open(tmp_path) as book:
        assert execute(jobs[:3], book, Means())[0] == done
        assert (tmp_path / "records.jsonl").read_bytes() == before
        more, _ = execute(jobs, book, Means())
    assert more[:3] == done
    assert (tmp_path / "records.jsonl").read_bytes().startswith(before)
    left = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert sorted(left) == sorted(f"{record['key']}.pt" for record in more[:2])  # the teachers'
    assert all(record["arm"] == TEACHER.name for record in more[:2])


def test_one_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    jobs = plan([Tiny(broken_seed=1)], [ARMS["mm_student"]], range(3))
    with Records.open(tmp_path) as book:
        done, failures = execute(jobs, book, Means())
    assert {record["seed"] for record in done} == {0, 2}
    assert [(f.job.arm.name, f.job.seed) for f in failures] == [("um_teacher", 1)]
    assert "class 0 alone" in failures[0].error


def test_without_a_book_nothing_is_asked_for_or_written(tmp_path: Path) -> None:
    jobs = plan([Tiny()], [ARMS["mm_student"]], range(1))
    assert execute(jobs, None, Means()) == ([], [])


@pytest.mark.parametrize("alike", [ValueError, FloatingPointError])
@pytest.mark.parametrize("alone", [MemoryError, OSError, RuntimeError])
def test_processes_that_train_together_go_on_only_after_what_all_of_them_meet(
    alike: type[Exception], alone: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is launched: the data of the run cannot be read.
    job = Job(Tiny(), TEACHER, 0)
    for kind in (alike, alone):

        def broken(*_: object, kind: type[Exception] = kind) -> Problem:
            raise kind("what happened")

        monkeypatch.setattr(study, "problem_of", broken)
        single, shared = Place(), Place(hardware=Hardware(devices=2))
        failed = (job, f"{kind.__name__}: what happened")
        assert study._carry_out(job, single, 1) == failed
        if kind is alike:
            assert study._carry_out(job, shared, 1) == failed
        else:
            with pytest.raises(alone, match="what happened"):
                study._carry_out(job, shared, 1)


def test_runs_beside_each_other_are_refused_where_processes_share_one() -> None:
    Means(workers=1, hardware=Hardware(devices=2))
    with pytest.raises(ValueError, match="workers is 2, but 4 processes train each run together"):
        Means(workers=2, hardware=Hardware(devices=2, num_nodes=2))


@pytest.mark.parametrize("name", ["workers", "threads", "checkpoint_every"])
def test_means_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        Means(**{name: 0})


# --- what the main job hands over ----------------------------------------------------------------


@dataclass(frozen=True)
class ManyFiles(Tiny):
    name: ClassVar[str] = "many_files"

    skip_bad: bool = False


def test_bad_files_are_left_out_where_a_task_reads_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = {task.name: task for task in (Tiny(), ManyFiles())}
    monkeypatch.setattr(run_real, "TASKS", tasks)
    chosen = run_real.chosen_tasks(run_real.Options(tasks=("tiny", "many_files")))
    assert chosen == [Tiny(), ManyFiles()]
    asked = run_real.Options(tasks=("tiny", "many_files"), skip_bad=True)
    assert run_real.chosen_tasks(asked) == [Tiny(), ManyFiles(skip_bad=True)]


def test_every_option_of_the_hardware_reaches_the_runs(tmp_path: Path) -> None:
    options = run_real.Options(
        data_root=tmp_path,
        device="auto",
        precision="bf16-mixed",
        devices=1,
        micro_batch=16,
        loader_workers=3,
        channels_last=True,
        compile=True,
        deterministic=True,
        workers=2,
    )
    means = run_real.means_of(options)
    assert means.hardware == Hardware(
        "auto",
        1,
        "bf16-mixed",
        micro_batch=16,
        workers=3,
        channels_last=True,
        compile=True,
        deterministic=True,
    )
    assert means.workers == 2
    unasked = run_real.means_of(run_real.Options(data_root=tmp_path))
    assert unasked.hardware == Hardware() and unasked.workers == study.available_cores()
    shared = run_real.means_of(run_real.Options(data_root=tmp_path, devices=2, nodes=3))
    assert (shared.hardware.processes, shared.workers) == (6, 1)
    assert len(fields(Hardware)) == 9  # a new one needs an option too


def test_all_tasks_and_some_are_not_asked_for_together() -> None:
    with pytest.raises(ValueError, match="--tasks all stands alone"):
        run_real.chosen_tasks(run_real.Options(tasks=("all", "digits")))
