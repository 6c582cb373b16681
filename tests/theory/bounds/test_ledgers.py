"""The ledger shows every bound with its hypotheses, and computes nothing of its own."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.theory.bounds import (
    charikar2024_misfit,
    lang2024_correction,
    lang2024_coverage,
    wei2021_pseudolabels,
)
from mke_theory.theory.bounds.bound import Bound, Hypothesis
from mke_theory.theory.bounds.ledgers import Assumed, ledger
from mke_theory.theory.graph import Graph
from mke_theory.theory.labelled_pool import LabelledPool
from mke_theory.theory.search.counterexample import draw
from mke_theory.theory.search.small_worlds import Atoms, World

# Two cliques of five and four points; the teacher errs on one and two of them, the student on one.
CLIQUES = World(
    Atoms((1,) * 9, (*combinations(range(5), 2), *combinations(range(5, 9), 2))),
    (0,) * 5 + (1,) * 4,
    (1, 0, 0, 0, 0, 0, 0, 1, 1),
)
POOL = CLIQUES.pool((0, 0, 0, 0, 0, 1, 1, 1, 0))


def test_rows_are_what_the_theorems_say() -> None:
    found = ledger(POOL)
    assert [(b.name, b.scope) for b in found.bounds] == [
        ("Wei 4.3, any student", "pool"),
        ("Wei 4.3, minimiser", "pool"),
        ("small sets, directly", "pool"),
        ("Lang B.1, correction", "class 0"),
        ("Lang B.1, correction", "class 1"),
        ("Lang B.1, any student", "class 0"),
        ("Lang B.1, any student", "class 1"),
        ("Lang 4.3, η-robust", "class 0"),
        ("Lang 4.3, η-robust", "class 1"),
        ("Lang B.1, all classes", "pool"),
        ("Blum–Mitchell, views", "class 0"),
        ("Blum–Mitchell, views", "class 1"),
        ("views by confusion", "pool"),
        ("Cai 2.1, propagation", "pool"),
    ]
    assert found.bounds[0] == wei2021_pseudolabels.for_any_student(POOL)
    assert found.bounds[4] == lang2024_correction.for_class(POOL, 1)
    assert ledger(POOL, steps=2).bounds[4] == lang2024_correction.for_class(POOL, 1, steps=2)
    # The sum over classes needs all of them, in order.
    assert "Lang B.1, all classes" not in {b.name for b in ledger(POOL, classes=[1, 0]).bounds}
    only = ledger(POOL, classes=[1])
    assert {b.scope for b in only.bounds} == {"pool", "class 1"}
    # Class 1 has ā = 1/2, which is not below 1/3: the number stands beside the word.
    assert found.bounds[0].status == "violated"


def test_text_fits_a_terminal_and_names_what_failed() -> None:
    lines = str(ledger(POOL)).splitlines()
    assert max(map(len, lines)) <= 120
    row = next(i for i, line in enumerate(lines) if line.startswith("Wei 4.3, any student"))
    assert lines[row].rstrip().endswith(("violated", "violated, vacuous"))
    assert lines[row + 1] == "    violated: teacher's worst class error ā = 0.5, must be < 1/3"
    assert "Cai 2.1, propagation: cai2021theory, Theorem 2.1" in lines


def test_measured_error_and_its_interval() -> None:
    frame = ledger(POOL, level=0.9).to_frame()
    row = frame[(frame.theorem == "Lang B.1, correction") & (frame.scope == "class 1")].iloc[0]
    interval = clopper_pearson(1, 4, 0.9)
    assert (row.measured, row.low, row.high) == (0.25, interval.low, interval.high)
    assert "0.250 [" in str(ledger(POOL))
    assert "covers the error on what the pool was drawn from" in str(ledger(POOL))
    # Points that do not weigh alike are no draws to be counted.
    atoms = Atoms((1, 2) + (1,) * 7, CLIQUES.atoms.edges)
    weighted = ledger(World(atoms, CLIQUES.truth, CLIQUES.teacher).pool(POOL.student))
    assert weighted.to_frame().low.isna().all()
    assert weighted.to_frame().measured.notna().all()
    assert "Clopper" not in str(weighted)


@given(st.integers(0, 2**32 - 1))
def test_no_failed_number_goes_without_the_word(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = draw(rng, int(rng.integers(3, 8)), int(rng.integers(2, 4)))
    student = rng.integers(world.classes, size=world.atoms.n)
    found = ledger(world.pool(student))
    text, table, frame = str(found).splitlines(), found.to_markdown().splitlines(), found.to_frame()
    assert len(table) == len(found.bounds) + 2 == len(frame) + 2
    rows = [
        line
        for line in text
        if re.search(r"(holds|violated|not shown|not checkable)(, vacuous)?$", line)
    ]
    rows = [line for line in rows if not line.startswith(" ")]
    assert len(rows) == len(found.bounds)
    for bound, line, cells, (_, record) in zip(
        found.bounds, rows, table[2:], frame.iterrows(), strict=True
    ):
        assert line.endswith(bound.verdict)
        assert f"({bound.verdict})" in cells
        assert record.status == bound.status
        assert all(str(h) in cells for h in bound.failed())
        if bound.status == "holds" and bound.value is not None and bound.measured is not None:
            assert bound.measured.share <= bound.value + 1e-9


def test_unlabelled_points() -> None:
    covered = np.array([True, True, True, True, False, True, True, True, False])
    found = ledger(POOL, covered=covered)
    assert [(b.name, b.scope) for b in found.bounds] == [
        *(
            (name, f"unlabelled class {k}")
            for k in (0, 1)
            for name in (
                "Lang B.2, coverage",
                "Lang B.2, c₁ only",
                "Lang B.2, any student",
                "Blum–Mitchell, views",
            )
        ),
        ("Cai 2.1, propagation", "unlabelled points"),
    ]
    assert found.bounds[0] == lang2024_coverage.for_class(POOL, 0, covered)
    # A class without unlabelled points has no row, and the theorem on both sides no value.
    one_sided = ledger(POOL, covered=np.array([False] + [True] * 8))
    scopes = [b.scope for b in one_sided.bounds]
    assert scopes == ["unlabelled class 0"] * 4 + ["unlabelled points"]
    assert "classes on both sides" in str(one_sided)


def test_without_truth_everything_says_so() -> None:
    blind = LabelledPool(POOL.graph, POOL.pseudo, POOL.student, 2)
    found = ledger(blind)
    assert {b.status for b in found.bounds} == {"not checkable"}
    assert all(b.value is None and b.measured is None for b in found.bounds)
    assert {b.scope for b in found.bounds} == {"pool", "every class"}
    covered = np.array([True] * 8 + [False])
    scopes = {b.scope for b in ledger(blind, covered=covered).bounds}
    assert scopes == {"unlabelled, every class", "unlabelled points"}
    assumed = ledger(
        blind,
        assumed=Assumed(
            teacher_error=0.1,
            worst_class_error=0.2,
            truth_inconsistency=0.9,
            margin=0.5,
            confusion=[[0.9, 0.1], [0.2, 0.8]],
            expansion=(3.5, 5.0),
            half_expansion=2.0,
        ),
    )
    values = {b.name: b.value for b in assumed.bounds}
    assert values["Wei 4.3, any student"] == pytest.approx(
        wei2021_pseudolabels.student_error_bound(
            blind.disagreement, blind.share(blind.student_inconsistent()), 0.1, 3.5
        )
    )
    assert values["Cai 2.1, propagation"] is not None
    assert values["views by confusion"] is not None
    assert {b.status for b in assumed.bounds} == {"not checkable"}


def test_rows_can_be_added() -> None:
    own = Bound("cert|ificate", "derived here", "pool", "student error", 0.2, ())
    misfit = charikar2024_misfit.for_outputs([0.4, 0.1], [0.2, 0.1], [0.0, 0.0])
    long = Bound(
        "a name that is longer than its column",
        "derived here",
        "a scope that is longer still, by far",
        "student error",
        0.2,
        (Hypothesis("h", "violated", None, "a requirement " * 12),),
    )
    found = ledger(POOL, extra=(own, misfit, long))
    assert found.bounds[-3:] == (own, misfit, long)
    assert max(map(len, str(found).splitlines())) <= 120
    assert "squared loss" in str(found)
    assert r"cert\|ificate" in found.to_markdown()
    assert found.to_frame().quantity.iloc[-2] == "squared loss"


def test_refusals() -> None:
    with pytest.raises(ValueError, match="class 2 is not among 0 to 1"):
        ledger(POOL, classes=[2])
    with pytest.raises(ValueError, match="assume none"):
        ledger(POOL, assumed=Assumed(teacher_error=0.1))
    with pytest.raises(ValueError, match="confusion is measured"):
        ledger(POOL, assumed=Assumed(confusion=np.eye(2)))
    with pytest.raises(ValueError, match="covered is"):
        ledger(POOL, covered=np.ones(3, bool))
    with pytest.raises(ValueError, match="level is 2"):
        str(ledger(POOL, level=2))


def test_a_class_that_is_empty_has_no_row() -> None:
    y = np.array([0, 0, 2, 2])
    pool = LabelledPool(Graph.from_edges(4, [[0, 1], [2, 3]]), y, y, 3, y)
    scopes = {b.scope for b in ledger(pool).bounds}
    assert scopes == {"pool", "class 0", "class 2"}
