"""What file names of RAVDESS say, and a split that cannot cut a recording or share an actor."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.tasks.ravdess.split import (
    EMOTIONS,
    SPLIT,
    SPLIT_SHA256,
    Clip,
    Recording,
    all_speech,
    hash_of,
    parse_name,
    parse_recording,
    read_split,
)

FIELDS = st.tuples(
    st.integers(1, 2),
    st.integers(1, 8),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(1, 24),
).filter(lambda fields: fields[1:3] != (1, 2))


@pytest.mark.parametrize(
    ("name", "modality", "fields", "emotion"),
    [
        ("03-01-06-02-01-02-12.wav", 3, (1, 6, 2, 1, 2, 12), "fearful"),
        ("02-01-06-01-02-01-12.mp4", 2, (1, 6, 1, 2, 1, 12), "fearful"),
        ("01-01-01-01-02-02-24.mp4", 1, (1, 1, 1, 2, 2, 24), "neutral"),
        ("01-02-03-02-01-01-07.MP4", 1, (2, 3, 2, 1, 1, 7), "happy"),
        ("03-01-08-01-01-01-01.wav", 3, (1, 8, 1, 1, 1, 1), "surprised"),
    ],
)
def test_names_are_parsed_by_hand(
    name: str, modality: int, fields: tuple[int, ...], emotion: str
) -> None:
    clip = parse_name(name)
    assert clip == Clip(Recording(*fields), modality)
    assert EMOTIONS[clip.recording.label] == emotion
    assert str(clip) == name.lower()


@given(fields=FIELDS, modality=st.integers(1, 3))
def test_every_clip_is_read_back_from_its_name(fields: tuple[int, ...], modality: int) -> None:
    clip = Clip(Recording(*fields), modality)
    assert parse_name(str(clip)) == clip
    assert parse_recording(str(clip.recording)) == clip.recording


@given(fields=FIELDS)
def test_twins_are_one_recording(fields: tuple[int, ...]) -> None:
    text = str(Recording(*fields))
    names = (f"01-{text}.mp4", f"02-{text}.mp4", f"03-{text}.wav")
    assert len({parse_name(name).recording for name in names}) == 1


@given(text=st.text(max_size=30))
def test_other_names_are_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="a clip is named by seven fields"):
        parse_name(f"{text}.doc.wav")
    with pytest.raises(ValueError, match="does not name a recording"):
        parse_recording(f"{text}x")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("03-01-01-02-01-01-01.wav", "neutral is never strong"),
        ("03-02-01-02-01-01-01.wav", "neutral is never strong"),
        ("00-01-02-01-01-01-01.mp4", "modality is 00; allowed are 01 to 03"),
        ("04-01-02-01-01-01-01.mp4", "modality is 04; allowed are 01 to 03"),
        ("01-03-02-01-01-01-01.mp4", "vocal channel is 03; allowed are 01 to 02"),
        ("01-01-09-01-01-01-01.mp4", "emotion is 09; allowed are 01 to 08"),
        ("01-01-00-01-01-01-01.mp4", "emotion is 00; allowed are 01 to 08"),
        ("01-01-02-03-01-01-01.mp4", "intensity is 03; allowed are 01 to 02"),
        ("01-01-02-01-03-01-01.mp4", "statement is 03; allowed are 01 to 02"),
        ("01-01-02-01-01-03-01.mp4", "repetition is 03; allowed are 01 to 02"),
        ("01-01-02-01-01-01-25.mp4", "actor is 25; allowed are 01 to 24"),
        ("01-01-02-01-01-01-00.mp4", "actor is 00; allowed are 01 to 24"),
        ("03-01-02-01-01-01-01.mp4", "modality 03 is a file of type wav"),
        ("01-01-02-01-01-01-01.wav", "modality 01 is a file of type mp4"),
        ("1-01-02-01-01-01-01.mp4", "seven fields"),
        ("01-01-02-01-01-01.mp4", "seven fields"),
        ("01-01-02-01-01-01-01-01.mp4", "seven fields"),
        ("0١-01-02-01-01-01-01.mp4", "seven fields"),
        ("01-01-02-01-01-01-01 (1).mp4", "seven fields"),
    ],
)
def test_fields_out_of_range_are_refused(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_name(name)
    assert name in str(caught.value)


def test_speech_is_sixty_recordings_of_each_of_24_actors() -> None:
    listed = all_speech()
    assert len(set(listed)) == len(listed) == 1440
    assert set(Counter(one.actor for one in listed).values()) == {60}
    assert Counter(one.label for one in listed) == {0: 96} | dict.fromkeys(range(1, 8), 192)
    assert {one.channel for one in listed} == {1}


def test_the_committed_split_is_the_rule() -> None:
    split = read_split()
    assert list(split) == all_speech()
    assert {one.actor for one, part in split.items() if part == "test"} == set(range(19, 25))
    assert Counter(split.values()) == {"train": 1080, "test": 360}
    assert hash_of(SPLIT.read_text().splitlines()) == SPLIT_SHA256


def test_a_changed_split_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SPLIT.read_text()
    other = tmp_path / "split.txt"
    monkeypatch.setattr("mke_theory.tasks.ravdess.split.SPLIT", other)
    other.write_bytes(text.replace("\n", "\r\n").encode())  # as some systems check text out
    assert len(read_split()) == 1440
    other.write_text(text.replace("test 01-08-02-02-02-24", "train 01-08-02-02-02-24"))
    with pytest.raises(ValueError, match=r"split\.txt: SHA-256 of the lines is"):
        read_split()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["train 01-02-01-01-01-01", "train 01-02-01-01-01-01"], "line 2: .* is listed twice"),
        (["train 01-02-01-01-01-01", "test 01-02-02-01-01-01"], "actor 01 is in train and in test"),
        (["train 01-02-01-01-01-01"], "no recording is in test"),
        (["heldout 01-02-01-01-01-01"], "line 1: the part is 'heldout'"),
        (["train 01-02-01-01-01-99"], "line 1: .*actor is 99"),
        (["train"], "line 1: '' does not name a recording"),
        ([], "no recording is in train"),
    ],
)
def test_splits_that_are_none_are_refused(tmp_path: Path, lines: list[str], why: str) -> None:
    path = tmp_path / "split.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(ValueError, match=why):
        read_split(path)
