"""Perturbations of the stated size and rate, the same however the batch is cut."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from mke_theory.data.pool import Pool, is_present, refuse_bad_values
from mke_theory.data.rng import Stream
from mke_theory.method.job import TrainingJob, one_by_one
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import (
    ColourJitter,
    Compose,
    Cutout,
    Dropout,
    FeatureMasking,
    GaussianNoise,
    HiddenNoise,
    InputNoise,
    ModalityDropout,
    SpectrogramMasking,
    Transform,
    acting,
    mean_magnitude,
)
from mke_theory.models import coordinates
from mke_theory.training.loop import Fit, TrainConfig
from mke_theory.training.vectorised.engine import side_by_side
from tests.method.streams import Told

NAN = float("nan")
Inputs = dict[str, Tensor]


def some_inputs(n: int = 12) -> Inputs:
    """Pictures a [n, 3, 4, 5] and frames b [n, 2, 3, 4, 5]; a lacks samples 3 and 5, b 4 and 5."""
    draw = torch.Generator().manual_seed(1)
    a, b = torch.randn(n, 3, 4, 5, generator=draw), torch.randn(n, 2, 3, 4, 5, generator=draw)
    a[[3, 5]], b[[4, 5]] = NAN, NAN
    return {"a": a, "b": b}


def some_features(n: int = 12) -> Inputs:
    draw = torch.Generator().manual_seed(2)
    return {"a": torch.randn(n, 8, generator=draw), "b": torch.randn(n, 6, generator=draw)}


SCALE = (("a", 2.0), ("b", 0.5))
ON_INPUTS: list[Transform] = [
    InputNoise(0.7, scale=SCALE),
    GaussianNoise(0.3),
    ModalityDropout(0.5),
    FeatureMasking(0.4),
    ColourJitter(0.3, 0.4, 0.5),
    SpectrogramMasking(0.5, 0.4, fill=0.1),
    Cutout(0.5),
    Compose((GaussianNoise(0.1), ModalityDropout(0.4), FeatureMasking(0.2))),
]
ON_FEATURES: list[Transform] = [
    HiddenNoise(0.7),
    Dropout(0.4),
    Compose((Dropout(0.2), HiddenNoise(0.5))),
]
every_transform = pytest.mark.parametrize("transform", [*ON_INPUTS, *ON_FEATURES], ids=str)
on_inputs = pytest.mark.parametrize("transform", ON_INPUTS, ids=str)


def applied(transform: Transform, stream: Stream, rows: slice = slice(None)) -> Inputs:
    """The inputs and then the features, perturbed as in a training step."""
    inputs = transform.inputs({name: x[rows] for name, x in some_inputs().items()}, stream)
    features = transform.hidden({name: h[rows] for name, h in some_features().items()}, stream)
    return together(inputs, features)


def together(inputs: Inputs, features: Inputs) -> Inputs:
    return {f"{name} inputs": x for name, x in inputs.items()} | {
        f"{name} features": h for name, h in features.items()
    }


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(torch.nan_to_num(x, 9e9), torch.nan_to_num(second[name], 9e9))
        for name, x in first.items()
    )


def only_moves(transform: Transform, *modalities: str) -> bool:
    """True where, of all inputs and features, exactly those of `modalities` are perturbed."""
    before = together(some_inputs(), some_features())
    after = applied(transform, Stream(3))
    moved = {n.split()[0] for n, x in before.items() if not same({n: x}, {n: after[n]})}
    return moved == set(modalities)


# --- what holds for every transform --------------------------------------------------------------


@every_transform
def test_the_same_seed_perturbs_alike(transform: Transform) -> None:
    first = applied(transform, Stream(3))
    assert same(first, applied(transform, Stream(3)))
    assert not same(first, applied(transform, Stream(4)))


@every_transform
def test_every_modality_is_perturbed_unless_only_says_otherwise(transform: Transform) -> None:
    assert only_moves(transform, "a", "b")
    for name in "a", "b":
        steps = transform.steps if isinstance(transform, Compose) else (transform,)
        assert only_moves(Compose(tuple(replace(step, only=(name,)) for step in steps)), name)


@every_transform
def test_a_batch_in_parts_is_perturbed_as_a_whole(transform: Transform) -> None:
    whole = applied(transform, Stream(3))
    for size in (1, 5):
        parts = [
            applied(transform, Stream(3, rows=rows, total=12), rows)
            for rows in (slice(i, min(i + size, 12)) for i in range(0, 12, size))
        ]
        assert same({name: torch.cat([part[name] for part in parts]) for name in whole}, whole)


@every_transform
def test_shapes_types_and_the_given_tensors_stay(transform: Transform) -> None:
    inputs = {name: x.double() for name, x in some_inputs().items()}
    features = {name: x.double() for name, x in some_features().items()}
    moved, perturbed = transform.inputs(inputs, Stream(0)), transform.hidden(features, Stream(0))
    for before, after in ((inputs, moved), (features, perturbed)):
        assert [(n, x.shape, x.dtype) for n, x in before.items()] == [
            (n, x.shape, x.dtype) for n, x in after.items()
        ]
    assert same(inputs, {name: x.double() for name, x in some_inputs().items()})
    assert same(features, {name: x.double() for name, x in some_features().items()})


@on_inputs
def test_missing_modalities_stay_missing(transform: Transform) -> None:
    for seed in range(10):
        inputs = some_inputs()
        for name, moved in transform.inputs(inputs, Stream(seed)).items():
            refuse_bad_values(name, moved)  # nothing is half missing
            assert not (is_present(moved) & ~is_present(inputs[name])).any()


@pytest.mark.parametrize(
    "transform",
    [
        Transform(),
        InputNoise(0.0, scale=SCALE),
        GaussianNoise(0.0),
        ModalityDropout(0.0),
        FeatureMasking(0.0),
        ColourJitter(0.0, 0.0, 0.0),
        SpectrogramMasking(0.0, 0.0),
        Cutout(0.0),
        HiddenNoise(0.0),
        Dropout(0.0),
        Compose(),
        Compose((GaussianNoise(0.0), Compose((Dropout(0.0),)))),
    ],
    ids=str,
)
def test_strength_0_is_the_identity(transform: Transform) -> None:
    assert only_moves(transform)


# --- noise ---------------------------------------------------------------------------------------


def test_the_noise_scale_comes_from_the_pool() -> None:
    # |x|: 1, 3, 2, 4 without the missing sample, mean 2.5; 8 and 0, mean 4.
    a = torch.tensor([[1.0, -3.0], [NAN, NAN], [2.0, -4.0]])
    b = torch.tensor([-8.0, 0.0, NAN])
    pool = Pool({"a": a, "b": b}, torch.tensor([0, 1, 0]))
    noise = InputNoise(0.5).calibrated(pool)
    assert noise.scale == (("a", 2.5), ("b", 4.0))
    assert InputNoise(0.5, only=("b",)).calibrated(pool).scale == (("b", 4.0),)
    # The notebook takes one scale for all: 18 in 6 numbers.
    pooled = InputNoise(0.5, pooled=True).calibrated(pool)
    assert pooled.scale == (("a", 3.0), ("b", 3.0))
    # A pool without the modality that `only` names (a unimodal student's) needs no scale.
    for pooled_ in (True, False):
        assert InputNoise(only=("c",), pooled=pooled_).calibrated(pool).scale == ()
    moved = noise.inputs({"a": a, "b": b}, Stream(6))
    stream = Stream(6)
    assert torch.equal(moved["a"][[0, 2]], (a + 0.5 * 2.5 * stream.normal(a))[[0, 2]])
    assert torch.equal(moved["b"][:2], (b + 0.5 * 4.0 * stream.normal(b))[:2])


def test_the_noise_does_not_depend_on_the_batch() -> None:
    # Small and large values, early or late in a batch: the noise added is the same.
    noise = InputNoise(1.0, scale=(("a", 2.0),))
    x = torch.zeros(6, 3, dtype=torch.float64)
    added = noise.inputs({"a": x}, Stream(0))["a"]
    large = noise.inputs({"a": x + 1000.0}, Stream(0))["a"] - 1000.0
    torch.testing.assert_close(large, added)


def test_the_scale_of_a_large_pool_is_its_mean() -> None:
    x = torch.linspace(-1, 5, 2 * 2500).reshape(2500, 2) ** 3
    pool = Pool({"a": x}, torch.zeros(2500, dtype=torch.long))
    assert mean_magnitude(pool, "a") == pytest.approx(float(x.double().abs().mean()), rel=1e-9)


def test_noise_refuses_where_it_knows_no_scale() -> None:
    with pytest.raises(ValueError, match=r"no scale for modality 'a'; call calibrated"):
        InputNoise(1.0).inputs(some_inputs(), Stream(0))
    missing = Pool({"a": torch.full((3, 2), NAN)}, torch.zeros(3))
    with pytest.raises(ValueError, match="modality a is missing in every sample"):
        InputNoise(1.0).calibrated(missing)


def within(sample: Tensor, sd: float) -> None:
    """Mean 0 and the given spread, each with a false-alarm rate of 1e-6."""
    n, values = sample.numel(), sample.double() / sd
    assert stats.norm.sf(abs(float(values.mean())) * n**0.5) > 5e-7
    assert 5e-7 < stats.chi2.cdf(float(values.square().sum()), n) < 1 - 5e-7


def test_noise_has_the_stated_size() -> None:
    x = torch.full((10_000, 2), 3.0, dtype=torch.float64)
    pool = Pool({"a": x}, torch.zeros(10_000, dtype=torch.long))
    within(InputNoise(0.5).calibrated(pool).inputs({"a": x}, Stream(0))["a"] - x, sd=1.5)
    within(GaussianNoise(0.2).inputs({"a": x}, Stream(1))["a"] - x, sd=0.2)
    within(HiddenNoise(0.5).hidden({"a": x}, Stream(2))["a"] - x, sd=1.5)
    # Two steps draw independently of each other: their variances add up.
    both = Compose((GaussianNoise(3.0), GaussianNoise(4.0)))
    within(both.inputs({"a": x}, Stream(3))["a"] - x, sd=5.0)


def test_hidden_noise_is_measured_on_each_sample() -> None:
    # mean|h| is 2 in the first sample and 0.5 in the second.
    h = torch.tensor([[1.0, -3.0], [0.5, 0.5]])
    noise = HiddenNoise(1.0)
    moved = noise.hidden({"a": h}, Stream(5))["a"]
    size = torch.tensor([[2.0], [0.5]])
    torch.testing.assert_close(moved, h + size * Stream(5).normal(h))
    # Its size is data: the gradient passes as if the noise were a constant.
    grad = torch.func.grad(lambda x: noise.hidden({"a": x}, Stream(5))["a"].sum())(h)
    assert torch.equal(grad, torch.ones_like(h))


# --- modality dropout ----------------------------------------------------------------------------


def dropped(transform: ModalityDropout, inputs: Inputs, seed: int = 0) -> dict[str, Tensor]:
    moved = transform.inputs(inputs, Stream(seed))
    for name, x in inputs.items():  # what is kept is kept as it was
        kept = is_present(moved[name])
        assert torch.equal(moved[name][kept], x[kept])
    return {name: is_present(x) & ~is_present(moved[name]) for name, x in inputs.items()}


def share(flags: Tensor, expected: float) -> None:
    """As many as a binomial law allows; false-alarm rate 1e-6."""
    assert stats.binomtest(int(flags.sum()), flags.numel(), expected).pvalue > 1e-6


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_modalities_go_missing_at_the_stated_rate(probability: float) -> None:
    inputs = {name: torch.zeros(5000, 2) for name in ("a", "b")}
    one = dropped(ModalityDropout(probability, only=("a",)), inputs)
    share(one["a"], probability)
    assert not one["b"].any()
    # With both at risk, one of them returns where both would go.
    both = dropped(ModalityDropout(probability), inputs)
    share(both["a"], probability - probability**2 / 2)
    share(both["b"], probability - probability**2 / 2)
    share(both["a"] | both["b"], 1 - (1 - probability) ** 2)


@given(
    has=st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=8),
    probability=st.sampled_from([0.5, 0.95, 1.0]),
    only=st.sampled_from([None, ("a",), ("a", "c"), ()]),
    seed=st.integers(0, 100),
)
def test_the_last_modality_is_never_dropped(
    has: list[tuple[bool, ...]], probability: float, only: tuple[str, ...] | None, seed: int
) -> None:
    present = torch.tensor(has)
    inputs = {
        name: torch.where(present[:, i, None], torch.ones(len(has), 2), NAN)
        for i, name in enumerate("abc")
    }
    gone = torch.stack([*dropped(ModalityDropout(probability, only), inputs, seed).values()], 1)
    left = present & ~gone
    assert torch.equal(left.any(1), present.any(1))
    protected = torch.tensor([only is not None and name not in only for name in "abc"])
    assert not (gone & protected).any()
    if probability == 1.0:  # all that may go is gone, but for one where nothing else is left
        assert torch.equal(left.sum(1), (present & protected).sum(1).clamp(min=1) * present.any(1))


def test_each_modality_is_as_likely_to_be_the_last() -> None:
    inputs = {name: torch.zeros(6000, 1) for name in "abc"}
    inputs["c"][3000:] = NAN
    gone = dropped(ModalityDropout(1.0), inputs)
    kept = torch.stack([~gone[name] & is_present(x) for name, x in inputs.items()], dim=1)
    # Chi-square against equal shares; false-alarm rate 1e-6 each.
    assert stats.chisquare(kept[:3000].sum(0)).pvalue > 1e-6
    assert stats.chisquare(kept[3000:, :2].sum(0)).pvalue > 1e-6


def test_modalities_and_samples_are_dropped_independently() -> None:
    inputs = {name: torch.zeros(4000, 1) for name in "abc"}
    gone = dropped(ModalityDropout(0.5, only=("a", "b")), inputs)
    table = [[(gone["a"] == i) & (gone["b"] == j) for j in (0, 1)] for i in (0, 1)]
    counts = np.array([[int(cell.sum()) for cell in row] for row in table])
    # Chi-square tests of independence; false-alarm rate 1e-6 each.
    assert stats.chi2_contingency(counts).pvalue > 1e-6
    here, next_one = gone["a"][:-1], gone["a"][1:]
    follows = [[int(((here == i) & (next_one == j)).sum()) for j in (0, 1)] for i in (0, 1)]
    assert stats.chi2_contingency(np.array(follows)).pvalue > 1e-6


# --- masking and dropout -------------------------------------------------------------------------


def independent(flags: Tensor, expected: float) -> None:
    """Flags of a sample fall independently: the counts [n] spread as a binomial law has it.

    Their squared deviations over the variance are about chi-square; false-alarm rate 1e-6.
    """
    counts, entries = flags.flatten(1).sum(1).double(), flags[0].numel()
    spread = (counts - entries * expected).square() / (entries * expected * (1 - expected))
    assert 5e-7 < stats.chi2.cdf(float(spread.sum()), len(counts)) < 1 - 5e-7


def test_entries_are_masked_at_the_stated_rate() -> None:
    x = torch.ones(1000, 4, 5)
    moved = FeatureMasking(0.3).inputs({"a": x}, Stream(0))["a"]
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    share(moved == 0, 0.3)
    independent(moved == 0, 0.3)
    assert not FeatureMasking(1.0).inputs({"a": x}, Stream(0))["a"].any()


def test_dropout_keeps_the_mean() -> None:
    h = torch.full((4000, 6), 3.0, dtype=torch.float64)
    moved = Dropout(0.25).hidden({"a": h}, Stream(0))["a"]
    assert set(moved.unique().tolist()) == {0.0, 4.0}
    share(moved == 0, 0.25)
    independent(moved == 0, 0.25)
    # A kept entry has variance 9 · p/(1 − p) = 3; false-alarm rate 6e-7.
    assert abs(float(moved.mean()) - 3.0) < 5 * (3.0 / h.numel()) ** 0.5


# --- pictures and sounds -------------------------------------------------------------------------


def test_colours_by_hand() -> None:
    # Two pixels, (3, 0, 0) of grey 1 and (0, 6, 3) of grey 3; the sample's mean is 2.
    x = torch.tensor([[3.0, 0.0], [0.0, 6.0], [0.0, 3.0]]).reshape(1, 3, 1, 2)
    told = Told(1.0, 0.0, 0.75)  # +1, −1 and +1/2 times the strengths
    for strengths, expected in [
        ((0.3, 0.0, 0.0), [[3.3, 0.3], [0.3, 6.3], [0.3, 3.3]]),
        ((0.0, 0.5, 0.0), [[2.5, 1.0], [1.0, 4.0], [1.0, 2.5]]),
        ((0.0, 0.0, 0.4), [[3.4, -0.6], [-0.2, 6.6], [-0.2, 3.0]]),
        ((0.3, 0.5, 0.4), [[3.0, 1.0], [1.2, 4.6], [1.2, 2.8]]),
    ]:
        seen = ColourJitter(*strengths).inputs({"a": x}, told)["a"]
        torch.testing.assert_close(seen.reshape(3, 2), torch.tensor(expected))


def test_all_frames_of_a_sample_are_in_one_light() -> None:
    picture = some_inputs()["a"][:3]
    video = torch.stack([picture, picture], dim=1)
    seen = ColourJitter().inputs({"a": picture}, Stream(0))["a"]
    frames = ColourJitter().inputs({"a": video}, Stream(0))["a"]
    for i in range(2):
        torch.testing.assert_close(frames[:, i], seen)
    # The mean that contrast leaves alone is that of the sample, not of the frame.
    video = torch.stack([picture, picture + 1.0], dim=1)
    seen = ColourJitter(0.0, 0.9, 0.0).inputs({"a": video}, Stream(0))["a"]
    torch.testing.assert_close(seen.flatten(1).mean(1), video.flatten(1).mean(1))
    between = (seen[:, 1] - seen[:, 0]).flatten(1)
    torch.testing.assert_close(between, between[:, :1].expand_as(between))
    assert bool((between[:, 0] - 1.0).abs().gt(0.01).all())


def test_colours_change_by_the_stated_factors() -> None:
    # Pixels (1, 0, −1) and (0, −1, 1): grey 0 both, mean 0.
    x = torch.tensor([[1.0, 0.0], [0.0, -1.0], [-1.0, 1.0]]).reshape(1, 3, 1, 2)
    x = x.double().expand(3000, 3, 1, 2)
    for strengths in ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5)):
        seen = ColourJitter(*strengths).inputs({"a": x}, Stream(1))["a"] - x
        drawn = seen[:, 0, 0, 0]  # the number added to 1, by brightness or by a factor
        # A Kolmogorov–Smirnov test; false-alarm rate 1e-6.
        assert stats.kstest(drawn.numpy(), stats.uniform(-0.5, 1.0).cdf).pvalue > 1e-6
    all_three = ColourJitter(0.5, 0.5, 0.5).inputs({"a": x}, Stream(1))["a"]
    light = all_three.flatten(1).mean(1)
    size = (all_three - light.reshape(-1, 1, 1, 1)).flatten(1).square().mean(1)
    # Spearman's rank correlation; false-alarm rate 1e-6.
    assert stats.spearmanr(light.numpy(), size.numpy()).pvalue > 1e-6


def test_a_spectrogram_is_masked_by_hand() -> None:
    x = torch.ones(1, 1, 4, 5)
    masking = SpectrogramMasking(0.5, 0.4, fill=7.0)
    # At most 2 of 4 bands and 2 of 5 frames. 1 = ⌊0.5 · 3⌋ band, the last of 4 places; 2 frames,
    # the third of 4 places.
    seen = masking.inputs({"a": x}, Told(0.5, 0.99, 0.9, 0.5))["a"][0, 0]
    rows = [[1, 1, 7, 7, 1]] * 3 + [[7] * 5]
    assert torch.equal(seen, torch.tensor(rows).float())
    # None of either; then all there may be, from the start.
    assert torch.equal(masking.inputs({"a": x}, Told(0.3, 0.3, 0.5, 0.5))["a"], x)
    seen = masking.inputs({"a": x}, Told(0.99, 0.99, 0.0, 0.0))["a"][0, 0]
    assert torch.equal(seen, torch.tensor([[7] * 5] * 2 + [[7, 7, 1, 1, 1]] * 2).float())
    assert not SpectrogramMasking(1.0, 0.0).inputs({"a": x}, Told(0.99, 0.5, 0.5, 0.5))["a"].any()


def test_runs_are_uniform_in_length_and_place() -> None:
    x = torch.ones(6000, 1, 7, 9)
    seen = SpectrogramMasking(0.3, 0.0).inputs({"a": x}, Stream(2))["a"][:, 0]
    masked = seen[:, :, 0] == 0
    assert torch.equal(seen == 0, masked.unsqueeze(2).expand_as(seen))
    length, start = masked.sum(1), masked.int().argmax(1)
    # 0, 1 or 2 of 7 bands. Chi-square against equal shares; false-alarm rate 1e-6 each.
    assert stats.chisquare(torch.bincount(length, minlength=3)).pvalue > 1e-6
    for long in (1, 2):
        places = torch.bincount(start[length == long])
        assert len(places) == 8 - long
        assert stats.chisquare(places).pvalue > 1e-6
    # Bands and frames are masked independently of each other. False-alarm rate 1e-6.
    seen = SpectrogramMasking(0.3, 0.3).inputs({"a": x}, Stream(3))["a"][:, 0]
    whole_bands, whole_frames = (seen == 0).all(2).sum(1), (seen == 0).all(1).sum(1)
    table = np.zeros((3, 4))
    np.add.at(table, (whole_bands.numpy(), whole_frames.numpy()), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-6


def test_a_rectangle_is_cut_out_by_hand() -> None:
    x = torch.ones(1, 3, 4, 6)
    seen = Cutout(0.5, fill=-2.0).inputs({"a": x}, Told(0.4, 0.99))["a"][0]
    # 2 of 4 rows from the second of 3 places, 3 of 6 columns from the last of 4.
    plain, cut = [1] * 6, [1, 1, 1, -2, -2, -2]
    assert torch.equal(seen, torch.tensor([[plain, cut, cut, plain]] * 3).float())
    assert not Cutout(1.0).inputs({"a": x}, Stream(0))["a"].any()


def test_rectangles_lie_everywhere_alike() -> None:
    x = torch.ones(6000, 1, 4, 4)
    seen = Cutout(0.5).inputs({"a": x}, Stream(4))["a"][:, 0] == 0
    assert torch.equal(seen.flatten(1).sum(1), torch.full((6000,), 4))
    rows, columns = seen.any(2).int().argmax(1), seen.any(1).int().argmax(1)
    # Chi-square against equal shares of the 9 places; false-alarm rate 1e-6.
    assert stats.chisquare(torch.bincount(3 * rows + columns, minlength=9)).pvalue > 1e-6


@pytest.mark.parametrize(
    "make",
    [
        lambda share: ColourJitter(share, 0.5 * share, share),
        lambda share: SpectrogramMasking(share, 0.8 * share, fill=0.1 * share),
        lambda share: Cutout(share, fill=share),
    ],
)
def test_jobs_on_pictures_are_trained_side_by_side(make: Callable[[float], Transform]) -> None:
    """Each has its own strength, and ends as it does alone."""
    jobs = []
    for i in range(3):
        draw = torch.Generator().manual_seed(i)
        x = torch.randn(20 + i, 3, 4, 5, generator=draw, dtype=torch.float64)
        torch.manual_seed(i)
        jobs.append(
            TrainingJob(
                coordinates({"a": (3, 4, 5)}, 2, hidden=(6,)).double(),
                Pool({"a": x}, torch.randint(0, 2, (20 + i,), generator=draw)),
                Objective(transform=(make(0.3 + 0.3 * i),)),
                TrainConfig(10, batch_size=8, learning_rate=0.05),
                seed=i,
            )
        )
    copies = [replace(job, model=copy.deepcopy(job.model)) for job in jobs]
    for alone, beside in zip(one_by_one(jobs), side_by_side(copies), strict=True):
        assert isinstance(alone, Fit) and isinstance(beside, Fit)
        for name, weight in alone.model.state_dict().items():
            other = beside.model.state_dict()[name]
            torch.testing.assert_close(weight, other, rtol=0, atol=1e-12)


# --- compose -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine(Transform):
    """times · x + plus, on inputs and features; `times` is set by calibration if it is 0."""

    times: float = 1.0
    plus: float = 0.0

    def calibrated(self, samples: object) -> Affine:
        return replace(self, times=self.times or 10.0)

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> Inputs:
        return {name: self.times * x + self.plus for name, x in inputs.items()}

    def hidden(self, features: Mapping[str, Tensor], stream: Stream) -> Inputs:
        return self.inputs(features, stream)


def test_compose_goes_from_first_to_last() -> None:
    plus, times = Affine(plus=1.0), Affine(times=2.0)
    x = {"a": torch.tensor([[3.0]])}
    for steps, expected in [((plus, times), 8.0), ((times, plus), 7.0), ((plus, plus, times), 10)]:
        for apply in (Compose(steps).inputs, Compose(steps).hidden):
            assert apply(x, Stream(0))["a"].item() == expected


def test_compose_calibrates_every_step() -> None:
    pool = Pool({"a": torch.tensor([[2.0], [-4.0]])}, torch.tensor([0, 1]))
    found = Compose((InputNoise(0.5), Dropout(0.1), Compose((Affine(times=0.0),)))).calibrated(pool)
    expected = (InputNoise(0.5, scale=(("a", 3.0),)), Dropout(0.1), Compose((Affine(times=10.0),)))
    assert found == Compose(expected)


# --- refusals ------------------------------------------------------------------------------------

NOISES: list[Callable[..., Transform]] = [InputNoise, GaussianNoise, HiddenNoise]
SHARES: list[Callable[..., Transform]] = [ModalityDropout, FeatureMasking, Dropout]
OF_PICTURES: list[Callable[..., Transform]] = [ColourJitter, SpectrogramMasking, Cutout]


@pytest.mark.parametrize(
    ("make", "value"),
    [
        *product(NOISES, [-0.1, NAN, float("inf")]),
        *product(SHARES, [-0.1, 1.1, NAN]),
        (Dropout, 1.0),
    ],
)
def test_transforms_refuse(make: Callable[..., Transform], value: float) -> None:
    name = "sigma" if make is GaussianNoise else "strength" if make in NOISES else "probability"
    with pytest.raises(ValueError, match=f"{name} is {value:g}; "):
        make(value)


@pytest.mark.parametrize("make", OF_PICTURES)
def test_transforms_of_pictures_refuse(make: Callable[..., Transform]) -> None:
    for field in fields(make()):
        strange = {"only": (), "fill": (NAN, float("inf"))}.get(field.name, (-0.1, 1.1, NAN))
        for value in strange:
            with pytest.raises(ValueError, match=f"{field.name} is {value:g}; "):
                make(**{field.name: value})
    message = rf"{make.__name__} needs \[b, .* modality 'a' is \(4, 3\); name the modalities"
    with pytest.raises(ValueError, match=message):
        make().inputs({"a": torch.zeros(4, 3)}, Stream(0))
    assert make(only=("b",)).inputs({"a": torch.zeros(4, 3)}, Stream(0)).keys() == {"a"}


def test_colours_are_three() -> None:
    for shape in ((4, 2, 5, 5), (4, 5, 5), (4, 3, 2, 5, 5)):
        with pytest.raises(ValueError, match=r"needs \[b, 3, h, w\] or \[b, f, 3, h, w\]"):
            ColourJitter().inputs({"a": torch.zeros(shape)}, Stream(0))


@pytest.mark.parametrize("make", [*NOISES, *SHARES, *OF_PICTURES])
def test_only_is_a_tuple_of_names(make: Callable[..., Transform]) -> None:
    # `"a" in "audio"` is true: a text would act on modalities it does not name.
    with pytest.raises(TypeError, match=r"only is the text 'audio'; write \('audio',\)"):
        make(0.5, only="audio")


def test_only_what_can_change_a_sample_acts() -> None:
    noise, drop = InputNoise(1.0), ModalityDropout(0.5, only=("a",))
    image = GaussianNoise(1.0, only=("b", "c"))
    assert acting((noise, drop, image), ("a", "b")) == (
        noise,
        drop,
        GaussianNoise(1.0, only=("b",)),
    )
    assert acting((noise, drop, image), ("a",)) == (noise,)
    assert acting((), ("a",)) == ()
