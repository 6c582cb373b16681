from __future__ import annotations

from plain_docstrings import full_name, to_rest

NONE: frozenset[str] = frozenset()


def rest(text: str, topics: frozenset[str] = NONE) -> str:
    return "\n".join(to_rest(text.splitlines(), topics)).strip()


def test_a_paragraph_is_one_line_with_markup_escaped() -> None:
    assert rest("The share |w·x| of\nx_ and a*b.") == r"The share \|w·x\| of x\_ and a\*b."


def test_emphasis_stays() -> None:
    assert rest("agreement *and* consistency") == "agreement *and* consistency"


def test_names_in_backticks_are_code_or_links() -> None:
    found = to_rest(["`b` and `a.c`."], NONE, {"a.c": "p.a.c"}.get)
    assert found[0] == "``b`` and :py:obj:`a.c <p.a.c>`."


def test_an_indented_block_is_shown_as_it_is() -> None:
    text = "Sum:\n\n    a_ * |b|\n\n      + c\n\nEnd."
    shown = "Sum:\n\n.. code-block:: text\n\n   a_ * |b|\n\n     + c\n\nEnd."
    assert rest(text) == shown


def test_a_hanging_line_goes_on_with_its_paragraph() -> None:
    assert rest("one\n    two") == "one two"


def test_items_keep_their_paragraphs_and_blocks() -> None:
    text = "1.  One\n    line.\n\n        f(x)\n\n    More.\n2.  Two."
    shown = "1. One line.\n\n   .. code-block:: text\n\n      f(x)\n\n   More.\n\n2. Two."
    assert rest(text) == shown


def test_lines_that_begin_with_parameters_become_a_list() -> None:
    text = "First.\nsize: how large,\nin points. a, b: ends."
    assert (
        rest(text, frozenset({"size"})) == "First.\n\n- ``size``: how large, in points. a, b: ends."
    )
    assert rest("Raises: never", frozenset({"size"})) == "Raises: never"


def test_a_table_becomes_a_table() -> None:
    text = "| | right |\n|---|---|\n| left | a_ |"
    shown = ".. list-table::\n   :header-rows: 1\n\n   * -\n     - right\n   * - left\n     - a\\_"
    assert rest(text) == shown


def test_doctests_stay() -> None:
    assert rest(">>> f(`x`)\n'a_'") == ">>> f(`x`)\n'a_'"


def test_keys_of_the_bibliography_are_links() -> None:
    assert rest("Ref: xue2021mke, section 3.") == "Ref: :ref:`xue2021mke`, section 3."
    assert rest("not2021there") == "not2021there"


def test_the_full_name_is_that_of_the_place_where_it_is_defined() -> None:
    home = "mke_theory.method.algorithm"
    assert full_name("Pool", home) == "mke_theory.data.pool.Pool"
    assert full_name("Pool.rows", home) == "mke_theory.data.pool.Pool.rows"
    assert full_name("mke_theory.theory.graph", home) == "mke_theory.theory.graph"
    for strange in ("Tensor", "student", "_accounted", "mke_theory.nowhere"):
        assert full_name(strange, home) is None
