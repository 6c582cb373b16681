"""Runs on a cluster: none that answers, none installed, and the same results as here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mke_theory.study import records
from tests.experiments.synthetic_calls import SMALL, TINY, call, sibling


@pytest.mark.parametrize(
    ("address", "words"),
    [("nowhere", "give local, or an address"), ("tcp://127.0.0.1:1", "no cluster answers")],
)
def test_a_cluster_that_does_not_answer_ends_the_call(
    address: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(sibling("cluster"), "PATIENCE", 1)
    assert call("phase", *SMALL, "--cluster", address, "--out", str(tmp_path)) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert list(records.read(tmp_path)) == []


def test_without_dask_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert call("phase", *SMALL, "--cluster", "local", "--out", str(tmp_path)) == 2
    assert "mke_theory[cluster]" in capsys.readouterr().err


@pytest.mark.slow
def test_a_local_cluster_finds_what_one_process_finds(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    here, there = tmp_path / "here", tmp_path / "there"
    args = [*TINY, "--halvings", "1", "--no-agreement", "--budget", "40"]
    assert call("phase", *args, "--workers", "1", "--out", str(here)) == 0
    args += ["--workers", "2", "--cluster", "local"]
    assert call("phase", *args, "--out", str(there)) == 0
    one, other = (pd.read_csv(out / "cells.csv") for out in (here, there))
    assert np.array_equal(one["n"], other["n"])
    pd.testing.assert_frame_equal(one, other)
