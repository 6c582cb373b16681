"""One class against the rest: its flows prove its bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import make_blobs

from mke_theory.theory.certificates import one_against_rest
from mke_theory.theory.certificates.one_against_rest import OneAgainstRest
from mke_theory.theory.graph import Graph, nearest_neighbours
from mke_theory.theory.labelled_pool import LabelledPool
from tests.theory.certificates.problems import problem_and_student
from tests.theory.enumeration import (
    error_problem,
    probabilities,
)

Floats = NDArray[np.float64]


def test_one_against_the_rest_is_proved_by_its_flows() -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        problem, _ = problem_and_student(rng, "edge", int(rng.integers(2, 5)))
        oracle, theta, price = OneAgainstRest(problem), rng.normal(size=problem.reward.shape), 0.7
        answer = oracle(theta, price)
        assert answer.bound >= probabilities(replace(problem, reward=theta), price) - 1e-7
        most = price * problem.graph.edge_weights[:, None] / 2
        assert (np.abs(oracle.flows) <= most).all()
        now = np.where(problem.allowed, theta, -np.inf)
        for (i, j), q in zip(problem.graph.edges, oracle.flows, strict=True):
            now[i] -= q
            now[j] += q
        assert answer.bound == pytest.approx(float(now.max(axis=1).sum()))


def test_further_rounds_never_make_the_bound_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    points, truth = make_blobs(200, centers=6, cluster_std=2.0, random_state=1)
    near = nearest_neighbours(points, 10)
    graph = Graph.from_edges(200, near.edges, rng.exponential(size=len(near.edges)))
    pseudo, student = (
        np.where(rng.random(200) < share, rng.integers(0, 6, 200), truth) for share in (0.2, 0.1)
    )
    problem = error_problem(LabelledPool(graph, pseudo, student, 6), 0.2, 0.1, "edge")
    bounds = []
    for rounds in (1, 2, 4, 8):
        monkeypatch.setattr(one_against_rest, "ROUNDS", rounds)
        bounds.append(OneAgainstRest(problem)(problem.theta(np.array([1.2])), 3.0).bound)
    assert (np.diff(bounds) <= 1e-9).all()
    assert bounds[0] - bounds[-1] > 1e-3


def test_one_against_the_rest_is_for_edges() -> None:
    problem, _ = problem_and_student(np.random.default_rng(81), "vertex")
    with pytest.raises(ValueError, match="one against the rest is for the edge form"):
        OneAgainstRest(problem)
