"""The check of a device: it runs small on a CPU, can fail, and no failure ends it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import device_checks
import device_steps
import pytest
import torch
from device_checks import CHECKS, Check
from device_findings import Finding, Scale, apart, measured, within

from experiments import gpu_check
from experiments.gpu_check import Outcome
from mke_theory.training.hardware import Hardware

SMALL = Scale("cpu", small=True)
QUICK = ["equality", "bf16", "channels_last", "features", "pictures", "vectorised_equal"]
QUICK += ["vectorised_1000"]


def good(scale: Scale) -> list[Finding]:
    return [Finding("two and two", "4", "4", True, (4.0,))]


def raises(scale: Scale) -> list[Finding]:
    raise RuntimeError("no such kernel")


def crashes(scale: Scale) -> list[Finding]:
    os._exit(3)


def hangs(scale: Scale) -> list[Finding]:
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])
    return []


# --- the whole command ---------------------------------------------------------------------------


def test_it_runs_small_and_a_check_that_fails_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = {"bad": Check(raises, 1, 100), "tests": CHECKS["tests"]}
    checks |= {name: CHECKS[name] for name in QUICK}
    monkeypatch.setattr(gpu_check, "CHECKS", checks)
    assert gpu_check.main(["--device", "cpu", "--out", str(tmp_path)]) == 1
    document = json.loads((tmp_path / "gpu_check.json").read_text(encoding="utf-8"))
    assert [one["check"] for one in document["checks"]] == list(checks)
    assert document["machine"]["device"] == "CPU" and document["to come"] == []
    verdicts = {one["check"]: one["verdict"] for one in document["checks"]}
    assert verdicts["bad"] == "failed" and verdicts["tests"] == "left out"
    assert verdicts["equality"] == verdicts["vectorised_equal"] == "met"
    assert verdicts["pictures"] == verdicts["vectorised_1000"] == "measured"
    text = (tmp_path / "gpu_check.md").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    assert text.startswith("# Check of one device: 1 failed, 1 left out, 5 met, 2 measured")
    assert "nothing here speaks of a GPU" in text
    assert "| RuntimeError: no such kernel" in text and "## bad failed" in text
    places = [
        text.index(x) for x in ("| equality", "device: CPU", "## bad failed", "## The checks")
    ]
    assert places == sorted(places)


@pytest.mark.slow
def test_what_takes_longer_runs_too(tmp_path: Path) -> None:
    names = ["torchrun", "compile", "vectorised_10000", "pictures_compiled"]
    out = ["--out", str(tmp_path)]
    assert gpu_check.main(["--device", "cpu", *out, "--checks", *names]) == 0


@pytest.mark.slow
def test_a_crash_and_a_check_that_hangs_are_lines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = {
        "crash": Check(crashes, 1, 100),
        "hang": Check(hangs, 1, 15),
        "good": Check(good, 1, 100),
    }
    monkeypatch.setattr(gpu_check, "CHECKS", checks)
    crash, hang, fine = gpu_check.outcomes(list(checks), replace(SMALL, small=False), 300)
    assert hang.seconds < 30  # the process that it waits for would take 60
    assert crash.verdict == "failed" and "Terminated" in crash.error
    assert hang.verdict == "failed" and hang.error == "stopped after 15 s, the most it may take"
    assert fine.verdict == "met"


def test_what_does_not_fit_into_the_budget_is_left_out() -> None:
    names = ["equality", "bf16"]
    found = list(gpu_check.outcomes(names, replace(SMALL, small=False), gpu_check.RESERVE + 12))
    assert [one.verdict for one in found] == ["left out", "left out"]
    assert found[0].left_out == "12 s are left, and it takes about 20"


def test_a_bad_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["--checks", "speed", "--out", str(tmp_path / "new")]) == 2
    assert "there is no check 'speed'; there are equality" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    for minutes in (0.0, math.nan, 601.0):
        with pytest.raises(ValueError, match=r"minutes is .*; allowed are more than 0, up to 600"):
            gpu_check.Options(minutes=minutes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["--device", "cuda"]) == 2
    assert "torch sees no CUDA device" in capsys.readouterr().err
    assert gpu_check.scale_of(gpu_check.Options()) == SMALL


# --- findings and verdicts -----------------------------------------------------------------------


def test_findings_by_hand() -> None:
    assert apart([2.0, 3.3], [2.0, 3.0]) == (0.0, pytest.approx(0.1))
    assert within("x", 0.5, 0.5).met and not within("x", 0.6, 0.5).met
    assert within("x", math.nan, 0.5).met is False
    assert measured("x", [3.0, 1.0, 2.0]).value == "2 [1, 3], n = 3"
    assert measured("x", [0.25]).value == "0.25, n = 1"


def test_verdicts() -> None:
    met, missed, plain = (Finding("x", "1", met=met) for met in (True, False, None))
    for findings, verdict in (
        ([met, plain], "met"),
        ([met, missed], "not met"),
        ([plain], "measured"),
    ):
        assert Outcome("x", 1.0, findings).verdict == verdict
    assert Outcome("x", 1.0, [met], error="E").verdict == "failed"
    assert Outcome("x", 1.0, left_out="no time").verdict == "left out"


def test_the_report_says_what_is_to_come() -> None:
    where = {"device": "Some GPU", "sizes": "full"}
    found = [Outcome("equality", 3.0, [Finding("x", "9", "at most 1", False)])]
    text = gpu_check.markdown(found, ["equality", "bf16", "tests"], where)
    assert "1 not met" in text.splitlines()[0] and "NOT MET" in text
    assert "To come: bf16, tests." in text and "speaks of a GPU" not in text
    assert "- equality (3 s): The losses of a segmenter" in text


def test_every_check_fits_in_and_says_what_it_is_about() -> None:
    assert sum(check.seconds for check in CHECKS.values()) < 8 * 60 - gpu_check.RESERVE
    assert all(check.most >= check.seconds and check.about for check in CHECKS.values())


# --- the checks can fail -------------------------------------------------------------------------


def test_losses_fall_and_repeat_themselves() -> None:
    pool = device_steps.pictures(SMALL)
    found = device_steps.losses(SMALL, Hardware(), pool)
    assert found == device_steps.losses(SMALL, Hardware(), pool)
    assert len(found) == 20 and sum(found[-5:]) < 0.9 * sum(found[:5])


def test_another_gradient_on_the_device_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's losses after a step of 1.001 times the length are not those of the CPU."""
    plain, calls = device_steps.TrainConfig, iter(range(5))

    def longer(**given: Any) -> Any:
        rate = given.pop("learning_rate") * (1.001 if next(calls) % 2 else 1.0)
        return plain(learning_rate=rate, **given)

    monkeypatch.setattr(device_steps, "TrainConfig", longer)
    met = {finding.name: finding.met for finding in device_steps.equality(SMALL)}
    assert met["double: loss of the first step, relative difference"]
    assert not met["double: losses of 20 steps, largest relative difference"]


def test_other_maps_are_seen() -> None:
    net = device_checks.EfficientNetLite("lite0").eval()
    pictures = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    found = device_checks.maps(net, pictures, None)
    assert device_checks.furthest(found, found) == 0
    off = [*found[:-1], found[-1] + 0.01 * found[-1].abs().max()]
    assert device_checks.furthest(off, found) == pytest.approx(0.01, rel=1e-3)


def test_the_clock_starts_after_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([10.0, 14.0])
    monkeypatch.setattr(device_steps.real, "clock", lambda device: next(ticks))
    rate, memory = device_steps.speed(SMALL, Hardware(), steps=5)
    assert rate == 5 * 4 / (14 - 10)  # five steps of four samples
    assert memory is not None and memory > 0


@pytest.mark.parametrize(
    ("said", "value", "met"),
    [
        ("8 passed, 3000 deselected in 9s", "8 passed", True),
        (
            "FAILED tests/a.py::b - x\n1 failed, 7 passed in 9s",
            "1 failed, 7 passed; tests/a.py::b",
            False,
        ),
        ("3000 deselected in 9s", "none ran", False),
        ("8 skipped, 30 deselected in 9s", "8 skipped", False),
    ],
)
def test_the_tests_that_need_a_gpu(
    said: str, value: str, met: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_checks, "completed", lambda command, codes: said)
    (finding,) = device_checks.marked_tests(SMALL)
    assert (finding.value, finding.met) == (value, met)


def test_files_with_tests_for_a_gpu_are_found() -> None:
    here = Path(__file__).parents[1]
    assert device_checks.marked(here / "training" / "test_loop_on_hardware.py")
    assert not device_checks.marked(here / "training" / "test_ema.py")


def test_a_command_that_fails_says_so() -> None:
    with pytest.raises(RuntimeError, match="exit code 3\nfrom the end"):
        device_checks.completed(
            [sys.executable, "-c", "print('from the end'); raise SystemExit(3)"]
        )
    assert device_checks.completed([sys.executable, "-c", "print(5)"]) == "5\n"
