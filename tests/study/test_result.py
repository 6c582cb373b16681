"""Runs of a cell share one draw; a result speaks for its own model; a failure can travel."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from mke_theory.data.problem import Problem
from mke_theory.study import result
from mke_theory.study.arms import ARMS
from mke_theory.study.result import Cell, Failure, Run
from mke_theory.study.semi_supervised.contestants import Contestant
from tests.study.toys import Toy, carried_out, outcomes, same


def test_a_run_knows_its_cell_and_the_run_of_its_teacher() -> None:
    one = Run(Toy(), ARMS["mm_student"], 3)
    assert one.cell == Cell(Toy(), 3) != Cell(Toy(hidden=6), 3)
    assert one.cell.teacher == Run(Toy(), ARMS["um_teacher"], 3)
    assert str(one) == "toy mm_student seed 3"


class Counted(Toy):
    """A task that notes the seeds at which problems are drawn."""

    drawn: ClassVar[list[tuple[int, Path | None]]] = []

    def problem(self, seed: int) -> Problem:
        self.drawn.append((seed, self.data_root))
        return super().problem(seed)


def test_the_last_problem_drawn_is_kept() -> None:
    Counted.drawn.clear()
    task = Counted()
    first = Cell(task, 0).problem()
    assert Cell(Counted(), 0).problem() is first  # an equal task at the same seed
    Cell(task, 1).problem()
    assert Cell(task, 0).problem() is not first  # one is kept, the last
    assert Counted.drawn == [(0, None), (1, None), (0, None)]
    Cell(task.at(Path("elsewhere")), 0).problem()  # other files are another draw
    assert Counted.drawn[-1] == (0, Path("elsewhere"))
    result._drawn.cache_clear()


def test_a_result_is_asked_for_its_own_model() -> None:
    student, teacher = carried_out("mm_student"), carried_out("um_teacher")
    assert student.fit is not None and student.model is student.fit.model
    assert same(student.teacher, teacher.model) and not same(student.teacher, student.model)
    (classic,) = outcomes([Run(Toy(), Contestant("self_training", "α"), 0)])
    assert not isinstance(classic, Failure)
    with pytest.raises(ValueError, match="toy self_training_alpha seed 0 trains no network"):
        _ = classic.model


def test_accuracy_on_test_by_hand() -> None:
    found = carried_out()
    problem = found.problem
    labels = torch.tensor([0, 1, 2, -1, 1, *[-1] * 7])
    judged = replace(
        found,
        problem=replace(problem, test=problem.test.with_labels(labels)),
        predictions={"test": torch.tensor([0, -1, 2, 0, 0, *[1] * 7])},
    )
    assert judged.test_accuracy == 0.5  # 2 of the 4 of known class; no answer is a wrong one


def test_a_failure_goes_to_another_process_without_its_cause() -> None:
    class Unsendable(Exception):
        def __init__(self) -> None:
            super().__init__("gone")
            self.lock = (_ for _ in ())  # no generator can be pickled

    failure = Failure.of(Run(Toy(), ARMS["mm_student"], 0), Unsendable())
    assert failure.error == "Unsendable: gone"
    arrived = pickle.loads(pickle.dumps(failure))
    assert arrived == failure and (arrived.run, arrived.cause) == (failure.run, None)
