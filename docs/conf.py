"""Settings of the site: `make docs` builds it into build/docs without a network.

Notebooks are shown as they were last executed (`make notebooks`); nothing runs in the build but the
import of the package, whose docstrings are the API reference.
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_extensions")]

import mke_theory  # noqa: E402

project = "mke_theory"
author = "The mke_theory authors"
copyright = author
version = release = mke_theory.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "api_pages",
    "bibliography",
    "outside_links",
    "plain_docstrings",
]
exclude_patterns = ["_extensions", "results/generated", "**.ipynb_checkpoints"]

# Pages and notebooks
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
nb_execution_mode = "off"
nb_merge_streams = True

# API reference
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # torch's and scikit-learn's own docstrings stay with them
autodoc_preserve_defaults = True
# Methods that scikit-learn makes for every estimator, with docstrings in its own dialect.
autodoc_default_options = {"exclude-members": "set_fit_request, set_score_request"}
autodoc_type_aliases = {name: name for name in ("ArrayLike", "Floats", "Ints")}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
# Names of other libraries are not looked up, as that would need their pages.
nitpick_ignore_regex = [(r"py:.*", r"(?!mke_theory\.).*")]

# Appearance
html_theme = "furo"
html_title = "mke_theory"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
highlight_language = "none"  # a block says what it is; commands and outputs are plain
pygments_style = "tango"
pygments_dark_style = "monokai"
