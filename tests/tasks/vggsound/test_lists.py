"""Lists are read whole, or refused by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mke_theory.tasks.vggsound.lists import (
    ANNOTATION,
    AUDIOSET,
    AUDIOSET_CLASSES,
    CLASSES,
    FOLDER,
    TEST,
    Clip,
    clip_of,
    read_audioset,
    read_audioset_classes,
    read_classes,
    read_vggsound,
    read_vggsounder,
)

A, B = "A1b2C3d4-_5", "zzzzzzzzzzz"


def saved(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_clip_is_named_by_its_film_and_its_second() -> None:
    assert str(Clip(A, 30)) == f"{A}_000030"
    assert clip_of(f"{A}_000030") == Clip(A, 30)
    for strange in (A, f"{A}_30", f"{A}_30000", f"{A}_0000030", f"{A[:-1]}_000030", "notes"):
        with pytest.raises(ValueError, match="is no YTID_SSSSSS"):
            clip_of(strange)


def test_commas_and_quotes_stay_inside_a_name(tmp_path: Path) -> None:
    classes = saved(tmp_path, 'index,mid,display_name\n0,/m/1,"Car, ""auto"""\n1,/m/2,Siren\n')
    assert read_audioset_classes(classes) == {"/m/1": 'Car, "auto"', "/m/2": "Siren"}
    clips = saved(tmp_path, f'{A}_000007.mp4,"car, auto"\n{B}_000000.mp4,siren\n')
    read = read_vggsound(clips, ("car, auto", "siren"), split="test")
    assert read == {Clip(A, 7): {"car, auto"}, Clip(B, 0): {"siren"}}


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
        (of_audioset, f'{A},0,10,"/m/1,/m/9"\n', "line 1: no such class: '/m/9'"),
        (of_audioset, f"{A},0,10,/m/1,/m/1\n", "5 columns, 4 are wanted"),
        (of_audioset, f'{A},0,10,"/m/1\n', "line 1: unexpected end"),
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
        (of_vggsounder, f"{A}_000000,siren,X,False,False,False\n", "no such kind: 'X'"),
        (of_vggsounder, 2 * f"{A}_000000,siren,A,False,False,False\n", "twice"),
        (of_vggsounder, f"{A}_000000,sirene,A,False,False,False\n", "no such class"),
        (read_audioset_classes, "0,/m/1,Siren\n1,/m/1,Horn\n", "line 2: .*twice"),
        (read_audioset_classes, "0,/m/1,\n", "needs a name"),
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


@pytest.mark.data("av_event_metadata")
def test_the_published_lists_have_the_published_numbers(data_root: Path) -> None:
    folder = data_root / FOLDER
    mids = read_audioset_classes(folder / AUDIOSET_CLASSES)
    names = read_classes(folder / CLASSES)
    test = read_vggsound(folder / TEST, names, split="test")
    several = read_vggsounder(folder / ANNOTATION, names)
    assert (len(mids), len(names), len(test), len(several)) == (527, 309, 15446, 12014)
    assert len(read_audioset(folder / AUDIOSET, tuple(mids))) == 22160
    assert len(read_audioset(folder / "audioset/eval_segments.csv", tuple(mids))) == 20371
    assert frozenset().union(*test.values()) == set(names)
    assert set(read_audioset_classes(folder / "vggsound/classes.csv").values()) == set(names)
    assert sum(map(len, several.values())) == 10149 + 983 + 18377  # heard, seen, both
