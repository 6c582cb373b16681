"""The study of tightness counts right, goes on where it was, and would notice a broken bound."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments import tightness
from mke_theory.study import records
from mke_theory.study.records import Record
from mke_theory.theory.bounds.bound import Bound, Hypothesis, MeasuredError


def call(out: Path, *args: str) -> int:
    """The exit code; a mistake in the command line itself exits from within."""
    try:
        return tightness.main([*args, "--workers", "1", "--out", str(out)])
    except SystemExit as exit_:
        assert isinstance(exit_.code, int)
        return exit_.code


def case(theorem: str, verdict: str, value: float | None, error: float) -> dict[str, Any]:
    return {
        "family": "blobs",
        "world": 0,
        "theorem": theorem,
        "scope": "pool",
        "value": np.nan if value is None else value,
        "error": error,
        "trivial": 0.5,
        "verdict": verdict,
    }


WEI, LANG = "Wei 4.3, any student", "Lang B.1, correction"
CASES = pd.DataFrame(
    [
        case(WEI, "holds", 0.3, 0.1),
        case(WEI, "holds, vacuous", 0.6, 0.1),
        case(WEI, "holds", 0.2, 0.0),
        case(WEI, "violated", 0.1, 0.3),
        case(WEI, "violated, vacuous", 0.9, 0.3),
        case(WEI, "violated", None, 0.3),
        case(LANG, "not checkable", 0.2, 0.1),
        case(tightness.CHARIKAR, "not checkable", 0.4, 0.2),
        case(tightness.CHARIKAR, "violated", 0.4, 0.5),
    ]
)


def test_the_table_counts_as_one_does_by_hand() -> None:
    table = tightness.theorem_table(CASES)
    assert [*table.index] == [WEI, LANG, tightness.CHARIKAR]
    assert table.loc[WEI].to_dict() == {
        "worlds": "1",
        "cases": "6",
        "holds": "3 of 6 (50%)",
        "useful": "2 of 3 (67%)",
        "value/error": "4.5 (2)",  # the median of 3 and 6
        "value/error, useful": "3 (1)",
        "broken": "0",
        "needed": "1 of 2 (50%)",
    }
    assert table.loc[LANG, "holds"] == "0 of 1 (0%)"
    # No pool can check Charikar's class; where nothing is violated the case counts.
    assert table.loc[tightness.CHARIKAR, "holds"] == "1 of 2 (50%)"
    assert table.loc[tightness.CHARIKAR, "value/error"] == "2 (1)"
    shares = tightness.family_table(CASES)["blobs"].to_dict()
    assert shares == {WEI: "50%", LANG: "0%", tightness.CHARIKAR: "50%"}


@pytest.mark.parametrize("verdict", ["holds", "not checkable", "holds, vacuous"])
def test_a_broken_bound_is_found(verdict: str) -> None:
    assert not tightness.broken(CASES).any()
    off = pd.concat([CASES, pd.DataFrame([case(WEI, verdict, 0.2, 0.2 + 1e-6)])])
    assert tightness.broken(off).sum() == 1
    assert tightness.theorem_table(off).loc[WEI, "broken"] == "1"


def false_claim(rng: np.random.Generator) -> Iterator[Bound]:
    """A bound that is wrong in every world."""
    holds = Hypothesis("nothing", "holds", None, "so")
    yield Bound(WEI, "none", "pool", "error", 0.1, (holds,), measured=MeasuredError(0.2))


def test_a_broken_bound_is_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tightness, "FAMILIES", {"false": false_claim})
    assert call(tmp_path, "--worlds", "8") == 1
    cases = tightness.cases_of([*records.read(tmp_path)])
    assert len(cases) == 8
    assert tightness.broken(cases).all()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study of one world a family."""
    out = tmp_path_factory.mktemp("tightness") / "out"
    assert call(out, "--worlds", "1") == 0
    return out


def test_a_study_writes_tables_and_figure(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (done / "tightness.md").read_text(encoding="utf-8")
    for name in (*tightness.THEOREMS, *tightness.FAMILIES):
        assert name in text
    assert (done / "tightness.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("whole", [6, 3])
def test_it_goes_on_where_it_was(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    lines = (done / "records.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == len(tightness.FAMILIES) == 6
    half = b"".join(line[:40] for line in lines[whole : whole + 1])  # what a killed process leaves
    (tmp_path / "records.jsonl").write_bytes(b"".join(lines[:whole]) + half)
    computed, carry_out = [], tightness.carry_out

    def watched(world: tuple[str, int]) -> Record:
        computed.append(world)
        return carry_out(world)

    monkeypatch.setattr(tightness, "carry_out", watched)
    assert call(tmp_path, "--worlds", "1") == 0
    assert len(computed) == 6 - whole
    assert {one.key for one in records.read(tmp_path)} == {one.key for one in records.read(done)}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--worlds", "0"], "worlds is 0; it has to be at least 1"),
        (["--worlds", "many"], "many"),
    ],
)
def test_a_bad_call_is_refused(
    args: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tmp_path, *args) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "records.jsonl").exists()


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert call(tmp_path / "file", "--worlds", "1") == 2
    assert capsys.readouterr().err.count("error: ") == 1


def bounds_of(family: str, seed: int) -> list[Bound]:
    return list(tightness.FAMILIES[family](np.random.default_rng(seed)))


@pytest.mark.parametrize("seed", range(3))
def test_views_are_independent(seed: int) -> None:
    # The first four students read β alone, so that the equation gives their error exactly.
    found = [b for b in bounds_of("independent views", seed) if b.name == "Blum–Mitchell, views"]
    first = found[: 2 * 4]
    assert len(found) == 2 * tightness.STUDENTS
    assert {bound.hypotheses[-1].status for bound in first} == {"holds"}
    valued = [(b.value, b.measured.share) for b in first if b.value is not None and b.measured]
    assert len(valued) >= 4  # the others have a teacher that is wrong on half of the class
    assert [value for value, _ in valued] == pytest.approx([e for _, e in valued], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_projections_gain_what_they_have_to(seed: int) -> None:
    linear, positive, mixed, _ = bounds_of("outputs", seed)
    for bound in (linear, positive):
        assert bound.status == "not checkable"
        assert bound.measured is not None
        assert bound.value is not None
        assert bound.measured.share <= bound.value + 1e-9
    assert linear.value == pytest.approx(linear.measured.share)  # a subspace: Pythagoras
    assert mixed.status == "violated"


def test_the_figure_thins_evenly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    panels = []

    def kept(found: list[Any], *_: Any, **__: Any) -> Figure:
        panels.extend(found)
        return Figure()

    monkeypatch.setattr(tightness, "bound_against_error", kept)
    errors = np.linspace(0, 1, 4 * tightness.DRAWN)
    many = pd.DataFrame([case(WEI, "holds", 1.0, error) for error in errors])
    tightness.figure(pd.concat([many, CASES[CASES["theorem"] == LANG]]), tmp_path / "a.png")
    assert [panel.title for panel in panels] == [WEI, LANG]
    assert len(panels[0].value) == tightness.DRAWN
    assert (panels[0].error[0], panels[0].error[-1]) == (0, 1)
    assert np.ptp(np.diff(panels[0].error)) < 2 / len(errors)


@pytest.mark.slow
def test_no_bound_is_broken(tmp_path: Path) -> None:
    # Exact statements about finite pools: there is no chance of a false alarm.
    with contextlib.chdir(tmp_path):
        assert tightness.main(["--worlds", "20", "--workers", str(os.cpu_count() or 1)]) == 0
