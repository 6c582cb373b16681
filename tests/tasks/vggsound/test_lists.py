"""The official lists are read whole or refused by line; classes and cut follow from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.vggsound import split as cutting
from mke_theory.tasks.vggsound.classes import TABLE, derive, shared_classes, table_text
from mke_theory.tasks.vggsound.lists import (
    ANNOTATION,
    AUDIOSET,
    AUDIOSET_CLASSES,
    CLASSES,
    FOLDER,
    FULL,
    ONTOLOGY,
    TEST,
    Clip,
    parse_name,
    read_audioset,
    read_audioset_classes,
    read_classes,
    read_ontology,
    read_vggsound,
    read_vggsounder,
)
from mke_theory.tasks.vggsound.split import (
    MANIFEST,
    Wanted,
    cut_of,
    halves_hash,
    most_per_class,
    part_of,
    refuse_stale_cut,
)
from tests.tasks.vggsound.made_clips import CLASSES_USED, MIDS_USED, Corpus, make_corpus

A, B = "A1b2C3d4-_5", "zzzzzzzzzzz"


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(tmp_path, clips=False)


def saved(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


# Names and rows


def test_a_clip_is_named_by_its_film_and_its_second() -> None:
    assert str(Clip(A, 30)) == f"{A}_000030"
    assert parse_name(f"{A}_000030") == Clip(A, 30)
    for strange in (A, f"{A}_30", f"{A}_30000", f"{A}_0000030", f"{A[:-1]}_000030", "notes"):
        assert parse_name(strange) is None


def test_commas_and_quotes_stay_inside_a_name(tmp_path: Path) -> None:
    classes = saved(tmp_path, 'index,mid,display_name\n0,/m/1,"Car, ""auto"""\n1,/m/2,Siren\n')
    assert read_audioset_classes(classes) == {"/m/1": 'Car, "auto"', "/m/2": "Siren"}
    clips = saved(tmp_path, f'{A}_000007.mp4,"car, auto"\n{B}_000000.mp4,siren\n')
    read = read_vggsound(clips, ("car, auto", "siren"), split="test")
    assert read == {Clip(A, 7): "car, auto", Clip(B, 0): "siren"}


def test_audiosets_own_comments_and_spaces_are_allowed(tmp_path: Path) -> None:
    rows = f'{A}, 30.000, 40.000, "/m/1,/m/2"\n{B}, 1.800, 11.800, "/m/2"\n'
    bare = saved(tmp_path, "# made in 2017\n# YTID, start_seconds, ...\n" + rows)
    expected = {Clip(A, 30): frozenset({"/m/1", "/m/2"}), Clip(B, 1): frozenset({"/m/2"})}
    assert read_audioset(bare, ("/m/1", "/m/2")) == expected
    headed = saved(tmp_path, "YTID,start_seconds,end_seconds,positive_labels\n" + rows)
    assert read_audioset(headed, ("/m/1", "/m/2")) == expected


def test_the_full_list_is_read_by_split(tmp_path: Path) -> None:
    path = saved(tmp_path, f"{A},1,siren,train\n{A},20,siren,test\n{B},0,siren,train\n")
    assert list(read_vggsound(path, ("siren",), split="train")) == [Clip(A, 1), Clip(B, 0)]
    assert list(read_vggsound(path, ("siren",), split="test")) == [Clip(A, 20)]


def of_audioset(path: Path) -> object:
    return read_audioset(path, ("/m/1",))


def of_vggsound(path: Path) -> object:
    return read_vggsound(path, ("siren",), split="test")


def of_vggsounder(path: Path) -> object:
    return read_vggsounder(path, ("siren",))


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (of_audioset, f'{A},0,10,"/m/1"\n{A},0,10,"/m/1"\n', "line 2: .*twice"),
        (of_audioset, f'{A},0,10,"/m/1,/m/9"\n', "line 1: no such class: /m/9"),
        (of_audioset, f"{A},0,10,/m/1,/m/1\n", "5 columns, 4 are wanted"),
        (of_audioset, f'{A},0,10,"/m/1\n', "line 1: not readable"),
        (of_audioset, f"{A},soon,10,/m/1\n", "line 1: .*soon"),
        (of_audioset, f"{A},inf,10,/m/1\n", "line 1"),
        (of_audioset, f"{A},-5,10,/m/1\n", "got -5"),
        (of_audioset, "short,0,10,/m/1\n", "11 letters"),
        (of_audioset, "YTID,start_seconds,end_seconds,positive_labels\n", "lists nothing"),
        (of_vggsound, f"{A}_000000.mp4,siren\n{A}_000000.mp4,siren\n", "line 2: .*twice"),
        (of_vggsound, f"{A}_000000.mp4,sirene\n", "no such class: 'sirene'"),
        (of_vggsound, f"{A}_0.mp4,siren\n", "no YTID_SSSSSS"),
        (of_vggsound, f"{A},0,siren,validation\n", "'validation'"),
        (of_vggsound, f"{A}_000000.mp4,siren\n{A}_0000", "line 2: has 1 columns"),
        (of_vggsounder, f"{A}_000000,siren,X,False,False,False\n", "'X' is none of"),
        (of_vggsounder, 2 * f"{A}_000000,siren,A,False,False,False\n", "twice"),
        (of_vggsounder, f"{A}_000000,sirene,A,False,False,False\n", "no such class"),
        (read_audioset_classes, "0,/m/1,Siren\n1,/m/1,Horn\n", "line 2: .*twice"),
        (read_audioset_classes, "0,/m/1,\n", "mid and name"),
        (read_ontology, "[]x", "not the ontology"),
        (read_ontology, '[{"id": "/m/1"}]', "not the ontology"),
        (read_ontology, '[{"id": "/m/1", "child_ids": ["/m/1"]}]', "kind of itself"),
        (read_ontology, '[{"id": "/m/1", "child_ids": ["/m/2"]}]', "not described"),
    ],
)
def test_a_damaged_list_is_refused_by_file_and_line(
    tmp_path: Path, read: Callable[[Path], object], text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read(saved(tmp_path, text))
    assert "list.csv" in str(caught.value)


def test_a_list_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no text"):
        of_vggsound(tmp_path / "list.csv")
    with pytest.raises(FileNotFoundError, match=r"absent\.csv"):
        of_vggsound(tmp_path / "absent.csv")


# Shared classes


def test_each_rule_matches_what_it_says_and_the_first_counts() -> None:
    ours = ("Siren", "ambulance siren", "wind noise", "airplane", "playing cello", "playing tennis")
    theirs = {
        "/1": "siren",
        "/2": "Ambulance (siren)",
        "/3": "Wind noise (microphone)",
        "/4": "Fixed-wing aircraft, airplane",
        "/5": "Cello",
        "/6": "Dog",
    }
    found = {(row.vggsound, row.mid, row.rule) for row in derive(ours, theirs)}
    assert found == {
        ("Siren", "/1", "name"),
        ("ambulance siren", "/2", "punctuation"),
        ("wind noise", "/3", "bracket"),
        ("airplane", "/4", "synonym"),
        ("playing cello", "/5", "playing"),
    }


def test_a_name_with_two_matches_has_none() -> None:
    assert derive(("horn",), {"/1": "Air horn, horn", "/2": "Horn, car horn"}) == ()
    assert derive(("horn!", "horn?"), {"/1": "Horn"}) == ()


def test_the_committed_table_has_35_classes_and_43_instruments() -> None:
    names, everything = shared_classes("names"), shared_classes("names and instruments")
    assert (len(names), len(everything)) == (35, 78)
    assert [row for row in everything if row.rule != "playing"] == list(names)
    for column in ("vggsound", "mid"):
        assert len({getattr(row, column) for row in everything}) == 78


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("vggsound,mid,audioset,rule\nsiren,/m/1,Siren,guess\n")
    with pytest.raises(ValueError, match="no such rule: guess"):
        shared_classes(table=path)
    path.write_text("vggsound,mid\nsiren,/m/1\n")
    with pytest.raises(ValueError, match="needs the columns"):
        shared_classes(table=path)
    with pytest.raises(ValueError, match="choose one of"):
        shared_classes("all")  # type: ignore[arg-type]


# The cut


def test_the_parts_are_those_of_the_lists(corpus: Corpus) -> None:
    cut = cut_of(corpus.lists)
    for part, members in corpus.clips.items():
        wanted: Wanted = getattr(cut, part)
        assert wanted.clips == tuple(sorted(members))
        names = [cut.classes[row.argmax()].vggsound for row in wanted.truth]
        assert names == [CLASSES_USED[members[clip]] for clip in wanted.clips]
        assert (wanted.truth.sum(axis=1) == 1).all()


def test_vggsounder_has_several_classes_a_clip_by_how_they_show(corpus: Corpus) -> None:
    found = {
        annotation: int(cut_of(corpus.lists, annotation=annotation).test.truth.sum())
        for annotation in (
            "list",
            "VGGSounder",
            "VGGSounder audible",
            "VGGSounder visible",
            "VGGSounder both",
        )
    }
    heard_too = found["VGGSounder"] - found["list"]
    assert heard_too > 0
    assert found == {
        "list": 18,
        "VGGSounder": 18 + heard_too,
        "VGGSounder audible": 18 + heard_too,
        "VGGSounder visible": 18,
        "VGGSounder both": 18,
    }
    with pytest.raises(ValueError, match="choose list or one of"):
        cut_of(corpus.lists, annotation="mine")  # type: ignore[arg-type]


def test_a_clip_that_only_vggsounder_knows_is_refused(corpus: Corpus) -> None:
    path = corpus.lists / ANNOTATION
    path.write_text(path.read_text() + f"{A}_000000,thunder,A,False,False,False\n")
    with pytest.raises(ValueError, match=r"1 clips that .*test\.csv lacks"):
        cut_of(corpus.lists, annotation="VGGSounder")


def test_the_ontology_gives_a_clip_the_classes_above_its_own(corpus: Corpus) -> None:
    # In the small ontology /m/0, which all clips have, is a kind of thunder.
    plain, deep = (cut_of(corpus.lists, ontology=on).labelled.truth.sum(0) for on in (False, True))
    thunder = [row.mid for row in cut_of(corpus.lists).classes].index(MIDS_USED[2])
    assert (plain[thunder], deep[thunder]) == (6, 18)
    assert np.delete(plain, thunder).tolist() == np.delete(deep, thunder).tolist()


def test_a_film_is_in_one_part_alone(corpus: Corpus) -> None:
    test, labelled = (sorted(corpus.clips[part])[0] for part in ("test", "labelled"))
    with (corpus.lists / AUDIOSET).open("a") as file:
        file.write(f'{test.ytid},0,10,"{MIDS_USED[0]}"\n')
    of_train = [(test.ytid, 77), (labelled.ytid, 77), (B, 5)]
    (corpus.lists / FULL[0]).write_text(
        "".join(f"{ytid},{start},thunder,train\n" for ytid, start in of_train)
    )
    cut = cut_of(corpus.lists)
    films = [
        {clip.ytid for clip in part.clips} for part in (cut.labelled, cut.unlabelled, cut.test)
    ]
    assert films[1] == {B}
    assert not films[0] & films[2] and len(films[0]) == 18
    assert [int(note.split()[0]) for note in cut.notes] == [1, 1, 1]


def test_the_train_list_makes_all_of_the_test_list_test(corpus: Corpus) -> None:
    (corpus.lists / FULL[1]).write_text(f"{A}_000005.mp4,thunder\n{B}_000000.mp4,orchestra\n")
    cut = cut_of(corpus.lists)
    assert cut.unlabelled.clips == (Clip(A, 5), Clip(B, 0))
    assert len(cut.test.clips) == 18 + 24
    assert (cut_of(corpus.lists, annotation="VGGSounder").unlabelled.truth == -1).all()
    assert len(cut_of(corpus.lists, source="test list").test.clips) == 18
    (corpus.lists / FULL[1]).unlink()
    with pytest.raises(FileNotFoundError, match="train"):
        cut_of(corpus.lists, source="train list")


def test_all_clips_of_a_film_are_in_one_half() -> None:
    clips = [Clip(f"{n:011}", start) for n in range(300) for start in (0, 30)]
    sides = {clip: part_of(clip.ytid) for clip in clips}
    assert all(sides[Clip(c.ytid, 0)] == sides[Clip(c.ytid, 30)] for c in clips)
    # Of 300 films each half has 150 ± 8.7; a fair hash leaves 110..190 once in 10⁵.
    assert 110 < sum(part == "test" for part in sides.values()) / 2 < 190


def test_a_manifest_of_another_cut_is_refused_for_the_list_it_names(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mke_theory.data.file_hashes import sha256_of

    listed = corpus.lists / TEST
    clips = read_vggsound(listed, read_classes(corpus.lists), split="test")
    manifest = tmp_path / "cut.json"
    committed = {"list": sha256_of(listed), "sha256": halves_hash(clips)}
    manifest.write_text(json.dumps(committed))
    refuse_stale_cut(listed, clips, manifest)
    monkeypatch.setattr(cutting, "part_of", lambda ytid: "test")
    with pytest.raises(ValueError, match="no longer cuts"):
        refuse_stale_cut(listed, clips, manifest)
    manifest.write_text(json.dumps(committed | {"list": "another"}))
    refuse_stale_cut(listed, clips, manifest)


def test_a_class_that_the_table_needs_and_a_list_lacks_is_refused(corpus: Corpus) -> None:
    path = corpus.lists / CLASSES
    path.write_text(path.read_text().replace("helicopter", "gyrocopter"))
    with pytest.raises(ValueError, match="no class 'helicopter'"):
        cut_of(corpus.lists)


def test_most_per_class_takes_clips_until_each_class_has_enough() -> None:
    truth = np.zeros((60, 3), dtype=np.int8)
    truth[np.arange(60), np.arange(60) % 2] = 1
    truth[:4, 2] = 1
    part = Wanted(tuple(Clip(f"{n:011}", 0) for n in range(60)), truth)
    rows = most_per_class(part, 5, np.random.default_rng(0))
    counts = truth[rows].sum(axis=0)
    assert counts[:2].min() >= 5 and counts[2] == 4  # all there are
    assert len(rows) <= 14 and (np.diff(rows) > 0).all()
    assert rows.tolist() != most_per_class(part, 5, np.random.default_rng(1)).tolist()
    assert len(most_per_class(part, 60, np.random.default_rng(0))) == 60


# The official lists


@pytest.mark.data("av_event_metadata")
def test_the_official_lists_have_the_official_numbers(data_root: Path) -> None:
    folder = data_root / FOLDER
    mids, names = read_audioset_classes(folder / AUDIOSET_CLASSES), read_classes(folder)
    test = read_vggsound(folder / TEST, names, split="test")
    several = read_vggsounder(folder / ANNOTATION, names)
    assert (len(mids), len(names), len(test), len(several)) == (527, 309, 15446, 12014)
    assert len(read_audioset(folder / AUDIOSET, tuple(mids))) == 22160
    assert len(read_audioset(folder / "audioset/eval_segments.csv", tuple(mids))) == 20371
    assert set(test.values()) == set(names)
    assert set(read_audioset_classes(folder / "vggsound/classes.csv").values()) == set(names)
    shown = [how for labels in several.values() for _, how in labels]
    assert {how: shown.count(how) for how in set(shown)} == {"A": 10149, "V": 983, "AV": 18377}
    assert set(mids) <= set(read_ontology(folder / ONTOLOGY))


@pytest.mark.data("av_event_metadata")
def test_the_committed_table_follows_from_the_official_lists(data_root: Path) -> None:
    assert TABLE.read_text(encoding="utf-8") == table_text(data_root / FOLDER)


@pytest.mark.data("av_event_metadata")
def test_the_committed_cut_is_that_of_the_official_list(data_root: Path) -> None:
    from mke_theory.data.file_hashes import sha256_of

    committed = json.loads(MANIFEST.read_text(encoding="utf-8"))
    listed = data_root / FOLDER / TEST
    clips = read_vggsound(listed, read_classes(data_root / FOLDER), split="test")
    assert committed["list"] == sha256_of(listed)
    assert committed["sha256"] == halves_hash(clips)
    halves = [part_of(clip.ytid) for clip in clips]
    assert committed["clips"] == {part: halves.count(part) for part in ("unlabelled", "test")}


@pytest.mark.data("av_event_metadata")
def test_films_that_audioset_and_vggsound_share_are_kept_apart(data_root: Path) -> None:
    cut = cut_of(data_root / FOLDER, source="test list")
    parts = (cut.labelled, cut.unlabelled, cut.test)
    assert [len(part.clips) for part in parts] == [2181, 916, 834]
    assert cut.notes[0].startswith("5 clips of AudioSet")
    films = [{clip.ytid for clip in part.clips} for part in parts]
    assert not films[0] & films[1] and not films[0] & films[2] and not films[1] & films[2]
    assert all((part.truth == 1).any(axis=0).all() for part in parts)  # every class is in each
