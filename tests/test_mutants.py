"""Every planted error still has a place in the package and tests to catch it."""

from __future__ import annotations

import ast

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant, planted


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.old}")
def test_it_can_be_planted(mutant: Mutant) -> None:
    text = (ROOT / "mke_theory" / mutant.file).read_text(encoding="utf-8")
    changed = planted(text, mutant)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))
    assert (ROOT / "tests" / mutant.test).is_file()


def test_a_text_that_is_not_there_once_is_refused() -> None:
    with pytest.raises(ValueError, match="2 times"):
        planted("a b a", Mutant("file.py", "a", "c", "test_file.py"))
