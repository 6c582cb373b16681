"""Up to its breakdown point a student is certified; a copy of its teacher has none."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np
import pytest

from mke_theory.theory.certificates.breakdown_point import breakdown
from mke_theory.theory.certificates.certificate import label_free
from mke_theory.theory.certificates.worst_case import Form
from mke_theory.theory.graph import Graph, Ints
from mke_theory.theory.labelled_pool import LabelledPool
from tests.theory.enumeration import (
    FORMS,
    Labellings,
    error_problem,
    inconsistency,
    random_pool,
)

What = Literal["inconsistency", "error"]
BOTH: tuple[What, What] = ("inconsistency", "error")


def clique(n: int) -> Graph:
    return Graph.from_edges(n, list(combinations(range(n), 2)))


def labels(*numbers: int) -> Ints:
    return np.array(numbers, dtype=np.int64)


def worst_gains(
    pool: LabelledPool, of: What, limit: float, error: float, most: float, form: Form
) -> Labellings:
    """All labellings, worth Err(f) − Err(ỹ), with one of the two assumptions moved to `limit`."""
    allowed = (limit, most) if of == "error" else (error, limit)
    return Labellings(error_problem(pool, *allowed, form, gain=True))


@pytest.mark.parametrize("begin", [0.0, 0.1, 0.3, 1.0])
def test_by_hand(begin: float) -> None:
    # Six points that see each other, and the teacher alone in saying 1 of one. The truth is a
    # mixture of "all 0" (gain −1/6, teacher's error 1/6), "that one is 1" (1/6, 0; a third of the
    # edges) and "all 1" (1/6, 5/6). It is 0 for one half of the first; at ε = 1/5 at most .14 of
    # the last can be mixed in, which leaves .36 to the second: μ = .36/3.
    pool = LabelledPool(clique(6), labels(1, 0, 0, 0, 0, 0), labels(0, 0, 0, 0, 0, 0), 2)
    found = breakdown(pool, "inconsistency", error=0.2, inconsistency=begin)
    assert found.of == "inconsistency"
    assert found.limit == pytest.approx(0.12, abs=1e-5)
    assert found.limit is not None
    assert found.limit < 0.12
    # The other way round: at μ = .12 it breaks down at ε = 1/5. At μ = 0 all 0 and all 1 weigh the
    # same where (1/6 + 5/6)/2 = ε.
    for most, error in ((0.12, 0.2), (0.0, 0.5)):
        other = breakdown(pool, "error", error=begin, inconsistency=most)
        assert other.limit == pytest.approx(error, abs=1e-5)


@pytest.mark.parametrize("of", BOTH)
@pytest.mark.parametrize("form", FORMS)
def test_up_to_it_the_student_is_better(of: What, form: Form) -> None:
    rng = np.random.default_rng(70)
    ended = never = 0
    for _ in range(12):
        pool = random_pool(rng, 2, (4, 8))
        better = np.where(rng.random(pool.graph.n) < 0.6, pool.known_truth, pool.pseudo)
        pool = replace(pool, student=better)
        error = min(1.0, pool.teacher_error + 0.02)
        most = min(1.0, inconsistency(pool.graph, pool.known_truth, form) + 0.02)
        limit = breakdown(pool, of, error=error, inconsistency=most, form=form).limit
        fixed = (error, most, form)
        if limit is None:
            # Wherever the assumptions can be true, a mixture leaves the student no better.
            for moved in np.linspace(0, 1, 11).tolist():
                worst = worst_gains(pool, of, moved, *fixed).hull()
                assert worst == -np.inf or worst > -1e-5
            never += 1
            continue
        every = worst_gains(pool, of, limit, *fixed)
        assert every.best < 0  # no truth that is allowed makes it as bad as its teacher
        assert -np.inf < every.hull() < 0
        moved_error, moved_most = (limit, most) if of == "error" else (error, limit)
        found = label_free(pool, error=moved_error, inconsistency=moved_most, form=form, gain=True)
        assert found.value < 0
        if limit < 1:
            # And a little further on a mixture does, give or take what the search left.
            beyond = worst_gains(pool, of, min(1.0, limit + 5e-3), *fixed)
            assert beyond.hull() > -1e-4
            ended += 1
    assert ended > 0
    assert never > 0


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("of", BOTH)
def test_a_copy_of_the_teacher_has_none(classes: int, of: What) -> None:
    path = Graph.from_edges(5, [[i, i + 1] for i in range(4)])
    copy = LabelledPool(path, labels(0, 0, 0, 1, 1), labels(0, 0, 0, 1, 1), classes)
    for error, most in ((0.0, 0.25), (0.2, 0.25), (0.2, 0.0)):
        assert breakdown(copy, of, error=error, inconsistency=most).limit is None


def test_a_student_that_differs_where_nothing_is_known_has_none() -> None:
    pool = LabelledPool(Graph.from_edges(4, []), labels(0, 0, 1, 1), labels(0, 0, 0, 0), 2)
    for of in BOTH:
        assert breakdown(pool, of, error=0.5, inconsistency=0.5).limit is None


def test_known_labels_may_certify_everything() -> None:
    pool = LabelledPool(clique(4), labels(1, 0, 0, 0), labels(0, 0, 0, 0), 2)
    for of in BOTH:
        found = breakdown(
            pool, of, error=0.5, inconsistency=0.5, known_labels=labels(0, -1, -1, -1)
        )
        assert found.limit == 1.0


def test_three_classes() -> None:
    pool = LabelledPool(clique(5), labels(1, 0, 0, 0, 0), labels(0, 0, 0, 0, 0), 3)
    found = breakdown(pool, "inconsistency", error=0.25, inconsistency=0.05)
    assert found.limit is not None
    assert found.limit > 0.05
    assert worst_gains(pool, "inconsistency", found.limit, 0.25, 0, "edge").best < 0


def test_assumptions_that_contradict_each_other_are_no_certificate() -> None:
    # At ε = 0 the truth is ỹ, which cuts 5 of 15 edges: nothing is allowed below, and above the
    # student is the worse.
    pool = LabelledPool(clique(6), labels(1, 0, 0, 0, 0, 0), labels(0, 0, 0, 0, 0, 0), 2)
    found = breakdown(pool, "inconsistency", error=0.0, inconsistency=0.1)
    assert found.limit is None


def test_bad_input() -> None:
    pool = LabelledPool(clique(4), labels(0, 0, 1, 1), labels(0, 0, 0, 1), 2)
    with pytest.raises(ValueError, match="of is 'both'; choose 'inconsistency' or 'error'"):
        breakdown(pool, "both", error=0.1, inconsistency=0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"teacher's error is -0\.1"):
        breakdown(pool, "error", error=-0.1, inconsistency=0.1)
    with pytest.raises(ValueError, match="the inconsistency is at most 2"):
        breakdown(pool, "error", error=0.1, inconsistency=2.0)
