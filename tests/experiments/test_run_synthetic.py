"""The command of all studies in simulated worlds: options, exit codes, folders."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.experiments.synthetic_calls import call, sibling


@pytest.mark.parametrize("command", ["placebo", "dependence"])
def test_a_single_seed_has_no_interval(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command, "--seeds", "1", "--out", str(tmp_path / "out")) == 2
    assert "at least 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_command_and_a_strange_one_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 2
    assert call("everything") == 2
    assert "phase" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["phase", "placebo", "dependence", "all"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "--help") == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--quick", "--out", "--workers", "--cluster"))


def test_ctrl_c_is_130_with_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sibling("phase"), "run", interrupted)
    assert call("phase") == 130
    assert "goes on from there" in capsys.readouterr().err


@dataclass(frozen=True)
class SslOptions:
    """Stands for the options of the study of semi-supervised methods."""

    quick: bool = False
    workers: int = 1
    out: Path = Path("x")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[SslOptions]:
    """The options that the study of semi-supervised methods is called with."""
    calls: list[SslOptions] = []
    study = ModuleType("semi_supervised", "Semi-supervised methods.")

    def main_study(options: SslOptions) -> int:
        calls.append(options)
        return 1

    study.Options, study.main_study = SslOptions, main_study  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "semi_supervised", study)
    return calls


def test_ssl_is_handed_its_own_options(asked: list[SslOptions]) -> None:
    assert call("ssl", "--quick", "--out", "there") == 1
    assert asked == [SslOptions(True, 1, Path("there"))]


def test_all_is_every_study_in_its_folder(
    asked: list[SslOptions], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called = []
    for name in ("phase", "placebo", "dependence"):

        def run(options: Any, name: str = name) -> list[Path]:
            called.append((name, options.quick, options.workers, options.out))
            return []

        monkeypatch.setattr(sibling(name), "run", run)
    assert call("all", "--quick", "--workers", "2", "--out", str(tmp_path)) == 1  # ssl's
    assert called == [
        (name, True, 2, tmp_path / name) for name in ("phase", "placebo", "dependence")
    ]
    assert asked == [SslOptions(True, 2, tmp_path / "semi_supervised")]
