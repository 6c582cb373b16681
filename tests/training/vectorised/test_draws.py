"""The numbers of a step are those of the single loop's stream."""

from __future__ import annotations

import torch

from mke_theory.data.rng import Stream
from mke_theory.training.vectorised.draws import Draw, Handed, Noise, Notes

DRAWS = [
    Draw("normal", (3,), torch.float64),
    Draw("uniform", (), torch.float32),
    Draw("normal", (2, 2), torch.float32),
]


def by_a_stream(seed: int, rows: int) -> list[torch.Tensor]:
    """The same draws, asked of a stream."""
    stream = Stream(seed)
    return [
        stream.normal(torch.empty(rows, *one.shape, dtype=one.dtype))
        if one.kind == "normal"
        else stream.uniform(torch.empty(rows, 1, dtype=one.dtype), *one.shape)
        for one in DRAWS
    ]


def test_own_numbers_are_those_of_a_stream() -> None:
    noise = Noise(DRAWS, jobs=2, rows=48, device=torch.device("cpu"))
    for job, rows, seed in ((0, 40, 11), (1, 48, 12), (0, 17, 13), (0, 40, 14)):
        noise.own(job, rows, seed)
        for place, expected in zip(noise.places, by_a_stream(seed, rows), strict=True):
            assert torch.equal(place[job, :rows], expected)
    for place, expected in zip(noise.places, by_a_stream(12, 48), strict=True):
        assert torch.equal(place[1], expected)  # as it was left


def test_shared_numbers_follow_from_their_generator() -> None:
    one, other = (Noise(DRAWS, jobs=3, rows=16, device=torch.device("cpu")) for _ in range(2))
    for noise in (one, other):
        noise.share(torch.Generator().manual_seed(5))
    for a, b in zip(one.places, other.places, strict=True):
        assert torch.equal(a, b)
    assert len(one.places[0].unique()) == one.places[0].numel()


def test_notes_are_taken_and_numbers_handed_out_in_order() -> None:
    notes, like = Notes(), torch.empty(4, 3, dtype=torch.float64)
    assert bool((notes.normal(like) == 0.5).all())
    assert notes.uniform(like.float()[:, 0]).shape == (4,)
    assert notes.draws == DRAWS[:2]
    handed = Handed([torch.tensor(1.0), torch.tensor(2.0)])
    assert float(handed.normal(like)) == 1.0 and float(handed.uniform(like, 7)) == 2.0
