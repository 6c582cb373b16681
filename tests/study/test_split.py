from __future__ import annotations

import numpy as np
import pytest
import torch

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.study.split import hold_out, kept_out


def pool(n: int, groups: np.ndarray | None = None, start: int = 0) -> Pool:
    rows = torch.arange(start, start + n, dtype=torch.float32)
    return Pool({"a": rows.unsqueeze(1), "b": -rows.unsqueeze(1)}, torch.arange(n) % 2, groups)


def names(part: Pool | None) -> set[float]:
    return set() if part is None else set(part.inputs["a"].flatten().tolist())


def test_the_two_parts_are_the_whole_and_share_nothing() -> None:
    rest, out = hold_out(pool(10), 0.3, seed=1)
    assert (len(rest), len(out)) == (7, 3)
    assert names(rest) | names(out) == set(range(10))
    assert not names(rest) & names(out)
    assert names(hold_out(pool(10), 0.3, seed=1)[1]) == names(out)
    assert any(names(hold_out(pool(10), 0.3, seed=s)[1]) != names(out) for s in range(2, 6))


def test_groups_stay_whole() -> None:
    groups = np.repeat(["ann", "bob", "cem", "dee"], 5)
    rest, out = hold_out(pool(20, groups), 0.25, seed=0)
    assert rest.groups is not None
    assert out.groups is not None
    assert not set(rest.groups) & set(out.groups)
    assert len(out) == 5


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="has to lie between 0 and 1"):
        hold_out(pool(10), share, seed=0)


def test_one_sample_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="one sample"):
        hold_out(pool(1), 0.5, seed=0)


def problem() -> Problem:
    return Problem(
        labelled=pool(4, start=100).only(["a"]),
        unlabelled=pool(20),
        test=pool(6, start=200),
        teacher_modalities=("a",),
        classes=2,
    )


def test_only_what_a_rule_needs_is_kept_out_of_d_u() -> None:
    whole = problem()
    assert kept_out(whole, {"last"}, 0.2, seed=0) is whole
    agreement = kept_out(whole, {"last", "agreement"}, 0.2, seed=0)
    assert names(agreement.heldout) | names(agreement.unlabelled) == set(range(20))
    assert agreement.validation is None
    both = kept_out(whole, {"agreement", "labelled"}, 0.2, seed=0)
    parts = [names(part) for part in (both.unlabelled, both.heldout, both.validation)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20
    assert names(both.test) == names(whole.test)
    assert kept_out(both, {"agreement", "labelled"}, 0.2, seed=1) is both
