"""Perturbations of the stated size and rate, the same however the batch is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from mke_theory.rng import Stream
from mke_theory.transforms import (
    Compose,
    Dropout,
    FeatureMasking,
    GaussianNoise,
    HiddenNoise,
    InputNoise,
    ModalityDropout,
    Transform,
    acting,
    mean_magnitude,
)
from mke_theory.types import Pool, is_present, refuse_bad_values

NAN = float("nan")
Inputs = dict[str, Tensor]


def some_inputs(n: int = 12) -> Inputs:
    """Modalities a [n, 3] and b [n, 2, 2]; a is missing in samples 3 and 5, b in 4 and 5."""
    draw = torch.Generator().manual_seed(1)
    a, b = torch.randn(n, 3, generator=draw), torch.randn(n, 2, 2, generator=draw)
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
    """What becomes of the inputs, and then of the features, as in a training step."""
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
    """Whether of all inputs and features exactly those of `modalities` are perturbed."""
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


@pytest.mark.parametrize("make", [*NOISES, *SHARES])
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
