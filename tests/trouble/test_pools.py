"""Generated trouble for `Pool`: a right answer or a message, whatever tensors it is given."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.data.pool import Pool, is_present, join
from mke_theory.data.problem import hide
from tests.trouble.outcomes import outcome, told

INPUTS = [*6 * ["float32"], *"float16 bfloat16 float64 float64 uint8 int64 complex64".split()]
LABELS = [*4 * ["int64"], *"int32 int8 uint8 uint16 bool float32 float64 complex64".split()]
SPECIAL = (np.nan, np.inf, -np.inf, 1e38, 1e-40, 0.0)
WORDS = ("Ana", "", "名", "nan", "b", "c", "d")


def inputs(rng: np.random.Generator, n: int) -> Any:
    shape = [(n,), (n, 3), (n, 2, 2), (n, 0), (n + 1, 3), ()][
        rng.choice(6, p=[0.2, 0.46, 0.25, 0.03, 0.03, 0.03])
    ]
    kind = getattr(torch, INPUTS[rng.integers(len(INPUTS))])
    x = torch.from_numpy(rng.normal(size=shape)).to(kind)
    if kind.is_floating_point and x.ndim and x.numel() and rng.random() < 0.2:
        at: Any = (
            (rng.integers(len(x)), ...)
            if rng.random() < 0.6
            else (rng.integers(len(x)), *[0] * (x.ndim - 1))
        )
        x[at] = float(rng.choice(SPECIAL))
    if x.ndim > 1 and rng.random() < 0.3:
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    return x.numpy() if rng.random() < 0.04 and kind != torch.bfloat16 else x


def labels(rng: np.random.Generator, n: int) -> Any:
    kind = getattr(torch, LABELS[rng.integers(len(LABELS))])
    shape = [(n,), (n, 2), (n, 2, 2), ()][rng.choice(4, p=[0.75, 0.1, 0.1, 0.05])]
    low = int(rng.choice([0, -1, -1, -1, -1, -1, -1, -100]))
    found = torch.from_numpy(rng.integers(low, 3, shape) if n else np.zeros(shape, int)).to(kind)
    return found.tolist() if rng.random() < 0.03 else found


def groups(rng: np.random.Generator, n: int) -> Any:
    ids = rng.integers(-1 if rng.random() < 0.2 else 0, 5, n)
    kinds: list[Any] = [
        None,
        None,
        None,
        ids,
        ids,
        ids.astype(float),
        ids.astype("M8[D]"),
        ids.tolist(),
    ]
    kinds += [np.array(WORDS)[ids], np.array([*WORDS, None], dtype=object)[ids], ids[:-1]]
    found = kinds[rng.integers(len(kinds))]
    if isinstance(found, np.ndarray) and found.dtype.kind == "f" and len(found):
        found[0] = rng.choice([1.0, np.nan])
    return found


def check(rng: np.random.Generator, n: int) -> None:
    """Raise AssertionError where a pool that was taken does not give back what it was given."""
    given = {name: inputs(rng, n) for name in "ab"[: rng.choice([0, 1, 1, 2, 2, 2])]}
    pool = Pool(given, labels(rng, n), groups(rng, n))
    some = rng.permutation(n)[: max(1, n // 2)]
    part = pool.rows(some)
    batch = pool[some]
    for name, x in given.items():
        assert torch.equal(part.inputs[name].nan_to_num(7), x[some].nan_to_num(7))
        assert torch.equal(batch.inputs[name].nan_to_num(7), x[some].nan_to_num(7))
        flat = x.reshape(n, -1).isnan()
        assert torch.equal(is_present(x), ~flat.any(dim=1)) and bool(
            (flat.all(1) == flat.any(1)).all()
        )
    if not pool.labels.is_floating_point():
        assert batch.target.dtype == torch.int64 and int(batch.target.min()) >= -1
        assert batch.target.tolist() == [pool.labels.tolist()[i] for i in some]
    assert (part.groups is None) == (pool.groups is None)
    if pool.groups is not None and part.groups is not None:
        assert part.groups.tolist() == [pool.groups.tolist()[i] for i in some]
    hidden, truth = hide(pool)
    assert bool((hidden.labels == -1).all()) and torch.equal(
        truth.labels.double().nan_to_num(7), pool.labels.double().nan_to_num(7)
    )
    both = join(pool, part)
    assert len(both) == n + len(some) and both.modalities == pool.modalities


def campaign(examples: int) -> Counter[str]:
    counts: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 3, 7, 7, 7, 20]))
    def meet(seed: int, n: int) -> None:
        counts[outcome(lambda: check(np.random.default_rng(seed), n))] += 1

    meet()
    return counts


def test_pools_in_trouble() -> None:
    told(campaign(800))


@pytest.mark.slow
def test_pools_in_much_trouble() -> None:
    told(campaign(40_000))
