"""Notebooks as they are committed: short definitions, a figure each, outputs of their last run."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
LONGEST_DEFINITION = 10
LARGEST = 500_000
"""Bytes of a notebook with its outputs."""


def code_of(path: Path) -> list[nbformat.NotebookNode]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def tree_of(cell: nbformat.NotebookNode) -> ast.Module:
    lines = [line for line in cell.source.splitlines() if not line.startswith("%")]
    return ast.parse("\n".join(lines))


def test_there_are_notebooks() -> None:
    assert len(PATHS) == 10


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_definitions_are_short_and_nothing_goes_through_files(path: Path) -> None:
    for cell in code_of(path):
        tree = tree_of(cell)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                assert length <= LONGEST_DEFINITION, f"{node.name} has {length} lines"
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert imported.isdisjoint({"tempfile", "Path", "Image", "display"})


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_outputs_are_those_of_a_whole_run(path: Path) -> None:
    outputs = [output for cell in code_of(path) for output in cell.outputs]
    kinds = {output.output_type for output in outputs}
    assert kinds <= {"stream", "execute_result", "display_data"}  # no error
    assert {output.name for output in outputs if output.output_type == "stream"} <= {"stdout"}
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_nothing_is_kept_that_differs_from_run_to_run(path: Path) -> None:
    for cell in code_of(path):
        assert cell.execution_count is None and "execution" not in cell.metadata
        assert all(output.get("execution_count") is None for output in cell.outputs)
