"""Maps on disk as rows of numbers: each channel scaled by hand, and by a second way."""

from __future__ import annotations

import numpy as np
import torch

from mke_theory.tasks.files.features.maps import EVERY, standardised_maps


def test_each_channel_is_scaled_over_every_eighth_sample():
    draw = np.random.default_rng(0)
    maps = [draw.normal(3, 2, (20, 2, 2, 3)), draw.normal(0, 1, (20, 1, 1, 2))]
    maps = [each.astype(np.float16) for each in maps]
    fit_on = np.arange(2, 20)
    found = standardised_maps(maps, fit_on)
    assert tuple(found.shape) == (20, 14)
    looked_at = maps[0][fit_on[::EVERY]].astype(np.float64)
    mean, sd = looked_at.mean(axis=(0, 2, 3)), looked_at.std(axis=(0, 2, 3))
    expected = (maps[0].astype(np.float64) - mean[:, None, None]) / sd[:, None, None]
    rows = [4, 0]
    assert np.allclose(found[rows][:, :12], expected[rows].reshape(2, 12), atol=1e-5)


def test_a_constant_channel_becomes_zero_and_rows_outside_the_fit_change_nothing():
    maps = [np.full((9, 1, 2, 2), 7, dtype=np.float16)]
    assert not standardised_maps(maps, np.arange(9))[slice(0, 9)].any()
    draw = np.random.default_rng(1)
    one = draw.normal(0, 1, (9, 2, 2, 2)).astype(np.float16)
    other = one.copy()
    other[8] = 100
    first, second = (standardised_maps([x], np.arange(8))[slice(0, 8)] for x in (one, other))
    assert torch.equal(first, second)
