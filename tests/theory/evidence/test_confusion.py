from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.evidence import hard_confusion, soft_confusion
from tests.theory.evidence.worlds import Floats, anything, cells, independent

seeds = st.integers(0, 10_000)


def true_confusion(table: Floats, answers: Floats) -> Floats:
    """E[answers | y] by the labels: table P(y, α), answers [values of α, classes]."""
    return np.asarray(table @ answers / table.sum(axis=1, keepdims=True))


def test_by_hand() -> None:
    # Two even samples, (.8, .2) and (.4, .6): π = (.6, .4), E p pᵀ = ((.4, .2), (.2, .2)).
    p = [[0.8, 0.2], [0.4, 0.6]]
    np.testing.assert_allclose(soft_confusion(p), [[2 / 3, 1 / 3], [0.5, 0.5]])
    np.testing.assert_allclose(hard_confusion(p), [[2 / 3, 1 / 3], [0.25, 0.75]])


@given(seeds)
def test_both_are_those_of_the_labels_where_the_teacher_is_calibrated(seed: int) -> None:
    # α's exact posterior is calibrated in any world, independent or not.
    table = anything(seed).sum(axis=2)
    shares = table.sum(axis=0)
    p = (table / shares).T
    hard = np.eye(3)[p.argmax(axis=1)]
    np.testing.assert_allclose(soft_confusion(p, shares), true_confusion(table, p), atol=1e-12)
    np.testing.assert_allclose(hard_confusion(p, shares=shares), true_confusion(table, hard))


@given(seeds)
def test_any_function_of_the_teacher_may_be_the_label(seed: int) -> None:
    table = anything(seed).sum(axis=2)
    shares = table.sum(axis=0)
    p = (table / shares).T
    labels = np.random.default_rng(seed).integers(0, 3, len(p))
    found = hard_confusion(p, labels, shares)
    np.testing.assert_allclose(found, true_confusion(table, np.eye(3)[labels]), atol=1e-12)


@given(seeds)
def test_the_labels_that_beta_predicts_are_a_mixture_of_rows(seed: int) -> None:
    table = independent(seed)
    world = cells(table)
    shares = table.sum(axis=(0, 2))
    p = (table.sum(axis=2) / shares).T
    given_beta = (table.sum(axis=0) / table.sum(axis=(0, 1))).T  # P(α | β), [values, values]
    beta = world.beta[: table.shape[2]]
    np.testing.assert_allclose(given_beta @ p, beta @ soft_confusion(p, shares), atol=1e-12)
    hard = np.eye(3)[p.argmax(axis=1)]
    mixed = beta @ hard_confusion(p, shares=shares)
    np.testing.assert_allclose(given_beta @ hard, mixed, atol=1e-12)
    # So β predicts no label better than the class itself does.
    assert (given_beta @ hard <= hard_confusion(p, shares=shares).max(axis=0) + 1e-12).all()


def test_without_independence_the_mixture_fails() -> None:
    table = np.array([[[0.4, 0.0], [0.0, 0.1]], [[0.1, 0.0], [0.0, 0.4]]])  # β is α
    p = np.array([[0.8, 0.2], [0.2, 0.8]])
    assert np.abs(np.eye(2) @ p - p @ soft_confusion(p, table.sum(axis=(0, 2)))).max() > 0.1


@given(seeds)
def test_an_uncalibrated_teacher_is_off_by_no_more_than_its_calibration_error(seed: int) -> None:
    table = anything(seed).sum(axis=2)
    shares = table.sum(axis=0)
    true = (table / shares).T
    wrong = np.random.default_rng(seed + 1).dirichlet(np.ones(3), len(true))
    error = shares @ np.abs(true - wrong).sum(axis=1)  # its rows differ, so p names the sample
    priors = (shares @ wrong)[:, None]
    hard = np.eye(3)[wrong.argmax(axis=1)]
    soft_off = priors * soft_confusion(wrong, shares) - table @ wrong
    hard_off = priors * hard_confusion(wrong, shares=shares) - table @ hard
    assert np.abs(soft_off).sum() <= error + 1e-12
    assert np.abs(hard_off).sum() <= error + 1e-12


def test_the_soft_matrix_has_no_inverse_where_two_classes_are_never_told_apart() -> None:
    p = np.array([[0.6, 0.2, 0.2], [0.2, 0.4, 0.4], [0.0, 0.5, 0.5]])
    assert np.linalg.matrix_rank(soft_confusion(p)) == 2
    p[2] = [0, 0.4, 0.6]
    assert np.linalg.matrix_rank(soft_confusion(p)) == 3


@pytest.mark.parametrize(
    ("posterior", "labels", "shares", "message"),
    [
        ([0.5, 0.5], None, None, "shape"),
        ([[0.5, 0.6]], None, None, "sums to 1"),
        ([[1.0, 0.0]], None, None, "class 1 has probability 0"),
        ([[0.5, 0.5]], [2], None, "0 to 1"),
        ([[0.5, 0.5]], [0, 1], None, "give 1 classes"),
        ([[0.5, 0.5]], None, [0.5], "sum to 1"),
    ],
)
def test_bad_input_is_refused(
    posterior: object, labels: object, shares: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        hard_confusion(posterior, labels, shares)  # type: ignore[arg-type]
