"""Certificates are never below the truth, and exact where the theory makes them so."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression

from mke_theory.theory.certificates import methods
from mke_theory.theory.certificates.certificate import Certificate, label_free, truth_known
from mke_theory.theory.certificates.side_information import (
    Fact,
    class_shares,
    teacher_error_at_least,
    teacher_error_at_most,
    teacher_error_from_validation,
)
from mke_theory.theory.certificates.worst_case import Form
from mke_theory.theory.graph import (
    Graph,
    Ints,
    edge_inconsistency,
    radius_graph,
    vertex_inconsistency,
)
from mke_theory.theory.labelled_pool import LabelledPool
from tests.theory.certificates.problems import dense_world, wei_bound, wei_expansion
from tests.theory.enumeration import (
    FORMS,
    Labellings,
    error_problem,
    facts_that_hold,
    inconsistency,
    random_graph,
    random_pool,
    some_known,
)

Floats = NDArray[np.float64]

EXACT = 1e-6
"""Two classes: cutting planes stop within 10⁻⁷ of the best prices."""
NEAR = 3e-3
"""More classes: the first-order method stops within 5·10⁻⁴ of them, rarely a little later."""


def clique(n: int) -> Graph:
    return Graph.from_edges(n, list(combinations(range(n), 2)))


def labels(*numbers: int) -> Ints:
    return np.array(numbers, dtype=np.int64)


def some_certificate(
    rng: np.random.Generator, classes: int, form: Form
) -> tuple[LabelledPool, Certificate, Labellings]:
    """A certificate of a small pool from true assumptions, with everything that may be used."""
    pool = random_pool(rng, classes, (2, 7 if classes == 3 else 9))
    slack, facts = float(rng.choice([0.0, 0.1])), facts_that_hold(rng, pool)
    known = some_known(rng, pool) if rng.random() < 0.5 else None
    error = min(1.0, pool.teacher_error + slack)
    most = min(1.0, inconsistency(pool.graph, pool.known_truth, form) + slack)
    gain = bool(rng.random() < 0.3)
    found = label_free(
        pool, error=error, inconsistency=most, form=form, facts=facts, known_labels=known, gain=gain
    )
    every = Labellings(error_problem(pool, error, most, form, facts, known, gain))
    return pool, found, every


# --- by hand -------------------------------------------------------------------------------------


def test_by_hand() -> None:
    # Five points that all see each other, and a truth that never changes along an edge: all 0 or
    # all 1. The teacher predicts 1 once; if it errs on a fifth at most, all are 0.
    graph, pseudo = clique(5), labels(0, 0, 0, 0, 1)
    right = LabelledPool(graph, pseudo, labels(0, 0, 0, 0, 0), 2)
    for form in FORMS:
        found = label_free(right, error=0.2, inconsistency=0, form=form)
        assert found.value == pytest.approx(0.0, abs=EXACT)
        assert found.trivial == pytest.approx(0.4)
        assert (found.labelling == 0).all() if found.labelling is not None else False
        better = label_free(right, error=0.2, inconsistency=0, form=form, gain=True)
        assert better.value == pytest.approx(-0.2)  # the teacher's error, all of it corrected
        copied = label_free(replace(right, student=pseudo), error=0.2, inconsistency=0, form=form)
        assert copied.value == pytest.approx(0.2)
        assert copied.vacuous
    # If it may err on half, mixtures of both truths are all that is left: t with .2 + .6 t = .5.
    assert label_free(right, error=0.5, inconsistency=0).value == pytest.approx(0.5)
    # Somebody looks up one label, and the other truth is gone.
    looked_up = labels(0, -1, -1, -1, -1)
    found = label_free(right, error=0.5, inconsistency=0, known_labels=looked_up)
    assert found.value == pytest.approx(0.0, abs=EXACT)
    assert found.known_labels == 1


def test_truth_known_by_hand() -> None:
    # As above with the truth 0: a classifier that never changes and differs from ỹ on a fifth is 0.
    pool = LabelledPool(
        clique(5), labels(0, 0, 0, 0, 1), labels(0, 0, 0, 0, 0), 2, labels(*[0] * 5)
    )
    assert truth_known(pool).value == pytest.approx(0.0, abs=EXACT)
    # One that differs from ỹ on four fifths may be all 1 instead; trivial is 1/5 + 4/5.
    found = truth_known(pool, disagreement=0.8)
    assert found.value == found.trivial == pytest.approx(1.0)
    # In the vertex form every point sees both labels as soon as two differ.
    assert truth_known(pool, form="vertex", inconsistency=0.0).value < EXACT
    assert truth_known(pool, inconsistency=1.0).value == pytest.approx(0.4)


# --- never too small, and exact where it can be --------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("classes", "pools"), [(2, 40), (3, 8)])
def test_no_allowed_truth_is_worse(classes: int, pools: int, form: Form) -> None:
    rng = np.random.default_rng(classes)
    met = 0
    for _ in range(pools):
        pool, found, every = some_certificate(rng, classes, form)
        own = pool.student_error
        if "teacher" in found.quantity:
            own -= pool.teacher_error
        assert own - 1e-12 <= every.best <= found.value + 1e-9
        assert found.value <= found.trivial
        for value in found.by_method.values():
            assert value >= every.best - 1e-9
        if found.attained is not None:
            assert found.labelling is not None
            problem = every.problem
            assert problem.allows(found.labelling)
            assert found.attained == pytest.approx(problem.measure(found.labelling)[0])
            assert found.attained <= every.best + 1e-9
            if found.attained >= found.value - EXACT:  # then nothing can be worse
                assert found.value == pytest.approx(every.best, abs=EXACT)
                met += 1
        if classes == 2 and every.problem.most > 0:
            assert found.value == pytest.approx(every.hull(), abs=EXACT)
    assert met > pools / 10


@pytest.mark.parametrize("classes", [2, 3])
def test_without_edges_it_is_exact_and_trivial(classes: int) -> None:
    # Every point may be wrong by itself: where f ≠ ỹ at no cost, where f = ỹ for a share of ε.
    rng = np.random.default_rng(classes)
    for n in (3, 8)[: 4 - classes]:
        pseudo, student = rng.integers(0, classes, (2, n))
        pool = LabelledPool(Graph.from_edges(n, []), pseudo, student, classes)
        for wrong in range(n + 1):
            found = label_free(pool, error=wrong / n, inconsistency=0.1)
            exact = min(1.0, float((pseudo != student).mean()) + wrong / n)
            assert found.value == found.trivial == pytest.approx(exact)
            gained = label_free(pool, error=wrong / n, inconsistency=0.1, gain=True)
            assert gained.value == pytest.approx(pool.disagreement)


@pytest.mark.parametrize("form", FORMS)
def test_at_an_exposed_labelling_it_is_exact(form: Form) -> None:
    # If y* is the best labelling at some prices λ, ν > 0 and the limits are its own error and
    # inconsistency, these prices prove that no allowed labelling is worse than y*.
    rng = np.random.default_rng(5)
    beyond_trivial = 0
    for _ in range(40):
        pool = random_pool(rng, 2, (6, 9))
        n = pool.graph.n
        pool = replace(pool, graph=random_graph(rng, n, 3 * n))
        every = Labellings(error_problem(pool, 1.0, 1.0, form))
        prices = rng.random(2) * [0.7, 0.5] + [0.3, 0.05]
        paid = every.reward - prices[0] * every.sides[:, 0] - prices[1] * every.inconsistency
        at = int(paid.argmax())
        error, most = min(1.0, float(every.sides[at, 0])), float(every.inconsistency[at])
        found = label_free(pool, error=error, inconsistency=min(1.0, most), form=form)
        assert found.value == pytest.approx(every.reward[at], abs=EXACT)
        beyond_trivial += not found.vacuous
    assert beyond_trivial >= 4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [2, 3])
def test_on_equal_components_it_is_exact(classes: int, form: Form) -> None:
    # Four cliques of five, one label in each wrong, and a student that is right if ỹ mostly is. A
    # clique with another truth costs the teacher 4 instead of 1 and the student 5, out of 20.
    edges = [(5 * c + i, 5 * c + j) for c in range(4) for i, j in combinations(range(5), 2)]
    graph, student = Graph.from_edges(20, edges), np.zeros(20, np.int64)
    pseudo = np.where(np.arange(20) % 5 == 0, 1, 0)
    pool = LabelledPool(graph, pseudo, student, classes)
    for turned in range(5):
        error = (4 + 3 * turned) / 20
        found = label_free(pool, error=error, inconsistency=0.0, form=form)
        assert found.value == pytest.approx(5 * turned / 20, abs=EXACT)
        assert found.method == "connected components"


@pytest.mark.parametrize("form", FORMS)
def test_the_prices_prove_the_value(form: Form) -> None:
    rng = np.random.default_rng(6)
    for classes in (2, 2, 2, 2, 3, 3):
        _, found, every = some_certificate(rng, classes, form)
        if every.problem.most == 0:
            assert found.inconsistency_price == np.inf
            continue
        assert (found.prices >= 0).all()
        dual = every.dual(found.prices, found.inconsistency_price)
        best = found.by_method[found.method]
        assert found.value == min(best, found.trivial)
        assert dual - 1e-9 <= best
        if classes == 2:
            assert best == pytest.approx(dual, abs=EXACT)


# --- changes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("classes", "pools", "margin"), [(2, 8, EXACT), (3, 2, NEAR)])
def test_it_grows_with_what_is_allowed(classes: int, pools: int, margin: float, form: Form) -> None:
    rng = np.random.default_rng(classes)
    for _ in range(pools):
        pool = random_pool(rng, classes, (3, 8))
        error = pool.teacher_error
        most = inconsistency(pool.graph, pool.known_truth, form)
        steps = (0.0, 0.05, 0.2, 0.5)
        by_error = [
            label_free(pool, error=min(1, error + s), inconsistency=most, form=form).value
            for s in steps
        ]
        by_most = [
            label_free(pool, error=error, inconsistency=min(1, most + s), form=form).value
            for s in steps
        ]
        assert (np.diff(by_error) >= -margin).all()
        assert (np.diff(by_most) >= -margin).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("classes", "pools", "margin"), [(2, 15, EXACT), (3, 2, NEAR)])
def test_knowing_more_never_loosens_it(classes: int, pools: int, margin: float, form: Form) -> None:
    rng = np.random.default_rng(10 + classes)
    tightened = 0
    for _ in range(pools):
        pool = random_pool(rng, classes, (3, 8))
        error = min(1.0, pool.teacher_error + 0.1)
        most = min(1.0, inconsistency(pool.graph, pool.known_truth, form) + 0.1)
        share = np.bincount(pool.known_truth, pool.graph.weights, classes)
        shares = class_shares(np.maximum(share - 0.02, 0), np.minimum(share + 0.02, 1))
        known = some_known(rng, pool, 0.3)

        plain, by_facts, by_labels, by_both = (
            label_free(
                pool, error=error, inconsistency=most, form=form, facts=facts, known_labels=labels
            ).value
            for facts, labels in (((), None), (shares, None), ((), known), (shares, known))
        )
        assert by_facts <= plain + EXACT
        assert by_labels <= plain + margin
        assert by_both <= min(by_facts, by_labels) + margin
        tightened += by_both < plain - 0.01
    assert tightened > 0


def test_an_edge_less_never_tightens_it() -> None:
    # Vertex form: without an edge, B(x) is smaller and R_B of every labelling too. Edge form:
    # weights are shares, so R_E' ≤ R_E/(1 − w) only, and μ has to be raised alike.
    rng = np.random.default_rng(20)
    for _ in range(15):
        pool = random_pool(rng, 2, (4, 9))
        graph, at = pool.graph, int(rng.integers(max(1, len(pool.graph.edges))))
        if len(graph.edges) < 2:
            continue
        edges, w = np.delete(graph.edges, at, axis=0), np.delete(graph.edge_weights, at)
        fewer = replace(pool, graph=Graph.from_edges(graph.n, edges, w, weights=graph.weights))
        lost = float(graph.edge_weights[at])
        for form, most, raised in (("vertex", 0.3, 0.3), ("edge", 0.2, 0.2 / (1 - lost))):
            values = [
                label_free(one, error=0.5, inconsistency=min(1.0, limit), form=form).value  # type: ignore[arg-type]
                for one, limit in ((pool, most), (fewer, raised))
            ]
            assert values[1] >= values[0] - EXACT


def test_at_the_same_share_an_edge_less_may_tighten_the_edge_form() -> None:
    # Points 0 and 1 are known, so that their edge is never cut; without it the edge to point 2 is
    # all the weight there is, and at μ = 1/2 only half of point 2 may be wrong.
    both = Graph.from_edges(3, [[0, 1], [1, 2]])
    one = Graph.from_edges(3, [[1, 2]])
    known, zero = labels(0, 0, -1), labels(0, 0, 0)
    values = [
        label_free(
            LabelledPool(g, zero, zero, 2), error=1, inconsistency=0.5, known_labels=known
        ).value
        for g in (both, one)
    ]
    assert values == pytest.approx([1 / 3, 1 / 6])


@pytest.mark.parametrize("form", FORMS)
def test_names_of_points_and_classes_do_not_matter(form: Form) -> None:
    rng = np.random.default_rng(21)
    for classes, margin in ((2, EXACT), (2, EXACT), (2, EXACT), (3, NEAR)):
        pool = random_pool(rng, classes, (5, 9))
        n, graph, truth = pool.graph.n, pool.graph, pool.known_truth
        place, name = rng.permutation(n), rng.permutation(classes)
        back = np.argsort(place)
        moved = LabelledPool(
            Graph.from_edges(n, place[graph.edges], graph.edge_weights, graph.weights[back]),
            name[pool.pseudo[back]],
            name[pool.student[back]],
            classes,
            name[truth[back]],
        )
        for gain in (False, True):
            before, after = (
                label_free(one, error=0.3, inconsistency=0.6, form=form, gain=gain).value
                for one in (pool, moved)
            )
            assert after == pytest.approx(before, abs=margin)
        assert truth_known(moved, form=form).value == pytest.approx(
            truth_known(pool, form=form).value, abs=margin
        )


@pytest.mark.parametrize("form", FORMS)
def test_two_workers_find_what_one_finds(form: Form) -> None:
    rng = np.random.default_rng(22)
    pool = random_pool(rng, 2, (40, 41))
    values = [
        label_free(pool, error=0.3, inconsistency=0.3, form=form, workers=w).value for w in (1, 2)
    ]
    assert values[1] == pytest.approx(values[0], abs=EXACT)


# --- rounding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("heavy", [1e-9, 1e-3, 1e9])
def test_awkward_weights_are_valid(form: Form, heavy: float) -> None:
    rng = np.random.default_rng(30)
    met = priced = 0
    for classes in (2, 2, 2, 2, 3):
        n = int(rng.integers(3, 7))
        pairs = np.array(list(combinations(range(n), 2)))
        pairs = pairs[rng.random(len(pairs)) < 0.6]
        weight = rng.choice([1.0, 1 / 3, heavy], len(pairs))
        p = rng.choice([1 / 3, 1.0, 1e-7], n)
        p[0] = 1.0
        graph = Graph.from_edges(n, pairs, weight, p / p.sum())
        truth = rng.integers(0, classes, n)
        pseudo, student = (np.where(rng.random(n) < 0.3, 0, truth) for _ in range(2))
        pool = LabelledPool(graph, pseudo, student, classes, truth)
        error, most = pool.teacher_error, inconsistency(graph, truth, form)
        found = label_free(pool, error=error, inconsistency=most, form=form)
        every = Labellings(error_problem(pool, error, most, form))
        assert found.value >= every.best - 1e-9
        assert found.value >= pool.student_error - 1e-9
        if found.attained is not None:
            assert found.attained <= found.value + 1e-9
            met += 1
        if most > 0:
            dual = every.dual(found.prices, found.inconsistency_price)
            assert found.by_method[found.method] >= dual - 1e-9
            priced += 1
    assert met >= 3
    assert priced >= 3


@pytest.mark.parametrize(("classes", "pairs"), [(2, 3), (3, 1)])
@pytest.mark.parametrize("form", FORMS)
def test_two_points_are_a_pool(classes: int, pairs: int, form: Form) -> None:
    for edges in ([], [[0, 1]]):
        graph = Graph.from_edges(2, edges)
        for pseudo, student in product([(0, 1), (0, 0), (1, 1)][:pairs], repeat=2):
            pool = LabelledPool(graph, labels(*pseudo), labels(*student), classes)
            for error, most in ((0.5, 0.0), (0.5, 1.0), (1.0, 0.5), (1.0, 1.0)):
                every = Labellings(error_problem(pool, error, most, form))
                if not every.allowed.any():
                    continue
                found = label_free(pool, error=error, inconsistency=most, form=form)
                assert every.best - 1e-9 <= found.value <= found.trivial


# --- truth known, and a published bound ----------------------------------------------------------


@pytest.mark.parametrize(("classes", "worlds", "margin"), [(2, 120, EXACT), (3, 40, NEAR)])
def test_truth_known_is_never_above_wei_and_others(
    classes: int, worlds: int, margin: float
) -> None:
    rng = np.random.default_rng(40 + classes)
    held = smaller = 0
    for _ in range(worlds):
        world = dense_world(rng, classes)
        truth, pseudo = np.array(world.truth), np.array(world.teacher)
        student = np.where(rng.random(len(truth)) < 0.5, truth, pseudo)
        student = np.where(rng.random(len(truth)) < 0.1, 0, student)
        c = wei_expansion(world)
        if c is None:
            continue
        bound = wei_bound(world, student, c)
        found = truth_known(world.pool(student), form="vertex")
        # Not the trivial bound: what the prices prove is below theirs already.
        assert found.by_method[found.method] <= bound + margin
        held += 1
        smaller += found.value < bound - 0.01
    assert held > worlds / 4
    assert smaller > 0


@pytest.mark.parametrize("form", FORMS)
def test_truth_known_bounds_every_classifier_like_the_student(form: Form) -> None:
    rng = np.random.default_rng(50)
    for classes in (2, 2, 2, 2, 2, 3):
        pool = random_pool(rng, classes, (3, 7))
        found = truth_known(pool, form=form)
        delta, rho = pool.disagreement, inconsistency(pool.graph, pool.student, form)
        # The same problem with roles exchanged: f is sought, y is what it is compared with.
        swapped = replace(pool, student=pool.known_truth)
        every = Labellings(error_problem(swapped, delta, rho, form))
        assert pool.student_error - 1e-12 <= every.best <= found.value + 1e-9
        assert found.trivial == pytest.approx(min(1.0, pool.teacher_error + delta))
        if classes == 2 and rho > 0:
            assert found.value == pytest.approx(every.hull(), abs=EXACT)


# --- the guarantee in words ----------------------------------------------------------------------


def test_the_guarantee_says_what_was_assumed() -> None:
    pool = LabelledPool(clique(5), labels(0, 0, 0, 0, 1), labels(0, 0, 0, 0, 0), 2)
    validated = teacher_error_from_validation(1, 50, 5, 2, 0.9)
    found = label_free(
        pool,
        error=validated,
        inconsistency=0.25,
        form="vertex",
        facts=class_shares([0.5, 0], [1, 0.5], level=0.95),
        known_labels=labels(0, 0, -1, -1, -1),
    )
    text = str(found)
    assert text == found.guarantee
    for part in (
        f"On this pool of 5 points, the student's error is at most {found.value:.4f}",
        f"without the graph: {found.trivial:.4f}",
        f"teacher's error ≤ {validated.at_most:.4f} with probability 0.9",
        "share of class 1 ≤ 0.5000 with probability 0.95",
        "inconsistent on at most 0.2500 of the points",
        "the labels of 2 points are known",
        "With probability 0.85 or more the facts hold",
        "It does not extend to points outside the pool",
    ):
        assert part in text
    assert found.level == pytest.approx(0.85)
    plain = label_free(pool, error=0.2, inconsistency=0.25, gain=True)
    assert "the student's error minus its teacher's" in str(plain)
    assert "of the edge weight" in str(plain)
    assert "With probability" not in str(plain)
    assert plain.level == 1


def test_a_method_is_named() -> None:
    rng = np.random.default_rng(80)
    two, three = random_pool(rng, 2, (5, 6)), random_pool(rng, 3, (5, 6))
    assert label_free(two, error=0.5, inconsistency=0.5).method == "minimum cuts"
    found = label_free(three, error=0.5, inconsistency=0.5)
    assert set(found.by_method) == {"roof duality", "one against the rest", "linear programme"}
    assert found.by_method[found.method] == min(found.by_method.values())


# --- two moons -----------------------------------------------------------------------------------


def moons() -> tuple[Floats, Ints, Ints]:
    """500 points of two moons, standardised; the truth, and a teacher with a threshold on x₁."""
    x, truth = make_moons(500, noise=0.1, random_state=42)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, truth, (x[:, 0] > 0).astype(np.int64)


def students(x: Floats, pseudo: Ints, truth: Ints) -> dict[str, Ints]:
    noise = np.random.default_rng(0).normal(size=len(x)) * 2
    blurred = np.stack([x[:, 0] + noise, x[:, 1]], axis=1)
    return {
        "copy": pseudo,
        "clean": LogisticRegression().fit(x, pseudo).predict(x),
        "perturbed": LogisticRegression().fit(blurred, pseudo).predict(x),
        "right": truth,
    }


def test_two_moons_know_their_student() -> None:
    # The truth never changes along an edge of the joint graph, which falls into the moons and one
    # single point. At ε = Err(ỹ) no other truth fits, so the certificate is the student's error.
    x, truth, pseudo = moons()
    graph = radius_graph(x, 0.3)
    assert edge_inconsistency(graph, truth) == 0
    assert sorted(np.bincount(graph.components)) == [1, 249, 250]
    errors = {}
    for name, student in students(x, pseudo, truth).items():
        pool = LabelledPool(graph, pseudo, student, 2, truth)
        assert pool.teacher_error == pytest.approx(0.344)
        for form in FORMS:
            found = label_free(pool, error=pool.teacher_error, inconsistency=0, form=form)
            assert found.value == pytest.approx(pool.student_error, abs=1e-6)
            assert found.trivial == pytest.approx(0.344 + pool.disagreement)
        errors[name] = pool.student_error
    assert errors["perturbed"] == pytest.approx(0.13)
    assert errors["perturbed"] < errors["clean"] - 0.1


def test_two_moons_seen_from_one_axis_say_nothing() -> None:
    # On the graph of x₁ alone the truth changes everywhere: the certificate is ε + L01(f, ỹ).
    x, truth, pseudo = moons()
    graph = radius_graph(x[:, :1], 0.3)
    for student in students(x, pseudo, truth).values():
        pool = LabelledPool(graph, pseudo, student, 2, truth)
        for form, most in (
            ("edge", edge_inconsistency(graph, truth)),
            ("vertex", vertex_inconsistency(graph, truth)),
        ):
            found = label_free(
                pool,
                error=pool.teacher_error,
                inconsistency=most,
                form=form,  # type: ignore[arg-type]
            )
            assert found.value == found.trivial
            assert found.vacuous


# --- bad input -----------------------------------------------------------------------------------


def test_bad_input() -> None:
    pool = LabelledPool(clique(4), labels(0, 0, 1, 1), labels(0, 0, 0, 1), 2)

    def ask(error: float | Fact = 0.1, most: float = 0.1, **given: object) -> Certificate:
        return label_free(pool, error=error, inconsistency=most, **given)  # type: ignore[arg-type]

    for error in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"teacher's error is .*; it is a share in \[0, 1\]"):
            ask(error)
    for most in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="the inconsistency is at most"):
            ask(most=most)
    with pytest.raises(ValueError, match="form is 'points'; choose edge or vertex"):
        ask(form="points")
    with pytest.raises(ValueError, match="does not bound the teacher's error from above"):
        ask(teacher_error_at_least(0.1, 2))
    with pytest.raises(ValueError, match="does not bound the teacher's error from above"):
        ask(teacher_error_at_most(0.1, 3))
    with pytest.raises(ValueError, match=r"is \(3, 3\) for 2 classes"):
        ask(facts=(teacher_error_at_least(0.1, 3),))
    with pytest.raises(ValueError, match=r"known_labels has shape \(3,\) and type int64"):
        ask(known_labels=labels(0, 0, 1))
    with pytest.raises(ValueError, match="give a class number for each of the 4 points, -1 where"):
        ask(known_labels=np.full(4, -1.0))
    with pytest.raises(ValueError, match="known_labels holds 2; allowed is -1 to 1"):
        ask(known_labels=labels(0, 2, -1, -1))
    with pytest.raises(ValueError, match="known_labels holds -2"):
        ask(known_labels=labels(0, -2, -1, -1))
    with pytest.raises(ValueError, match="workers is 0"):
        ask(workers=0)
    with pytest.raises(ValueError, match="truth of this pool is not known; give truth"):
        truth_known(pool)
    with pytest.raises(ValueError, match="form is 'points'"):
        truth_known(replace(pool, truth=labels(0, 0, 1, 1)), form="points")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"teacher's error is 1\.5"):
        truth_known(replace(pool, truth=labels(0, 0, 1, 1)), disagreement=1.5)


def test_a_search_cut_short_is_loose_and_never_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(90)
    monkeypatch.setattr(methods, "_RELAXED_STEPS", 1)
    monkeypatch.setattr(methods, "_ROUGH_STEPS", 1)
    for form in FORMS:
        for _ in range(5):
            _, found, every = some_certificate(rng, 3, form)
            assert every.best - 1e-9 <= found.value <= found.trivial
