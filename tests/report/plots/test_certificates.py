from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mke_theory.report.plots.certificates import BoundPanel, bounds_beside_the_truth

PANELS = [
    BoundPanel(
        "curves",
        "r",
        np.array([0.1, 0.2, 0.3]),
        {"certificate": [0.3, None, 0.2], "trivial": [0.4, 0.4, 0.4]},
        levels={"student": 0.1},
        marks={"μ": 0.2},
    ),
    BoundPanel("bars", "method", bars={"cuts": 0.2}),
]


def test_equal_panels_give_an_equal_file(tmp_path: Path) -> None:
    files = [bounds_beside_the_truth(PANELS, tmp_path / name) for name in ("a.png", "b.png")]
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first.startswith(b"\x89PNG")
    other = bounds_beside_the_truth(PANELS[:1], tmp_path / "c.png").read_bytes()
    assert other != first


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no panel"):
        bounds_beside_the_truth([], tmp_path / "a.png")
    with pytest.raises(ValueError, match="'empty' has neither curves nor bars"):
        BoundPanel("empty", "x")
    with pytest.raises(ValueError, match="'c' has 1 values"):
        BoundPanel("short", "x", np.array([1.0, 2.0]), {"c": [0.1]})
    with pytest.raises(ValueError, match=r"ends with '\.txt'"):
        bounds_beside_the_truth(PANELS, tmp_path / "a.txt")
