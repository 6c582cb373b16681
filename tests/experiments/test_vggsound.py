"""From folders of clips to the table in one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import vggsound
from tests.tasks.vggsound.made_clips import ENCODERS, Corpus, make_corpus

ARMS = ("mm_student", "mm_student_evidence")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders that are computed, not trained."""
    monkeypatch.setattr(vggsound, "clip_encoders", lambda *_: ENCODERS)


def call(root: Path, out: Path, *more: str) -> int:
    steps = [f"vggsound.recipe.{who}.steps=3" for who in ("teacher", "student")]
    given = ["--data-root", str(root), "--out", str(out), "--workers", "1", "--seeds", "1"]
    return vggsound.main([*given, *more, "--arms", *ARMS, "--set", *steps])


def records_of(out: Path) -> list[dict[str, Any]]:
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_clips_become_a_table(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = min(corpus.clips["test"])
    corpus.file("vggsound", gone).unlink()
    assert call(corpus.root, tmp_path) == 0
    printed = capsys.readouterr().out
    assert "vggsound: 41 of 42 clips prepared, 1 missing, 0 bad" in printed
    assert "MM student (evidence)" in printed and "mAP" in printed
    arms = [record["arm"] for record in records_of(tmp_path)]
    assert sorted(arms) == sorted(["um_teacher", *ARMS])
    assert call(corpus.root, tmp_path) == 0  # all of it is there
    assert [record["arm"] for record in records_of(tmp_path)] == arms


def test_a_wrong_folder_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tmp_path / "absent", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: data root") and not (tmp_path / "out").exists()


def test_missing_weights_are_refused_in_one_line(
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def absent(*_: object) -> None:
        raise ModuleNotFoundError("openwakeword is not installed: pip install it")

    monkeypatch.setattr(vggsound, "clip_encoders", absent)
    assert call(corpus.root, tmp_path / "out") == 2
    assert capsys.readouterr().err == "error: openwakeword is not installed: pip install it\n"
