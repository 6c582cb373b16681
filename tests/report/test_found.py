"""Findings in a user's data are written, then printed, and shown in the report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mke_theory.report import found, page
from mke_theory.study.task import Recipe, Task
from tests.report.made_records import example


@dataclass(frozen=True)
class Brought(Task):
    recipe: Recipe = Recipe()
    name: str = "digits"  # type: ignore[misc]
    rows: tuple[tuple[str, str], ...] = (("rows", "3"), ("caution", "<b> tells the class"))

    def found(self, seed: int) -> tuple[tuple[str, str], ...]:
        return self.rows


def test_the_table_is_written_and_printed_and_cautions_go_to_the_error_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = found.tell([Brought(), Brought(rows=())], tmp_path)
    assert path.name == "found_digits.json"
    told = capsys.readouterr()
    assert "rows: 3" in told.out and "caution" not in told.out
    assert told.err == "caution: <b> tells the class\n"
    table = found.table_of("digits", tmp_path)
    assert table is not None and table["found"].tolist() == ["3", "<b> tells the class"]
    assert found.table_of("moons", tmp_path) is None


def test_it_stands_in_the_report_with_its_characters_escaped(tmp_path: Path) -> None:
    found.tell([Brought()], tmp_path)
    counts = {"labelled": 10, "unlabelled": 20, "test": 30, "parameters": 40}
    made = [replace(record, counts=counts) for record in example(("digits",))]
    text = page.write(made, [], tmp_path).read_text(encoding="utf-8")
    assert "What was found in your data" in text and "&lt;b&gt; tells the class" in text
