"""The paper's numbers stand beside ours, arm by arm."""

from __future__ import annotations

from mke_theory.report import published
from mke_theory.report.tables import NOT_AVAILABLE
from mke_theory.study.arms import SIX_ARMS
from mke_theory.tasks.registry import TASKS
from tests.report.made_records import record


def test_the_papers_number_stands_beside_ours() -> None:
    own = [record("twomoon", "mm_student", seed, 0.77 + seed / 100) for seed in (0, 1)]
    table = published.beside(own)
    assert list(table.index) == [arm.title for arm in SIX_ARMS]
    row = table.loc["MM student (MKE)"]
    assert row["paper: TwoMoon, the authors' notebook, accuracy"] == "77.7"
    assert row["ours: twomoon"] == "77.5 ± 0.7 (2)"
    assert row["ours: nyu_depth"] == NOT_AVAILABLE
    assert table.loc["NOISY student", "paper: NYU Depth V2, mIoU"] == "47.68"


def test_every_column_of_the_paper_names_arms_and_tasks_of_ours() -> None:
    arms = {arm.name for arm in SIX_ARMS}
    for reported in published.PAPER:
        assert reported.numbers.keys() <= arms, reported.title
        assert set(reported.tasks) <= TASKS.keys(), reported.title


def test_the_page_says_how_each_set_up_differs() -> None:
    text = published.markdown([record("twomoon")])
    for reported in published.PAPER:
        assert f"- {reported.title}: {reported.apart}." in text
