"""Printed probabilities, played: pools are drawn and the sentences that turn out false counted."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from mke_theory.theory.certificates import (
    Fact,
    PoolKey,
    class_shares_from_validation,
    confusion_from_validation,
    label_free,
    pool_key,
    population_statement,
    teacher_error_from_validation,
)
from mke_theory.theory.certificates.side_information import level_of, most_in_pool
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool

JOINT = np.array([[0.45, 0.10], [0.05, 0.40]])
"""P(ỹ = j, y = k) of the population that pools and validation points are drawn from."""
N, POOL = 40, 30
STUDENT = 0.12
"""The student is wrong with this probability, whatever ỹ and y."""


def most(played: int, level: float) -> float:
    """Misses that come by chance once in 3 million, five standard deviations above the mean."""
    return played * (1 - level) + 5 * (played * level * (1 - level)) ** 0.5


@cache
def limits(level: float) -> NDArray[np.int64]:
    return np.array([most_in_pool(c, N, POOL, level) for c in range(N + 1)])


def test_facts_of_ten_thousand_pools() -> None:
    # Each source by itself, then all three together, at 1 − (.05 + .05 + .1).
    rng, played = np.random.default_rng(0), 10_000
    seen = rng.multinomial(N, JOINT.ravel(), played)
    held = rng.multinomial(POOL, JOINT.ravel(), played)

    def missed(cells: list[list[int]], level: float, both: bool) -> NDArray[np.bool_]:
        each = 1 - (1 - level) / (2 * len(cells)) if both else level
        found = np.zeros(played, bool)
        for cell in cells:
            a, b = seen[:, cell].sum(axis=1), held[:, cell].sum(axis=1)
            found |= b > limits(each)[a]
            if both:
                found |= POOL - b > limits(each)[N - a]
        return found

    error = missed([[1, 2]], 0.95, both=False)
    shares = missed([[0, 2], [1, 3]], 0.95, both=True)
    cells = missed([[0], [1], [2], [3]], 0.9, both=True)
    for false, level in ((error, 0.95), (shares, 0.95), (cells, 0.9)):
        assert 0 < false.sum() <= most(played, level)
    assert (error | shares | cells).sum() <= most(played, 0.8)
    # The facts say the limits that were played.
    fact = teacher_error_from_validation(3, N, POOL, 2)
    assert fact.at_most == limits(0.95)[3] / POOL
    upper = {f.name: f.at_most for f in class_shares_from_validation([18, 22], POOL)}
    assert upper["share of class 0"] == limits(1 - 0.05 / 4)[18] / POOL
    assert upper["minus share of class 0"] == pytest.approx(-(1 - limits(1 - 0.05 / 4)[22] / POOL))
    table = {f.name: f.at_most for f in confusion_from_validation([[16, 4], [2, 18]], POOL, 0.9)}
    assert table["share with ỹ = 0, y = 1"] == limits(1 - 0.1 / 8)[4] / POOL
    facts = (fact, *class_shares_from_validation([18, 22], POOL))
    cells_of = confusion_from_validation([[16, 4], [2, 18]], POOL, 0.9)
    assert level_of((*facts, *cells_of)) == pytest.approx(0.8)


def test_intervals_of_a_population_miss_pools() -> None:
    # What the hypergeometric limits are for: that of Clopper and Pearson for the population, taken
    # for the pool, is exceeded in more pools than it says.
    rng, played = np.random.default_rng(1), 10_000
    seen, held = rng.binomial(N, 0.15, played), rng.binomial(POOL, 0.15, played)
    huge = np.array([most_in_pool(c, N, 10**6, 0.95) / 10**6 for c in range(N + 1)])
    assert (held / POOL > huge[seen]).sum() > most(played, 0.95)


def played_certificates(played: int, seed: int) -> tuple[int, int]:
    """Pools whose certificate, and whose statement on the population, turns out false."""
    rng, graph = np.random.default_rng(seed), Graph.from_edges(POOL, [])
    certificate_false = population_false = 0
    for _ in range(played):
        seen = rng.multinomial(N, JOINT.ravel()).reshape(2, 2)
        pseudo, truth = np.divmod(rng.choice(4, POOL, p=JOINT.ravel()), 2)
        student = np.where(rng.random(POOL) < STUDENT, 1 - truth, truth)
        found = label_free(
            LabelledPool(graph, pseudo, student, 2),
            error=teacher_error_from_validation(int(seen[0, 1] + seen[1, 0]), N, POOL, 2, 0.9),
            inconsistency=1.0,
            facts=class_shares_from_validation(seen.sum(axis=0), POOL, 0.9),
        )
        assert found.level == pytest.approx(0.8)
        certificate_false += float((student != truth).mean()) > found.value + 1e-9
        stated = population_statement(found, 0.9)
        assert stated.level == pytest.approx(0.7)
        population_false += stated.value < STUDENT
    return certificate_false, population_false


def test_sentences_of_certificates() -> None:
    certificate_false, population_false = played_certificates(150, 0)
    assert certificate_false <= most(150, 0.8)
    assert population_false <= most(150, 0.7)


@pytest.mark.slow
def test_sentences_of_ten_thousand_certificates() -> None:
    certificate_false, population_false = played_certificates(10_000, 1)
    assert certificate_false <= most(10_000, 0.8)
    assert population_false <= most(10_000, 0.7)


def test_a_fact_belongs_to_its_pool() -> None:
    labels = np.zeros(30, np.int64)
    pool = LabelledPool(Graph.from_edges(30, [[0, 1]]), labels, labels, 2)
    fact = teacher_error_from_validation(3, N, 30, 2)
    assert label_free(pool, error=fact, inconsistency=1.0).level == pytest.approx(0.95)
    larger = teacher_error_from_validation(3, N, 31, 2)
    with pytest.raises(ValueError, match="made for a pool of 31 points of equal weights, and this"):
        label_free(pool, error=larger, inconsistency=1.0)
    p = np.arange(1, 31) / np.arange(1, 31).sum()
    weighted = LabelledPool(Graph.from_edges(30, [[0, 1]], weights=p), labels, labels, 2)
    with pytest.raises(ValueError, match="was made for a pool of 30 points of equal weights"):
        label_free(weighted, error=fact, inconsistency=1.0)
    assert pool_key(p) != pool_key(p[::-1])
    assert pool_key(np.full(30, 1 / 30)) == PoolKey(30) == fact.made_for
    # An assumption is about whatever pool it is used on.
    assert Fact("x", np.eye(2), 1.0).made_for is None


def test_the_step_to_the_population() -> None:
    labels = np.zeros(30, np.int64)
    pool = LabelledPool(Graph.from_edges(30, [[0, 1]]), labels, labels, 2)
    # ε = .1 is three of 30: the one-sided limit at .975 for 3 of 30 is .2653.
    found = population_statement(label_free(pool, error=0.1, inconsistency=1.0))
    assert found.value == pytest.approx(0.2653, abs=1e-4)
    assert found.level == pytest.approx(0.975)
    assert "drawn from is at most 0.265" in str(found)
    with pytest.raises(ValueError, match="one of an error is needed"):
        population_statement(label_free(pool, error=0.1, inconsistency=1.0, gain=True))
    with pytest.raises(ValueError, match=r"level is 0\.2"):
        population_statement(label_free(pool, error=0.1, inconsistency=1.0), 0.2)
    p = np.arange(1, 31) / np.arange(1, 31).sum()
    weighted = LabelledPool(Graph.from_edges(30, [[0, 1]], weights=p), labels, labels, 2)
    with pytest.raises(ValueError, match="mistakes cannot be counted"):
        population_statement(label_free(weighted, error=0.1, inconsistency=1.0))


def test_counts_are_checked() -> None:
    with pytest.raises(TypeError, match="give whole numbers"):
        class_shares_from_validation([1.5, 2.5], 30)
    with pytest.raises(ValueError, match=r"counts have shape \(2, 3\)"):
        confusion_from_validation(np.ones((2, 3), int), 30)
    with pytest.raises(ValueError, match="level is 1"):
        class_shares_from_validation([1, 2], 30, 1)
