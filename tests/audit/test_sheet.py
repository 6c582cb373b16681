"""The table that a person fills in: rounds, what a spreadsheet does to it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mke_theory.audit import Comparison, Sheet, best, compare, error
from mke_theory.audit.pair import drawn_order
from tests.audit.made_pools import Made, Oracle, fill, made, rows_of, save

POOL = made(60, 25, 10)
NAMES = ["cat", "dog", "2-1"]


def ask(path: Path, pool: Made = POOL, **options: Any) -> Comparison:
    sheet = Sheet(path, **{name: options.pop(name) for name in ("batch", "ids") if name in options})
    return compare(pool.student, pool.teacher, sheet, **{"classes": NAMES, "sides": 2, **options})


def named(row: dict[str, str]) -> str:
    return NAMES[POOL.truth[int(row["id"])]]


def test_rounds_lead_to_the_verdict_of_a_callable(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    beside = compare(POOL.student, POOL.teacher, Oracle(POOL.truth), classes=3, sides=2)
    order = drawn_order(np.array(POOL.differing), 0)
    found, shown = ask(path, batch=4), []
    while found.waiting:
        rows = rows_of(path)
        shown.append(len(rows))
        assert found.waiting == len(rows) - found.labels <= 4
        assert [row["id"] for row in rows] == [str(i) for i in order[: len(rows)]]
        fill(path, named)
        found = ask(path, batch=4)
    assert found.verdict == beside.verdict != "undecided"
    assert found.decided_after == beside.decided_after
    assert found.labels - 4 < beside.labels <= found.labels
    assert shown == sorted(set(shown))
    assert ask(path, batch=4) == found  # a further call changes nothing
    assert len(rows_of(path)) == found.labels


def test_predictions_are_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    sheet = Sheet(path, shown={"clip": [f"{i}.wav" for i in range(len(POOL.truth))]})
    compare(POOL.student, POOL.teacher, sheet, classes=3)
    rows = rows_of(path)
    assert list(rows[0]) == ["row", "id", "clip", "label", "check"]
    assert all(row["clip"] == f"{row['id']}.wav" and not row["label"] for row in rows)
    assert len({row["check"] for row in rows}) == len(rows)


def test_rows_that_are_skipped_count_as_cannot_tell_until_they_are_filled(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    ask(path, batch=6)
    rows = rows_of(path)
    for row in rows[2:5]:
        row["label"] = named(row)
    save(path, rows)
    found = ask(path, batch=6)
    assert (found.labels, found.cannot_tell, found.waiting) == (5, 2, 3)
    assert rows_of(path) == rows  # no row is added while some wait
    rows[0]["label"], rows[1]["label"] = "?", named(rows[1])
    save(path, rows)
    found = ask(path, batch=6)
    assert (found.labels, found.cannot_tell, found.waiting) == (5, 1, 1)


def test_a_label_may_be_corrected(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    ask(path, batch=8)
    fill(path, named)
    before = ask(path, batch=8)
    rows = rows_of(path)
    rows[0]["label"] = NAMES[(POOL.truth[int(rows[0]["id"])] + 1) % 3]
    save(path, rows)
    assert ask(path, batch=8).evidence != before.evidence
    rows[0]["label"] = named(rows[0])
    save(path, rows)
    assert ask(path, batch=8) == before


def test_a_spreadsheet_may_do_all_this_to_it(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    ask(path, batch=8)
    fill(path, named)
    before = ask(path, batch=8)
    rows = rows_of(path)[: before.labels]
    # sorted by another column, ids taken for dates, numbers with decimals, a column of notes, an
    # empty line, a total below, capital letters, semicolons, a mark, Windows' ends of lines
    rows.sort(key=lambda row: row["check"])
    for i, row in enumerate(rows):
        row["id"], row["note"] = f"{i}. Jan", "blurred" if i == 2 else ""
        row["row"] = f"{row['row']},0"
        row["label"], row["check"] = row["label"].upper(), row["check"].capitalize()
    rows.insert(3, dict.fromkeys(rows[0], ""))
    rows.append({**dict.fromkeys(rows[0], ""), "id": "total", "note": "8"})
    save(path, rows, "utf-8-sig", ";")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").replace(b"\r\r", b"\r"))
    again = ask(path, batch=8)
    assert (again.verdict, again.evidence, again.labels) == (
        before.verdict,
        before.evidence,
        before.labels,
    )
    after = rows_of(path)
    assert again.waiting and len(after) > len(rows)  # rows were added: with everything kept
    assert [row["note"] for row in after].count("blurred") == 1
    assert ";" in path.read_text(encoding="utf-8-sig").splitlines()[0]


def test_numbers_as_spreadsheets_write_them(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    ask(path, classes=3)
    fill(path, lambda row: f"{POOL.truth[int(row['id'])]},0", delimiter=";")
    found = ask(path, classes=3)
    assert found.labels == 20 and found.cannot_tell == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "cow"}, "line 4: label is 'cow'; the classes are 'cat', 'dog', '2-1'"),
        ({"label": "02. Jan"}, "into a date"),
        ({"label": "0"}, "label is '0'; the classes are"),
        ({"check": "bcdfghjk"}, "line 4: the cells of row and check do not belong together"),
        ({"row": "17"}, "do not belong together"),
        ({"row": "", "label": "cat"}, "do not belong together"),
        ({"row": "1.5"}, "do not belong together"),
        ({"row": "-1"}, "do not belong together"),
    ],
)
def test_what_is_refused_stays_in_the_file(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    path = tmp_path / "to_label.csv"
    ask(path)
    fill(path, named)
    rows = rows_of(path)
    rows[2] |= change
    save(path, rows)
    with pytest.raises(ValueError, match=message):
        ask(path)
    assert rows_of(path) == rows


def test_two_labels_for_one_row_are_refused_and_twice_the_same_is_not(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    ask(path, batch=5)
    fill(path, named)
    before = ask(path, batch=5, budget=5)
    rows = rows_of(path)
    save(path, [*rows, rows[1]])
    assert ask(path, batch=5, budget=5) == before
    save(path, [*rows, {**rows[1], "label": "?"}])
    with pytest.raises(ValueError, match="line 7: label is '\\?', and row 2 stands twice"):
        ask(path, batch=5)


def test_the_file_of_another_audit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    ask(path)
    fill(path, named)
    content = path.read_bytes()
    other = made(60, 25, 10, seed=1)
    with pytest.raises(ValueError, match="another pool, other predictions or another seed"):
        ask(path, other)
    with pytest.raises(ValueError, match="another pool"):
        ask(path, seed=1)
    with pytest.raises(ValueError, match="another pool"):
        error(POOL.student, Sheet(path), classes=NAMES)
    assert path.read_bytes() == content
    ask(path, level=0.9, margin=0.01)  # these may be changed: the order is the same


def test_rows_that_were_deleted_are_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    ask(path, batch=6)
    fill(path, named)
    rows = rows_of(path)
    save(path, rows[:1] + rows[2:])
    found = ask(path, batch=6)
    assert (found.cannot_tell, found.waiting) == (1, 6)
    assert rows_of(path)[5]["row"] == "2"


def test_the_budget_bounds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    assert ask(path, batch=4, budget=6).waiting == 4
    fill(path, named)
    assert ask(path, batch=4, budget=6).waiting == 2
    fill(path, named)
    found = ask(path, batch=4, budget=6)
    assert (found.verdict, found.labels, found.waiting) == ("undecided", 6, 0)


def test_answers_known_from_elsewhere_are_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    order = drawn_order(np.array(POOL.differing), 0)
    answers = {i: int(POOL.truth[i]) for i in (order[0], order[2], order[50])}
    found = ask(path, batch=3, answers=answers)
    assert (found.labels, [row["row"] for row in rows_of(path)]) == (1, ["2", "4", "5"])
    fill(path, named)
    found = ask(path, batch=3, answers=answers)
    assert (found.labels, found.cannot_tell) == (5, 0)
    assert len(answers) == 3  # the file is where its own answers are kept
    answers[order[1]] = (int(POOL.truth[order[1]]) + 1) % 3
    with pytest.raises(ValueError, match=f"sample '{order[1]}' has class .* correct one of them"):
        ask(path, answers=answers)


def test_error_and_best_have_tables_too(tmp_path: Path) -> None:
    path = tmp_path / "error.csv"
    found = error(POOL.student, Sheet(path, batch=10), classes=NAMES, labels=15)
    assert (found.waiting, found.labels, found.rests_on) == (10, 0, "betting")
    fill(path, named)
    found = error(POOL.student, Sheet(path, batch=10), classes=NAMES, labels=15)
    assert (found.waiting, found.labels, found.rests_on) == (5, 10, "betting")
    fill(path, named)
    found = error(POOL.student, Sheet(path), classes=NAMES, labels=15)
    assert found == error(POOL.student, Oracle(POOL.truth), classes=3, labels=15)
    path = tmp_path / "best.csv"
    third = np.where(np.arange(len(POOL.truth)) % 3 == 0, POOL.teacher, POOL.student)
    named_ = {"teacher": POOL.teacher, "a": POOL.student, "b": third}
    for _ in range(40):
        chosen = best(named_, Sheet(path, batch=5), classes=NAMES, tolerance=0.02)
        if not chosen.waiting:
            break
        fill(path, named)
    beside = best(named_, Oracle(POOL.truth), classes=3, tolerance=0.02)
    assert chosen.best == beside.best
    assert set(chosen.left) <= set(beside.left)
    assert beside.labels <= chosen.labels < beside.labels + 10


def test_sheets_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "to_label.csv"
    for options, message in (
        ({"ids": ["a", "a"]}, "id 'a' stands twice"),
        ({"ids": ["a", " "]}, "the id of sample 1 is empty"),
        ({"shown": {"Label": []}}, "called 'label'"),
        ({"batch": 0}, "batch is 0"),
        ({"delimiter": "|"}, "delimiter is '|'"),
    ):
        with pytest.raises(ValueError, match=message.replace("|", r"\|")):
            Sheet(path, **options)
    with pytest.raises(ValueError, match="column 'id' has 2 entries, the predictions 115"):
        ask(path, ids=["a", "b"])
    maps = np.zeros((2, 3, 3), int)
    with pytest.raises(ValueError, match="does not fit into a table"):
        compare(maps, maps + 1, Sheet(path), classes=2)
