"""Links from pages to files beside docs/ that the site shows as pages of its own.

Pages name them by their place in the repository, so that a link works wherever it is read.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

PAGES = {
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "experiments/README.md": "experiments",
}
_NOTEBOOK = re.compile(r"(?:^|/)(notebooks/\w+)(?:\.ipynb)?$")


def page_of(target: str) -> str | None:
    """The page that shows the file which a link points to; None where it is another one."""
    notebook = _NOTEBOOK.search(target)
    if notebook is not None:
        return notebook[1]
    return PAGES.get(re.sub(r"^(?:\.\./)+", "", target))


def redirect(app: Sphinx, doctree: nodes.document) -> None:
    """Let links to such files point to their pages."""
    for node in doctree.findall(addnodes.pending_xref):
        page = page_of(node["reftarget"]) if node.get("reftype") == "myst" else None
        if page is not None:
            node["refdomain"], node["reftarget"], node["reftargetid"] = "doc", page, None


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("doctree-read", redirect)
