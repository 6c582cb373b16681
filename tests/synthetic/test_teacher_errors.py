from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.synthetic import discrete
from mke_theory.synthetic.corruptions import even_confusion
from mke_theory.synthetic.discrete import Discrete
from mke_theory.synthetic.teacher_errors import (
    AdversarialErrors,
    ErrorsByClass,
    ErrorsByRegion,
    IndependentErrors,
    Region,
    TeacherErrors,
    disagreement,
    noisy_posterior,
)
from mke_theory.synthetic.world import Floats, Ints

THREE = ("alpha", "beta", "gamma")
HALF = Region("beta", share=0.5)


def pool(n: int, classes: int, seed: int = 0) -> tuple[Ints, dict[str, Floats]]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    return truth, {name: rng.normal(size=(n, 2)) for name in THREE}


@given(st.integers(1, 80), st.sampled_from([2, 3, 5]), st.floats(0, 0.49), st.integers(0, 99))
def test_every_kind_makes_exactly_the_asked_errors(
    n: int, classes: int, rate: float, seed: int
) -> None:
    truth, inputs = pool(n, classes, seed)
    everywhere = Region("beta", share=1.0)
    kinds: list[TeacherErrors] = [
        IndependentErrors(rate),
        ErrorsByRegion(rate, everywhere),
        AdversarialErrors(rate, everywhere),
    ]
    for kind in kinds:
        said = kind.labels(truth, inputs, classes=classes, seed=seed)
        assert (said != truth).sum() == round(rate * n)
        assert said.min() >= 0 and said.max() < classes
        np.testing.assert_array_equal(said, kind.labels(truth, inputs, classes=classes, seed=seed))
    rates = tuple(rate * k / classes for k in range(classes))
    said = ErrorsByClass(rates).labels(truth, inputs, classes=classes, seed=seed)
    for k, own in enumerate(rates):
        here = truth == k
        assert (said[here] != k).sum() == round(own * here.sum())


def test_the_wrong_class_is_even_over_the_others() -> None:
    # 6,000 errors over two other classes, three times: Pearson, false alarm 1e-5.
    truth, inputs = pool(30_000, 3)
    for kind in (IndependentErrors(0.2), ErrorsByClass((0.2, 0.2, 0.2)), ErrorsByRegion(0.2, HALF)):
        said = kind.labels(truth, inputs, classes=3, seed=1)
        step = (said - truth)[said != truth] % 3
        counts = np.bincount(step, minlength=3)[1:]
        half = counts.sum() / 2
        assert ((counts - half) ** 2 / half).sum() < chi2.ppf(1 - 1e-5, 1)


def test_errors_stay_in_their_region() -> None:
    truth, inputs = pool(1000, 4)
    depth = inputs["beta"][:, 0]
    for region in (HALF, Region("beta", above=float(np.median(depth)))):
        inside = depth > np.median(depth)
        assert sorted(region.rows(inputs)) == np.flatnonzero(inside).tolist()
        said = ErrorsByRegion(0.3, region).labels(truth, inputs, classes=4, seed=0)
        assert (said != truth)[inside].sum() == 300
        assert (said == truth)[~inside].all()


def test_adversarial_errors_fill_the_outermost_part() -> None:
    truth, inputs = pool(1000, 4)
    said = AdversarialErrors(0.2, HALF).labels(truth, inputs, classes=4, seed=0)
    outermost = inputs["beta"][:, 0] >= np.sort(inputs["beta"][:, 0])[-200]
    np.testing.assert_array_equal(said != truth, outermost)
    np.testing.assert_array_equal(said[outermost], (truth[outermost] + 1) % 4)


def test_regions_of_other_shapes_and_with_ties() -> None:
    image = np.zeros((6, 1, 2, 2))
    image[:, 0, 0, 0] = [0, 1, 1, 1, 0, 1]
    assert Region("beta", share=0.5).rows({"beta": image}).tolist() == [2, 3, 5]
    assert Region("beta", above=0.5).rows({"beta": image}).tolist() == [1, 2, 3, 5]


# What becomes of the exact errors


def world() -> Discrete:
    table = np.random.default_rng(2).dirichlet(np.full(3 * 2 * 3 * 2, 0.6)).reshape(3, 2, 3, 2)
    return Discrete.of(table, THREE)


def test_the_posterior_of_noisy_labels_is_the_tables() -> None:
    confusion = even_confusion([0.1, 0.3, 0.5])
    noisy = discrete.relabelled(world(), confusion)
    x = world().sample(200, np.random.default_rng(0)).inputs
    for names in (("alpha",), ("gamma", "beta"), THREE):
        read = {name: x[name] for name in names}
        mixed = noisy_posterior(world().posterior(read), confusion)
        np.testing.assert_allclose(mixed, noisy.posterior(read), atol=1e-12)


@given(st.floats(0, 0.66))
def test_independent_errors_leave_the_best_classifier_alone(rate: float) -> None:
    noisy = discrete.relabelled(world(), even_confusion([rate] * 3))
    error = world().bayes_error().value
    assert noisy.bayes_error().value == pytest.approx(disagreement(error, rate, 3), abs=1e-12)


def test_disagreement_by_hand_and_on_a_sample() -> None:
    assert disagreement(0.1, 0.2, 2) == pytest.approx(0.1 * 0.8 + 0.9 * 0.2)
    assert disagreement(0.0, 0.3, 5) == 0.3
    # One interval at 1 − 1e-5. An exact number of errors varies less than a binomial one.
    draw = world().sample(6000, np.random.default_rng(1))
    said = IndependentErrors(0.25).labels(draw.labels, draw.inputs, classes=3, seed=0)
    best = world().posterior(draw.inputs).argmax(axis=1)
    interval = clopper_pearson(int((best != said).sum()), len(said), level=1 - 1e-5)
    exact = disagreement(world().bayes_error().value, 0.25, 3)
    assert interval.low <= exact <= interval.high


# What is refused


@pytest.mark.parametrize(
    ("kind", "classes", "message"),
    [
        (IndependentErrors(0.5), 2, "below 1/2"),
        (IndependentErrors(2 / 3), 3, "below 2/3"),
        (IndependentErrors(-0.1), 3, "rate is -0.1"),
        (IndependentErrors(float("nan")), 3, "rate is nan"),
        (ErrorsByClass((0.1, 0.5)), 2, r"rates\[1\] is 0.5; with 2 classes"),
        (ErrorsByClass((0.1, 0.5)), 3, "3 classes need 3"),
        (ErrorsByRegion(0.25, HALF), 2, "1/2 of the 0.500 of the samples inside"),
        (AdversarialErrors(0.5, HALF), 4, r"\[0, 1/2\)"),
        (AdversarialErrors(0.3, Region("beta", share=0.2)), 2, "region has 20 samples"),
        (ErrorsByRegion(0.1, Region("delta", share=0.5)), 2, "delta"),
        (IndependentErrors(0.1), 1, "classes is 1"),
    ],
)
def test_rates_beyond_the_limit_are_refused(
    kind: TeacherErrors, classes: int, message: str
) -> None:
    truth, inputs = pool(100, max(classes, 2))
    with pytest.raises(ValueError, match=message):
        kind.labels(truth, inputs, classes=classes, seed=0)


def test_other_mistakes_are_refused() -> None:
    truth, inputs = pool(10, 2)
    with pytest.raises(ValueError, match="share is 0"):
        Region("beta", share=0.0)
    with pytest.raises(ValueError, match="a share or a threshold"):
        Region("beta")
    with pytest.raises(ValueError, match="a share or a threshold"):
        Region("beta", share=0.5, above=0.0)
    with pytest.raises(ValueError, match="finite"):
        Region("beta", above=float("nan"))
    with pytest.raises(ValueError, match="missing"):
        Region("beta", share=0.5).rows({"beta": np.full((3, 1), np.nan)})
    with pytest.raises(ValueError, match="10 labels and 4 samples"):
        ErrorsByRegion(0.1, HALF).labels(truth, {"beta": np.zeros((4, 1))}, classes=2, seed=0)
    with pytest.raises(ValueError, match="truth runs from"):
        IndependentErrors(0.1).labels(truth - 1, inputs, classes=2, seed=0)
    with pytest.raises(ValueError, match="confusion has shape"):
        noisy_posterior(np.full((4, 3), 1 / 3), np.eye(2))
    with pytest.raises(ValueError, match="rows that sum to 1"):
        noisy_posterior(np.full((4, 2), 0.5), [[0.5, 0.6], [0, 1]])
    with pytest.raises(ValueError, match=r"error is 1.5"):
        disagreement(1.5, 0.1, 2)
