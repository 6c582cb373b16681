"""Classes that both sets share, by rule, and the table that is committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mke_theory.tasks.vggsound.classes import TABLE, shared_classes
from mke_theory.tasks.vggsound.lists import FOLDER
from tests.tasks.vggsound.class_rules import derive, table_text


def test_each_rule_matches_its_own_form_and_the_first_counts() -> None:
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
    with pytest.raises(ValueError, match="no such rule: 'guess'"):
        shared_classes(table=path)
    path.write_text("vggsound,mid\nsiren,/m/1\n")
    with pytest.raises(ValueError, match="2 columns, 4 are wanted"):
        shared_classes(table=path)
    with pytest.raises(ValueError, match="choose one of"):
        shared_classes("all")  # type: ignore[arg-type]


@pytest.mark.data("av_event_metadata")
def test_the_committed_table_follows_from_the_published_lists(data_root: Path) -> None:
    assert TABLE.read_text(encoding="utf-8") == table_text(data_root / FOLDER)
