"""Stored samples are those that one would have computed at once, in whatever order read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.data.lazy_arrays import Normalise, Stored, concatenated, on_disk, taken
from mke_theory.data.pool import Pool, join
from mke_theory.data.problem import Problem
from mke_theory.study.placebos import shuffle_pairs

RAW = np.random.default_rng(0).integers(0, 256, size=(7, 2, 3), dtype=np.uint8)
SCALE = Normalise((100.0, 50.0), (10.0, 20.0))
FLOATS = SCALE(torch.from_numpy(RAW))


def test_normalising_by_hand() -> None:
    raw = torch.tensor([[[110, 90], [70, 50]]], dtype=torch.uint8)
    assert SCALE(raw).tolist() == [[[1.0, -1.0], [1.0, 0.0]]]
    assert SCALE(raw).dtype == torch.float32


def test_each_frame_of_a_film_is_normalised_as_a_picture_is() -> None:
    raw = torch.arange(2 * 5 * 3 * 4 * 4).remainder(256).to(torch.uint8).reshape(2, 5, 3, 4, 4)
    mean, sd = (1.0, 2.0, 3.0), (1.0, 2.0, 4.0)
    each = torch.stack([Normalise(mean, sd)(raw[:, frame]) for frame in range(5)], dim=1)
    assert torch.equal(Normalise(mean, sd, axis=2)(raw), each)


@pytest.mark.parametrize("on_disk", [False, True])
def test_reading_is_decoding_what_is_there(on_disk: bool, tmp_path: Path) -> None:
    np.save(tmp_path / "raw.npy", RAW)
    raw = np.load(tmp_path / "raw.npy", mmap_mode="r") if on_disk else torch.from_numpy(RAW)
    stored = Stored(raw, SCALE)
    assert stored.shape == FLOATS.shape and len(stored) == 7 and stored.dim() == 3
    assert stored.numel() == FLOATS.numel() and stored.dtype == torch.float32
    for index in (slice(1, 5), [3, 0, 3], torch.tensor([6, 2]), np.array([5, 1]), slice(0, 0)):
        assert torch.equal(stored[index], FLOATS[index])
    assert torch.equal(stored[2], FLOATS[2])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.data())
def test_rows_of_rows(first: list[int], data: st.DataObject) -> None:
    at = st.lists(st.integers(0, len(first) - 1), min_size=1, max_size=5)
    second = data.draw(at)
    for raw in (torch.from_numpy(RAW), RAW):
        chosen = Stored(raw, SCALE).rows(torch.tensor(first)).rows(torch.tensor(second))
        assert torch.equal(chosen[slice(0, len(chosen))], FLOATS[first][second])


def test_a_pool_of_stored_samples_is_that_of_their_floats() -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0], dtype=torch.int8)
    kept = Pool({"x": Stored(RAW, SCALE)}, labels)
    plain = Pool({"x": FLOATS}, labels.long())
    for a, b in ((kept, plain), (kept.rows([4, 1]), plain.rows([4, 1]))):
        one, other = a[slice(0, 3)], b[slice(0, 3)]
        assert torch.equal(one.inputs["x"], other.inputs["x"])
        assert torch.equal(one.target, other.target) and one.target.dtype == torch.int64
    twice = join(kept.rows([0, 1]), kept.rows([5]))
    assert isinstance(twice.inputs["x"], Stored)
    assert torch.equal(twice[slice(0, 3)].inputs["x"], FLOATS[[0, 1, 5]])
    mixed = join(kept.rows([0, 1]), plain.rows([5]))
    assert torch.equal(mixed[slice(0, 3)].inputs["x"], FLOATS[[0, 1, 5]])


def test_who_is_where_does_not_depend_on_how_it_is_kept() -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])

    def problem(x: Stored | torch.Tensor) -> Problem:
        pool = Pool({"x": x}, labels)
        return Problem.of(pool.rows([0, 1]), pool.rows([2, 3, 4]), pool.rows([5, 6]), ("x",), 3)

    assert problem(Stored(RAW, SCALE)).split_hash == problem(FLOATS).split_hash
    other = Stored(RAW, Normalise((99.0, 50.0), (10.0, 20.0)))
    assert problem(other).split_hash != problem(FLOATS).split_hash


def test_shuffled_pairs_stay_stored() -> None:
    labels = torch.zeros(7, dtype=torch.long)
    kept = Pool({"a": FLOATS, "b": Stored(RAW, SCALE)}, labels)
    moved = shuffle_pairs(kept, ("a",), 3)
    plain = shuffle_pairs(Pool({"a": FLOATS, "b": FLOATS}, labels), ("a",), 3)
    assert isinstance(moved.inputs["b"], Stored)
    assert torch.equal(moved[slice(0, 7)].inputs["b"], plain.inputs["b"])
    assert not torch.equal(plain.inputs["b"], FLOATS)


def test_floats_that_make_no_sense_are_found_in_the_store() -> None:
    raw = np.zeros((300, 2), dtype=np.float16)  # more than are looked at together
    raw[299, 1] = np.inf
    with pytest.raises(ValueError, match="infinite value in sample 299"):
        Pool({"x": Stored(raw)}, torch.zeros(300))
    raw[299, 1] = np.nan
    with pytest.raises(ValueError, match="NaN in sample 299"):
        Pool({"x": Stored(raw)}, torch.zeros(300))
    raw[299] = np.nan  # the modality is missing there
    assert len(Pool({"x": Stored(raw)}, torch.zeros(300))) == 300


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="allowed are 0 to 6"):
        Stored(RAW, SCALE, torch.tensor([7]))
    with pytest.raises(ValueError, match="each sd above 0"):
        Normalise((0.0,), (0.0,))
    with pytest.raises(ValueError, match="samples have 2 channels"):
        Normalise((0.0,), (1.0,))(torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match="2 labels"):
        Pool({"x": Stored(RAW, SCALE)}, torch.zeros(2))


def test_taking_and_joining_tensors() -> None:
    x = torch.arange(4.0)
    assert torch.equal(taken(x, torch.tensor([2, 0])), torch.tensor([2.0, 0.0]))
    assert torch.equal(concatenated(x, x), torch.cat([x, x]))


def test_what_was_looked_through_is_not_looked_through_again() -> None:
    """Neither for values that make no sense, nor for the hash of a split."""
    read: list[int] = []

    def counted(raw: torch.Tensor) -> torch.Tensor:
        read.append(len(raw))
        return raw.float()

    whole = Pool({"x": Stored(torch.from_numpy(RAW), counted)}, torch.arange(7) % 2)
    first, second = whole.rows([0, 1, 2]), whole.rows([3, 4, 5])
    looked = sum(read)
    both = join(first, second)
    assert sum(read) - looked <= 2  # their shape alone
    assert torch.equal(both[:].inputs["x"], torch.from_numpy(RAW[:6]).float())
    problem = Problem.of(first, second, whole, ("x",), 2)
    found = problem.split_hash
    looked = sum(read)
    assert problem.split_hash == found and sum(read) == looked


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.booleans())
def test_rows_of_any_size_are_read_into_their_places(at: list[int], large: bool) -> None:
    raw = np.arange(7 * 3000, dtype=np.float32).reshape(7, 3000)[:, : 3000 if large else 5]
    raw = np.ascontiguousarray(raw)
    assert torch.equal(Stored(raw)[at], torch.from_numpy(raw)[at])


@pytest.mark.parametrize("first_is_stored", [True, False])
def test_samples_of_a_disk_and_of_memory_are_joined_without_being_read(
    first_is_stored: bool, tmp_path: Path
) -> None:
    np.save(tmp_path / "raw.npy", RAW)
    mapped = Stored(np.load(tmp_path / "raw.npy", mmap_mode="r"), SCALE)
    parts = (mapped, FLOATS[:2]) if first_is_stored else (FLOATS[:2], mapped)
    both = concatenated(*parts)
    assert isinstance(both, Stored) and both.shape == (9, 2, 3) and on_disk(both)
    wanted = torch.cat([FLOATS, FLOATS[:2]] if first_is_stored else [FLOATS[:2], FLOATS])
    for index in (slice(0, 9), [8, 0, 6, 8], torch.tensor([7]), slice(0, 2), [7, 8]):
        assert torch.equal(both[index], wanted[index])
    assert torch.equal(taken(both, torch.tensor([8, 1]))[:], wanted[[8, 1]])
    thrice = concatenated(both, FLOATS[:1])
    assert torch.equal(thrice[:], torch.cat([wanted, FLOATS[:1]]))
    in_memory = concatenated(Stored(torch.from_numpy(RAW), SCALE), FLOATS[:2])
    assert isinstance(in_memory, torch.Tensor)


def test_who_has_a_modality_is_found_once() -> None:
    raw = np.ones((300, 2), dtype=np.float16)
    raw[[0, 299]] = np.nan
    read: list[int] = []

    def counted(some: torch.Tensor) -> torch.Tensor:
        read.append(len(some))
        return some.float()

    stored = Stored(raw, counted)
    wanted = torch.from_numpy(~np.isnan(raw[:, 0]))
    assert torch.equal(stored.present(), wanted)
    looked = sum(read)
    at = torch.tensor([299, 4, 0])
    assert torch.equal(stored.rows(at).present(), wanted[at])
    assert torch.equal(stored.present(), wanted) and sum(read) == looked
    assert stored.rows(torch.zeros(0, dtype=torch.long)).present().tolist() == []
