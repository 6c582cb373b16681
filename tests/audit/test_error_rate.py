"""The error of one predictor: exact limits by enumeration, and an interval before all is there."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from mke_theory.audit import error
from mke_theory.audit.error_rate import least_wrong
from mke_theory.audit.pair import drawn_order
from mke_theory.data.rng import seed_for
from tests.audit.made_pools import Oracle

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 3, 400)
STUDENT = np.where(RANDOM.random(400) < 0.9, TRUTH, (TRUTH + 1) % 3)
SHARE = float((STUDENT != TRUTH).mean())


def test_the_least_number_by_hand() -> None:
    # Both of 2 labels of 4 samples are wrong: with 2 wrong in all that has chance 1/6, with 3 1/2.
    assert least_wrong(2, 2, 4, 0.1) == 2
    assert least_wrong(2, 2, 4, 1 / 6 + 1e-9) == 3
    assert least_wrong(2, 2, 4, 0.6) == 4
    assert least_wrong(0, 2, 4, 0.1) == 0


def test_limits_cover_over_all_samples_of_small_pools() -> None:
    for n, k in ((6, 3), (7, 2), (8, 5)):
        for wrong in range(n + 1):
            for alpha in (0.3, 0.1):
                low = high = 0
                for chosen in combinations(range(n), k):
                    seen = sum(i < wrong for i in chosen)
                    low += least_wrong(seen, k, n, alpha) > wrong
                    high += n - least_wrong(k - seen, k, n, alpha) < wrong
                assert max(low, high) / comb(n, k) <= alpha + 1e-12


def test_all_planned_labels_give_the_hypergeometric_interval() -> None:
    oracle = Oracle(TRUTH)
    found = error(STUDENT, oracle, classes=3, labels=50)
    assert oracle.asked == drawn_order(np.arange(400), 0)[:50]
    seen = int((STUDENT[oracle.asked] != TRUTH[oracle.asked]).sum())
    assert (found.wrong, found.labels, found.rests_on) == (seen, 50, "hypergeometric")
    assert found.error.low == least_wrong(seen, 50, 400, 0.025) / 400
    assert found.error.high == (400 - least_wrong(50 - seen, 50, 400, 0.025)) / 400
    above = error(STUDENT, Oracle(TRUTH), classes=3, labels=50, sides=1)
    assert above.error.low == seen / 400
    assert above.error.high == (400 - least_wrong(50 - seen, 50, 400, 0.05)) / 400
    assert above.error.high < found.error.high


def test_everything_looked_up_is_exact() -> None:
    found = error(STUDENT, Oracle(TRUTH), classes=3, labels=1000)
    assert (found.error.low, found.error.high) == (SHARE, SHARE)
    assert found.rests_on == "all labels" and "(certain)" in str(found)


def test_two_thousand_draws_cover() -> None:
    # More misses than the limit come up with probability below 10⁻⁴ at the level that is stated.
    draws, missed = 2000, 0
    wrong = STUDENT != TRUTH
    limits = [
        (least_wrong(seen, 30, 400, 0.05), 400 - least_wrong(30 - seen, 30, 400, 0.05))
        for seen in range(31)
    ]
    for seed in range(draws):
        order = drawn_order(np.arange(400), seed_for(seed, "coverage"))[:30]
        low, high = limits[int(wrong[order].sum())]
        missed += not low <= wrong.sum() <= high
    assert 0 < missed <= binom.ppf(1 - 1e-4, draws, 0.1)


def test_labels_at_hand_are_used_and_no_more_than_planned() -> None:
    answers: dict[int, Any] = {i: int(y) for i, y in enumerate(TRUTH)}
    oracle = Oracle(TRUTH)
    found = error(STUDENT, oracle, classes=3, labels=50, answers=answers)
    assert (found.labels, oracle.asked) == (50, [])
    assert found == error(STUDENT, Oracle(TRUTH), classes=3, labels=50)


def test_cannot_tell_widens_the_interval_to_both_sides() -> None:
    found = error(STUDENT, lambda i: None if i % 5 == 0 else int(TRUTH[i]), classes=3, labels=80)
    order = drawn_order(np.arange(400), 0)[:80]
    unsure = sum(i % 5 == 0 for i in order)
    wrong = sum(i % 5 != 0 and STUDENT[i] != TRUTH[i] for i in order)
    assert (found.cannot_tell, found.wrong) == (unsure, wrong)
    assert found.error.low == least_wrong(wrong, 80, 400, 0.025) / 400
    assert found.error.high == (400 - least_wrong(80 - wrong - unsure, 80, 400, 0.025)) / 400


def test_images_have_an_interval_of_bets() -> None:
    truth = RANDOM.integers(0, 3, (40, 3, 3))
    student = np.where(RANDOM.random(truth.shape) < 0.8, truth, (truth + 1) % 3)
    found = error(student, lambda i: truth[i], classes=3, labels=20)
    assert (found.rests_on, found.labels) == ("betting", 20)
    assert found.error.low < (student != truth).mean() < found.error.high
    void = truth.copy()
    void[:, 0] = -1
    exact = error(student, lambda i: void[i], classes=3, labels=40)
    share = (student != truth)[:, 1:].mean()
    assert (exact.error.low, exact.error.high) == pytest.approx((share, share))


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="labels is 0"):
        error(STUDENT, Oracle(TRUTH), classes=3, labels=0)
    with pytest.raises(ValueError, match="sides is 0"):
        error(STUDENT, Oracle(TRUTH), classes=3, sides=0)
    with pytest.raises(ValueError, match=r"predictions\[\d+\] is 2"):
        error(STUDENT, Oracle(TRUTH), classes=2)


def test_the_sentence() -> None:
    text = str(error([0, 1, 1, 1], lambda i: 0, classes=2, labels=4))
    assert text.startswith("Error 75.0% to 75.0% (certain), after 4 labels of 4 samples: 3 wrong.")
    assert text.isascii()
