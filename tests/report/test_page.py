"""The page of a study: everything of its records, nothing from elsewhere, the same every time."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from mke_theory.report import page, tables, theory
from mke_theory.report.evidence import sentences
from mke_theory.study.records import Record
from tests.report.made_records import evidence, example, sure
from tests.report.test_theory import BY_HAND

VOID = {"meta", "img", "wbr"}


class Reader(HTMLParser):
    """Text of a page, and whether every tag that was opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {given["id"] or ""} if "id" in given else set()
        self.targets |= {(given["href"] or "").removeprefix("#")} if "href" in given else set()
        self.sources += [given["src"] or ""] if "src" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.replace("\u00a0", " "))


def study() -> list[Record]:
    counts = {"labelled": 10, "unlabelled": 20, "test": 30, "parameters": 40}
    config = {"task": {"recipe": {"steps": 7}, "transforms": [{"strength": 0.5}], "sizes": [1, 2]}}
    made = {"title": "A & B", "counts": counts, "varies": "weights", "config": config}
    versions = {"torch": "2.13.0", "device": "cpu"}
    return [
        Record.of(one.to_dict() | made | {"environment": versions, "code": "c0de", "seconds": 2.0})
        for one in example(("digits", "t"))
    ]


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_holds_tables_theory_and_how_it_was_made(tmp_path: Path) -> None:
    found = read(page.write(study(), BY_HAND, tmp_path, command="run <it>", date="a day"))
    words = set(found.words)
    table = tables.table(study(), "digits")
    assert set(table.to_numpy().ravel()) <= words
    assert {"A & B", "UM teacher", "MM student (MKE)"} <= words
    assert theory.sentence(BY_HAND, "t") in words
    assert theory.vacuous(BY_HAND, "t") in words
    assert "Never useful here: B." in words
    assert "D_l 10, D_u 20, test 30 samples; 3 seeds, 0 to 2. Between seeds vary: weights." in words
    assert {"run <it>", "a day", "c0de", "2.13.0", "cpu", "24", "48"} <= words
    assert {"recipe.steps", "7", "transforms.0.strength", "sizes", "[1, 2]"} <= words


def test_verdicts_are_counted_and_worse_is_named(tmp_path: Path) -> None:
    words = set(read(page.write(study(), [], tmp_path)).words)
    assert "The MM student beside its teacher, by task: better on 2." in words
    assert "Worse than the teacher: placebo: β shuffled." in words


def test_the_evidence_student_has_a_verdict_a_section_and_a_table(tmp_path: Path) -> None:
    without = read(page.write(study(), [], tmp_path)).words
    assert not [word for word in without if "evidence" in word]
    # The teacher has 0.60, 0.61 and 0.62.
    tests = (0.80, 0.82, 0.81)
    own = [
        sure(tmp_path, evidence(seed, test=test, messages=["it has <copied>"]))
        for seed, test in enumerate(tests)
    ]
    words = read(page.write([*study(), *own], [], tmp_path)).words
    assert "The MM student beside its teacher, by task: better on 2." in words
    assert "The evidence student beside its teacher, by task: better on 1." in words
    assert (
        "digits. The MM student beside its teacher: better. The evidence student beside its "
        "teacher: better."
    ) in words
    assert "t. The MM student beside its teacher: better." in words
    assert words.count("What the evidence student did") == 1
    assert "Gains of the evidence student" in words and "evidence over MKE" in words
    assert set(sentences(own, tmp_path)) <= set(words) and "expected calibration" in " ".join(words)
    every = words.index("Every arm on test")
    assert "gain of evidence" in words[:every] and "gain of evidence" not in words[every:]


def test_the_rows_that_stand_out_are_teacher_student_and_evidence() -> None:
    assert page.STRONG == ("UM teacher", "MM student (MKE)", "MM student (evidence)")


def test_the_page_needs_nothing_beside_itself(tmp_path: Path) -> None:
    picture = tmp_path / "regions_digits.png"
    Figure(figsize=(1, 1)).savefig(picture)
    found = read(page.write(study(), BY_HAND, tmp_path, figures=[picture]))
    assert len(found.sources) == 1 and found.sources[0].startswith("data:image/png;base64,")
    assert found.targets <= found.anchors
    assert {"digits", "t", "theory", "made"} == found.targets
    text = (tmp_path / page.NAME).read_text(encoding="utf-8")
    assert re.findall(r"https?:|<script|<link|@import|url\(", text) == []


def test_a_figure_stands_in_the_section_of_its_task(tmp_path: Path) -> None:
    picture = tmp_path / "regions_t.png"
    Figure(figsize=(1, 1)).savefig(picture)
    text = page.write(study(), [], tmp_path, figures=[picture]).read_text(encoding="utf-8")
    assert text.index('<h2 id="digits">') < text.index('<h2 id="t">') < text.index("<img")


def test_the_figure_of_calibration_has_a_caption_and_stands_above_all_tasks(tmp_path: Path) -> None:
    picture = tmp_path / "reliability.png"
    Figure(figsize=(1, 1)).savefig(picture)
    text = page.write(study(), [], tmp_path, figures=[picture]).read_text(encoding="utf-8")
    assert text.index("<img") < text.index('<h2 id="digits">')
    assert "ECE is the expected calibration error" in text


def test_equal_records_give_an_equal_page(tmp_path: Path) -> None:
    pages = [page.write(study(), BY_HAND, tmp_path).read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]
    other = [replace(one, metrics={"test": 0.1}) for one in study()]
    assert page.write(other, BY_HAND, tmp_path).read_bytes() != pages[0]


def test_a_study_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no record; run the study first"):
        page.write([], [], tmp_path)
