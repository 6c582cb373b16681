"""Files cut or with bits flipped at random: a reader says so, and never crashes the process."""

from __future__ import annotations

import pytest

from tests.tasks.files.damage import CHECKED, FORMATS, counted

LINES = ("csv", "jsonl")
"""Formats in which the file before any line is whole too."""


def refuse_silence(name: str, found: dict[tuple[str, str], int]) -> None:
    """Fail where an error is no message of ours, a process crashed, or a value changed silently."""
    said = {words for _, words in found}
    assert said <= {"same", "refused", "changed"}, (name, found)
    assert name in LINES or not found.get(("cut", "changed")), (name, found)
    assert name not in CHECKED or not found.get(("flipped", "changed")), (name, found)
    assert found.get(("cut", "refused"), 0) + found.get(("cut", "changed"), 0) > 0


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_told(name: str) -> None:
    refuse_silence(name, counted(name, 30, apart=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_thousand_damaged_copies_crash_nothing(name: str) -> None:
    found = counted(name, 1000, seed=1, apart=True)
    print(name, dict(found))
    refuse_silence(name, found)
