from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import rel_entr, softmax

from mke_theory.theory.evidence import forward_bound, forward_fit
from tests.theory.evidence.worlds import Floats, cells, independent

seeds = st.integers(0, 10_000)


def matrix(rng: np.random.Generator, classes: int, right: float = 0.5) -> Floats:
    noise = rng.dirichlet(np.ones(classes), classes)
    return np.asarray(right * np.eye(classes) + (1 - right) * noise)


def by_descent(seen: Floats, confusion: Floats) -> Floats:
    """The minimiser of −Σ_j seen_j log(qᵀT)_j over q = softmax(s), by its logits."""

    def loss(s: NDArray[np.float64]) -> tuple[float, Floats]:
        q = softmax(s)
        pull = confusion @ (seen / (q @ confusion))
        return float(-seen @ np.log(q @ confusion)), q * (1 - pull)

    found = minimize(loss, np.zeros(len(seen)), jac=True, method="BFGS", options={"gtol": 1e-10})
    return np.asarray(softmax(found.x))


def test_by_hand() -> None:
    # T: right with .8; p = (.9, .1) shows as (.74, .26). Read through .9: q = (.74 − .1)/.8 = .8.
    t, guess = [[0.8, 0.2], [0.2, 0.8]], [[0.9, 0.1], [0.1, 0.9]]
    found = forward_fit([[0.9, 0.1]], t, guess)
    np.testing.assert_allclose(found.expert, [[0.8, 0.2]])
    np.testing.assert_allclose(found.distance, np.sqrt(2) / 10)
    assert found.divergence[0] == pytest.approx(0.9 * np.log(9 / 8) + 0.1 * np.log(1 / 2))
    # T − T̂ has norm .2 and T̂ the singular values 1 and .8.
    assert forward_bound(t, guess) == pytest.approx(0.25)
    # Read through .7 it would be (.74 − .3)/.4 = 1.1: the edge.
    outside = forward_fit([[0.9, 0.1]], t, [[0.7, 0.3], [0.3, 0.7]])
    assert not outside.inside[0]
    np.testing.assert_allclose(outside.expert, [[1, 0]], atol=1e-6)


@given(seeds)
def test_the_true_matrix_finds_the_truth_of_beta(seed: int) -> None:
    # The labels are drawn from a world: T and P(ỹ | β) by enumeration, not one from the other.
    table = independent(seed)
    beta = cells(table).beta[: table.shape[2]]
    labels = np.eye(3)[np.random.default_rng(seed).permutation(4) % 3]  # ỹ of each α
    confusion = table.sum(axis=2) @ labels / table.sum(axis=(1, 2))[:, None]
    assume(np.linalg.cond(confusion) < 1e4)
    seen = (table.sum(axis=0) / table.sum(axis=(0, 1))).T @ labels
    np.testing.assert_allclose(np.linalg.solve(confusion.T, seen.T).T, beta, atol=1e-9)
    found = forward_fit(beta, confusion, confusion)
    np.testing.assert_allclose(found.expert, beta, atol=1e-9)
    assert found.inside.all() and found.bound.max() < 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_minimiser_that_descent_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = 2 + seed % 3
    t, guess = matrix(rng, classes), matrix(rng, classes, 0.6)
    p = rng.dirichlet(np.ones(classes), 6)
    found = forward_fit(p, t, guess)
    for row, q in zip(p, found.expert, strict=True):
        other = by_descent(row @ t, guess)
        # Losses agree; descent by logits never quite reaches an edge.
        losses = [-(row @ t) @ np.log(x @ guess) for x in (q, other)]
        assert losses[0] <= losses[1] + 1e-9
        np.testing.assert_allclose(q, other, atol=2e-3)


@given(seeds, st.integers(2, 4))
def test_the_cost_is_within_its_bounds(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    t = matrix(rng, classes)
    guess = matrix(rng, classes, 0.6) if seed % 2 else 0.9 * t + 0.1 * matrix(rng, classes)
    p = rng.dirichlet(np.full(classes, 0.7), 10)
    found = forward_fit(p, t, guess)
    assert (found.distance <= found.bound + 1e-6).all()
    np.testing.assert_allclose(found.expert.sum(axis=1), 1)
    inside = found.inside
    assert (found.distance[inside] <= forward_bound(t, guess) + 1e-9).all()
    # q̂ − p = T̂⁻ᵀ(T − T̂)ᵀp, entry by entry.
    exact = np.linalg.solve(guess.T, (t - guess).T @ p.T).T
    np.testing.assert_allclose((found.expert - p)[inside], exact[inside], atol=1e-9)
    # No distribution fits the labels better.
    for q in rng.dirichlet(np.ones(classes), 20):
        fit = rel_entr(p @ t, found.expert @ guess).sum(axis=1)
        assert (fit <= rel_entr(p @ t, q @ guess).sum(axis=1) + 1e-9).all()


@given(seeds)
def test_without_correction_evidence_is_bounded_by_the_teachers_error(seed: int) -> None:
    # q = Tᵀp for T̂ = 1: at error ε the log odds stay within log((1 − ε)/ε).
    rng = np.random.default_rng(seed)
    error = rng.uniform(0.05, 0.45)
    t = np.array([[1 - error, error], [error, 1 - error]])
    p = rng.dirichlet(np.full(2, 0.2), 20)
    found = forward_fit(p, t, np.eye(2)).expert
    np.testing.assert_allclose(found, p @ t, atol=1e-12)
    assert np.abs(np.log(found[:, 0] / found[:, 1])).max() <= np.log((1 - error) / error) + 1e-9
    assert ((found[:, 0] > 0.5) == (p[:, 0] > 0.5)).all()


@pytest.mark.parametrize(
    ("confusion", "assumed", "message"),
    [
        (np.eye(2), np.full((2, 2), 0.5), "look alike"),
        (np.eye(2), np.eye(3), "shapes"),
        (np.eye(2), [[0.5, 0.6], [0.5, 0.5]], "no distribution"),
        ([[1.0, 0.0]], np.eye(2), "classes, classes"),
    ],
)
def test_bad_input_is_refused(confusion: object, assumed: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forward_fit([[0.5, 0.5]], confusion, assumed)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        forward_bound(confusion, assumed)  # type: ignore[arg-type]


def test_the_edge_is_found_and_its_bound_needs_the_second_term() -> None:
    rng = np.random.default_rng(0)
    beyond = edges = 0
    for at in range(200):
        classes = 3 + at % 4
        t, guess = (matrix(rng, classes, rng.uniform(0.2, 0.8)) for _ in range(2))
        p = rng.dirichlet(np.full(classes, 0.5), 10)
        if at % 10 == 0:
            t, p = np.eye(classes), np.eye(classes)  # labels that never occur
        found = forward_fit(p, t, guess)
        assert (found.distance <= found.bound + 1e-6).all()
        edge = ~found.inside
        # At the minimum no class would raise the likelihood: Σ_j T̂[k, j] seen_j/(qᵀT̂)_j ≤ 1.
        pull = (p @ t / (found.expert @ guess)) @ guess.T
        assert pull[edge].max(initial=0) <= 1 + 1e-6
        first = np.linalg.norm(p @ (t - guess), axis=1) / np.linalg.svd(guess)[1][-1]
        beyond += int((found.distance > first + 1e-6)[edge].sum())
        edges += int(edge.sum())
    assert edges > 500 and beyond > 0
