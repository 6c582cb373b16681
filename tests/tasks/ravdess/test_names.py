"""File names of RAVDESS, read by hand and back, and those that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.tasks.ravdess.names import EMOTIONS, Clip, Recording, parse_name, parse_recording

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
        ("02-01-06-01-02-01-12.csv", 2, (1, 6, 1, 2, 1, 12), "fearful"),
        ("01-01-01-01-02-02-24.csv", 1, (1, 1, 1, 2, 2, 24), "neutral"),
        ("01-02-03-02-01-01-07.CSV", 1, (2, 3, 2, 1, 1, 7), "happy"),
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
    names = (f"01-{text}.csv", f"02-{text}.csv", f"03-{text}.wav")
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
        ("00-01-02-01-01-01-01.csv", "modality is 00; allowed are 01 to 03"),
        ("04-01-02-01-01-01-01.csv", "modality is 04; allowed are 01 to 03"),
        ("01-03-02-01-01-01-01.csv", "vocal channel is 03; allowed are 01 to 02"),
        ("01-01-09-01-01-01-01.csv", "emotion is 09; allowed are 01 to 08"),
        ("01-01-00-01-01-01-01.csv", "emotion is 00; allowed are 01 to 08"),
        ("01-01-02-03-01-01-01.csv", "intensity is 03; allowed are 01 to 02"),
        ("01-01-02-01-03-01-01.csv", "statement is 03; allowed are 01 to 02"),
        ("01-01-02-01-01-03-01.csv", "repetition is 03; allowed are 01 to 02"),
        ("01-01-02-01-01-01-25.csv", "actor is 25; allowed are 01 to 24"),
        ("01-01-02-01-01-01-00.csv", "actor is 00; allowed are 01 to 24"),
        ("03-01-02-01-01-01-01.csv", "modality 03 is a file of type wav"),
        ("01-01-02-01-01-01-01.wav", "modality 01 is a file of type csv"),
        ("1-01-02-01-01-01-01.csv", "seven fields"),
        ("01-01-02-01-01-01.csv", "seven fields"),
        ("01-01-02-01-01-01-01-01.csv", "seven fields"),
        ("0١-01-02-01-01-01-01.csv", "seven fields"),
        ("01-01-02-01-01-01-01 (1).csv", "seven fields"),
    ],
)
def test_fields_out_of_range_are_refused(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_name(name)
    assert name in str(caught.value)
