"""Published tables are those of the committed records, and nothing else is published."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import publish
from tests.report.made_records import record, tally


def cells(markdown: str) -> list[list[str]]:
    """The rows of a table in Markdown, without the line below its head."""
    lines = [line.strip("|").split("|") for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines if not set(line[0]) <= set(":-")]


def test_the_readme_shows_the_table_of_the_committed_records() -> None:
    text = publish.README.read_text(encoding="utf-8")
    shown = cells(text.partition(publish.BEGIN)[2].partition(publish.END)[0])
    table = publish.readme_table()
    assert shown[0] == [table.index.name, *table.columns]
    assert shown[1:] == [[name, *row] for name, *row in table.itertuples(name=None)]
    studies = ("real", "benchmarks", "ear", "nyu_pretrained")
    assert len(shown) == 1 + len({run.task for name in studies for run in publish.runs(name)})


def test_every_table_is_that_of_the_committed_records() -> None:
    built = publish.build()
    for name, text in built.items():
        committed = (publish.TABLES / name).read_text(encoding="utf-8")
        assert committed.split() == text.split(), name
    assert json.loads((publish.RESULTS / "summary.json").read_text()) == json.loads(
        publish.summary()
    )


def test_no_table_is_left_over_from_an_earlier_time() -> None:
    written = {name for _, name in publish.AS_WRITTEN} | {
        "tightness.md",
        "ensemble.md",
        "own_data.md",
    }
    committed = {path.name for path in publish.TABLES.iterdir()}
    assert committed - written == publish.build().keys()


def test_the_index_names_every_committed_file() -> None:
    index = (publish.RESULTS / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w.]+)` \|", index, re.MULTILINE)
    assert sorted(named) == sorted(
        path.name for path in publish.RESULTS.iterdir() if path.name != "README.md"
    )
    options = {f"--{name.replace('_', '-')}" for name in publish.Options.__dataclass_fields__}
    assert set(re.findall(r"published with `(--[\w-]+)`", index)) == options - {
        "--tightness",
        "--own-data",
    }


def test_the_table_is_put_between_its_lines_and_nothing_else_changes() -> None:
    table = publish.readme_table().iloc[:1, :1]
    text = f"before\n{publish.BEGIN}\nold 1\n{publish.END}\nafter\n"
    made = publish.with_table(text, table)
    assert made.startswith(f"before\n{publish.BEGIN}\n") and made.endswith(
        f"{publish.END}\nafter\n"
    )
    assert cells(made)[1] == ["twomoon", table.iloc[0, 0]] and "old 1" not in made
    assert publish.with_table(made, table) == made
    with pytest.raises(ValueError, match="the README has no lines"):
        publish.with_table("no table here", table)


def test_a_compact_record_keeps_what_tables_and_figures_need() -> None:
    by_class = [{**tally(4, 3, 2, 1), "n": 10, "copied": 2, "gain": 0.2}]
    run = record(by_class=by_class, config={"task": {}}, history=[[1, 0.5]], training={"s": 1.0})
    kept = publish.compact(run)
    assert kept.account == {
        "unlabelled": {"by_class": [{**tally(4, 3, 2, 1), "n": 10, "copied": 2}]}
    }
    assert (kept.config, kept.history, kept.training) == ({}, [], {})
    assert (
        replace(
            kept, account=run.account, config=run.config, history=run.history, training=run.training
        )
        == run
    )


def test_publishing_what_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("RESULTS", "FIGURES", "TABLES"):
        monkeypatch.setattr(publish, place, tmp_path / place)
    assert publish.main([]) == 2
    assert "real.jsonl; give --real" in capsys.readouterr().err
    assert publish.main(["--real", str(tmp_path / "absent")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
