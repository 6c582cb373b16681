"""The sweeps of evidence students: their closed form, the points won, and a run in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import ndtr

from experiments import evidence_phase as experiment
from mke_theory.synthetic.gaussian import Gaussian

N = 200_000


@pytest.mark.parametrize(
    "world",
    [
        Gaussian((1.0, 1.5), dims=(2, 2)),
        Gaussian((1.5, 0.5), dims=(2, 2), correlation=0.8),
        Gaussian((1.0, 1.0), dims=(2, 2), correlation=-0.5),
        Gaussian((0.6, 0.8), dims=(2, 2), shared=0.7, correlation=0.2),
        Gaussian((0.6, 0.8), dims=(2, 2), shared=0.7, priors_given=(0.8, 0.2)),
        Gaussian((1.0, 1.0), dims=(3, 3), classes=4),
    ],
)
def test_the_closed_form_is_the_error_of_the_sum_of_exact_experts(world: Gaussian) -> None:
    draw = world.sample(N, np.random.default_rng(1))
    own = [np.log(world.posterior({name: draw.inputs[name]})) for name in world.modalities]
    total = own[0] + own[1] - np.log(world.priors)
    wrong = float((total.argmax(axis=1) != draw.labels).mean())
    exact = experiment.sum_error(world)
    assert exact is not None
    # Four standard errors: a false alarm once in 16,000.
    assert wrong == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / N))


def test_the_closed_form_at_known_places() -> None:
    independent = Gaussian((1.0, 1.5))
    assert experiment.sum_error(independent) == pytest.approx(float(independent.bayes_error()))
    copies = Gaussian((0.0, 0.0), shared=1.2)
    assert experiment.sum_error(copies) == pytest.approx(ndtr(-1.2))
    # (2.25 + 0.25)/sqrt(2.25 + 0.25 + 2 · 0.8 · 0.75) = 1.2995: worse than α alone, at 1.5.
    against = experiment.sum_error(Gaussian((1.5, 0.5), correlation=0.8))
    assert against == pytest.approx(ndtr(-2.5 / np.sqrt(3.7)))
    assert experiment.sum_error(Gaussian((1.0, 1.0), dims=(4, 4), shared=1.0, classes=3)) is None


def test_points_won_by_hand() -> None:
    # Of three seeds: ahead by 9, 10, 11 points at the first value; by −10, 0, 10 at the second.
    rows = pd.DataFrame(
        {
            "sweep": "weak β",
            "value": [0.0] * 3 + [0.5] * 3,
            "seed": [0, 1, 2] * 2,
            "evidence": [0.79, 0.80, 0.81, 0.60, 0.70, 0.80],
            "teacher": 0.70,
            **dict.fromkeys(experiment.OTHERS, 0.70),
        }
    )
    line = experiment.won(rows).iloc[0]
    assert (line["ahead"], line["undecided"], line["behind"]) == ("1", "1", "0")
    assert (line["mean difference"], line["worst"], line["best"]) == (
        "5.0 ± 7.1 (2)",
        "+0.0",
        "+10.0",
    )
    again = pd.concat([rows, rows.iloc[:3].assign(sweep="few labels", value=60.0)])
    assert experiment.won(again).equals(experiment.won(rows))  # one point of two sweeps
    swapped = rows.rename(columns={"evidence": "teacher", "teacher": "evidence"})
    assert experiment.won(swapped).iloc[0]["behind"] == "1"


def test_balanced_accuracy_by_hand() -> None:
    found, truth = torch.tensor([0, 0, 1, 0]), torch.tensor([0, 0, 0, 1])
    assert experiment.accuracy(found, truth) == pytest.approx(0.5)
    assert experiment.balanced(found, truth) == pytest.approx((2 / 3 + 0) / 2)


def test_every_sweep_moves_its_own_knob_alone() -> None:
    blocks = list(experiment.settings(experiment.Options()))
    names = [block.task.name for block in blocks]
    assert len(set(names)) == len(names) and len({b.about["sweep"] for b in blocks}) == 7
    for title in ("signal in common", "few labels"):
        best = {b.about["best on α"] for b in blocks if b.about["sweep"] == title}
        assert max(best) - min(best) < 1e-12  # the teacher's modality stays as good as it was
    assert {len(block.seeds) for block in blocks} == {10}


def test_the_sweeps_go_on_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = dict(list(experiment.sweeps().items())[2:3])
    monkeypatch.setattr(experiment, "sweeps", lambda: one)
    call = ["--quick", "--seeds", "2", "--workers", "1", "--out", str(tmp_path)]
    assert experiment.main(call) == 0
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    table = pd.read_csv(tmp_path / "evidence_phase.csv")
    assert len(lines) == len(table) == 4
    assert table[list(experiment.METHODS)].isin(np.arange(2001) / 2000).all(axis=None)
    monkeypatch.setattr(experiment, "carried_out", None)  # nothing is left to carry out
    assert experiment.main(call) == 0
    assert (tmp_path / "records.jsonl").read_text().splitlines() == lines
    assert (tmp_path / "evidence_phase.md").read_text() == experiment.markdown(table)
    assert (tmp_path / "evidence_phase.png").exists()
