"""The study of what a diagnosis promises: rows of worlds and tasks, tables by hand, its claims."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import outlook as experiment
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.tasks.registry import TASKS

COMMITTED = experiment.RECORDS.parent / "outlook.csv"


def test_a_row_of_a_world_is_the_same_again() -> None:
    one, two = (experiment.world_row(Gaussian((1.0, 1.5)), 300, 400) for _ in range(2))
    assert one == two
    assert one["low"] < one["high"] and 0.5 < one["teacher"] < 1
    assert one["outlook"] in ("worth training", "undecidable", "adds nothing")


def test_cross_fitting_reads_every_sample_once_and_never_its_own() -> None:
    problem = TASKS["digits"].problem(0)
    seen: list[int] = []

    def probabilities(labelled, others):  # type: ignore[no-untyped-def]
        rows = {tuple(x.flatten().tolist()) for x in labelled.inputs["left"]}
        assert not any(tuple(x.flatten().tolist()) in rows for x in others.inputs["left"])
        assert len(labelled) + len(others) == len(problem.labelled)
        seen.append(len(others))
        return np.full((len(others), 10), 0.1)

    known, labels = experiment.cross_fitted(problem, probabilities, 0)
    assert sum(seen) == len(labels) == len(problem.labelled) and len(seen) == experiment.FOLDS
    assert (known == 0.1).all()


def test_tables_by_hand() -> None:
    row = {"kind": "w", "name": "a", "refuted": False, "outlook": "worth training"}
    rows = pd.DataFrame(
        [
            {**row, "low": 0.0, "high": 0.1, "true": 0.05},
            {**row, "low": 0.0, "high": 0.1, "true": 0.2, "refuted": True},
        ]
    )
    (line,) = experiment.by_world(rows).to_dict("records")
    assert line["interval holds the true gain"] == "1 of 2"
    assert line["where not refuted"] == "1 of 1"
    assert line["refuted"] == "1 of 2"
    assert line["worth training / undecidable / adds nothing"] == "2 / 0 / 0"
    assert (line["predicted"], line["half the interval"]) == ("5.0 ± 0.0 (2)", "5.0 ± 0.0 (2)")


def test_claims_of_the_header_hold_for_the_committed_rows() -> None:
    rows = pd.read_csv(COMMITTED)
    held = experiment._held(rows)
    task, own = rows["kind"] == "task", rows["kind"] == experiment.INDEPENDENT
    assert (own.sum(), held[own].sum(), rows.loc[own, "refuted"].sum()) == (160, 153, 4)
    other = ~task & ~own
    left = other & ~rows["refuted"]
    assert (other.sum(), rows.loc[other, "refuted"].sum(), left.sum()) == (220, 191, 29)
    wrong = left & (rows["low"] > rows["true"]) & (rows["true"] < 0)
    assert set(rows.loc[wrong, "kind"]) == {"decisive"} and wrong.sum() <= 4
    above = ((rows["low"] + rows["high"]) / 2 - rows["true"])[task].mean()
    assert above == pytest.approx(0.08, abs=0.005)
    assert (task.sum(), held[task].sum()) == (45, 30)
    worth = task & (rows["outlook"] == "worth training")
    gains = rows.loc[worth, [experiment.MM_STUDENT.name, experiment.EVIDENCE.name]] > 0
    assert (worth.sum(), *gains.sum()) == (23, 23, 20)


def test_the_study_writes_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "REAL", ("digits", "digits", "twomoon_fair"))
    call = ["--quick", "--samples", "300", "--out", str(tmp_path)]
    assert experiment.main(call) == 0
    rows = pd.read_csv(tmp_path / "outlook.csv")
    assert len(rows) == 2 * 2 + 2 and set(rows["kind"]) >= {"task", experiment.INDEPENDENT}
    assert (tmp_path / "outlook.md").read_text() == experiment.markdown(rows)
    assert experiment.main([*call, "--seeds", "0"]) == 2
