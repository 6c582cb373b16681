"""Parts that follow from the lists alone, and no film in two of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from mke_theory.data.file_hashes import sha256_of
from mke_theory.tasks.vggsound import split as splits
from mke_theory.tasks.vggsound.classes import Sharing, shared_classes
from mke_theory.tasks.vggsound.lists import (
    ANNOTATION,
    AUDIOSET,
    CLASSES,
    FOLDER,
    FULL,
    TEST,
    Clip,
    read_classes,
    read_vggsound,
)
from mke_theory.tasks.vggsound.split import (
    MANIFEST,
    Annotation,
    Part,
    halves_hash,
    most_per_class,
    part_of,
    refuse_stale_split,
    split_of,
    wanted_clips,
)
from tests.tasks.vggsound.made_clips import CLASSES_USED, MIDS_USED, A, Corpus

B = "zzzzzzzzzzz"


def test_the_parts_are_those_of_the_lists(lists: Corpus) -> None:
    split = split_of(lists.lists)
    for part, members in lists.clips.items():
        wanted: Part = getattr(split, part)
        assert wanted.clips == tuple(sorted(members))
        names = [split.classes[row.argmax()].vggsound for row in wanted.truth]
        assert names == [CLASSES_USED[members[clip]] for clip in wanted.clips]
        assert (wanted.truth.sum(axis=1) == 1).all()


def test_vggsounder_has_several_classes_a_clip(lists: Corpus) -> None:
    listed, several = (
        split_of(lists.lists, annotation=annotation).test for annotation in get_args(Annotation)
    )
    orchestra = [row.vggsound for row in shared_classes()].index("orchestra")
    assert several.clips == listed.clips and listed.truth[:, orchestra].sum() == 0
    assert several.truth[:, orchestra].sum() == 9  # every second of 18 clips
    np.testing.assert_array_equal(np.delete(several.truth - listed.truth, orchestra, axis=1), 0)
    with pytest.raises(ValueError, match="choose one of"):
        split_of(lists.lists, annotation="mine")  # type: ignore[arg-type]


def test_a_clip_that_only_vggsounder_knows_is_refused(lists: Corpus) -> None:
    path = lists.lists / ANNOTATION
    path.write_text(path.read_text() + f"{A}_000000,thunder,A,False,False,False\n")
    with pytest.raises(ValueError, match=r"1 clips that .*test\.csv lacks"):
        split_of(lists.lists, annotation="VGGSounder")


def test_a_film_is_in_one_part_alone(lists: Corpus) -> None:
    test, labelled = (sorted(lists.clips[part])[0] for part in ("test", "labelled"))
    with (lists.lists / AUDIOSET).open("a") as file:
        file.write(f'{test.ytid},0,10,"{MIDS_USED[0]}"\n')
    of_train = [(test.ytid, 77), (labelled.ytid, 77), (B, 5)]
    (lists.lists / FULL[0]).write_text(
        "".join(f"{ytid},{start},thunder,train\n" for ytid, start in of_train)
    )
    split = split_of(lists.lists)
    films = [
        {clip.ytid for clip in part.clips}
        for part in (split.labelled, split.unlabelled, split.test)
    ]
    assert films[1] == {B}
    assert not films[0] & films[2] and len(films[0]) == 18
    # Left out: a clip of AudioSet in a film of test, and two clips of the train list.
    assert [len(part.clips) for part in (split.labelled, split.unlabelled)] == [18, 1]


def test_the_train_list_makes_all_of_the_test_list_test(lists: Corpus) -> None:
    (lists.lists / FULL[1]).write_text(f"{A}_000005.mp4,thunder\n{B}_000000.mp4,orchestra\n")
    split = split_of(lists.lists)
    assert split.unlabelled.clips == (Clip(A, 5), Clip(B, 0))
    assert len(split.test.clips) == 18 + 24
    assert (split_of(lists.lists, annotation="VGGSounder").unlabelled.truth == -1).all()


def test_all_clips_of_a_film_are_in_one_half() -> None:
    clips = [Clip(f"{n:011}", start) for n in range(300) for start in (0, 30)]
    sides = {clip: part_of(clip.ytid) for clip in clips}
    assert all(sides[Clip(c.ytid, 0)] == sides[Clip(c.ytid, 30)] for c in clips)
    # Of 300 films each half has 150 ± 8.7; a fair hash leaves 110..190 once in 10⁵.
    assert 110 < sum(part == "test" for part in sides.values()) / 2 < 190


def test_a_manifest_of_another_split_is_refused_for_the_list_it_names(
    lists: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = lists.lists / TEST
    clips = read_vggsound(listed, read_classes(lists.lists / CLASSES), split="test")
    manifest = tmp_path / "split.json"
    committed = {"list": sha256_of(listed), "sha256": halves_hash(clips)}
    manifest.write_text(json.dumps(committed))
    refuse_stale_split(listed, clips, manifest)
    monkeypatch.setattr(splits, "part_of", lambda ytid: "test")
    with pytest.raises(ValueError, match="no longer splits"):
        refuse_stale_split(listed, clips, manifest)
    manifest.write_text(json.dumps(committed | {"list": "another"}))
    refuse_stale_split(listed, clips, manifest)


def test_a_class_that_the_table_needs_and_a_list_lacks_is_refused(lists: Corpus) -> None:
    path = lists.lists / CLASSES
    path.write_text(path.read_text().replace("helicopter", "gyrocopter"))
    with pytest.raises(ValueError, match="no class 'helicopter'"):
        split_of(lists.lists)


def test_most_per_class_takes_clips_until_each_class_has_enough() -> None:
    truth = np.zeros((60, 3), dtype=np.int8)
    truth[np.arange(60), np.arange(60) % 2] = 1
    truth[:4, 2] = 1
    part = Part(tuple(Clip(f"{n:011}", 0) for n in range(60)), truth)
    rows = most_per_class(part, 5, np.random.default_rng(0))
    counts = truth[rows].sum(axis=0)
    assert counts[:2].min() >= 5 and counts[2] == 4  # all there are
    assert len(rows) <= 14 and (np.diff(rows) > 0).all()
    assert rows.tolist() != most_per_class(part, 5, np.random.default_rng(1)).tolist()
    assert len(most_per_class(part, 60, np.random.default_rng(0))) == 60


@pytest.mark.data("av_event_metadata")
def test_the_committed_split_is_that_of_the_published_list(data_root: Path) -> None:
    committed = json.loads(MANIFEST.read_text(encoding="utf-8"))
    listed = data_root / FOLDER / TEST
    clips = read_vggsound(listed, read_classes(data_root / FOLDER / CLASSES), split="test")
    assert committed["list"] == sha256_of(listed)
    assert committed["sha256"] == halves_hash(clips)
    halves = [part_of(clip.ytid) for clip in clips]
    assert committed["clips"] == {part: halves.count(part) for part in ("unlabelled", "test")}


@pytest.mark.data("av_event_metadata")
def test_films_that_audioset_and_vggsound_share_are_kept_apart(data_root: Path) -> None:
    split = split_of(data_root / FOLDER)
    parts = (split.labelled, split.unlabelled, split.test)
    assert [len(part.clips) for part in parts] == [2181, 916, 834]
    films = [{clip.ytid for clip in part.clips} for part in parts]
    assert not films[0] & films[1] and not films[0] & films[2] and not films[1] & films[2]
    assert all((part.truth == 1).any(axis=0).all() for part in parts)  # every class is in each


@pytest.mark.parametrize("sharing", get_args(Sharing))
def test_what_any_setting_wants_is_wanted(lists: Corpus, sharing: Sharing) -> None:
    """Also a film of D_u that is kept out of it where D_l has more classes."""
    row = next(row for row in shared_classes("names and instruments") if row.rule == "playing")
    with (lists.lists / AUDIOSET).open("a") as file:
        file.write(f"{B},0.0,10.0,{row.mid}\n")
    (lists.lists / FULL[0]).write_text(f"{B},30,thunder,train\n{A},30,thunder,train\n")
    wanted = wanted_clips(lists.lists)
    split = split_of(lists.lists, sharing=sharing)
    assert wanted["audioset"] >= set(split.labelled.clips)
    assert wanted["vggsound"] >= {*split.unlabelled.clips, *split.test.clips}
    assert (B in {clip.ytid for clip in split.unlabelled.clips}) == (sharing == "names")


@pytest.mark.data("av_event_metadata")
def test_the_published_lists_want_these_many_clips(data_root: Path) -> None:
    wanted = wanted_clips(data_root / FOLDER)
    assert {which: len(clips) for which, clips in wanted.items()} == {
        "audioset": 4371,
        "vggsound": 8957,
    }
