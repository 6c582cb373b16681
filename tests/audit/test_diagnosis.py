"""A look ahead: its three verdicts on worlds, what it rests on, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mke_theory.audit import Diagnosis, diagnose
from mke_theory.audit import reading as reading_module
from mke_theory.audit.betting import Floats
from mke_theory.synthetic.gaussian import Gaussian


@pytest.fixture(autouse=True)
def _linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """The linear classifier alone: a network takes seconds, and finds no more in these worlds."""
    learners = reading_module._learners
    monkeypatch.setattr(
        reading_module, "_learners", lambda seed: {"linear": learners(seed)["linear"]}
    )


def drawn(world: Gaussian, n: int = 1000, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """The exact posterior of α, β, and the classes."""
    draw = world.sample(n, np.random.default_rng(seed))
    alpha, beta = world.modalities
    return world.posterior({alpha: draw.inputs[alpha]}), draw.inputs[beta], draw.labels


def look(world: Gaussian, **options: Any) -> Diagnosis:
    # At another seed than 1, one in twenty, the tests of independence refute what is true.
    p, beta, _ = drawn(world, seed=1)
    return diagnose(p, beta, **options)


def test_a_useful_modality_is_worth_training_and_its_gain_is_covered() -> None:
    world = Gaussian((1.0, 1.5))
    found = look(world)
    assert (found.outlook, found.refuted) == ("worth training", False)
    p, _, labels = drawn(world, seed=1)
    true = (found.decisions == labels).mean() - (p.argmax(axis=1) == labels).mean()
    assert true > 0.08
    assert found.gain.low < true < found.gain.high
    assert found.teacher == pytest.approx((p.argmax(axis=1) == labels).mean(), abs=0.04)
    assert found.information > found.chance >= 0
    assert 5 <= found.labels[0] <= found.labels[1] <= 40
    assert found.changed == pytest.approx(
        np.mean([x for x in found.changed_by_class if x]), abs=0.03
    )


def test_a_modality_without_content_adds_nothing() -> None:
    found = look(Gaussian((1.0, 0.0)))
    assert found.outlook == "adds nothing" and found.p_value > 0.05
    assert "says nothing of the teacher's answers" in str(found)


def test_more_in_common_than_the_class_is_undecidable() -> None:
    found = look(Gaussian((0.7, 0.7), shared=0.7))
    assert (found.outlook, found.refuted) == ("undecidable", True)
    assert "more in common than the class" in found.reason
    assert f"look up about {found.labels[1]:.0f} labels" in found.reason


def test_a_perfect_teacher_leaves_nothing_to_gain() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 600)
    p = np.where(np.eye(2)[truth] == 1, 0.999, 0.001)
    found = diagnose(p, np.eye(2)[truth] + random.normal(0, 0.5, (600, 2)))
    assert (found.outlook, found.changed) == ("adds nothing", 0.0)
    assert found.labels == (math.inf, math.inf)
    assert found.reason == "the gain that beta could bring is below a point."


def test_constant_answers_and_constant_beta() -> None:
    p, beta, _ = drawn(Gaussian((1.0, 1.0)), 200)
    assert diagnose(p, np.ones_like(beta)).outlook == "adds nothing"
    one = np.tile([0.7, 0.3], (200, 1))
    found = diagnose(one, beta)
    assert found.outlook == "adds nothing" and found.changed_by_class[1] is None


def test_labels_calibrate_the_teacher_and_widen_the_interval() -> None:
    world = Gaussian((1.0, 1.0))
    p, beta, _ = drawn(world)
    known, _, labels = drawn(world, 100, seed=1)
    exact = diagnose(p, beta)
    sharp, sharp_known = (x**3 / (x**3).sum(axis=1, keepdims=True) for x in (p, known))
    found = diagnose(sharp, beta, labelled=(sharp_known, labels))
    assert found.temperature == pytest.approx(3, rel=0.8)
    assert found.gain.high - found.gain.low > exact.gain.high - exact.gain.low
    assert found.measured == (known.argmax(axis=1) == labels).mean()
    assert found.gain.low < exact.gain.low + 0.1 and found.gain.high > exact.gain.high - 0.1


def test_the_same_seed_gives_the_same_answer() -> None:
    p, beta, _ = drawn(Gaussian((1.0, 1.0)), 300)
    assert diagnose(p, beta) == diagnose(p, beta)
    assert diagnose(p, beta.reshape(300, 2, 4)) == diagnose(p, beta)


def test_the_page_of_text() -> None:
    text = str(look(Gaussian((1.0, 1.5))))
    assert text.isascii()
    lines = text.splitlines()
    assert lines[0].startswith("Worth training: ")
    assert lines[-1].startswith("An audit would take about ")
    assert "not refuted (rank: p = " in text


GOOD = np.tile([0.6, 0.4], (60, 1))
BETA = np.zeros((60, 3))


@pytest.mark.parametrize(
    ("teacher", "beta", "options", "message"),
    [
        (np.log(GOOD), BETA, {}, "logits; give their softmax"),
        (GOOD * 3, BETA, {}, "logits; give their softmax"),
        (GOOD * 0.9, BETA, {}, "no distribution"),
        (np.zeros(60, int), BETA, {}, r"give probabilities \[n, classes\]"),
        (np.where(GOOD > 0.5, np.nan, GOOD), BETA, {}, "in sample 0; give numbers"),
        (GOOD, BETA[1:], {}, "teacher has 60 samples and beta 59"),
        (GOOD, BETA + np.inf, {}, "missing or infinite number in sample 0"),
        (GOOD[:30], BETA[:30], {}, "30 samples for 2 classes; at least 20 a class"),
        (GOOD, BETA, {"level": 1}, "level is 1"),
        (GOOD, BETA, {"labelled": (GOOD, np.zeros(3, int))}, r"\(60, 2\) and \(3,\) labels"),
        (GOOD, BETA, {"labelled": (GOOD, np.full(60, 2))}, "class numbers 0 to 1"),
        (GOOD, BETA, {"labelled": (GOOD, np.zeros(60))}, "class numbers 0 to 1"),
    ],
)
def test_what_is_refused(teacher: Any, beta: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagnose(teacher, beta, **options)
