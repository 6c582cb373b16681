"""Parts of a page escape what they are given, and pictures stand inside."""

from __future__ import annotations

import base64
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mke_theory.report import html

NASTY = "<b>&\"'"
SAFE = "&lt;b&gt;&amp;&quot;&#x27;"


def test_all_text_is_escaped() -> None:
    assert html.text("p", NASTY) == f"<p>{SAFE}</p>"
    assert html.text("h2", "x", anchor='a"b') == '<h2 id="a&quot;b">x</h2>'
    assert html.bullets([NASTY]) == f"<ul>\n<li>{SAFE}</li>\n</ul>"
    assert f'<a href="#{SAFE}">{SAFE}</a>' in html.links([(NASTY, NASTY)])
    assert html.folded(NASTY, "<p>kept</p>").endswith(
        f"<summary>{SAFE}</summary>\n<p>kept</p>\n</details>"
    )
    assert f"<title>{SAFE}</title>" in html.document(NASTY, [])


def test_lines_that_say_nothing_make_no_paragraph() -> None:
    assert html.paragraphs("a", "", NASTY) == ["<p>a</p>", f"<p>{SAFE}</p>"]


def test_a_table_by_hand() -> None:
    frame = pd.DataFrame(
        {NASTY: ["1.0 ± 0.5 (2)", "good"]}, index=pd.Index(["a", "b_c"], name="x_y")
    )
    assert html.table(frame, strong=["a"], kinds={"good": "fine"}) == (
        '<div class="wide"><table>\n'
        f'<thead><tr><th scope="col">x_<wbr>y</th><th scope="col">{SAFE}</th></tr></thead>\n'
        "<tbody>\n"
        '<tr class="strong"><th scope="row">a</th><td>1.0\u00a0±\u00a00.5 (2)</td></tr>\n'
        '<tr><th scope="row">b_c</th><td class="fine">good</td></tr>\n'
        "</tbody>\n</table></div>"
    )


def test_an_interval_stays_on_one_line() -> None:
    frame = pd.DataFrame({"gain": ["+1.5 [-2.0, 5.0] (2)", "a, b"]})
    found = html.table(frame)
    assert "+1.5 [-2.0,\u00a05.0] (2)" in found and "a, b" in found


def test_a_picture_stands_inside_at_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Figure(figsize=(3, 2), dpi=200).savefig(path, dpi=200)
    found = html.picture(path, NASTY)
    data = base64.b64encode(path.read_bytes()).decode()
    assert f'src="data:image/png;base64,{data}" width="288" height="192" alt="{SAFE}"' in found
    assert f"<figcaption>{SAFE}</figcaption>" in found
