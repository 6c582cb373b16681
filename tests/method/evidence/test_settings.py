"""Settings and their ranges."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mke_theory.method.evidence import EXPERTS, EvidenceSettings


def test_the_settings_that_were_fixed() -> None:
    settings = EvidenceSettings()
    assert (settings.folds, settings.rounds, settings.teacher_folds) == (2, 3, 5)
    assert settings.noise == 1.0 and EXPERTS.steps == 300
    assert settings.trainings == 6 and EvidenceSettings(folds=5, rounds=2).trainings == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 0}, "folds is 0; it has to be at least 1"),
        ({"rounds": 0}, "rounds is 0; it has to be at least 1"),
        ({"teacher_folds": 1}, "teacher_folds is 1; it has to be at least 2"),
        ({"noise": -0.1}, "noise is -0.1; it has to be finite and not negative"),
        ({"noise": math.inf}, "noise is inf"),
        ({"noise": math.nan}, "noise is nan"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvidenceSettings(**change)
