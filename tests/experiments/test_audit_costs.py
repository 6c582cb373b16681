"""The study of what an audit costs: counts of records, labels by hand, and the committed rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import audit_costs as experiment
from mke_theory.audit import compare
from mke_theory.audit.pair import drawn_order
from tests.audit.made_pools import Oracle, made


def test_labels_are_those_that_an_audit_takes() -> None:
    pool = made(40, 20, 10)
    for seed in range(5):
        order = drawn_order(np.array(pool.differing), seed)
        right = (pool.student == pool.truth)[order].astype(float)
        y = 0.5 + (right - (pool.teacher == pool.truth)[order]) / 2
        found = compare(pool.student, pool.teacher, Oracle(pool.truth), classes=3, seed=seed)
        assert found.verdict == "better"
        assert experiment.labels_needed(y, 0.05) == found.decided_after
    assert experiment.labels_needed(np.array([0.0, 1.0]), 0.05) == math.inf


def test_sizes_of_mcnemars_test_by_hand() -> None:
    # Five right of five: p = 1/32; four of four: 1/16. One wrong among them is made up by three.
    always = np.ones((4, 12))
    assert experiment.mcnemar_sizes(always, (0.5, 0.9)) == [5, 5]
    once = np.ones((4, 12))
    once[:2, 0], once[:, 3] = 0.0, 0.5  # P(at least 7 of 8) = 9/256, P(at least 6 of 7) = 8/128
    assert experiment.mcnemar_sizes(once, (0.5, 0.9)) == [6, 9]
    assert experiment.mcnemar_sizes(np.zeros((2, 5)), (0.5,)) == [math.inf]


def test_labels_drawn_from_all_samples_are_as_many_times_more() -> None:
    pool = {"task": "t", "arm": "a", "seed": 0, "samples": 1000}
    counts = {"differing": 100, "student right": 100, "teacher right": 0, "neither": 0}
    found = experiment.costs(pool | counts, 400)
    assert found["labels"] == found["labels, 90%"] == 6
    # The sixth of 100 samples comes up at 6 · 1001/101 = 59 on average, the median a little below.
    assert 50 < found["uniform"] < 62 < found["uniform, 90%"]
    assert (found["shown"], found["two-sided"]) == (1.0, 8)
    assert found == experiment.costs(pool | counts, 400)


def test_quantiles_are_numbers_of_labels() -> None:
    values = np.array([3.0, 1.0, math.inf, 2.0])
    assert [experiment.middle(values, share) for share in (0.25, 0.5, 0.75, 0.9)] == [
        *(1, 2, 3),
        math.inf,
    ]
    assert experiment.spread(pd.Series([3.0, math.inf, 5.0])) == "5 [3, none]"


def test_committed_rows_are_those_of_the_records() -> None:
    rows = pd.read_csv(experiment.COMMITTED / "audit_costs.csv")
    pools = [pool for pool in experiment.pools() if pool["differing"]]
    names = list(pools[0])
    assert rows[names].to_dict("records") == pools
    assert len(rows.groupby(["task", "arm"])) == 20
    for i in (0, 45, len(rows) - 1):
        found = experiment.costs(pools[i], 400)
        assert rows.iloc[i][list(found)].tolist() == pytest.approx(list(found.values()))


def test_claims_of_the_header_hold_for_the_committed_rows() -> None:
    rows = pd.read_csv(experiment.COMMITTED / "audit_costs.csv")
    gain = (rows["student right"] - rows["teacher right"]) / rows["samples"]
    assert rows.loc[gain <= 0, "shown"].max() <= 0.05
    rows = rows.assign(gain=gain)[gain > 0]
    medians = rows.groupby(["task", "arm"])[["labels", "labels, 90%", "uniform", "McNemar"]].agg(
        lambda x: experiment.middle(x.to_numpy(), 0.5)
    )
    large = medians[rows.groupby(["task", "arm"])["gain"].mean() > 0.05]
    assert (large["labels"].min(), large["labels"].max()) == (6, 46)
    assert (large["labels, 90%"].min(), large["labels, 90%"].max()) == (6, 97)
    ratio = large["uniform"] / large["labels"]
    assert ratio.min() >= 2 and ratio.max() <= 13
    beside = large["labels"] / large["McNemar"]
    assert beside.min() >= 1.15 and beside.max() <= 1.75


def test_the_study_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = experiment.pools()[:3]
    monkeypatch.setattr(experiment, "pools", lambda: some)
    assert experiment.main(["--orders", "20", "--out", str(tmp_path)]) == 0
    rows = pd.read_csv(tmp_path / "audit_costs.csv")
    assert (tmp_path / "audit_costs.md").read_text() == experiment.markdown(rows)
    assert experiment.main(["--orders", "0", "--out", str(tmp_path)]) == 2
