"""Implied chances: exact where the teacher is exact, and the gain that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from mke_theory.audit.betting import Floats
from mke_theory.audit.implied import (
    decided,
    implied,
    likeliest_cells,
    temperature_of,
    tempered,
)
from mke_theory.audit.reading import Ints

T = np.array([[0.5, 0.3, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.2, 0.2, 0.5, 0.1]])


def world(n: int, seed: int = 0) -> tuple[Floats, Ints, Ints]:
    """Calibrated probabilities, cells that are independent of them given the class, classes."""
    random = np.random.default_rng(seed)
    p = softmax(random.normal(0, 2, (n, 3)), axis=1)
    truth = (random.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1)
    cells = (random.random((n, 1)) > T.cumsum(axis=1)[truth]).sum(axis=1)
    return p, cells, truth


def test_the_chances_of_cells_are_found() -> None:
    p, cells, _ = world(40_000)
    assert np.abs(likeliest_cells(p, cells, 4) - T).max() < 0.02
    start = likeliest_cells(p[:20_000], cells[:20_000], 4)
    onwards = likeliest_cells(p, cells, 4, start)
    assert np.abs(onwards - likeliest_cells(p, cells, 4)).max() < 2e-3


def test_two_classes_known_for_certain_by_hand() -> None:
    # With certain answers T counts the cells of each class; one more sample is spread evenly.
    p = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3)
    cells = np.array([0, 0, 1, 1, 1, 0])
    assert likeliest_cells(p, cells, 2) == pytest.approx(
        np.array([[2.5 / 4, 1.5 / 4], [1.5 / 4, 2.5 / 4]])
    )


def test_decisions_follow_bayes_rule() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]])
    classes, q = decided(p, np.array([0, 3]), T)
    assert classes.tolist() == [0, 1]
    assert q[1] == pytest.approx(np.array([0.06, 0.12, 0.01]) / 0.19)


def test_the_promised_gain_is_the_gain() -> None:
    differences, errors = [], []
    for seed in range(12):
        p, cells, truth = world(2000, seed)
        found = implied(p, cells, 4, seed)
        sums, _ = decided(p, cells, found.confusion)
        true = (sums == truth).mean() - (p.argmax(axis=1) == truth).mean()
        differences.append(found.gain - true)
        errors.append(found.error)
        assert found.teacher == pytest.approx(p.max(axis=1).mean())
    # The realised gain has chance of its own: about √(0.1/2000) = 0.007.
    spread = np.hypot(np.mean(errors), 0.007)
    assert abs(np.mean(differences)) < 4 * spread / np.sqrt(12)
    assert np.std(differences) < 2 * spread


def test_beta_alone_is_judged_too() -> None:
    p, cells, truth = world(20_000)
    found = implied(p, cells, 4, 0)
    shares = np.bincount(truth, minlength=3) / len(truth)
    assert found.beta == pytest.approx((shares[:, None] * T).max(axis=0).sum(), abs=0.02)


def test_negative_chances_refute_independence_and_only_then() -> None:
    p, cells, truth = world(1500)
    assert implied(p, cells, 4, 0).p_value > 0.05
    sure = p.max(axis=1) > 0.6  # cells that tell how sure the teacher is
    assert implied(p, np.where(sure, truth, 3), 4, 0).p_value <= 0.05


def test_the_temperature_that_was_put_in_is_found() -> None:
    p, _, truth = world(5000)
    logs = np.log(p) * 2.0
    found, error = temperature_of(logs, truth)
    assert found == pytest.approx(2.0, rel=4 * error) and 0 < error < 0.05
    assert tempered(logs, 2.0) == pytest.approx(p)
    assert temperature_of(logs[:5], logs[:5].argmax(axis=1))[0] == pytest.approx(0.2, rel=0.01)
