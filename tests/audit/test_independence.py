"""The rank of a table of cells: level and power on tables of known rank."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from mke_theory.audit import independence as module
from mke_theory.audit.betting import Floats
from mke_theory.audit.independence import rank_test
from mke_theory.audit.reading import Ints

A = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])


def cells(n: int, common: float, seed: int) -> tuple[Ints, Ints, Floats]:
    """Two draws of cells given one of two classes, of which a share `common` is the same draw."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n)
    a, b = ((random.random((n, 1)) > A.cumsum(axis=1)[y]).sum(axis=1) for _ in range(2))
    b = np.where(random.random(n) < common, a, b)
    p = A[:, a].T
    return a, b, p / p.sum(axis=1, keepdims=True)


def test_singular_values_by_hand() -> None:
    # Half the samples in each of two matching cells: the scaled table is the identity.
    assert module._singular(np.diag([3.0, 3.0]), 1) == pytest.approx(1.0)
    assert module._singular(np.outer([1.0, 2.0], [3.0, 4.0]), 1) == pytest.approx(0.0, abs=1e-12)


def test_the_fit_keeps_the_rank_and_the_margins() -> None:
    a, b, p = cells(3000, 0.3, 0)
    table = np.zeros((4, 4))
    np.add.at(table, (a, b), 1.0)
    shares, rows, columns = module._fitted(table, p.mean(axis=0), *module._start(a, b, (4, 4), p))
    fit = (rows * shares) @ columns.T
    assert np.linalg.svd(fit, compute_uv=False)[2] < 1e-12
    assert fit.sum(axis=1) == pytest.approx(table.sum(axis=1) / 3000, abs=1e-3)


def test_level_where_cells_are_independent_given_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    # More rejections than the limit come up with probability below 10⁻³ if the level is as stated.
    monkeypatch.setattr(module, "DRAWS", 39)
    monkeypatch.setattr(module, "TRIALS", 0)
    monkeypatch.setattr(module, "_visible", lambda *_: None)
    found = [
        rank_test(*cells(600, 0.0, seed)[:2], (4, 4), cells(600, 0.0, seed)[2], seed).p_value
        for seed in range(60)
    ]
    assert sum(p <= 0.1 for p in found) <= binom.ppf(1 - 1e-3, 60, 0.1)
    assert min(found) < 0.5 < max(found)


def test_what_is_in_common_is_seen_and_power_is_told() -> None:
    a, b, p = cells(3000, 0.4, 0)
    found = rank_test(a, b, (4, 4), p, 0)
    assert found.p_value == 1 / 200
    assert found.visible is not None and found.visible <= 0.35
    few = rank_test(a[:60], b[:60], (4, 4), p[:60], 0)
    assert few.visible is None or few.visible > found.visible


def test_too_few_cells_are_refused() -> None:
    a, b, p = cells(100, 0.0, 0)
    with pytest.raises(ValueError, match="more than the 2 classes are needed"):
        rank_test(a % 2, b, (2, 4), p, 0)
