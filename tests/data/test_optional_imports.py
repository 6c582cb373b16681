"""Libraries of the extra: imported where they are, and a remedy named where they are not."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from mke_theory.data.optional_imports import lacking, library, versions_of


def test_a_library_that_is_there_is_imported() -> None:
    assert library("json", "a table needs") is json
    assert lacking("json", "numpy") is None


def test_a_library_that_is_not_there_is_named_with_its_remedy() -> None:
    with pytest.raises(ImportError, match=r'a film needs no_such_library; pip install "mke_theory'):
        library("no_such_library", "a film needs")
    remedy = 'no_such_library is not installed: pip install "mke_theory[data]"'
    assert lacking("json", "no_such_library") == remedy


def test_versions_are_those_of_packages() -> None:
    found = versions_of("numpy", "no_such_library", "PIL.Image")
    assert found["numpy"] == version("numpy")
    assert found["no_such_library"] == "none"
    assert found.keys() == {"numpy", "no_such_library", "pillow"}  # the package, not its module
