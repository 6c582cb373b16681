"""The answers that β can foretell: cells by hand, exact p-values, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from mke_theory.audit import reading as module
from mke_theory.audit.reading import cells_of, read


@pytest.fixture(autouse=True)
def _linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """The linear classifier alone: a network takes seconds."""
    learners = module._learners
    monkeypatch.setattr(module, "_learners", lambda seed: {"linear": learners(seed)["linear"]})


def test_cells_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8], [0.2, 0.8]])
    assert cells_of(p, 2).tolist() == [1, 0, 1, 0, 2, 2]  # ties stay together, in the lowest step
    assert cells_of(p, 1).tolist() == [0, 0, 0, 0, 1, 1]
    assert cells_of(p, 4)[:4].tolist() == [3, 0, 2, 1]


def test_what_beta_tells_is_found() -> None:
    random = np.random.default_rng(0)
    answers = random.integers(0, 3, 600)
    beta = np.eye(3)[answers] + random.normal(0, 0.3, (600, 3))
    found = read(beta, answers, 3, seed=0)
    assert found.entropy == pytest.approx(np.log(3), abs=0.01)
    assert 0.7 < found.information < found.entropy
    assert found.p_value == 1 / 1000
    assert (found.probabilities.argmax(axis=1) == answers).mean() > 0.95
    assert np.allclose(found.probabilities.sum(axis=1), 1) and found.probabilities.min() > 0


def test_p_values_of_nothing_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHUFFLES", 49)
    # Of 60 draws more than binom.ppf below 0.2 come up with probability below 10⁻³.
    below = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        answers, beta = random.integers(0, 2, 60), random.normal(size=(60, 3))
        below += read(beta, answers, 2, seed).p_value <= 0.2
    assert 1 <= below <= binom.ppf(1 - 1e-3, 60, 0.2)


def test_a_network_reads_what_no_line_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    random = np.random.default_rng(0)
    beta = random.normal(size=(800, 2))
    answers = (beta.prod(axis=1) > 0).astype(int)
    found = read(beta, answers, 2, seed=0)
    assert found.learner == "network" and found.information > 0.2


def test_constant_beta_and_constant_answers_say_nothing() -> None:
    answers = np.arange(80) % 2
    nothing = read(np.ones((80, 3)), answers, 2, seed=0)
    assert (nothing.information, nothing.p_value, nothing.learner) == (0.0, 1.0, "none")
    assert np.allclose(nothing.probabilities, 0.5)
    same = read(np.random.default_rng(0).normal(size=(80, 3)), np.zeros(80, int), 2, seed=0)
    assert (same.information, same.p_value, same.entropy) == (0.0, 1.0, 0.0)


def test_more_columns_than_samples_and_absent_classes() -> None:
    random = np.random.default_rng(0)
    answers = np.array([0] * 30 + [1] * 29 + [2])
    found = read(random.normal(size=(60, 200)), answers, 4, seed=0)
    assert found.probabilities.shape == (60, 4) and found.probabilities.min() > 0
