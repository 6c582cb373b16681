"""Standardised data have mean 0 and sd 1 on training rows, and know nothing of test rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from mke_theory.tasks.files.standardise import (
    Array,
    colour_normaliser,
    column_moments,
    overall_standardiser,
    standardiser,
)

Scaling = Callable[[Array], Callable[[Array], Array]]
both = pytest.mark.parametrize("fit", [standardiser, overall_standardiser])
NAN = float("nan")


def test_standardiser_by_hand() -> None:
    # Columns 1, 3 and 10, 30: means 2 and 20, sd 1 and 10 (divided by n, as scikit-learn does).
    scaled = standardiser(np.array([[1.0, 10.0], [3.0, 30.0]]))
    assert scaled(np.array([[1.0, 40.0], [2.0, 20.0]])).tolist() == [[-1, 2], [0, 0]]


def test_overall_standardiser_by_hand() -> None:
    # 0, 0, 4, 4 in any shape: mean 2, sd 2.
    scaled = overall_standardiser(np.array([[[0.0], [4.0]], [[4.0], [0.0]]]))
    assert scaled(np.array([[8.0, 2.0, 0.0]])).tolist() == [[3, 0, -1]]


@given(st.integers(0, 1000), st.integers(2, 30), st.floats(0.01, 1e4))
def test_standardiser_agrees_with_scikit_learn(seed: int, n: int, size: float) -> None:
    draw = np.random.default_rng(seed)
    train, test = size * draw.normal(3, 1, (n, 4)), size * draw.normal(size=(5, 4))
    expected = StandardScaler().fit(train).transform(test)
    np.testing.assert_allclose(standardiser(train)(test), expected, rtol=1e-9, atol=1e-9)
    scaled = standardiser(train)(train)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-9)


@both
def test_normalisation_sees_no_test_rows(fit: Scaling) -> None:
    data = np.random.default_rng(0).normal(size=(20, 3))
    train = np.arange(20) < 12
    wild = data.copy()
    wild[~train] = 1e6
    assert np.array_equal(fit(data[train])(data)[train], fit(wild[train])(wild)[train])
    # And a test row is scaled by the training rows, whatever stands beside it.
    assert np.array_equal(fit(data[train])(data)[15], fit(data[train])(data[15:16])[0])


@both
def test_missing_rows_do_not_count(fit: Scaling) -> None:
    data = np.random.default_rng(1).normal(size=(8, 2))
    holed = np.concatenate([data, np.full((3, 2), NAN)])
    assert np.array_equal(fit(holed)(data), fit(data)(data))
    assert np.isnan(fit(holed)(holed)[8:]).all()


@both
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e6 + 0.1])
@pytest.mark.parametrize("n", [1, 3, 7, 1000])
def test_what_is_constant_says_nothing(fit: Scaling, value: float, n: int) -> None:
    # The sd of n times 0.1 may come out as 1e-17 instead of 0, and then 0.2 would become 1e16.
    scaled = fit(np.full((n, 1), value))
    assert scaled(np.array([[value + 1.0], [value], [NAN]]))[:2, 0].tolist() == [0.0, 0.0]
    assert np.isnan(scaled(np.array([[NAN]]))).all()  # what is missing stays missing


def test_constant_columns_beside_others() -> None:
    # The last column is 1 but for the rounding of single precision: no scale either.
    train = np.array([[0.1, 1.0, 1.0], [0.1, 3.0, 1 + 2.0**-23], [0.1, 5.0, 1.0]])
    found = standardiser(train)(np.array([[250.0, 5.0, 1.001]]))
    assert found[0].tolist() == pytest.approx([0.0, 1.5**0.5, 0.0])


def test_small_numbers_and_small_differences_are_kept() -> None:
    train = np.array([[1e-9, 1e6], [3e-9, 1e6 + 2]])  # apart by two millionths: twice the rounding
    np.testing.assert_allclose(standardiser(train)(train), [[-1, -1], [1, 1]])


@both
def test_nothing_to_fit_on_is_refused(fit: Scaling) -> None:
    for train in (np.full((3, 1), NAN), np.zeros((0, 1))):
        with pytest.raises(ValueError, match="1 of 1 columns hold no number in the training rows"):
            fit(train)


def test_a_single_empty_column_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 columns"):
        standardiser(np.array([[1.0, NAN], [2.0, NAN]]))


def test_colours_of_bytes_as_in_floats() -> None:
    raw = np.random.default_rng(0).integers(0, 256, size=(9, 3, 4, 5), dtype=np.uint8)
    raw[:, 2] = 7  # constant: says nothing
    scale = colour_normaliser(raw)
    plain = raw.astype(np.float64)
    assert scale.mean == pytest.approx(plain.mean(axis=(0, 2, 3)))
    assert scale.sd[:2] == pytest.approx(plain.std(axis=(0, 2, 3))[:2]) and scale.sd[2] == np.inf
    films = raw[:, None].repeat(2, axis=1)
    assert colour_normaliser(films, axis=2).mean == pytest.approx(scale.mean)


@pytest.mark.parametrize(
    "train", [np.zeros((0, 3, 4, 4), np.uint8), np.zeros((2, 3, 4, 4)), np.zeros((2, 3), np.int16)]
)
def test_colours_are_fitted_on_bytes_that_are_there(train: np.ndarray) -> None:
    with pytest.raises(ValueError, match="colours are scaled by uint8 training rows"):
        colour_normaliser(train)


@given(
    n=st.integers(2, 80),
    d=st.integers(1, 6),
    block=st.integers(1, 90),
    seed=st.integers(0, 2**16),
)
def test_moments_by_blocks_are_those_of_all_rows(n: int, d: int, block: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, d)) * 10.0 ** draw.integers(-3, 4) + 100 * draw.normal()
    x[1:][draw.random(n - 1) < 0.3] = np.nan
    x[~np.isnan(x[:, 0]), 0] = 0.1  # rounding alone would give it a spread
    mean, sd = column_moments(lambda: (x[at : at + block] for at in range(0, n, block)))
    np.testing.assert_array_equal((x - mean) / sd, standardiser(x)(x))


def test_moments_by_hand() -> None:
    rows = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, np.nan], [5.0, 5.0]])
    mean, sd = column_moments(lambda: iter((rows[:1], rows[1:])))
    assert mean.tolist() == [3.0, 5.0] and sd.tolist() == [pytest.approx((8 / 3) ** 0.5), np.inf]
    with pytest.raises(ValueError, match="2 of 2 columns hold no number"):
        column_moments(lambda: iter((rows[2:3],)))
