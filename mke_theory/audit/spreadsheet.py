"""Tables in CSV as spreadsheets leave them: any delimiter, byte order marks, old encodings."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DELIMITERS = (",", ";", "\t")
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Table:
    """Cells as text, a row a line that is not empty, and the delimiter between them.

    lines: the line of the file, from 1, on which each row stands.
    """

    header: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]
    delimiter: str


def read_table(path: Path, columns: Sequence[str] = ()) -> Table:
    """The table of a file that has at least these columns; names are compared without case.

    Read are UTF-8 with and without its mark, UTF-16 with one, and otherwise Windows' western
    encoding; commas, semicolons or tabs; a line `sep=;` first. Empty rows are left out.

    Raises ValueError where the file is no such table, and OSError where it cannot be read.
    """
    text = _text_of(path)
    first, _, rest = text.partition("\n")
    skipped = 0
    if first.strip().lower().startswith("sep="):
        text, skipped, first = rest, 1, rest.partition("\n")[0]
    delimiter = max(DELIMITERS, key=lambda mark: len(_names(first, mark) & set(columns or [""])))
    if not columns:
        delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        cells = [(reader.line_num + skipped, row) for row in reader]
    except csv.Error as problem:
        raise ValueError(f"{path} is no table in CSV: {problem}") from None
    if not cells:
        raise ValueError(f"{path} is empty; its first line has to name the columns")
    header = tuple(name.strip() for name in cells[0][1])
    named = {name.casefold() for name in header}
    lacking = [name for name in columns if name.casefold() not in named]
    if lacking:
        raise ValueError(
            f"{path} has no column {', '.join(lacking)}; its first line reads {first.strip()!r} "
            f"and has to name {', '.join(columns)}"
        )
    _refuse_repeated(path, header)
    kept = [(line, row) for line, row in cells[1:] if any(cell.strip() for cell in row)]
    return Table(
        header,
        tuple(_row(path, header, line, row) for line, row in kept),
        tuple(line for line, _ in kept),
        delimiter,
    )


def write_table(
    path: Path, header: Sequence[str], rows: Sequence[dict[str, str]], delimiter: str = ","
) -> None:
    """Write the table in UTF-8 with a mark, which spreadsheets look for: all of it, or nothing.

    Raises OSError where that fails, for instance because a spreadsheet holds the file open; the
    file is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, header, restval="", delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        else:
            temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _text_of(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith(b"PK"):
        raise ValueError(f"{path} is a workbook; save it as CSV (in UTF-8)")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    for name in (encoding,) if encoding else ("utf-8", "cp1252"):
        try:
            return content.decode(name).replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            continue
    raise ValueError(f"{path} is no text in UTF-8; save it as CSV in UTF-8")


def _names(line: str, delimiter: str) -> set[str]:
    return {name.strip().strip('"').casefold() for name in line.split(delimiter)}


def _refuse_repeated(path: Path, header: Sequence[str]) -> None:
    for i, name in enumerate(header):
        if name and name in header[:i]:
            raise ValueError(f"{path} has two columns {name!r}; give each a name of its own")


def _row(path: Path, header: Sequence[str], line: int, cells: Sequence[str]) -> dict[str, str]:
    if any(cell.strip() for cell in cells[len(header) :]):
        raise ValueError(
            f"{path}, line {line}, has {len(cells)} cells, and its first line names {len(header)} "
            "columns; put quotes around a cell that holds the delimiter"
        )
    padded = [*cells, *[""] * (len(header) - len(cells))]
    return dict(zip(header, padded, strict=False))
