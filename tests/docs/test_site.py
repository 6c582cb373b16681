"""The parts of the site beside its pages: links to files outside, the bibliography, the API."""

from __future__ import annotations

from pathlib import Path

from api_pages import packages, page
from bibliography import citation, entries
from outside_links import PAGES, page_of

ROOT = Path(__file__).parents[2]


def test_links_to_files_that_are_pages_too_lead_to_the_pages() -> None:
    assert page_of("../notebooks/03_certificates.ipynb") == "notebooks/03_certificates"
    assert page_of("/somewhere/notebooks/03_certificates") == "notebooks/03_certificates"
    assert page_of("../CONTRIBUTING.md") == "contributing"
    assert page_of("method.md") is None
    for file, shown in PAGES.items():
        assert f"../{file}" in (ROOT / "docs" / f"{shown}.md").read_text(encoding="utf-8")


def test_an_entry_of_the_bibliography_reads_well() -> None:
    assert citation(entries()["xue2021mke"]) == (
        "Zihui Xue, Sucheng Ren, Zhengqi Gao and Hang Zhao (2021). Multimodal Knowledge Expansion. "
        "IEEE/CVF International Conference on Computer Vision (ICCV). arXiv:2103.14431."
    )


def test_no_entry_keeps_marks_of_bibtex() -> None:
    for entry in entries().values():
        assert not set("{}\\$") & set(citation(entry)), citation(entry)


def test_every_module_has_its_place_in_the_reference() -> None:
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "mke_theory").rglob("*.py")
        if path.name != "__main__.py"
    }
    found = list(packages())
    assert {name for package, _, inside in found for name in (package, *inside)} == files


def test_the_page_of_a_room_shows_its_sign_and_its_files() -> None:
    text = page("mke_theory.theory", ["mke_theory.theory.bounds"], ["mke_theory.theory.graph"])
    assert text.startswith("theory\n======\n\n.. automodule:: mke_theory.theory\n")
    assert "   theory.bounds" not in text
    assert "   mke_theory.theory.bounds\n" in text
    assert "graph.py\n--------\n\n.. automodule:: mke_theory.theory.graph\n   :members:\n" in text
