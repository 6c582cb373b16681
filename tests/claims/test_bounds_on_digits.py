"""The table of `docs/results/theory.md` on the student of the front page comes out again.

Numbers are to three digits, of one training on one machine: another version of torch may move them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mke_theory import Objective, TrainConfig, expand, fit_teacher
from mke_theory.method import InputNoise
from mke_theory.tasks.toy import Digits
from mke_theory.theory.bounds import lang2024_correction, wei2021_pseudolabels
from mke_theory.theory.graph import nearest_neighbours
from mke_theory.theory.labelled_pool import LabelledPool


@pytest.fixture(scope="module")
def pools() -> dict[int, LabelledPool]:
    """The pool of the README's twelve lines, by the number of neighbours."""
    torch.manual_seed(0)
    task, config = Digits(), TrainConfig(steps=300, batch_size=128, learning_rate=2e-3)
    problem = task.problem(seed=0)
    teacher = fit_teacher(task.model(problem, ("left",)), problem.labelled, config).model
    student = task.model(problem, ("left", "right"))
    noise = Objective(transform=(InputNoise(2.0),))
    pairs, truth = problem.unlabelled, problem.truth
    found = expand(teacher, pairs, student, truth=truth, objective=noise, config=config)
    points = np.concatenate([x.flatten(1).numpy() for x in pairs.inputs.values()], axis=1)
    labels = [x.numpy() for x in (found.pseudo.hard, found.predictions, truth.labels)]
    return {
        k: LabelledPool(nearest_neighbours(points, k), *labels[:2], 10, labels[2]) for k in (5, 10)
    }


@pytest.mark.slow
@pytest.mark.parametrize(("neighbours", "useful", "whole"), [(5, 8, 0.354), (10, 6, 0.397)])
def test_lang_by_the_students_own_set(
    pools: dict[int, LabelledPool], neighbours: int, useful: int, whole: float
) -> None:
    pool = pools[neighbours]
    own = [lang2024_correction.for_class(pool, label) for label in range(10)]
    assert sum(one.status == "holds" for one in own) == 9
    assert sum(one.status == "holds" and not one.vacuous for one in own) == useful
    value = lang2024_correction.over_classes(pool, own).value
    assert value == pytest.approx(whole, abs=1.5e-3)
    for one in own:
        assert one.value is None or one.measured is None or one.measured.share <= one.value
    whatever = [lang2024_correction.for_any_student(pool, label).status for label in range(10)]
    assert (whatever.count("not shown"), whatever.count("holds")) == {5: (9, 0), 10: (6, 3)}[
        neighbours
    ]


@pytest.mark.slow
def test_below_the_teachers_error_in_four_classes(pools: dict[int, LabelledPool]) -> None:
    pool = pools[5]
    truth = pool.known_truth
    below = 0
    for label in range(10):
        bound, here = lang2024_correction.for_class(pool, label), truth == label
        wrong = float((pool.pseudo[here] != label).mean())
        below += bound.status == "holds" and bound.value is not None and bound.value < wrong
    assert below == 4
    first = lang2024_correction.for_class(pool, 0)
    assert (first.value, first.trivial) == pytest.approx((0.153, 0.373), abs=1e-3)


@pytest.mark.slow
def test_wei_by_the_teachers_own_mistakes(pools: dict[int, LabelledPool]) -> None:
    five, ten = (wei2021_pseudolabels.for_any_student_directly(pools[k]) for k in (5, 10))
    assert (five.status, five.constants["c"]) == ("violated", 1.0)
    assert ten.status == "holds" and ten.vacuous
    assert ten.constants["c"] == pytest.approx(11 / 9)
