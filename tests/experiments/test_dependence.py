"""Dependence moves the student alone; its table is that of the records and of the formula."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mke_theory.theory.gaussian.closed_form import GaussianPair, logistic_student
from tests.experiments.synthetic_calls import call, sibling, tiny


def test_dependence_keeps_its_teacher_as_it_was() -> None:
    dependence = sibling("dependence")
    asked = dependence.points(dependence.Options(points=7))
    assert len(asked) == 2 * 7 + 2 * 4
    for point in asked:
        assert float(point.task.teacher_bayes) == pytest.approx(0.158655, abs=1e-6)
        known = point.student == "linear" and point.knob == dependence.CORRELATION
        assert (point.formula is not None) == known
    copies = [point for point in asked if point.knob == dependence.SHARED and point.value == 1]
    assert [float(p.task.student_bayes) for p in copies] == pytest.approx([0.158655] * 2, abs=1e-6)


def test_dependence_is_the_records_and_the_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sibling("dependence"), "LINEAR", tiny(sibling("dependence").LINEAR))
    args = ["--seeds", "3", "--points", "3", "--workers", "1", "--out", str(tmp_path)]
    assert call("dependence", *args) == 0
    found = pd.read_csv(tmp_path / "dependence.csv")
    assert len(found) == 2 * 3 + 2 * 2
    assert set(found["n"]) == {3}
    linear = found[(found["student"] == "linear") & found["formula"].notna()]
    for row in linear.to_dict("records"):
        pair = GaussianPair(1.0, 1.0, row["value"])
        formula = pair.teacher_error - logistic_student(pair, 1.5).error(pair)
        assert row["formula"] == pytest.approx(formula)
    assert (tmp_path / "dependence.png").exists()
    assert "noise" not in (tmp_path / "dependence.md").read_text()
