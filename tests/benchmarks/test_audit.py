"""The benchmark of audits: both sides have the same answer, up to the grid."""

from __future__ import annotations

import pytest

from benchmarks import audit as benchmark


def test_both_ends_agree_up_to_the_distance_of_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SAMPLES", 2000)
    monkeypatch.setattr(benchmark, "MEANS", 50)
    found = benchmark.row(benchmark.drawn(40))
    assert found["labels"] == 40
    assert 0 <= found["grid"] - found["audit"] <= 1 / 50
    assert found["grid"] > 0


def test_a_contradiction_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "SAMPLES", 2000)
    monkeypatch.setattr(benchmark, "MEANS", 20)
    monkeypatch.setattr(benchmark, "LABELS", (10, 20))
    assert benchmark.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("speedup: ")
    monkeypatch.setattr(benchmark, "least_total", lambda *args, **options: 2000.0)
    assert benchmark.main([]) == 1
    assert "contradict" in capsys.readouterr().out
