"""Printing fails on no console: of another encoding, closed, full, or absent."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mke_theory.data.console import forgiving_console

ARROW = "all → teacher’s ± 1"


def ended(tmp_path: Path, last: str, **how: object) -> subprocess.CompletedProcess[bytes]:
    """A process that prints 100 kB inside the block, and then makes a file."""
    code = (
        "from mke_theory.data.console import forgiving_console as block\n"
        "from tqdm import tqdm\n"
        "import sys\n"
        "with block():\n"
        f"    for _ in range(2000): print({ARROW!r} * 3)\n"
        "    for _ in tqdm(range(3)): pass\n"
        "    sys.stdout.flush()\n"
        f"    open({str(tmp_path / 'made')!r}, 'w').close()\n"
        f"{last}"
    )
    return subprocess.run([sys.executable, "-c", code], timeout=100, **how)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("coding", ["ascii", "cp1252", "utf-8"])
def test_a_letter_without_a_code_is_a_question_mark(
    coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(content, encoding=coding))
    with forgiving_console():
        print(ARROW)
    assert content.getvalue() == f"{ARROW}\n".encode(coding, errors="replace")


def test_streams_are_what_they_were_afterwards() -> None:
    before = sys.stdout, sys.stderr
    with forgiving_console():
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr) == before
    print("and can be written to")


def test_a_stream_without_bytes_below_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    with forgiving_console():
        print(ARROW)
    assert text.getvalue() == f"{ARROW}\n"


def test_a_closed_pipe_ends_the_printing_alone(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    found = ended(tmp_path, "", stdout=writing, stderr=writing)
    os.close(writing)
    assert found.returncode == 0 and (tmp_path / "made").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_below_the_output_ends_the_printing_alone(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        found = ended(tmp_path, "", stdout=full, stderr=subprocess.PIPE)
    assert found.returncode == 0 and (tmp_path / "made").exists()
    assert b"Traceback" not in found.stderr


def test_no_streams_at_all_are_as_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with forgiving_console():
        print(ARROW)
        assert sys.stderr.write("said") == 4
    assert sys.stdout is None
