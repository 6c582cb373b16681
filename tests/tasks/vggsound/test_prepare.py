"""Clips become features; missing ones are counted, bad ones named."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from mke_theory.tasks.vggsound.classes import shared_classes, table_text
from mke_theory.tasks.vggsound.lists import AUDIOSET, FOLDER, FULL
from mke_theory.tasks.vggsound.prepare import REPORT, main, wanted_clips
from mke_theory.tasks.vggsound.shards import INDEX, PREPARED
from mke_theory.tasks.vggsound.split import split_of
from tests.tasks.files.clips import cut as cut_short
from tests.tasks.files.clips import write_sound
from tests.tasks.vggsound.made_clips import READING, TASK, Corpus, again


def test_bad_clips_are_named_and_left_out_only_on_request(corpus: Corpus) -> None:
    bad = sorted(corpus.clips["test"])[3]
    cut_short(corpus.file("vggsound", bad), 0.5)
    write_sound(corpus.file("audioset", min(corpus.clips["labelled"])), tone=0.0)  # silence
    (corpus.root / PREPARED / INDEX).unlink()
    with pytest.raises(ValueError, match=rf"2 clips cannot be used(.|\n)*{bad}(.|\n)*--skip-bad"):
        again(corpus)
    assert not (corpus.root / PREPARED / INDEX).exists()
    outcome = again(corpus, skip_bad=True)
    assert (outcome["vggsound"].made.clips, outcome["audioset"].made.clips) == (41, 17)
    assert (
        str(bad) in json.loads((corpus.root / PREPARED / REPORT).read_text())["vggsound"]["bad"][0]
    )
    with pytest.raises(ValueError, match=r"2 bad clips were left out.*--skip-bad"):
        TASK.at(corpus.root).problem(0)
    tolerant = replace(TASK, skip_bad=True)
    problem = tolerant.at(corpus.root).problem(0)
    assert len(problem.skipped) == 2 and len(problem.test) == 17
    assert tolerant.at(corpus.root).absent().clips == (bad,)


def test_a_set_without_any_clip_is_refused(corpus: Corpus) -> None:
    shutil.rmtree(corpus.root / "audioset_clips")
    with pytest.raises(FileNotFoundError, match="audioset_clips: no such folder"):
        again(corpus)
    (corpus.root / "audioset_clips").mkdir()
    with pytest.raises(ValueError, match="none of the 18 clips that the lists want"):
        again(corpus)
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
        "# labelled: 18 clips of audioset listed, 18 present, 0 missing",
        "# unlabelled: 24 clips of vggsound listed, 24 present, 0 missing",
        "# test: 18 clips of vggsound listed, 17 present, 1 missing",
        f"vggsound test {gone}",
    ]
    assert command("classes") == table_text(corpus.lists)
    reading = (f"--reading.{name}={value}" for name, value in vars(READING).items())
    assert "vggsound: 41 of 42 clips prepared, 1 missing, 0 bad" in command("prepare", *reading)
    shutil.rmtree(corpus.root / "audioset_clips")
    others = sorted(corpus.clips["unlabelled"])
    for clip in others:
        corpus.file("vggsound", clip).unlink()
    assert command("missing").splitlines() == [
        "# labelled: 18 clips of audioset listed, 0 present, 18 missing",
        "# unlabelled: 24 clips of vggsound listed, 0 present, 24 missing",
        "# test: 18 clips of vggsound listed, 17 present, 1 missing",
        f"# {corpus.root / 'audioset_clips'}: no such folder; it is where clips of audioset belong",
        *(f"audioset labelled {clip}" for clip in sorted(corpus.clips["labelled"])),
        *(f"vggsound unlabelled {clip}" for clip in others),
        f"vggsound test {gone}",
    ]
    (corpus.lists / "vggsound/test.csv").unlink()
    with pytest.raises(SystemExit, match=r"error: .*no such list"):
        command("prepare")


@pytest.mark.parametrize("ontology", [False, True])
@pytest.mark.parametrize("sharing", ["names", "names and instruments"])
def test_what_any_setting_wants_is_prepared(
    lists: Corpus, ontology: bool, sharing: Literal["names", "names and instruments"]
) -> None:
    """Also a film of D_u that is kept out of it where D_l has more classes."""
    by_ontology, by_instrument = "z" * 11, "y" * 11
    row = next(row for row in shared_classes("names and instruments") if row.rule == "playing")
    with (lists.lists / AUDIOSET).open("a") as file:
        file.write(f"{by_ontology},0.0,10.0,/m/0\n{by_instrument},0.0,10.0,{row.mid}\n")
    (lists.lists / FULL[0]).write_text(
        f"{by_ontology},30,thunder,train\n{by_instrument},30,thunder,train\n"
    )
    wanted, _ = wanted_clips(lists.lists)
    split = split_of(lists.lists, sharing=sharing, ontology=ontology)
    assert wanted["audioset"] >= set(split.labelled.clips)
    assert wanted["vggsound"] >= {*split.unlabelled.clips, *split.test.clips}
    films = {clip.ytid for clip in split.unlabelled.clips}
    assert (by_ontology in films, by_instrument in films) == (not ontology, sharing == "names")


@pytest.mark.data("av_event_metadata")
def test_the_published_lists_want_these_many_clips(data_root: Path) -> None:
    wanted, _ = wanted_clips(data_root / FOLDER)
    assert {which: len(clips) for which, clips in wanted.items()} == {
        "audioset": 4563,
        "vggsound": 8957,
    }
