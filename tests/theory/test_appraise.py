"""The views of a pool by hand, and the certificate as a row of a ledger."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mke_theory.theory.appraise import appraise, certificate_row, spaces
from mke_theory.theory.certificates.certificate import label_free
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool


def test_there_is_a_view_by_alpha_by_beta_by_both_and_by_the_embedding() -> None:
    inputs = {"x": np.full((5, 2), 3.0), "y": np.full((5, 1, 2), 4.0)}
    found = {kind: points for _, kind, points in spaces(inputs, ["y"], np.ones((5, 7)))}
    assert [*found] == ["α", "β", "both", "own"]
    # Each modality has mean square 1 a sample: (4, 4)/√32 and (3, 3)/√18 are the same.
    assert found["both"] == pytest.approx(np.full((5, 4), 0.5**0.5))
    assert found["α"].shape == (5, 2) and found["own"].shape == (5, 7)
    assert [kind for _, kind, _ in spaces(inputs, ["y"], None)] == ["α", "β", "both"]


def test_a_view_that_needs_a_missing_modality_is_left_out() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(30, 1)), draw.normal(size=(30, 1))
    y[3] = np.nan
    labels = (x[:, 0] > 0).astype(np.int64)
    views = appraise(
        {"x": x, "y": y}, ["x"], None, pseudo=labels, student=labels, truth=labels, classes=2
    )
    assert [view.kind for view in views] == ["α"]


def test_of_a_large_pool_a_random_part_is_appraised() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 1))
    labels = (x[:, 0] > 0).astype(np.int64)

    def weights(seed: int) -> list[float]:
        views = appraise(
            {"x": x, "y": x},
            ["x"],
            x,
            pseudo=draw.permutation(labels),
            student=labels,
            truth=labels,
            classes=2,
            seed=seed,
            most_points=50,
        )
        return [view.pool.graph.n for view in views]

    assert weights(0) == [50] * 4


def test_a_view_by_hand() -> None:
    # Two pairs far apart, each pair alike: the graph joins equals, and the truth is consistent.
    x = np.array([[0.0], [0.1], [9.0], [9.1]])
    truth = np.array([0, 0, 1, 1])
    views = appraise(
        {"x": x, "y": x},
        ["x"],
        None,
        pseudo=np.array([1, 0, 1, 1]),
        student=truth,
        truth=truth,
        classes=2,
        neighbours=1,
    )
    assert [view.name for view in views] == ["α: x", "β: y", "both: x, y"]
    kept = views[0].to_dict()
    assert (kept["points"], kept["edges"]) == (4, 2)
    assert (kept["teacher_error"], kept["student_error"], kept["disagreement"]) == (0.25, 0.0, 0.25)
    assert kept["inconsistency"] == 0.0
    # The truth is constant on each pair. With ε = 1/4 the teacher is right on the second pair and
    # wrong on one point of the first, whose truth may be 0, 0 or 1, 1: the student may miss both.
    assert kept["certificate"] == pytest.approx(0.5, abs=1e-6)
    assert kept["trivial"] == 0.5


def test_the_certificate_is_a_row_whose_assumptions_are_checked() -> None:
    graph = Graph.from_edges(3, [[0, 1], [1, 2]])
    labels = (np.array([0, 0, 1]), np.array([0, 0, 0]), 2, np.array([0, 1, 1]))
    pool = LabelledPool(graph, *labels)
    certificate = label_free(pool, error=0.4, inconsistency=0.5)
    row = certificate_row(certificate, pool)
    assert (row.name, row.scope, row.value) == ("certificate", "pool", certificate.value)
    assert row.status == "holds"  # the teacher errs on 1/3, the truth cuts one of two edges
    assert row.measured is not None and row.measured.share == pytest.approx(2 / 3)
    tight = label_free(pool, error=0.3, inconsistency=0.5)
    assert certificate_row(tight, pool).status == "violated"
    blind = replace(pool, truth=None)
    assert certificate_row(certificate, blind).status == "not checkable"
