"""Run the notebooks and keep their outputs in them, for the documentation, which runs nothing.

    python notebooks/execute.py                all of them, some minutes
    python notebooks/execute.py 00_algorithm_1

Counts and times of execution are left out: a second run changes numbers alone, if any.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def main(names: Sequence[str]) -> None:
    """Execute the notebooks of these names, or all; an error in a cell ends it."""
    paths = [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb"))
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        place = {"metadata": {"path": str(FOLDER)}}
        NotebookClient(notebook, timeout=600, record_timing=False, resources=place).execute()
        nbformat.write(without_counts(notebook), path)
        print(path)


def without_counts(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what differs from run to run although nothing has changed."""
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = None
    return notebook


if __name__ == "__main__":
    main(sys.argv[1:])
