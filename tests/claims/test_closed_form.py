"""The simulated Gaussian world against the closed form, cell by cell, and a check of the checks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from experiments.closed_form import (
    FALSE_ALARM,
    GRIDS,
    SMALL,
    Grid,
    compare,
    exact_error,
    judge,
    least_squares,
    measured_gain,
    students,
)
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.theory.gaussian.closed_form import (
    GaussianPair,
    LinearStudent,
    fit_least_squares,
    gain,
    least_squares_student,
)


def test_least_squares_is_that_of_the_theory() -> None:
    rng = np.random.default_rng(0)
    t, b = rng.normal(size=(2, 3, 50))
    labels = np.sign(t + rng.normal(size=(3, 50)))
    fitted = least_squares(np.stack([t, b], axis=2), labels)
    for k in range(3):
        known = fit_least_squares(t[k], b[k], labels[k], 0.0)
        assert fitted[k] == pytest.approx([known.intercept, known.w_t, known.w_b], rel=1e-9)


def test_exact_errors_are_those_of_the_theory_and_of_counting() -> None:
    world = Gaussian((0.7, 1.1), correlation=0.3, dims=(1, 1))
    pair, weights = GaussianPair(0.7, 1.1, 0.3), np.array([[0.1, 0.5, -0.4], [0.0, 1.0, 0.0]])
    # One dimension is turned by a sign at most; the weights are of what is seen.
    own = [world.mixing(name)[0, 0] for name in world.modalities]
    found = exact_error(world, weights * np.array([1.0, *own]))
    assert found[0] == pytest.approx(LinearStudent(0.5, -0.4, 0.1).error(pair), abs=1e-12)
    assert found[1] == pytest.approx(ndtr(-0.7), abs=1e-12)
    # With nuisance: the share of 400,000 samples that is wrong, within 5 standard errors (6e-7).
    wide, w = Gaussian((0.7, 1.1), correlation=0.3, dims=(3, 4)), np.ones((1, 8)) * 0.3
    draw = wide.sample(200_000, np.random.default_rng(1))
    score = np.concatenate([draw.inputs["x1"], draw.inputs["x2"]], axis=1) @ w[0, 1:] + w[0, 0]
    share = ((score > 0) != (draw.labels == 1)).mean()
    assert share == pytest.approx(exact_error(wide, w)[0], abs=5 * 0.5 / 200_000**0.5)


def test_a_student_of_many_pairs_is_the_population_s() -> None:
    world = Gaussian((0.7, 1.1), dims=(1, 1), mixing_seed=None)
    found = students(world, 1.5, 200_000, 1, np.random.default_rng(0))[0]
    known = least_squares_student(world.pair(), 1.5)
    # Weights are known to about 1/√n = 0.0022; five of these.
    assert found == pytest.approx([known.intercept, known.w_t, known.w_b], abs=0.01)


def test_a_copy_of_the_teacher_gains_nothing() -> None:
    world = Gaussian((0.7, 1.1), dims=(1, 1), mixing_seed=None)
    copies = np.tile([0.0, 1.0, 0.0], (4, 1))
    assert measured_gain(world, copies, 500, np.random.default_rng(0)).tolist() == [0.0] * 4


@pytest.mark.parametrize("name", list(SMALL))
def test_the_closed_form_holds_on_a_few_cells(name: str) -> None:
    # Three checks at 0.1% each: a false alarm at most once in 300 seeds; the seed is fixed.
    grid = replace(SMALL[name], m_beta=SMALL[name].m_beta[1:3])
    verdict = judge(compare(grid), grid)
    assert verdict.cells == 10
    assert verdict.agrees, str(verdict)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"m_alpha": 0.78}, "another teacher"),
        ({"rho": 0.25}, "dependence that the formula does not know"),
    ],
)
def test_a_wrong_formula_is_found(change: dict[str, float], why: str) -> None:
    grid = replace(SMALL["independent given y"], m_beta=(1.3,), tests=4000)
    wrong = compare(replace(grid, **change))  # type: ignore[arg-type]
    formula = [gain(grid.world(1.3).pair(), sigma) for sigma in grid.sigma]
    assert not judge(wrong.assign(z=(wrong["mean"] - formula) / wrong["se"]), grid).agrees, why


def cells(z: np.ndarray, mean: np.ndarray, grid: Grid, se: float = 0.01) -> pd.DataFrame:
    rows = [(m, s) for m in grid.m_beta for s in grid.sigma]
    found = pd.DataFrame(rows, columns=["m_beta", "sigma"])
    return found.assign(z=z, mean=mean, se=se, bias=0.002)


def test_the_verdict_by_hand() -> None:
    # σ* = 2.349 for m_t = m_b = 0.5, between 2 and 3: both are within one step of it.
    grid = Grid(m_alpha=0.5, m_beta=(0.5,), sigma=(0.0, 1.0, 2.0, 3.0, 9.0))
    fine = judge(cells(np.ones(5), np.array([0.0, 0.01, 0.02, 0.03, 0.0]), grid), grid)
    assert (fine.cells, fine.outside, fine.rows, fine.near, fine.apart) == (5, 0, 1, 1, 0.0)
    assert fine.chi_square == pytest.approx(5)
    assert fine.p_value == pytest.approx(0.41588, abs=1e-5)  # chi-square on 5 degrees at 5
    assert fine.worst_bias == pytest.approx(0.2)
    assert fine.noncentrality == pytest.approx(5 * 0.04)
    assert fine.agrees
    far = judge(cells(np.ones(5), np.array([0.09, 0.0, 0.02, 0.0, 0.0]), grid), grid)
    assert (far.near, far.apart) == (0, pytest.approx(0.07 / 0.01 / 2**0.5))
    # One-sided, 0.1% shared by 4 comparisons: 3.48.
    assert far.limit == pytest.approx(3.4808, abs=1e-4)
    assert not far.agrees
    assert not judge(cells(np.full(5, 2.0), np.array([0.0, 0.0, 1.0, 0.0, 0.0]), grid), grid).agrees


def test_rows_without_a_law_are_left_out() -> None:
    grid = Grid(rho=0.9, m_beta=(0.1,), sigma=(0.0, 1.0))
    found = judge(cells(np.zeros(2), np.zeros(2), grid), grid)
    assert (found.rows, found.near, found.apart) == (0, 0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(GRIDS))
def test_the_closed_form_holds_on_400_cells(name: str) -> None:
    # Three checks at 0.1% each: a false alarm at most once in 300 seeds; the seed is fixed.
    assert FALSE_ALARM == 0.001
    grid = GRIDS[name]
    verdict = judge(compare(grid), grid)
    assert verdict.cells == 400
    assert verdict.agrees, str(verdict)
    assert verdict.noncentrality < 10  # against a chi-square of 400 ± 28
