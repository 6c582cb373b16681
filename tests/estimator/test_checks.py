"""`MKEClassifier` passes the checks that scikit-learn makes of every estimator, but for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from mke_theory.estimator import MKEClassifier

LEFT_OUT = {"check_classifiers_classes": "it calls a class −1, which here means not known"}
"""scikit-learn spares its own SelfTrainingClassifier the same part of this check, by name."""


@parametrize_with_checks(
    [MKEClassifier(steps=150, random_state=0)], expected_failed_checks=lambda _: LEFT_OUT
)
def test_an_estimator_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
