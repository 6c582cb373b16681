"""Tables as spreadsheets leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mke_theory.audit.spreadsheet import read_table, write_table

ROWS = [{"id": "ä", "label": "x, y"}, {"id": "2", "label": ""}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_encoding_delimiter_and_end_of_line(
    tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    path = tmp_path / "table.csv"
    lines = [["id", "Label"], ["ä", '"x, y"'], [], ["2", ""], ["", ""]]
    path.write_bytes(end.join(delimiter.join(line) for line in lines).encode(encoding))
    table = read_table(path, ("id", "label"))
    assert table.header == ("id", "Label") and table.delimiter == delimiter
    assert [list(row.values()) for row in table.rows] == [["ä", "x, y"], ["2", ""]]
    assert table.lines == (2, 4)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "below" / "table.csv"
    for delimiter in (",", ";"):
        write_table(path, ["id", "label"], ROWS, delimiter)
        table = read_table(path, ("label",))
        assert (list(table.rows), table.delimiter) == (ROWS, delimiter)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert list(path.parent.iterdir()) == [path]


def test_a_line_that_names_the_delimiter_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("sep=;\nid;label\n1;2\n")
    table = read_table(path, ("id", "label"))
    assert (table.rows, table.lines) == (({"id": "1", "label": "2"},), (3,))


def test_short_lines_are_filled_up_and_empty_cells_beyond_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,label\n1\n2,3,,\n")
    assert [list(row.values()) for row in read_table(path).rows] == [["1", ""], ["2", "3"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; its first line has to name the columns"),
        (b"id,label\n1,2,3\n", "line 2, has 3 cells"),
        (b"id,what\n1,2\n", "no column label; its first line reads 'id,what'"),
        (b"id,label,id\n", "two columns 'id'"),
        (b"PK\x03\x04 and so on", "is a workbook; save it as CSV"),
        (b"id,label\n\x81\x8d,\n", "is no text in UTF-8"),
    ],
)
def test_what_is_no_such_table(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_table(path, ("id", "label"))
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "table.csv"
    folder.mkdir()  # nothing can be put in its place
    (folder / "inside").touch()
    with pytest.raises(OSError, match="directory"):
        write_table(folder, ["id"], ROWS[:0])
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
