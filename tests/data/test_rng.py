"""Seeds have names, and a sample is perturbed alike however its batch is spread."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from mke_theory.data.rng import Stream, seed32_for, seed_for, torch_seed

WHOLE = st.integers(-(2**70), 2**70)

# --- seed_for ------------------------------------------------------------------------------------


def test_seeds_do_not_move_between_versions() -> None:
    # sha256 of "0␟str:init" by another tool; a change here moves every result ever recorded.
    assert seed_for(0, "init") == 4820602982395590189
    assert seed_for(7, "step", 12) == 5644376642399924785
    assert seed32_for(0, "init") == 4820602982395590189 % 2**32


def test_seeds_are_named_so_a_new_name_moves_no_other() -> None:
    def draws(names: list[str]) -> dict[str, list[float]]:
        found = {}
        for name in names:
            with torch_seed(seed_for(3, name)):
                found[name] = torch.rand(4).tolist()
        return found

    before = draws(["data", "split", "init"])
    after = draws(["data", "augmentation", "split", "init"])
    assert {name: after[name] for name in before} == before
    # And no source of randomness shares its numbers with another: the seed does not pick the split.
    assert len({tuple(numbers) for numbers in after.values()}) == 4


def test_every_part_of_a_name_counts() -> None:
    others = [
        seed_for(1, "a", "b"),
        seed_for(0, "b", "a"),
        seed_for(0, "ab"),
        seed_for(0, "a"),
        seed_for(0, "a", "b", "c"),
        seed_for(0),
        seed_for(0, 1),
        seed_for(0, "1"),
        seed_for(-1, "a", "b"),
    ]
    assert len({seed_for(0, "a", "b"), *others}) == 1 + len(others)


@given(WHOLE, st.lists(st.one_of(st.text(max_size=5), WHOLE), max_size=3))
def test_seeds_are_in_range(seed: int, names: list[str | int]) -> None:
    assert 0 <= seed_for(seed, *names) < 2**63
    assert seed32_for(seed, *names) == seed_for(seed, *names) % 2**32
    torch.Generator().manual_seed(seed_for(seed, *names))


def test_neighbouring_seeds_do_not_collide() -> None:
    # 20,000 values in [0, 2**63): by chance two agree with probability 2e-11.
    names = ("step", "order", "init", "noise")
    seeds = [seed_for(run, name, i) for run in range(10) for name in names for i in range(500)]
    assert len(set(seeds)) == len(seeds)


def test_seeds_are_whole_numbers() -> None:
    assert seed_for(np.int64(3), np.int32(5)) == seed_for(3, 5)  # type: ignore[arg-type]
    assert seed_for(3, np.str_("data")) == seed_for(3, "data")
    with pytest.raises(TypeError, match="float"):
        seed_for(0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="float"):
        seed_for(0, 0.5)  # type: ignore[arg-type]


# --- torch_seed ----------------------------------------------------------------------------------


def test_torch_seed_starts_anew_and_leaves_no_trace() -> None:
    torch.manual_seed(11)
    expected = torch.rand(6)
    torch.manual_seed(11)
    first = torch.rand(3)
    with torch_seed(5):
        inside = torch.rand(3)
    with pytest.raises(KeyError), torch_seed(6):
        torch.rand(9)
        raise KeyError
    assert torch.equal(torch.cat([first, torch.rand(3)]), expected)
    torch.manual_seed(5)
    assert torch.equal(inside, torch.rand(3))


# --- Stream --------------------------------------------------------------------------------------


def some_draws(stream: Stream, like: Tensor) -> list[Tensor]:
    """Three draws in a row, of both kinds and of several shapes."""
    return [stream.normal(like), stream.uniform(like, 4), stream.normal(like)]


def test_a_stream_is_its_seed() -> None:
    like = torch.zeros(7, 3, 2)
    first, again, other = (some_draws(Stream(seed), like) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert not torch.equal(first[0], first[2])


def test_a_stream_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    some_draws(Stream(1), torch.zeros(3, 2))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_have_the_shape_and_type_of_what_they_perturb(dtype: torch.dtype) -> None:
    like = torch.zeros(5, 3, 2, dtype=dtype)
    stream = Stream(0)
    assert (stream.normal(like).shape, stream.normal(like).dtype) == (like.shape, dtype)
    assert (stream.uniform(like, 4).shape, stream.uniform(like, 4).dtype) == ((5, 4), dtype)
    assert stream.uniform(like).shape == (5,)


@given(n=st.integers(1, 40), cuts=st.lists(st.integers(0, 40), max_size=3), wide=st.booleans())
def test_parts_of_a_batch_draw_what_the_whole_draws(n: int, cuts: list[int], wide: bool) -> None:
    like = torch.zeros(n, *(3, 2) if wide else ())
    edges = sorted({0, n, *(cut for cut in cuts if cut < n)})
    parts = [
        some_draws(Stream(9, rows=slice(a, b), total=n), like[a:b]) for a, b in pairwise(edges)
    ]
    for whole, pieces in zip(some_draws(Stream(9), like), zip(*parts, strict=True), strict=True):
        assert torch.equal(whole, torch.cat(pieces))


def test_draws_follow_their_laws() -> None:
    # Kolmogorov–Smirnov at 20,000 numbers each; false-alarm rate 1e-6 a test.
    stream = Stream(4)
    like = torch.zeros(20_000, dtype=torch.float64)
    normal, uniform = stream.normal(like).numpy(), stream.uniform(like).numpy()
    assert stats.kstest(normal, "norm").pvalue > 1e-6
    assert stats.kstest(uniform, "uniform").pvalue > 1e-6
    assert uniform.min() >= 0
    assert uniform.max() < 1
    # Streams of neighbouring seeds are not correlated: |r| √n is normal; false-alarm rate 6e-7.
    neighbour = Stream(5).normal(like).numpy()
    assert abs(np.corrcoef(normal, neighbour)[0, 1]) * len(like) ** 0.5 < 5


def test_streams_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="rows and total together"):
        Stream(0, rows=slice(0, 2))
    with pytest.raises(ValueError, match="rows and total together"):
        Stream(0, total=2)
    # One row would otherwise be spread over the whole batch in silence.
    part = Stream(0, rows=slice(0, 1), total=8)
    with pytest.raises(ValueError, match="draws for 1 samples; got 4"):
        part.normal(torch.zeros(4, 2))
