from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def test_the_examples_print_what_the_readme_says() -> None:
    at = next(i for i, (kind, code) in enumerate(BLOCKS) if kind == "python" and "expand(" in code)
    names: dict[str, object] = {}
    for code, shown in ((BLOCKS[i][1], BLOCKS[i + 1][1]) for i in (at, at + 2)):  # one goes on
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), names)
        _compare(printed.getvalue(), shown)


def test_the_simulated_example_prints_what_the_readme_says() -> None:
    at = next(i for i, (_, code) in enumerate(BLOCKS) if "fit_many(" in code)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(BLOCKS[at][1], "README.md", "exec"), {})
    _compare(printed.getvalue(), BLOCKS[at + 1][1])


def test_the_table_of_methods_is_that_of_their_settings() -> None:
    from mke_theory.method.relatives import methods, table

    assert f"```\n{table(methods())}\n```" in README


def _compare(found: str, shown: str) -> None:
    assert NUMBER.sub("#", found) == NUMBER.sub("#", shown)
    # Another processor rounds otherwise, and a few samples of 1,197 may then change sides.
    for one, other in zip(NUMBER.findall(found), NUMBER.findall(shown), strict=True):
        slack = 3 if float(other) > 1 else 0.02  # counts and percent, or shares
        assert float(one) == pytest.approx(float(other), rel=0.05, abs=slack)


def test_the_example_for_arrays_of_ones_own_can_be_read(tmp_path: Path) -> None:
    import numpy as np

    from mke_theory.tasks.toy.arrays import Arrays

    code = next(code for kind, code in BLOCKS if kind == "python" and "np.savez" in code)
    draw = np.random.default_rng(0)
    given = {
        "audio": draw.normal(size=(20, 3)),
        "image": draw.normal(size=(20, 2, 2)),
        "labels": np.where(np.arange(20) < 12, np.arange(20) % 2, -1),
    }
    exec(code.replace("mine.npz", str(tmp_path / "mine.npz")), dict(given))
    problem = Arrays(file=str(tmp_path / "mine.npz"), alpha="audio").problem(0)
    assert problem.modalities == ("audio", "image")
    assert len(problem.unlabelled) == 8


def test_every_file_that_the_readme_names_exists() -> None:
    named = re.findall(r"`((?:mke_theory|paper|experiments|docs)/[\w./]+)`", README)
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", README)
    assert len(named) >= 3
    assert len(shown) >= 2
    assert [name for name in (*named, *shown) if not (ROOT / name).exists()] == []


def test_every_option_that_the_readme_names_exists() -> None:
    told = subprocess.run(
        [sys.executable, ROOT / "experiments" / "run_real.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PYTHONPATH": str(ROOT), "PATH": ""},
    ).stdout
    (listed,) = re.findall(r"Options of the main job: `([^`]+)`", README)
    names = listed.split()
    assert len(names) == 10
    assert [name for name in names if name not in told] == []
