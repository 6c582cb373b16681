"""A student against its teacher: verdicts by hand, what is asked, and labels that are corrected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.audit import Comparison, compare
from mke_theory.audit.betting import log_evidence
from mke_theory.audit.pair import drawn_order
from tests.audit.made_pools import Made, Oracle, made


def run(pool: Made, **options: Any) -> tuple[Comparison, list[int]]:
    oracle = Oracle(pool.truth)
    return compare(pool.student, pool.teacher, oracle, classes=3, **options), oracle.asked


def test_a_student_that_is_always_right_by_hand() -> None:
    # All of 100 that differ: W after t labels is the mean over κ of Π (1 + κ (1/μ_s − 1)), with
    # μ_s = (50 − s + 1)/(100 − s + 1); it passes 20 at the sixth label (with μ = ½ throughout it
    # would be (2⁷ − 1)/7 = 18).
    found, asked = run(made(100, 0, agreed=100))
    assert (found.verdict, found.certain, found.decided_after) == ("better", False, 6)
    assert asked == drawn_order(np.array(made(100, 0, agreed=100).differing), 0)[:6]
    shares, wealth = (np.arange(50) + 0.5) / 50, np.ones(50)
    for s in range(6):
        wealth *= 1 + shares * ((100 - s) / (50 - s) - 1)
    assert found.evidence == pytest.approx(wealth.mean())
    assert 20 < wealth.mean() < 40
    assert found.p_value == pytest.approx(1 / wealth.mean())
    assert (found.student_right, found.teacher_right, found.neither) == (6, 0, 0)
    assert (found.samples, found.differing) == (200, 100)
    assert 0 < found.gain.low <= 0.5 and found.gain.high == 0.5


def test_two_sides_take_longer_and_see_both() -> None:
    pool = made(100, 0)
    found, asked = run(pool, sides=2)
    assert (found.verdict, len(asked)) == ("better", 8)
    turned = Made(pool.teacher, pool.student, pool.truth)
    found, asked = run(turned, sides=2)
    assert (found.verdict, len(asked)) == ("worse", 8)
    assert found.gain.high < 0


def test_one_side_never_says_worse_before_it_is_certain() -> None:
    found, asked = run(made(0, 40))
    assert (found.verdict, found.certain, len(asked)) == ("not better", True, 20)
    assert (found.gain.low, found.gain.high) == (-40 / 60, 0.0)


def test_all_looked_up_is_exact() -> None:
    pool = made(5, 5, 3)
    found, asked = run(pool)
    assert (found.verdict, found.certain) == ("equal", True)
    assert (found.gain.low, found.gain.high, found.labels) == (0.0, 0.0, 13)
    assert sorted(asked) == pool.differing
    one_more, _ = run(made(6, 5, 3))
    assert (one_more.verdict, one_more.certain) == ("better", True)
    assert one_more.gain.low == one_more.gain.high == pytest.approx(1 / 34)
    one_less, _ = run(made(5, 6, 3), sides=2)
    assert (one_less.verdict, one_less.certain) == ("worse", True)


def test_where_they_never_differ_nobody_is_asked() -> None:
    found, asked = run(made(0, 0))
    assert (found.verdict, found.certain, asked) == ("equal", True, [])
    assert (found.gain.low, found.gain.high, found.differing) == (0.0, 0.0, 0)
    assert "exactly 0.0 points" in str(found)
    better, _ = run(made(0, 0), margin=-0.01)
    worse, _ = run(made(0, 0), margin=0.01)
    assert (better.verdict, worse.verdict) == ("better", "worse")


def test_a_margin_is_a_gain_to_be_exceeded() -> None:
    pool = made(30, 0, agreed=70)  # a gain of 30 points
    assert run(pool, margin=0.29)[0].verdict == "better"
    found, asked = run(pool, margin=0.31)
    assert (found.verdict, asked) == ("worse", [])  # certain: they differ on 30% alone
    exactly, _ = run(pool, margin=0.30)
    assert exactly.verdict in ("equal", "not better")
    easier, _ = run(pool, margin=-0.1)
    assert easier.labels < run(pool)[0].labels
    assert run(pool, margin=-0.31)[1] == []


def test_the_budget_is_kept() -> None:
    found, asked = run(made(60, 40), budget=5)
    assert (found.verdict, found.labels, len(asked)) == ("undecided", 5, 5)
    assert found.decided_after is None
    assert run(made(60, 40), budget=0)[1] == []
    again, asked = run(made(60, 40), budget=5, answers={i: 0 for i in made(60, 40).differing})
    assert (again.labels, asked) == (100, [])  # what is known is used in any case


def test_an_interrupted_audit_goes_on_and_asks_nothing_twice() -> None:
    pool = made(60, 40, 10)
    whole, asked = run(pool, sides=2)
    assert len(asked) > 10
    answers: dict[int, Any] = {}
    oracle = Oracle(pool.truth)

    def tired(sample: int) -> int:
        if len(oracle.asked) % 4 == 3:
            oracle.asked.append(-1)
            raise KeyboardInterrupt
        return oracle(sample)

    for _ in range(100):
        try:
            found = compare(pool.student, pool.teacher, tired, classes=3, answers=answers, sides=2)
            break
        except KeyboardInterrupt:
            continue
    assert found == whole
    assert [i for i in oracle.asked if i >= 0] == asked == list(answers)


def test_a_corrected_label_changes_the_verdict() -> None:
    pool = made(100, 0)
    found, asked = run(pool)
    answers = {i: int(pool.truth[i]) for i in asked}
    answers[asked[0]] = int(pool.teacher[asked[0]])
    again, more = run(pool, answers=answers)
    assert found.verdict == again.verdict == "better"
    assert again.teacher_right == 1 and len(more) > 0
    assert set(more).isdisjoint(answers.keys() - set(more))


def test_cannot_tell_counts_against_either_claim() -> None:
    pool = made(100, 0)

    def unsure(sample: int) -> int | None:
        return None if sample % 4 == 1 else int(pool.truth[sample])

    found = compare(pool.student, pool.teacher, unsure, classes=3)
    as_wrong, _ = run(
        Made(
            pool.student, pool.teacher, np.where(np.arange(120) % 4 == 1, pool.teacher, pool.truth)
        )
    )
    assert found.decided_after == as_wrong.decided_after
    assert found.gain.low == as_wrong.gain.low and found.gain.high > as_wrong.gain.high
    assert found.cannot_tell == as_wrong.teacher_right > 0
    assert found.teacher_right == 0
    nobody = compare(pool.student, pool.teacher, lambda i: None, classes=3, sides=2)
    assert (nobody.verdict, nobody.labels, nobody.cannot_tell) == ("undecided", 100, 100)
    assert (nobody.gain.low, nobody.gain.high) == (-100 / 120, 100 / 120)


def test_the_order_is_that_of_the_seed() -> None:
    pool = made(60, 40)
    assert run(pool)[1] == run(pool)[1]
    assert run(pool)[1] != run(pool, seed=1)[1]


def test_names_of_classes_will_do() -> None:
    pool, names = made(60, 10), np.array(["cat", "dog", "owl"])
    by_name = compare(
        names[pool.student],
        names[pool.teacher],
        lambda i: names[pool.truth[i]],
        classes=list(names),
    )
    assert by_name == run(pool)[0]


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 6), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_verdicts_and_intervals_are_those_of_the_bets(
    right: int, wrong: int, neither: int, seed: int
) -> None:
    pool = made(right, wrong, neither)
    m = right + wrong + neither
    found, asked = run(pool, level=0.8, sides=2, seed=seed)
    y = np.array(
        [
            0.5
            + 0.5 * (float(pool.student[i] == pool.truth[i]) - (pool.teacher[i] == pool.truth[i]))
            for i in asked
        ]
    )
    better = log_evidence(y, m / 2, m).max(initial=0) >= np.log(10)
    worse = log_evidence(1 - y, m / 2, m).max(initial=0) >= np.log(10)
    if found.certain:
        true = {"better": pool.gain > 0, "worse": pool.gain < 0, "equal": pool.gain == 0}
        assert true[found.verdict]
    else:
        assert found.verdict == {(True, False): "better", (False, True): "worse"}[better, worse]


@given(st.integers(1, 10), st.integers(0, 10), st.integers(0, 6), st.data())
@settings(max_examples=60, deadline=None)
def test_more_evidence_never_needs_more_labels(
    right: int, wrong: int, neither: int, data: st.DataObject
) -> None:
    # One label less in favour of the student, among those at hand: the lower end does not rise.
    pool = made(right, wrong, neither)
    answers = {i: int(pool.truth[i]) for i in pool.differing}
    changed = dict(answers)
    sample = data.draw(st.sampled_from(sorted(answers)))
    changed[sample] = int(pool.teacher[sample])
    some = drawn_order(np.array(pool.differing), 0)[: data.draw(st.integers(1, len(answers)))]
    first, second = (
        compare(
            pool.student,
            pool.teacher,
            Oracle(pool.truth),
            classes=3,
            answers={i: known[i] for i in some},
            budget=0,
            sides=2,
        )
        for known in (answers, changed)
    )
    assert second.gain.low <= first.gain.low + 1e-12
    assert second.gain.high <= first.gain.high + 1e-12
    assert second.evidence <= first.evidence * (1 + 1e-9)


# Images


def images(n: int = 60, seed: int = 0) -> Made:
    """Maps of 4 × 4 pixels; the student has three quarters of the teacher's errors right."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, (n, 4, 4))
    teacher = np.where(random.random(truth.shape) < 0.3, (truth + 1) % 3, truth)
    student = np.where(random.random(truth.shape) < 0.75, truth, teacher)
    return Made(student, teacher, truth)


def test_images_are_samples_of_a_bounded_score() -> None:
    pool = images()
    found = compare(pool.student, pool.teacher, lambda i: pool.truth[i], classes=3)
    assert found.verdict == "better" and not found.certain
    assert found.labels < found.differing <= found.samples == 60
    assert found.gain.low <= pool.gain <= found.gain.high
    every = {i: pool.truth[i] for i in range(60)}
    exact = compare(pool.student, pool.teacher, lambda i: 0, classes=3, answers=every)
    assert exact.gain.low == pytest.approx(pool.gain, abs=1e-9)
    assert exact.gain.high == pytest.approx(pool.gain, abs=1e-9)


def test_one_image_by_hand() -> None:
    # Of 8 pixels they differ on 4: the student alone has 2 right, the teacher alone 1, 1 is void.
    student = np.array([[[1, 1, 1, 1], [0, 0, 0, 0]]])
    teacher = np.array([[[0, 0, 0, 0], [0, 0, 0, 0]]])
    label = np.array([[1, 1, 0, -1], [0, 0, 0, 2]])
    found = compare(student, teacher, lambda i: label, classes=3)
    assert (found.gain.low, found.gain.high) == pytest.approx((1 / 8, 1 / 8))
    unknown = compare(student, teacher, lambda i: np.full((2, 4), -1), classes=3)
    assert (unknown.verdict, unknown.cannot_tell) == ("undecided", 1)
    assert (unknown.gain.low, unknown.gain.high) == (-0.5, 0.5)  # no more than they differ


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"level": 1.0}, ValueError, "level is 1.0"),
        ({"level": 95}, ValueError, "level is 95; it has to be between 0 and 1"),
        ({"sides": 3}, ValueError, "sides is 3"),
        ({"margin": 5}, ValueError, r"margin is 5; .* \(a point is 0.01\)"),
        ({"margin": float("nan")}, ValueError, "margin is nan"),
        ({"budget": -1}, ValueError, "budget is -1"),
        ({"answers": {200: 0}}, ValueError, "a label for sample 200; the pool has samples 0 to"),
        ({"answers": {0: 7}}, ValueError, "the label of 0 is 7"),
        ({"classes": 1}, ValueError, "classes is 1"),
    ],
)
def test_settings_that_cannot_be(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    pool = made(100, 0, agreed=0)
    given_ = {"classes": 3, "seed": 0, **options}
    if options.get("answers") == {0: 7}:
        first = drawn_order(np.arange(100), 0)[0]
        given_["answers"], message = {first: 7}, f"the label of {first} is 7"
    with pytest.raises(error, match=message):
        compare(pool.student, pool.teacher, Oracle(pool.truth), **given_)


def test_predictions_of_other_samples_are_refused() -> None:
    pool = made(10, 0)
    with pytest.raises(ValueError, match=r"student has .* \(30,\), teacher \(29,\)"):
        compare(pool.student, pool.teacher[1:], Oracle(pool.truth), classes=3)
    with pytest.raises(ValueError, match=r"student\[\d+\] is 2; allowed are 0 to 1"):
        compare(pool.student, pool.teacher, Oracle(pool.truth), classes=2)
    with pytest.raises(TypeError, match="ask is None; give a function"):
        compare(pool.student, pool.teacher, None, classes=3)  # type: ignore[arg-type]


def test_a_label_that_is_no_class_loses_no_answer() -> None:
    pool, answers = made(50, 40), dict[int, Any]()

    def slip(sample: int) -> int:
        return 3 if len(answers) == 4 else int(pool.truth[sample])

    with pytest.raises(ValueError, match=r"the label of .* is 3; allowed are class numbers 0 to 2"):
        compare(pool.student, pool.teacher, slip, classes=3, answers=answers)
    assert len(answers) == 4


def test_one_sample_and_more_classes_than_samples() -> None:
    found = compare([4], [7], lambda i: 4, classes=10)
    assert (found.verdict, found.certain, found.gain.low) == ("better", True, 1.0)


def test_sentences() -> None:
    text = str(run(made(100, 0))[0])
    assert text.startswith("The student is better than its teacher (95%), after 6 labels.")
    assert "differ on 100 of 120 samples; of 6 looked up the student is right on 6" in text
    assert text.isascii()
    worse = str(run(made(0, 100), budget=3)[0])
    assert "Not shown to be better than its teacher by 3 labels. So far the teacher" in worse
    assert "+2.0 points" in str(run(made(60, 0), margin=0.02)[0])
