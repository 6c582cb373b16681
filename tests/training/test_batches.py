"""Samples come in the order that a plan states, whoever reads them."""

from __future__ import annotations

import gc
import math
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mke_theory.data.lazy_arrays import Normalise, Stored
from mke_theory.data.pool import Batch, Pool
from mke_theory.data.rng import Stream
from mke_theory.training.batches import (
    Piece,
    Plan,
    Reader,
    Rows,
    batch_rows,
    channels_last,
    read_ahead,
)
from mke_theory.training.hardware import Hardware

CPU = torch.device("cpu")
# Python 3.12 and later warn of a fork beside threads; torch's workers are made for that.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def stored_pool(folder: Path, n: int = 23) -> Pool:
    """Pictures as bytes on disk, a tensor beside them, and compact dense labels."""
    draw = np.random.default_rng(0)
    np.save(folder / "pictures.npy", draw.integers(0, 256, (n, 3, 4, 5), dtype=np.uint8))
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    scale = Normalise((100.0, 110.0, 120.0), (50.0, 60.0, 70.0))
    return Pool(
        {
            "image": Stored(pictures, scale),
            "x": torch.from_numpy(draw.normal(size=(n, 3)).astype(np.float32)),
        },
        torch.from_numpy(draw.integers(-1, 3, (n, 4, 5), dtype=np.int8)),
    )


def rows_of(piece: Piece, n: int) -> list[int]:
    return list(range(n))[piece.rows] if isinstance(piece.rows, slice) else piece.rows.tolist()


def equal(first: Batch, second: Batch) -> bool:
    return (
        list(first.inputs) == list(second.inputs)
        and all(torch.equal(x, second.inputs[name]) for name, x in first.inputs.items())
        and torch.equal(first.target, second.target)
    )


# --- rows, shares, pieces ------------------------------------------------------------------------


@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 45),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 5),
)
def test_every_epoch_meets_every_row_once(n: int, batch_size: int, seed: int, epoch: int) -> None:
    if batch_size >= n:
        assert batch_rows(n, batch_size, seed, epoch) == slice(0, n)
        return
    batches = math.ceil(n / batch_size)
    rows = [batch_rows(n, batch_size, seed, epoch * batches + i) for i in range(batches)]
    sizes = [len(part) for part in rows if isinstance(part, Tensor)]
    assert sizes == [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
    met = torch.cat([part for part in rows if isinstance(part, Tensor)])
    assert sorted(met.tolist()) == list(range(n))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        parts = [torch.as_tensor(batch_rows(20, 10, seed, 2 * epoch + i)) for i in range(2)]
        return torch.cat(parts).tolist()

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert len({tuple(found) for found in orders}) == 3
    assert order(0, 0) == orders[0]
    assert batch_rows(20, None, 0, 3) == slice(0, 20)


def test_shares_and_pieces_by_hand() -> None:
    # 11 samples whole, two processes: places 0 to 4 and 5 to 10, of at most 2: 1 + 2 + 2, 2 + 2 + 2
    first, second = (Plan(11, None, 0, processes=2, rank=r, micro_batch=2) for r in (0, 1))
    assert [piece.at for piece in first.pieces(0)] == [slice(0, 1), slice(1, 3), slice(3, 5)]
    assert [piece.at for piece in second.pieces(7)] == [slice(5, 7), slice(7, 9), slice(9, 11)]
    assert [piece.last for piece in first.pieces(0)] == [False, False, True]
    assert all(piece.rows == piece.at and piece.total == 11 for piece in first.pieces(3))
    alone = Plan(11, None, 0)
    assert alone.pieces(5) == [Piece(slice(0, 11), slice(0, 11), 11, last=True)]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan(11, None, 0), Piece(slice(0, 11), slice(0, 11), 11)),
        (Plan(11, 11, 0, micro_batch=11), Piece(slice(0, 11), slice(0, 11), 11)),
        (Plan(11, 20, 0, processes=2, rank=1), Piece(slice(5, 11), slice(5, 11), 11)),
        (Plan(11, 10, 0), None),
        (Plan(11, None, 0, micro_batch=10), None),
    ],
)
def test_what_is_all_of_every_step_is_known(plan: Plan, expected: Piece | None) -> None:
    assert plan.always() == expected


@given(
    n=st.integers(1, 60),
    batch_size=st.none() | st.integers(1, 65),
    processes=st.integers(1, 4),
    micro_batch=st.none() | st.integers(1, 70),
    step=st.integers(0, 30),
)
def test_pieces_of_all_processes_make_the_batch(
    n: int, batch_size: int | None, processes: int, micro_batch: int | None, step: int
) -> None:
    whole = n if batch_size is None or batch_size >= n else n % batch_size or batch_size
    if whole < processes:
        with pytest.raises(ValueError, match=rf"smallest batch of an epoch has {whole} of {n}"):
            Plan(n, batch_size, 3, processes)
        return
    batch = batch_rows(n, batch_size, 3, step)
    wanted = list(range(n))[batch] if isinstance(batch, slice) else batch.tolist()
    met: list[int] = []
    places: list[int] = []
    for rank in range(processes):
        pieces = Plan(n, batch_size, 3, processes, rank, micro_batch).pieces(step)
        sizes = [len(rows_of(piece, n)) for piece in pieces]
        assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
        assert max(sizes) <= (micro_batch or n)
        assert len(pieces) == math.ceil(sum(sizes) / (micro_batch or n))
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        for piece in pieces:
            assert piece.total == len(wanted)
            met += rows_of(piece, n)
            places += range(piece.at.start, piece.at.stop)
    assert met == wanted and places == list(range(len(wanted)))


def test_a_piece_draws_what_it_draws_in_the_whole_batch() -> None:
    whole, stream = Stream(9).normal(torch.zeros(7, 2)), Stream(0)
    for piece in Plan(7, None, 0, micro_batch=3).pieces(0):
        piece.restart(stream, 9)
        assert torch.equal(stream.normal(torch.zeros(len(rows_of(piece, 7)), 2)), whole[piece.at])
    (alone,) = Plan(7, None, 0).pieces(0)
    alone.restart(stream, 9)  # which forgets the pieces
    assert torch.equal(stream.normal(torch.zeros(7, 2)), whole)


# --- reading ahead -------------------------------------------------------------------------------

WANTED: list[Rows] = [slice(0, 23), torch.tensor([5, 2, 22, 2]), slice(3, 4), torch.tensor([0])]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_read_the_same_to_the_last_bit(workers: int, tmp_path: Path) -> None:
    pool = stored_pool(tmp_path)
    here = list(read_ahead(pool, WANTED * 3))
    theirs = list(read_ahead(pool, WANTED * 3, workers=workers))
    assert len(here) == len(theirs) == 12
    assert all(equal(a, b) for a, b in zip(here, theirs, strict=True))
    assert all(equal(a, pool[rows]) for a, rows in zip(here, WANTED * 3, strict=True))
    assert theirs[1].target.dtype == torch.long
    assert theirs[1].inputs["image"].dtype == torch.float32


def test_workers_go_when_the_reader_is_closed(tmp_path: Path) -> None:
    steps = range(0, 1000)
    plan, before = Plan(23, 4, 0), len(multiprocessing.active_children())
    reader = Reader(stored_pool(tmp_path), plan, steps, Hardware(workers=2), CPU)
    reader.next()
    assert len(multiprocessing.active_children()) == before + 2
    reader.close()
    gc.collect()
    assert len(multiprocessing.active_children()) == before
    reader.close()


def test_workers_leave_torchs_generator_alone(tmp_path: Path) -> None:
    pool, before = stored_pool(tmp_path), torch.get_rng_state()
    list(read_ahead(pool, WANTED, workers=1))
    assert torch.equal(torch.get_rng_state(), before)


class Broken:
    """Samples of which one cannot be read."""

    modalities = ("x",)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: Any) -> Batch:
        if 2 in torch.arange(4)[index]:
            raise ValueError("clip 2 is damaged")
        return Batch({"x": torch.zeros(1, 1)}, torch.zeros(1, dtype=torch.long))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_read_is_named(workers: int) -> None:
    batches = read_ahead(Broken(), [torch.tensor([i]) for i in range(4)], workers=workers)
    assert len(next(batches)) == len(next(batches)) == 1
    with pytest.raises(ValueError, match="clip 2 is damaged"):
        next(batches)


class Slow:
    """Samples that take two seconds, of a clock that nothing else moves."""

    modalities = ("x",)

    def __init__(self) -> None:
        self.now = 100.0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: Any) -> Batch:
        self.now += 2.0
        return Batch({"x": torch.zeros(1, 1)}, torch.zeros(1, dtype=torch.long))


def test_the_reader_knows_how_long_it_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr("mke_theory.training.batches.time.perf_counter", lambda: slow.now)
    reader = Reader(slow, Plan(4, 1, 0), range(3), Hardware(), CPU)
    assert reader.waited == 0.0
    reader.next()
    slow.now += 50.0  # the step
    reader.next()
    assert reader.waited == 4.0


@pytest.mark.parametrize("workers", [0, 2])
def test_the_reader_goes_through_steps_and_pieces_in_order(workers: int, tmp_path: Path) -> None:
    pool, plan = stored_pool(tmp_path), Plan(23, 8, 1, micro_batch=3)
    reader = Reader(pool, plan, range(2, 5), Hardware(workers=workers), CPU)
    assert not reader.once
    for step in range(2, 5):
        for expected in plan.pieces(step):
            piece, batch = reader.next()
            assert (piece.at, piece.total, piece.last) == (
                expected.at,
                expected.total,
                expected.last,
            )
            assert equal(batch, pool[expected.rows])
    with pytest.raises(StopIteration):
        reader.next()


@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_all_of_every_step_is_read_once(workers: int, tmp_path: Path) -> None:
    pool = stored_pool(tmp_path)
    reader = Reader(pool, Plan(23, None, 0), range(2, 5), Hardware(workers=workers), CPU)
    assert reader.once
    piece, batch = reader.next()
    assert piece == Piece(slice(0, 23), slice(0, 23), 23)
    assert equal(batch, pool[:])
    waited = reader.waited
    again = reader.next()
    assert again[0] is piece and again[1] is batch
    assert reader.waited == waited
    reader.close()


@pytest.mark.gpu
def test_what_workers_read_for_a_gpu_is_pinned(tmp_path: Path) -> None:
    batches = read_ahead(stored_pool(tmp_path), WANTED, workers=1, pin=True)
    batch = next(batches)
    assert all(x.is_pinned() for x in (*batch.inputs.values(), batch.target))
    assert equal(batch, stored_pool(tmp_path)[WANTED[0]])


# --- channels last -------------------------------------------------------------------------------


def test_channels_last_changes_the_order_in_memory_alone(tmp_path: Path) -> None:
    pool = stored_pool(tmp_path)
    batch = pool[torch.tensor([1, 4])]
    moved = channels_last(batch)
    assert equal(batch, moved)
    assert batch.inputs["image"].stride() == (60, 20, 5, 1)
    assert moved.inputs["image"].stride() == (60, 1, 15, 3)
    assert moved.inputs["x"] is batch.inputs["x"] and moved.target is batch.target
    reader = Reader(pool, Plan(23, 2, 0), range(1), Hardware(channels_last=True), CPU)
    assert reader.next()[1].inputs["image"].stride() == (60, 1, 15, 3)
