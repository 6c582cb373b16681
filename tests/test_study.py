from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from mke_theory.arms import ARMS
from mke_theory.models import coordinates
from mke_theory.records import Records
from mke_theory.study import TEACHER, Means, execute, feasible, plan
from mke_theory.task import Recipe, Task
from mke_theory.train import TrainConfig
from mke_theory.types import UNKNOWN, Pool, Problem

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

    def knows_truth(self, data_root: Path | None) -> bool:
        return self.truth

    def problem(self, seed: int, data_root: Path | None = None) -> Problem:
        if self.damaged:
            raise ValueError("the file is damaged")
        y = torch.arange(12) % 2
        x = y.float().unsqueeze(1) + 0.01 * torch.arange(12).unsqueeze(1)
        pool = Pool({"a": x, "b": -x}, y)
        if seed == self.broken_seed:
            pool = pool.with_labels(torch.zeros_like(y))  # one class only
        hidden = y if self.truth else torch.full_like(y, UNKNOWN)
        return Problem(pool.only(["a"]), pool.with_labels(hidden), pool, ("a",), 2)

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
    assert len(plan([Tiny()], ARMS.values(), range(1))) == len(ARMS)


def test_arms_that_need_the_truth_are_left_out_by_name() -> None:
    wanted = plan([Tiny(), Tiny(truth=False)], ARMS.values(), range(2))
    jobs, lines = feasible(wanted, None)
    gone = {(job.task.knows_truth(None), job.arm.name) for job in set(wanted) - set(jobs)}
    assert gone == {(False, "mm_student_sup"), (False, "mm_student_flips")}
    assert len(lines) == 2
    assert "tiny mm_student_flips" in "".join(lines)


def test_damaged_data_raise_before_any_work() -> None:
    with pytest.raises(ValueError, match="damaged"):
        feasible(plan([Tiny(), Tiny(damaged=True)], [], range(1)), None)


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


@pytest.mark.parametrize("name", ["workers", "threads", "checkpoint_every"])
def test_means_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        Means(**{name: 0})
