"""The theory on a study is reported from the records of its appraisals alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mke_theory.report import theory
from tests.report.made_records import record


def view(kind: str, certificate: float) -> dict[str, object]:
    numbers = {"teacher_error": 0.2, "student_error": 0.1, "inconsistency": 0.05, "trivial": 0.4}
    names = {"view": f"{kind}: m", "kind": kind, "points": 10, "edges": 20}
    rows = [
        {"theorem": "A", "status": "holds", "vacuous": kind == "α", "value": 0.1},
        {"theorem": "B", "status": "violated", "vacuous": False, "value": None},
    ]
    texts = {"text": f"all {kind}", "ledger": rows}
    return names | numbers | texts | {"certificate": certificate}


BY_HAND = [
    record(
        "t",
        seed=seed,
        title="T",
        extra={"theory": [view("α", 0.4), view("β", b), view("both", c), view("own", 0.2)]},
    )
    for seed, b, c in ((0, 0.1, 0.3), (1, 0.2, 0.1))
]


def test_a_table_of_certificates_by_hand() -> None:
    table = theory.table(BY_HAND, "t")
    assert table.loc["α: m", "certificate"] == "40.0 ± 0.0 (2)"
    assert table.loc["β: m", "certificate"] == "15.0 ± 7.1 (2)"
    assert table["below teacher's error"].tolist() == ["0 of 2", "1 of 2", "1 of 2", "0 of 2"]
    with pytest.raises(ValueError, match="no appraisal of task 'u'"):
        theory.table(BY_HAND, "u")


def test_the_sentence_on_the_second_modality_by_hand() -> None:
    found = theory.sentence(BY_HAND, "t")
    assert "from 40.0 ± 0.0 (2) on α alone to 20.0 ± 14.1 (2) on both" in found
    assert "15.0 ± 7.1 (2) on β alone. The teacher errs on 20.0 ± 0.0 (2)." in found
    alone = [replace(BY_HAND[0], extra={"theory": [view("α", 0.4)]})]
    assert "no graphs by modality" in theory.sentence(alone, "t")


def test_verdicts_are_counted_over_all_ledgers() -> None:
    table = theory.verdicts(BY_HAND)
    assert table.loc["A"].to_dict() == {
        "useful": 6,
        "vacuous": 2,
        "hypothesis violated": 0,
        "not shown": 0,
        "hypothesis not checkable": 0,
    }
    assert table.loc["B", "hypothesis violated"] == 8
    counted = [
        replace(one, extra={"theory": [{"verdicts": theory.verdicts_of(v)} for v in views]})
        for one in BY_HAND
        for views in [one.extra["theory"]]
    ]
    assert theory.verdicts(counted).equals(table)


def test_graphs_that_never_help_are_vacuous() -> None:
    # α: 0.4 at both seeds, as without a graph; all others are below 0.4 at some seed.
    assert theory.vacuous(BY_HAND, "t") == (
        "Vacuous, that is no better than without any graph: α: m."
    )
    assert theory.vacuous([replace(BY_HAND[0], extra={"theory": [view("β", 0.3)]})], "t") == ""


def test_one_sentence_a_task_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    theory.show([*BY_HAND[::-1], replace(BY_HAND[0], task="u")])
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert len(lines) == 3
    assert lines[1] == f"- t: {theory.sentence(BY_HAND, 't')}"
    theory.show([])
    assert capsys.readouterr().out == ""


def test_tables_and_ledgers_are_written(tmp_path: Path) -> None:
    paths = theory.write(BY_HAND, tmp_path)
    assert [path.name for path in paths] == ["theory.md", "ledger_t.md"]
    assert "| α: m" in paths[0].read_text() and "8 ledgers of 2 students." in paths[0].read_text()
    assert "all own" in paths[1].read_text()
    assert theory.write([], tmp_path) == []
