"""TwoMoon: the notebook's draw and teacher as published, and the fair version."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from mke_theory.models import count_parameters
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.result import Cell
from mke_theory.study.runner import train_teachers
from mke_theory.tasks.toy import TwoMoon, TwoMoonPublished
from mke_theory.training.loop import Fit
from mke_theory.training.predict import predict
from tests.tasks.toy.own_arrays import sizes


@pytest.mark.parametrize("task", [TwoMoonPublished(), TwoMoon()], ids=lambda task: task.name)
def test_twomoon_has_30_labelled_270_unlabelled_and_200_test_points(task: TwoMoon) -> None:
    problem = task.problem(1)
    assert sizes(problem) == [30, 270, 200]
    assert (problem.modalities, problem.teacher_modalities) == (("x1", "x2"), ("x1",))
    assert problem.unlabelled.inputs["x2"].shape == (270, 1)


def test_twomoon_as_published_is_the_notebooks_draw() -> None:
    x, y = make_moons(500, noise=0.1, random_state=42)
    x = StandardScaler().fit_transform(x)
    x, test_x, y, test_y = train_test_split(x, y, test_size=0.4, random_state=42)
    x, unlabelled_x, y, unlabelled_y = train_test_split(x, y, test_size=0.9, random_state=42)
    problem = TwoMoonPublished().problem(0)
    for pool, points, labels in (
        (problem.labelled, x[:, :1], y),
        (problem.unlabelled, unlabelled_x, None),
        (problem.test, test_x, test_y),
    ):
        seen = torch.cat(list(pool.inputs.values()), dim=1)
        np.testing.assert_allclose(seen, points, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(pool.labels, -1 if labels is None else labels)
    np.testing.assert_array_equal(problem.truth.labels, unlabelled_y)


def test_twomoon_as_published_has_the_notebooks_teacher() -> None:
    task = TwoMoonPublished()
    problem = task.problem(0)
    (fit,) = train_teachers([Cell(task, 0)], RunConfiguration(trainer="one by one")).values()
    assert isinstance(fit, Fit)
    for pool, truth, right in (
        (problem.test, problem.test.labels, 139),  # of 200: 69.5%, as published
        (problem.unlabelled, problem.truth.labels, 174),  # of 270: 64.4%, of the pseudo labels
    ):
        assert int((predict(fit.model, pool).argmax(1) == truth).sum()) == right


def test_twomoon_as_published_takes_the_seed_for_its_students_alone() -> None:
    task = TwoMoonPublished()
    assert {task.init_seed("teacher", seed) for seed in range(10)} == {39}
    # The first numbers from 0 to 100 of Python's random, seeded with 42.
    assert [task.init_seed("student", seed) for seed in range(5)] == [81, 14, 3, 94, 35]


def test_twomoon_has_unequal_widths_as_published_and_equal_ones_in_the_fair_version() -> None:
    published, fair = TwoMoonPublished(), TwoMoon()
    assert [published.width(m) for m in (("x1",), ("x1", "x2"))] == [32, 16]
    assert fair.width(("x1",)) == fair.width(("x1", "x2"))
    # Two inputs, 16 and 16 hidden units, two classes: 2·16+16 + 16·16+16 + 16·2+2.
    model = published.model(published.problem(0), ("x1", "x2"))
    assert count_parameters(model) == 48 + 272 + 34
