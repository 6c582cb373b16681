from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.synthetic.discrete import gate
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.observed import Bumps, Lifted, Observed, View
from mke_theory.synthetic.world import World

HIDDEN = Gaussian(signal=(0.5, 0.7, 0.9), dims=(3, 2, 5), classes=3)
SEEN = Observed(HIDDEN, (Lifted("x1", size=40), Bumps("x2"), Bumps("x3", side=12)))
VIEWS: list[View] = [
    Lifted("x", size=12),
    Lifted("x", size=100, bend=4.0, seed=3),
    Bumps("x"),
    Bumps("x", side=9, reach=1.0, spread=0.8),
]


@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from(VIEWS))
def test_a_view_can_be_undone(seed: int, numbers: int, view: View) -> None:
    x = 2 * np.random.default_rng(seed).normal(size=(7, numbers))
    shown = view.show(x)
    assert shown.shape == (7, *view.shape(numbers))
    np.testing.assert_allclose(view.undo(shown, numbers), x, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_smooth(view: View) -> None:
    # Half of a small step moves what is shown half as far: a jump or a kink would not.
    rng = np.random.default_rng(0)
    x, step = rng.normal(size=(200, 3)), 1e-5 * rng.normal(size=(200, 3))
    whole, half = view.show(x + step) - view.show(x), view.show(x + step / 2) - view.show(x)
    size = np.linalg.norm(whole.reshape(200, -1), axis=1)
    assert (size > 0).all()
    assert (np.linalg.norm((whole - 2 * half).reshape(200, -1), axis=1) < 0.01 * size).all()


def test_pictures_by_hand() -> None:
    # At 0 the bump is in the middle of its tile; far right and far down it is `reach` away.
    image = Bumps("x", side=9, reach=0.5, spread=1.0).show(np.array([[0.0, 0.0, 1e9, 1e9]]))
    assert image.shape == (1, 1, 9, 18)
    assert image[0, 0, 4, 4] == 1
    assert image[0, 0, 6, 9 + 6] == pytest.approx(1)
    # A third number has a tile of its own, in which it moves the bump right alone.
    odd = Bumps("x", side=9, reach=0.5, spread=1.0).show(np.array([[0.0, 0.0, -1e9]]))
    assert odd[0, 0, 4, 9 + 2] == pytest.approx(1)


def test_bend_hides_what_a_linear_map_could_read() -> None:
    # The share of x's variance that the best linear map of what is shown gets, on other samples.
    x = np.random.default_rng(0).normal(size=(4000, 8))
    read = []
    for bend in (0.1, 1.0, 3.0):
        shown = np.column_stack([Lifted("x", size=64, bend=bend).show(x), np.ones(len(x))])
        weights = np.linalg.lstsq(shown[:2000], x[:2000], rcond=None)[0]
        rest = x[2000:] - shown[2000:] @ weights
        read.append(1 - (rest**2).sum() / (x[2000:] ** 2).sum())
    assert read[0] > 0.99
    assert 0.1 < read[1] < 0.6
    assert read[2] < 0.15


def test_nothing_is_lost() -> None:
    behind = HIDDEN.sample(300, np.random.default_rng(4))
    seen = SEEN.sample(300, np.random.default_rng(4))
    np.testing.assert_array_equal(seen.labels, behind.labels)
    for names in (("x1",), ("x3", "x2"), SEEN.modalities):
        read = SEEN.posterior({name: seen.inputs[name] for name in names})
        known = HIDDEN.posterior({name: behind.inputs[name] for name in names})
        np.testing.assert_allclose(read, known, atol=1e-7)
        assert SEEN.bayes_error(names) == HIDDEN.bayes_error(names)
    world: World = SEEN
    assert world.shapes == {"x1": (40,), "x2": (1, 16, 16), "x3": (1, 12, 36)}
    np.testing.assert_array_equal(world.priors, HIDDEN.priors)
    assert world.classes == 3


def test_single_precision_is_enough() -> None:
    seen = SEEN.sample(200, np.random.default_rng(0)).inputs
    single = {name: torch.tensor(x, dtype=torch.float32).numpy() for name, x in seen.items()}
    np.testing.assert_allclose(SEEN.posterior(single), SEEN.posterior(seen), atol=1e-3)


def test_errors_on_samples_agree_with_the_exact_ones() -> None:
    # Two worlds, two choices of modalities, each at 1 − 1e-5: false alarm 4e-5.
    bits = gate(lambda bits: bits.min(axis=1), 2, ("x1", "x2", "x3"), noise=0.1)
    for world in (SEEN, Observed(bits, (Bumps("x2"), Lifted("x3", size=5)))):
        draw = world.sample(3000, np.random.default_rng(1))
        for names in (("x2",), world.modalities):
            guess = world.posterior({m: draw.inputs[m] for m in names}).argmax(axis=1)
            wrong = int((guess != draw.labels).sum())
            interval = clopper_pearson(wrong, len(draw), level=1 - 1e-5)
            exact = world.bayes_error(names)
            assert interval.low - exact.tolerance <= exact.value <= interval.high + exact.tolerance


@pytest.mark.parametrize("name", ["x1", "x2", "x3"])
def test_a_sample_that_no_view_shows_is_refused(name: str) -> None:
    x = SEEN.sample(5, np.random.default_rng(0)).inputs[name]
    noisy = x + 0.1 * np.random.default_rng(1).normal(size=x.shape)
    with pytest.raises(ValueError, match=r"is off by|cannot be read"):
        SEEN.posterior({name: noisy})
    with pytest.raises(ValueError, match=r"is off by|cannot be read"):
        SEEN.posterior({name: np.ones_like(x)})


@pytest.mark.parametrize("side", [9, 16])
def test_numbers_that_single_precision_cannot_show_are_refused(side: int) -> None:
    # At 45 rounding moves the number by about 0.01, at 1000 by more than 100.
    seen = Observed(Gaussian(dims=(2, 2), mixing_seed=None), (Bumps("x1", side=side),))
    shown = seen.shown({"x1": np.array([[0.1, 45.0]])})
    assert seen.behind(shown)["x1"] == pytest.approx(np.array([[0.1, 45.0]]), abs=1e-6)
    with pytest.raises(ValueError, match="a number too large for single precision"):
        seen.behind(seen.shown({"x1": np.array([[0.1, 1000.0]])}))


@pytest.mark.parametrize("change", [{"linear": 0.001}, {"bend": 30.0}])
def test_lifts_that_single_precision_cannot_undo_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="raise linear, or lower bend"):
        Lifted("x1", **change)


def test_no_sample_is_shown_as_none() -> None:
    hidden = {name: np.zeros((0, *shape)) for name, shape in HIDDEN.shapes.items()}
    assert {name: x.shape[1:] for name, x in SEEN.shown(hidden).items()} == SEEN.shapes
    none = {name: np.zeros((0, *shape)) for name, shape in SEEN.shapes.items()}
    assert SEEN.posterior(none).shape == (0, 3)


def test_impossible_views_are_refused() -> None:
    with pytest.raises(ValueError, match="x9"):
        Observed(HIDDEN, (Bumps("x9"),))
    with pytest.raises(ValueError, match="one modality has one view"):
        Observed(HIDDEN, (Bumps("x1"), Lifted("x1")))
    with pytest.raises(ValueError, match="at least 5"):
        Observed(HIDDEN, (Lifted("x3", size=4),))
    with pytest.raises(MemoryError, match="limit is 65,536"):
        Observed(HIDDEN, (Bumps("x1", side=200),))
    with pytest.raises(ValueError, match="bend is -1"):
        Lifted("x1", bend=-1.0)
    with pytest.raises(ValueError, match="size is 4000"):
        Lifted("x1", size=4000)
    with pytest.raises(ValueError, match="reach is"):
        Bumps("x1", reach=1.5)
    with pytest.raises(ValueError, match="spread is"):
        Bumps("x1", spread=0.1)
    with pytest.raises(ValueError, match="side is 3"):
        Bumps("x1", side=3)
    with pytest.raises(ValueError, match="x9"):
        SEEN.posterior({"x9": np.zeros((2, 1))})
