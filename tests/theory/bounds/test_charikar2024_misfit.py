"""The misfit bound: equality for subspaces, projections on convex sets, failure without them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.theory.bounds.charikar2024_misfit import (
    for_outputs,
    squared_distance,
    student_loss_bound,
)


def test_values_by_hand() -> None:
    # (0, 2) against (1, 0): (1 + 4)/2; weighted 1/4 and 3/4: 1/4 + 3.
    assert squared_distance([0, 2], [1, 0]) == 2.5
    assert squared_distance([0, 2], [1, 0], [0.25, 0.75]) == 3.25
    assert squared_distance([[0, 1], [1, 0]], [[1, 0], [1, 0]]) == 1.0
    assert student_loss_bound(0.5, 0.2) == pytest.approx(0.3)


@given(st.integers(0, 10_000))
def test_equality_for_a_subspace_that_holds_the_truth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(6))
    basis = rng.normal(size=(6, 2))
    truth, teacher = basis @ rng.normal(size=2), rng.normal(size=6)
    root = np.sqrt(p)[:, None]
    student = basis @ np.linalg.lstsq(root * basis, root[:, 0] * teacher, rcond=None)[0]
    found = for_outputs(teacher, student, truth, weights=p)
    assert found.measured is not None
    assert found.value == pytest.approx(found.measured.share)
    assert [h.status for h in found.hypotheses] == ["not checkable", "holds", "holds"]
    assert found.status == "not checkable"


@given(st.integers(0, 10_000))
def test_projections_on_a_segment_that_holds_the_truth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends, teacher, p = rng.normal(size=(2, 4)), rng.normal(size=4), rng.dirichlet(np.ones(4))
    along = ends[1] - ends[0]
    at = np.clip(p @ ((teacher - ends[0]) * along) / (p @ along**2), 0, 1)
    truth = ends[0] + rng.random() * along
    found = for_outputs(teacher, ends[0] + at * along, truth, weights=p)
    assert found.value is not None
    assert found.measured is not None
    assert found.measured.share <= found.value + 1e-9
    assert found.failed() == ()


def test_a_class_that_is_not_convex_shows() -> None:
    # The student may output (0, 0) or (1, 1), the truth; the teacher (.4, .4) projects on (0, 0).
    found = for_outputs([0.4, 0.4], [0.0, 0.0], [1.0, 1.0])
    assert found.status == "violated"
    (angle,) = found.failed()
    assert angle.measured == pytest.approx(0.4)
    assert found.measured is not None
    assert found.value is not None
    assert found.measured.share > found.value
    # A student further from the teacher than the truth is no projection at all.
    far = for_outputs([0.4, 0.4], [-1.0, -1.0], [1.0, 1.0])
    assert [h.name for h in far.failed()] == ["misfit d(f, f_t)", "E⟨f_t − f, f* − f⟩"]


def test_without_truth_the_teachers_loss_may_be_assumed() -> None:
    blind = for_outputs([0.4, 0.4], [0.2, 0.2])
    assert blind.value is None
    assert blind.constants == {"d(f, f_t)": pytest.approx(0.04)}
    assert blind.trivial == math.inf
    assumed = for_outputs([0.4, 0.4], [0.2, 0.2], teacher_loss=0.09)
    assert assumed.value == pytest.approx(0.05)
    assert assumed.trivial == pytest.approx((0.3 + 0.2) ** 2)
    assert assumed.status == "not checkable"
    assert not assumed.vacuous
    assert for_outputs([0.4, 0.4], [0.2, 0.2], teacher_loss=0.03).status == "violated"


def test_refusals() -> None:
    with pytest.raises(ValueError, match="the teacher's loss is measured"):
        for_outputs([0.4], [0.2], [0.3], teacher_loss=0.1)
    with pytest.raises(ValueError, match="have to agree"):
        squared_distance([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="not finite"):
        squared_distance([1, math.nan], [1, 2])
    with pytest.raises(ValueError, match="shape"):
        squared_distance(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="misfit is -1"):
        student_loss_bound(0.1, -1)
    with pytest.raises(ValueError, match="teacher_loss is nan"):
        student_loss_bound(math.nan, 0.1)


@given(st.floats(0, 9), st.floats(0, 9), st.floats(0, 9))
def test_monotone(loss: float, misfit: float, more: float) -> None:
    assert student_loss_bound(loss + more, misfit) >= student_loss_bound(loss, misfit)
    assert student_loss_bound(loss, misfit + more) <= student_loss_bound(loss, misfit)
