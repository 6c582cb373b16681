"""Features of clips on disk: made once, in one manifest, and refused where they do not fit it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mke_theory.tasks.vggsound.clips import read_clip
from mke_theory.tasks.vggsound.encoders import pooled
from mke_theory.tasks.vggsound.store import INDEX, PREPARED, read_shelves
from tests.tasks.vggsound.made_clips import EAR, EYE, TASK, Corpus, again

PREPARE_AGAIN = "prepare the clips again"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of clips that are read."""
    done: list[Path] = []

    def counted(path: Path, *, films: bool) -> Mapping[str, np.ndarray]:
        done.append(path)
        return read_clip(path, films=films)

    monkeypatch.setattr("mke_theory.tasks.vggsound.store.read_clip", counted)
    return done


def test_prepared_features_are_those_of_the_clips_one_by_one(made: Corpus) -> None:
    shelves = read_shelves(made.root / PREPARED)
    assert [len(shelf.clips) for shelf in shelves.values()] == [18, 42]
    assert list(shelves["audioset"].features) == ["audio"]
    shelf = shelves["vggsound"]
    assert shelf.bad == ()
    for row in (0, 17, 41):
        raw = read_clip(made.file("vggsound", shelf.clips[row]), films=True)
        for name, encoder in (("audio", EAR), ("video", EYE)):
            whole = pooled(encoder, films=name == "video")
            alone = whole(torch.from_numpy(raw[name][None]))["pooled"][0].numpy()
            kept = shelf.features[name][row]
            np.testing.assert_array_equal(kept, alone.astype(np.float16))


def test_what_is_done_is_not_done_again(corpus: Corpus, read: list[Path]) -> None:
    again(corpus)
    assert read == []
    # Another clip in place of one: the films that share its hash are read again, and no other.
    members = sorted(corpus.clips["labelled"])
    shutil.copy(corpus.file("audioset", members[5]), corpus.file("audioset", members[0]))
    again(corpus)
    assert corpus.file("audioset", members[0]) in read and len(read) < 18
    read.clear()
    again(corpus, encoders={"audio": EAR, "video": replace(EYE, content="2" * 16)})
    assert len(read) == 42  # those with pictures
    read.clear()
    again(corpus, encoders={"audio": replace(EAR, content="3" * 16), "video": EYE})
    assert len(read) == 60


def test_a_preparation_that_was_stopped_goes_on(
    corpus: Corpus, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(corpus.root / PREPARED)
    counted = read_clip

    def stopped(path: Path, *, films: bool) -> Mapping[str, np.ndarray]:
        if len(read) == 25:
            raise KeyboardInterrupt
        read.append(path)
        return counted(path, films=films)

    with monkeypatch.context() as patch:
        patch.setattr("mke_theory.tasks.vggsound.store.read_clip", stopped)
        with pytest.raises(KeyboardInterrupt):
            again(corpus)
    assert not (corpus.root / PREPARED / INDEX).exists()
    again(corpus)
    assert 60 <= len(read) < 60 + 42 / 3  # of the shard that was begun, some clips twice


def test_a_damaged_or_removed_shard_is_refused_and_made_anew(corpus: Corpus) -> None:
    folder = corpus.root / PREPARED
    shard = min((folder / "vggsound-video").iterdir())
    array = next(shard.glob("*.npy"))
    array.write_bytes(array.read_bytes()[:-1] + b"\7")
    with pytest.raises(ValueError, match=f"damaged(.|\n)*{PREPARE_AGAIN}"):
        read_shelves(folder)
    again(corpus)
    before = read_shelves(folder)["vggsound"]
    shutil.rmtree(shard)
    with pytest.raises(ValueError, match=PREPARE_AGAIN):
        read_shelves(folder)
    again(corpus)
    np.testing.assert_array_equal(
        read_shelves(folder)["vggsound"].features["video"], before.features["video"]
    )


def test_shards_that_do_not_belong_together_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    folder = corpus.root / PREPARED
    one, other = sorted((folder / "vggsound-audio").iterdir())[:2]
    shutil.rmtree(one)
    shutil.copytree(other, one)
    with pytest.raises(ValueError, match=f"has other clips by modality.*{PREPARE_AGAIN}"):
        read_shelves(folder)
    again(corpus)
    shutil.copytree(folder, tmp_path / "mixed")
    again(corpus, encoders={"audio": replace(EAR, content="2" * 16), "video": EYE})
    one = min((folder / "audioset-audio").iterdir())
    shutil.rmtree(one)
    shutil.copytree(tmp_path / "mixed" / "audioset-audio" / one.name, one)
    with pytest.raises(ValueError, match=f"shards are of several encoders.*{PREPARE_AGAIN}"):
        read_shelves(folder)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"audioset": {}, "vggsound": 3}'])
def test_a_damaged_manifest_is_refused(corpus: Corpus, text: str) -> None:
    (corpus.root / PREPARED / INDEX).write_text(text)
    with pytest.raises(ValueError, match=PREPARE_AGAIN):
        TASK.at(corpus.root).problem(0)


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_shards_that_are_gone_are_missed(corpus: Corpus, modality: str) -> None:
    folder = corpus.root / PREPARED
    shutil.rmtree(max((folder / f"vggsound-{modality}").iterdir()))
    with pytest.raises(ValueError, match=PREPARE_AGAIN):
        TASK.at(corpus.root).problem(0)


def test_a_clip_that_is_gone_leaves_no_features(corpus: Corpus) -> None:
    gone = min(corpus.clips["test"])
    corpus.file("vggsound", gone).unlink()
    again(corpus)
    folder = corpus.root / PREPARED
    assert len(read_shelves(folder)["vggsound"].clips) == 41
    named = [json.loads(path.read_text()) for path in folder.glob("vggsound-*/*/keys.json")]
    assert str(gone) not in {name for names in named for name in names}


def test_files_that_a_file_manager_leaves_are_no_shards(corpus: Corpus, read: list[Path]) -> None:
    (corpus.root / PREPARED / "vggsound-audio" / ".DS_Store").write_bytes(b"Bud1")
    again(corpus)
    assert read == [] and len(read_shelves(corpus.root / PREPARED)["vggsound"].clips) == 42
