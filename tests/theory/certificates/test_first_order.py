"""The first-order method: every step is a valid bound, and the gap closes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from mke_theory.theory.certificates.first_order import Programme, onto_simplex, solve
from tests.theory.enumeration import (
    maximum,
)

Floats = NDArray[np.float64]


def some_programme(rng: np.random.Generator) -> Programme:
    n, classes, rest, rows = (int(rng.integers(*ends)) for ends in ((1, 5), (2, 4), (0, 4), (1, 7)))
    size = n * classes + rest
    table = rng.integers(-1, 2, (rows, size)) * 1.0
    high = rng.random(rows)
    low = np.where(rng.random(rows) < 0.5, 0, -high)
    allowed = rng.random((n, classes)) < 0.8
    allowed[:, 0] |= ~allowed.any(axis=1)
    columns = sparse.csr_array(table.T)
    return Programme(rng.normal(size=size), sparse.csr_array(table), columns, low, high, allowed)


def best_of(programme: Programme) -> float:
    """The same problem with two variables a row: what it exceeds zero by, and what it lacks."""
    rows = programme.rows.toarray()
    count, size = rows.shape
    n, classes = programme.allowed.shape
    whole = np.zeros((n, size + 2 * count))
    for i in range(n):
        whole[i, i * classes : (i + 1) * classes] = 1
    over_and_under = np.c_[rows, -np.eye(count), np.eye(count)]
    high = np.concatenate(
        [programme.allowed.ravel(), np.ones(size - n * classes), np.full(2 * count, np.inf)]
    )
    return maximum(
        np.concatenate([programme.gain, -programme.high, programme.low]),
        np.zeros((0, size + 2 * count)),
        np.zeros(0),
        np.r_[over_and_under, whole],
        np.r_[np.zeros(count), np.ones(n)],
        high,
    )


def test_the_nearest_probabilities_by_hand() -> None:
    rows = np.array([[0.2, 0.8], [1.0, 1.0], [5.0, 0.0], [-7.0, -7.0], [0.4, 0.0]])
    expected = [[0.2, 0.8], [0.5, 0.5], [1, 0], [0.5, 0.5], [0.7, 0.3]]
    assert onto_simplex(rows) == pytest.approx(np.array(expected))
    barred = np.array([[-np.inf, 3.0, -np.inf], [-np.inf, 0.5, 0.1]])
    assert onto_simplex(barred) == pytest.approx(np.array([[0, 1, 0], [0, 0.7, 0.3]]))
    # Far out, where x − (x − 1) is 0 in float64.
    far = np.array([[1e20, -1e20, 3e19], [-1e18, -1e18, -np.inf]])
    assert onto_simplex(far).tolist() == [[1, 0, 0], [0.5, 0.5, 0]]


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6), st.integers(0, 63))
def test_no_probabilities_are_nearer(row: list[float], barred: int) -> None:
    # x is the nearest point to r in a convex set iff (r − x)·(v − x) ≤ 0 for every corner v of it.
    r = np.array([-np.inf if barred >> k & 1 else value for k, value in enumerate(row)])
    if not np.isfinite(r).any():
        r[0] = row[0]
    (x,) = onto_simplex(r[None])
    inside = np.isfinite(r)
    assert (x >= 0).all()
    assert (x[~inside] == 0).all()
    assert x.sum() == pytest.approx(1)
    away = r[inside] - x[inside]
    assert (away - away @ x[inside] <= 1e-9).all()


@pytest.mark.parametrize("seed", range(4))
def test_any_prices_bound_and_any_point_is_attained(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(15):
        programme = some_programme(rng)
        best = best_of(programme)
        prices = programme.low + rng.random(len(programme.low)) * (programme.high - programme.low)
        assert programme.bound(programme.columns @ prices) >= best - 1e-9
        x = np.zeros(len(programme.gain))
        n, classes = programme.allowed.shape
        x[np.arange(n) * classes + programme.allowed.argmax(axis=1)] = 1
        assert programme.value(x) <= best + 1e-9
        # The steps close the gap between the two, in 239 of 240 programmes to 10⁻⁶ in 1,000 steps.
        found = solve(programme, prices, tolerance=1e-6, most_steps=5000)
        assert found.bound >= best - 1e-9
        assert found.value <= best + 1e-9
        assert found.bound <= best + 1e-6
        assert found.value >= best - 2e-3
        assert found.bound == pytest.approx(programme.bound(programme.columns @ found.prices))
        assert found.value == pytest.approx(programme.value(found.x))
        assert ((programme.low <= found.prices) & (found.prices <= programme.high)).all()


def test_the_bound_is_not_below_what_is_attained() -> None:
    # Of one point the bound at no prices and the maximum are the same number: rounding goes up.
    none = sparse.csr_array((1, 2))
    alone = Programme(
        np.array([0.7, 0.3]), none, none.T.tocsr(), np.zeros(1), np.zeros(1), np.ones((1, 2), bool)
    )
    assert alone.bound(np.zeros(2)) > alone.value(np.array([1.0, 0.0])) == 0.7


def test_few_steps_are_valid_too() -> None:
    rng = np.random.default_rng(5)
    for most_steps in (1, 7, 60):
        programme = some_programme(rng)
        found = solve(
            programme, np.full(len(programme.low), 9.0), tolerance=0, most_steps=most_steps
        )
        assert found.value - 1e-9 <= best_of(programme) <= found.bound + 1e-9
