"""Clips become features; missing ones are counted, bad ones named."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest

from mke_theory.models.frozen import FrozenEncoder
from mke_theory.tasks.vggsound.prepare import main
from mke_theory.tasks.vggsound.store import INDEX, PREPARED
from tests.tasks.files.clips import cut as cut_short
from tests.tasks.files.clips import write_sound
from tests.tasks.vggsound.made_clips import ENCODERS, TASK, Corpus, again


def test_bad_clips_are_named_and_left_out_only_on_request(corpus: Corpus) -> None:
    bad = sorted(corpus.clips["test"])[3]
    cut_short(corpus.file("vggsound", bad), 0.5)
    write_sound(corpus.file("audioset", min(corpus.clips["labelled"])), tone=0.0)  # silence
    (corpus.root / PREPARED / INDEX).unlink()
    with pytest.raises(ValueError, match=rf"2 clips cannot be used(.|\n)*{bad}(.|\n)*--skip-bad"):
        again(corpus)
    assert not (corpus.root / PREPARED / INDEX).exists()
    assert again(corpus, skip_bad=True) == [
        "audioset: 17 of 18 clips prepared, 0 missing, 1 bad",
        "vggsound: 41 of 42 clips prepared, 0 missing, 1 bad",
    ]
    listed = json.loads((corpus.root / PREPARED / INDEX).read_text())["vggsound"]["bad"]
    assert [line.startswith(f"{bad}.mp4: ") for line in listed] == [True]
    with pytest.raises(ValueError, match=r"2 bad clips were left out.*--skip-bad"):
        TASK.at(corpus.root).problem(0)
    tolerant = replace(TASK, skip_bad=True)
    problem = tolerant.at(corpus.root).problem(0)
    assert len(problem.skipped) == 2 and len(problem.test) == 17
    assert tolerant.at(corpus.root).absent().clips == (bad,)


def test_a_set_without_any_clip_is_refused(corpus: Corpus) -> None:
    shutil.move(corpus.root / "audioset_clips", corpus.root / "elsewhere")
    with pytest.raises(ValueError, match="audioset_clips: has none of the 18 clips that the lists"):
        again(corpus)
    shutil.move(corpus.root / "elsewhere", corpus.root / "audioset_clips")
    for clip in corpus.clips["labelled"]:
        corpus.file("audioset", clip).write_bytes(b"no sound")
    with pytest.raises(ValueError, match="no clip of audioset is left"):
        again(corpus, skip_bad=True)


def test_the_commands_prepare_and_name_what_is_missing(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: str) -> str:
        call = ["vggsound", *arguments, "--data-root", str(corpus.root)]
        monkeypatch.setattr(sys, "argv", call)
        main()
        return capsys.readouterr().out

    gone = min(corpus.clips["test"])
    corpus.file("vggsound", gone).unlink()
    assert command("missing").splitlines() == [
        "# audioset: 18 clips listed, 18 present, 0 missing",
        "# vggsound: 42 clips listed, 41 present, 1 missing",
        f"vggsound {gone}",
    ]
    asked: list[tuple[str, ...]] = []

    def encoders(*choice: str) -> Mapping[str, FrozenEncoder]:
        asked.append(choice)
        return ENCODERS

    monkeypatch.setattr("mke_theory.tasks.vggsound.prepare.clip_encoders", encoders)
    printed = command("prepare", "--sound", "ast:some/ast")
    assert "vggsound: 41 of 42 clips prepared, 1 missing, 0 bad" in printed
    assert asked == [("ast:some/ast", "efficientnet_lite2")]
    shutil.rmtree(corpus.root / "audioset_clips")
    assert command("missing").splitlines() == [
        "# audioset: 18 clips listed, 0 present, 18 missing",
        "# vggsound: 42 clips listed, 41 present, 1 missing",
        *(f"audioset {clip}" for clip in sorted(corpus.clips["labelled"])),
        f"vggsound {gone}",
    ]
    (corpus.lists / "vggsound/test.csv").unlink()
    with pytest.raises(SystemExit, match=r"error: .*no such list"):
        command("prepare")
