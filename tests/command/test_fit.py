"""`mke fit`, `mke diagnose` and `mke audit`, one after the other, as someone with a table would."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mke_theory.command.main import JOBS, main

GROUPS = ["--modality", "sound=s_*", "picture=p_*"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A table of 400 samples of three classes, 45 with a label, and the truth."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 400)
    sound = np.eye(3)[truth] + rng.normal(0, 0.8, (400, 3))
    picture = np.eye(3)[truth] + rng.normal(0, 0.4, (400, 3))
    names = np.array(["cat", "cow", "<b>dog</b>"])
    path = tmp_path_factory.mktemp("table") / "mine.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "s_0", "s_1", "s_2", "p_0", "p_1", "p_2", "labels"])
        for i in range(400):
            label = names[truth[i]] if i < 45 else ""
            rows.writerow([f"clip {i}", *sound[i], *picture[i], label])
    return path, names[truth]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_from_a_table_to_a_verdict(
    table: tuple[Path, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, truth = table
    monkeypatch.chdir(tmp_path)
    assert main(["fit", str(path), *GROUPS, "--out", "f"]) == 0
    every, asked = rows_of(Path("f/predictions.csv")), rows_of(Path("f/to_audit.csv"))
    assert [row["id"] for row in every] == [f"clip {i}" for i in range(400)]
    assert [row["id"] for row in asked] == [f"clip {i}" for i in range(45, 400)]
    right = np.mean([row["student"] == t for row, t in zip(every, truth, strict=True)])
    teacher = np.mean([r["teacher"] == t for r, t in zip(asked, truth[45:], strict=True)])
    assert right > teacher + 0.1 and all(row["teacher"] == "" for row in every[:45])
    page = Path("f/report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;dog" in page and "<b>dog" not in page and f"mke fit {path}" in page
    found = capsys.readouterr().out
    assert "45 of 400 samples have a label" in found and "mke audit compare f/to_audit.csv" in found

    audit = ["audit", "compare", "f/to_audit.csv", "--page", "audit.html"]
    code = main(audit)
    while code == 3:
        lines = rows_of(Path("to_label.csv"))
        assert len(lines) <= 100
        for row in lines:
            row["label"] = str(truth[int(row["id"].split()[1])])
        with Path("to_label.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, lines[0])
            out.writeheader()
            out.writerows(lines)
        code = main(audit)
    assert code == 0 and "better than its teacher (95%)" in capsys.readouterr().out
    assert '<p class="good">The student is better' in Path("audit.html").read_text(encoding="utf-8")


def test_a_diagnosis_with_a_page(
    table: tuple[Path, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = table
    page = tmp_path / "d.html"
    assert main(["diagnose", str(path), *GROUPS, "--page", str(page)]) == 0
    found = capsys.readouterr().out
    assert "If both are independent given the class" in found and "An audit would take" in found
    assert "What was not checked" in page.read_text(encoding="utf-8")


def test_a_diagnosis_of_answers_is_that_of_the_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from scipy.special import softmax

    from mke_theory.audit import diagnose

    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 800)
    x = (2 * truth - 1)[:, None] + rng.normal(size=(800, 2))
    p = softmax(np.stack([-x[:, 0], x[:, 0]], 1), axis=1)
    labels = np.where(np.arange(800) < 60, truth, -1)
    path = tmp_path / "d.npz"
    np.savez(path, a=x[:, :1], b=x[:, 1:], labels=labels, p=p)
    assert main(["diagnose", str(path), "--modality", "a", "b", "--teacher-answers", "p"]) == 0
    expected = diagnose(
        p[60:].astype(np.float32).astype(np.float64), x[60:, 1:], labelled=(p[:60], truth[:60])
    )
    first = str(expected).splitlines()[0]
    assert first in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fit", "absent.csv", *GROUPS], "absent.csv"),
        (["diagnose", "absent.npz"], "absent.npz"),
        (["report", "absent"], "no records.jsonl in absent"),
        (["fli"], "there is no job 'fli'"),
        ([], "usage: mke JOB"),
    ],
)
def test_bad_calls_are_one_line(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    found = capsys.readouterr()
    assert message in found.err and found.out == ""


def test_help_lists_every_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    found = capsys.readouterr().out
    assert all(f"mke {job} " in found for job in JOBS)
    assert main(["--version"]) == 0
    for job in JOBS:
        with pytest.raises(SystemExit) as end:
            main([job, "--help"])
        assert end.value.code == 0 and f"usage: mke {job}" in capsys.readouterr().out


def test_a_report_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "r")
    steps = [f"twomoon_fair.recipe.{who}.steps=2" for who in ("teacher", "student")]
    call = ["--tasks", "twomoon_fair", "--arms", "mm_student", "--seeds", "1", "--theory", "0"]
    assert main(["run", *call, "--workers", "1", "--out", out, "--set", *steps]) == 0
    page = tmp_path / "r" / "report.html"
    assert "mke run --tasks twomoon_fair" in page.read_text(encoding="utf-8")
    page.unlink()
    assert main(["report", out]) == 0
    assert "mke report" in page.read_text(encoding="utf-8")
