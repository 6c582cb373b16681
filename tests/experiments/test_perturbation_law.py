"""The study of the perturbation law goes on where it was, and its table by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import perturbation_law as experiment
from mke_theory.study.records import Record
from tests.study.toys import Toy


def test_the_experiment_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = experiment.World(1.0, 1.0, 100, 60, grid=(0, 1))
    monkeypatch.setattr(experiment, "WORLDS", (small,))
    out = tmp_path / "out"
    call = ["--studies", "worlds", "--quick", "--workers", "1", "--out", str(out)]
    assert experiment.main(call) == 0
    lines = (out / "records.jsonl").read_text().splitlines()
    assert len(lines) == 4
    monkeypatch.setattr(experiment, "carry_out", None)  # nothing is left to carry out
    assert experiment.main(call) == 0
    assert (out / "records.jsonl").read_text().splitlines() == lines
    row = "| Gaussian 1, 1; n = 100; least squares | errors, squared |"
    assert row in capsys.readouterr().out
    assert experiment.main([*call, "--studies", "nothing"]) == 2
    assert "there is no study 'nothing'" in capsys.readouterr().err


def test_regret_by_hand() -> None:
    # Means over seeds: .30 at 0, .11 at 1, so 1 is best. Seed 1 has no estimate and counts for
    # nothing else. Regrets of the other two, in points: 2 and 4.
    metrics = [
        {"test at 0": 0.3, "test at 1": 0.10, "noise, x": 0.5, "test at x": 0.12},
        {"test at 0": 0.3, "test at 1": 0.12, "noise, x": None, "test at x": None},
        {"test at 0": 0.3, "test at 1": 0.11, "noise, x": 1.5, "test at x": 0.15},
    ]
    swept = {"unit": "σ", "grid": [0, 1]}
    done = [
        Record(f"{seed}", "a", "perturbation_law", seed, "", {"teacher": 0.4} | own, extra=swept)
        for seed, own in enumerate(metrics)
    ]
    (row,) = experiment.table(done, "test").to_dict("records")
    assert row["given"] == "2 of 3"
    assert (row["σ̂"], row["best of sweep"]) == ("1.00 ± 0.71", "1 σ")
    assert (row["teacher"], row["no noise"], row["at best"]) == ("40.0", "30.0", "10.5")
    assert row["at σ̂"] == "13.5"
    assert row["regret"].startswith("+3.00 [-9.71, 15.71]")


def test_the_table_has_studies_in_the_order_of_the_plan() -> None:
    names = [world.name for world in experiment.WORLDS[:2]]
    swept = {"unit": "σ", "grid": [0]}
    metrics = {"teacher": 0.4, "test at 0": 0.3, "noise, x": 1.0, "test at x": 0.2}
    records = [Record(name, name, "law", 0, "", metrics, extra=swept) for name in names[::-1]]
    text = experiment.text_of(records)
    assert text.index(names[0]) < text.index(names[1])


def test_the_row_that_knows_the_truth_has_that_of_every_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = Toy()
    problem, teacher = task.problem(0), task.model(task.problem(0), ("a",))
    sides: list[Any] = []

    def best(t: Any, b: Any, labels: Any, truth: Any) -> float:
        sides.append(truth)
        return 1.0

    monkeypatch.setattr(experiment, "confusion", lambda *_: np.eye(3, dtype=np.int64))
    stubs: dict[str, Any] = {
        "second_statistic": lambda t, *_, **__: t,
        "response_to_noise": lambda *_, **__: None,
        "estimate_by_class": lambda *_: ["no estimate"] * 3,
        "median_strength": lambda wanted, _: sum(wanted),
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(experiment.calibration, name, stub)
    monkeypatch.setattr(experiment.law, "best_noise_from_truth", best)
    found = experiment.class_estimates(task, 0, problem, teacher)
    assert found["truth, squared"] == 3.0
    truth = problem.truth.labels.numpy()
    assert [side.tolist() for side in sides] == [
        np.where(truth == k, 1, -1).tolist() for k in range(3)
    ]


@pytest.mark.parametrize("args", [["--workers", "0"], ["--data-root", "nowhere"]])
def test_a_bad_call_is_refused(
    args: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert experiment.main([*args, "--quick", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()
