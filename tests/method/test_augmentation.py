"""Pictures, depth and labels of a sample stay aligned, however they are cropped and mirrored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from mke_theory.data.pool import Batch, refuse_bad_values
from mke_theory.data.rng import Stream
from mke_theory.method.augmentation import Augmentation, CropFlip, augmented
from tests.method.streams import Told

NAN = float("nan")
MIRROR = CropFlip(scale=(1.0, 1.0), flip=1.0)


def scenes(n: int = 8, dtype: torch.dtype = torch.float32) -> Batch:
    """Pictures, depth with a mask, frames, a vector and class numbers; some are missing."""
    draw = torch.Generator().manual_seed(1)
    inputs = {
        "image": torch.randn(n, 3, 6, 8, generator=draw, dtype=dtype),
        "depth": torch.randn(n, 2, 6, 8, generator=draw, dtype=dtype),
        "video": torch.randn(n, 2, 3, 6, 8, generator=draw, dtype=dtype),
        "vector": torch.randn(n, 5, generator=draw, dtype=dtype),
    }
    inputs["depth"][:, 1] = (inputs["depth"][:, 1] > 0).to(dtype)
    for i, x in enumerate(inputs.values()):
        x[i] = NAN
    return Batch(inputs, torch.randint(-1, 4, (n, 6, 8), generator=draw))


def of_one(x: Tensor, target: Tensor | None = None) -> Batch:
    return Batch({"image": x}, torch.zeros(len(x), dtype=torch.long) if target is None else target)


def same(first: Batch, second: Batch) -> bool:
    """Equal to the last bit, NaN to NaN."""
    return torch.equal(first.target, second.target) and all(
        torch.equal(torch.nan_to_num(x, 9e9), torch.nan_to_num(second.inputs[name], 9e9))
        for name, x in first.inputs.items()
    )


# --- by hand -------------------------------------------------------------------------------------

SIXTEEN = torch.arange(16.0).reshape(1, 1, 4, 4)


def test_a_quarter_by_the_nearest_pixel() -> None:
    half = CropFlip(scale=(0.5, 0.5), nearest=("image",))
    batch = of_one(SIXTEEN, SIXTEEN[:, 0].long())
    for told, expected in [
        ((0.0, 0.0, 0.0, 0.9), [[0, 0, 1, 1], [0, 0, 1, 1], [4, 4, 5, 5], [4, 4, 5, 5]]),
        ((0.0, 1.0, 0.0, 0.9), [[2, 2, 3, 3], [2, 2, 3, 3], [6, 6, 7, 7], [6, 6, 7, 7]]),
        ((0.0, 0.0, 1.0, 0.9), [[8, 8, 9, 9], [8, 8, 9, 9], [12, 12, 13, 13], [12, 12, 13, 13]]),
        ((0.0, 0.0, 0.0, 0.1), [[1, 1, 0, 0], [1, 1, 0, 0], [5, 5, 4, 4], [5, 5, 4, 4]]),
    ]:
        seen = half.batch(batch, Told(*told))
        assert torch.equal(seen.inputs["image"], torch.tensor([[expected]]).float())
        assert torch.equal(seen.target, torch.tensor([expected]))


def test_a_quarter_by_linear_interpolation() -> None:
    # The new pixels' middles lie at −1/4, 1/4, 3/4 and 5/4 of the old ones; nothing is outside.
    seen = CropFlip(scale=(0.5, 0.5)).batch(of_one(SIXTEEN), Told(0.0, 0.0, 0.0, 0.9))
    at = torch.tensor([0.0, 0.25, 0.75, 1.25])
    torch.testing.assert_close(seen.inputs["image"][0, 0], 4 * at[:, None] + at)


def test_the_side_is_drawn_between_low_and_high() -> None:
    # Side 0.5 + 0.5 · 0.5 = 3/4, in the middle: points 7/8, 13/8, … of the columns' numbers.
    seen = CropFlip().batch(of_one(SIXTEEN), Told(0.5, 0.5, 0.5, 0.9)).inputs["image"][0, 0]
    at = 1.5 + 0.75 * (torch.arange(4.0) - 1.5)
    torch.testing.assert_close(seen, 4 * at[:, None] + at)


def test_a_mirror_changes_no_number() -> None:
    batch = scenes()
    seen = MIRROR.batch(batch, Stream(0))
    for name in ("image", "depth", "video"):
        assert torch.equal(
            torch.nan_to_num(seen.inputs[name]), torch.nan_to_num(batch.inputs[name].flip(-1))
        )
    assert torch.equal(seen.target, batch.target.flip(-1))


def test_soft_targets_are_shares_of_what_is_seen() -> None:
    # Columns: class 0, class 0, class 1, no label; the window shows the middle half, its points
    # at 0.75, 1.25, 1.75 and 2.25 of the columns' numbers.
    target = torch.tensor([[[[1.0, 1, 0, 0]] * 4, [[0.0, 0, 1, 0]] * 4]])
    half = CropFlip(scale=(0.5, 0.5))
    seen = half.batch(of_one(SIXTEEN, target), Told(0.0, 0.5, 0.5, 0.9)).target
    torch.testing.assert_close(seen[0, 0], torch.tensor([[1.0, 0.75, 0.25, 0.0]] * 4))
    torch.testing.assert_close(seen[0, 1], torch.tensor([[0.0, 0.25, 0.75, 1.0]] * 4))
    # To the right, at 1.75, 2.25, 2.75 and 3: half of the third pixel and more is unlabelled.
    seen = half.batch(of_one(SIXTEEN, target), Told(0.0, 1.0, 0.5, 0.9)).target
    torch.testing.assert_close(seen[0, 0], torch.tensor([[0.25, 0.0, 0.0, 0.0]] * 4))
    torch.testing.assert_close(seen[0, 1], torch.tensor([[0.75, 1.0, 0.0, 0.0]] * 4))
    # A mirror alone moves them as they are, whatever they sum to.
    assert torch.equal(
        MIRROR.batch(of_one(SIXTEEN, 0.3 * target), Stream(0)).target, 0.3 * target.flip(-1)
    )


# --- what holds for every draw -------------------------------------------------------------------

settings = st.builds(
    CropFlip,
    scale=st.sampled_from([(0.5, 1.0), (0.2, 0.2), (0.9, 1.0), (1.0, 1.0)]),
    flip=st.sampled_from([0.0, 0.5, 1.0]),
)
seeds = st.integers(0, 2**31)


@given(settings, seeds, st.integers(1, 7), st.integers(1, 7))
def test_labels_stay_with_their_pixels(step: CropFlip, seed: int, h: int, w: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    number = torch.randint(-1, 40, (3, h, w), generator=draw)
    step = replace(step, nearest=("image", "depth"))
    both = torch.stack([number, number**2], 1).float()
    seen = step.batch(Batch({"image": both, "depth": -both.double()}, number), Stream(seed))
    assert torch.equal(seen.inputs["image"][:, 0].long(), seen.target)
    assert torch.equal(seen.inputs["image"][:, 1].long(), seen.target**2)
    assert torch.equal(seen.inputs["depth"][:, 0].long(), -seen.target)
    for now, before in zip(seen.target, number, strict=True):
        assert set(now.unique().tolist()) <= set(before.unique().tolist())


@given(settings, seeds)
def test_a_probability_of_1_moves_as_the_class_does(step: CropFlip, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    number = torch.randint(0, 3, (4, 5, 6), generator=draw)
    soft = F.one_hot(number, 3).movedim(-1, 1).float()
    picture = torch.zeros(4, 1, 5, 6)
    hard = step.batch(of_one(picture, number), Stream(seed)).target
    seen = step.batch(of_one(picture, soft), Stream(seed)).target
    torch.testing.assert_close(seen.sum(1), torch.ones(4, 5, 6))
    assert bool((seen >= 0).all())
    # The nearest of the four pixels that are mixed has a quarter of the weight or more.
    assert bool((seen.gather(1, hard.unsqueeze(1)) > 0.25 - 1e-4).all())


@given(settings, seeds)
def test_numbers_stay_within_those_of_the_sample(step: CropFlip, seed: int) -> None:
    batch = scenes()
    seen = step.batch(batch, Stream(seed))
    assert seen.inputs["vector"] is batch.inputs["vector"]
    for name, x in seen.inputs.items():
        refuse_bad_values(name, x)  # nothing is half missing
        missing = torch.isnan(batch.inputs[name]).flatten(1).any(1)
        assert torch.equal(torch.isnan(x).flatten(1).any(1), missing)
        now, before = x[~missing].flatten(1), batch.inputs[name][~missing].flatten(1)
        assert bool((now.amax(1) <= before.amax(1) + 1e-5).all())
        assert bool((now.amin(1) >= before.amin(1) - 1e-5).all())
    mask = seen.inputs["depth"][:, 1].nan_to_num(0.0)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}


# A number too small for all 24 binary digits cannot be met to five decimal ones.
@given(settings, seeds, st.floats(-100, 100, width=32, allow_subnormal=False))
def test_any_part_of_a_plain_picture_is_the_same(step: CropFlip, seed: int, value: float) -> None:
    picture = torch.full((2, 3, 5, 7), value)
    seen = step.batch(of_one(picture), Stream(seed)).inputs["image"]
    torch.testing.assert_close(seen, picture, rtol=1e-5, atol=0.0)


@given(seeds)
def test_mirrored_twice_is_as_before(seed: int) -> None:
    step, batch = CropFlip(scale=(1.0, 1.0)), scenes()
    once = step.batch(batch, Stream(seed))
    assert same(step.batch(once, Stream(seed)), batch)


@given(settings, seeds)
def test_a_batch_in_parts_is_changed_as_a_whole(step: CropFlip, seed: int) -> None:
    batch = scenes()
    whole = step.batch(batch, Stream(seed))
    assert same(step.batch(batch, Stream(seed)), whole)
    for rows in (slice(0, 4), slice(4, 8), slice(2, 3)):
        part = Batch({name: x[rows] for name, x in batch.inputs.items()}, batch.target[rows])
        seen = step.batch(part, Stream(seed, rows=rows, total=8))
        assert torch.equal(seen.target, whole.target[rows])
        for name, x in seen.inputs.items():
            assert torch.equal(torch.nan_to_num(x), torch.nan_to_num(whole.inputs[name][rows]))


@pytest.mark.parametrize(
    "step", [Augmentation(), CropFlip(scale=(1.0, 1.0), flip=0.0), CropFlip(only=())], ids=str
)
def test_no_strength_is_the_identity(step: Augmentation) -> None:
    assert same(step.batch(scenes(), Stream(0)), scenes())


@pytest.mark.parametrize("step", [CropFlip(), MIRROR], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_types_and_the_given_tensors_stay(step: CropFlip, dtype: torch.dtype) -> None:
    batch = scenes(dtype=dtype)
    seen = step.batch(batch, Stream(0))
    assert list(seen.inputs) == list(batch.inputs)
    for name, x in batch.inputs.items():
        assert (seen.inputs[name].shape, seen.inputs[name].dtype) == (x.shape, dtype)
    assert (seen.target.shape, seen.target.dtype) == (batch.target.shape, torch.int64)
    assert not same(seen, batch)
    assert same(batch, scenes(dtype=dtype))


@pytest.mark.gpu
def test_the_device_stays() -> None:
    batch = scenes()
    seen = CropFlip().batch(batch.to("cuda"), Stream(0, device="cuda"))
    assert {x.device.type for x in (*seen.inputs.values(), seen.target)} == {"cuda"}


# --- who follows whom ----------------------------------------------------------------------------


def test_labels_of_samples_and_what_only_leaves_out_pass_unchanged() -> None:
    for target in (torch.arange(8), torch.rand(8, 4)):
        batch = Batch(scenes().inputs, target)
        seen = CropFlip(only=("image",)).batch(batch, Stream(0))
        assert seen.target is target
        assert all(seen.inputs[name] is batch.inputs[name] for name in ("depth", "video", "vector"))
        assert not torch.equal(seen.inputs["image"][1:], batch.inputs["image"][1:])


def test_a_modality_is_changed_alike_whoever_is_beside_it() -> None:
    batch = scenes()
    whole = CropFlip().batch(batch, Stream(5))
    alone = CropFlip().batch(Batch({"depth": batch.inputs["depth"]}, batch.target), Stream(5))
    assert torch.equal(alone.target, whole.target)
    assert torch.equal(
        torch.nan_to_num(alone.inputs["depth"]), torch.nan_to_num(whole.inputs["depth"])
    )


def test_frames_move_together() -> None:
    picture = scenes().inputs["image"][1:]
    video = torch.stack([picture, 2 * picture], dim=1)
    seen = CropFlip().batch(Batch({"image": picture, "video": video}, torch.arange(7)), Stream(2))
    for i, times in enumerate((1, 2)):
        torch.testing.assert_close(seen.inputs["video"][:, i], times * seen.inputs["image"])


def test_pictures_of_another_size_show_the_same_part() -> None:
    # A slope of the finer picture, averaged over two by two pixels, is that of the coarser one.
    coarse = torch.linspace(-1, 1, 9)[:-1] + 1 / 8
    fine = torch.linspace(-1, 1, 17)[:-1] + 1 / 16
    inputs = {
        "image": (coarse[:, None] + 3 * coarse).reshape(1, 1, 8, 8),
        "large": (fine[:, None] + 3 * fine).reshape(1, 1, 16, 16),
    }
    step = CropFlip(scale=(0.4, 0.4))
    seen = step.batch(Batch(inputs, torch.zeros(1)), Told(0.0, 0.7, 0.3, 0.1)).inputs
    torch.testing.assert_close(F.avg_pool2d(seen["large"], 2), seen["image"])


def test_steps_follow_each_other() -> None:
    @dataclass(frozen=True)
    class Plus(Augmentation):
        number: float

        def batch(self, batch: Batch, stream: Stream) -> Batch:
            drawn = stream.uniform(batch.inputs["image"], 1).reshape(-1, 1, 1, 1)
            return Batch({"image": 10 * batch.inputs["image"] + self.number + drawn}, batch.target)

    stream = Stream(0)
    first, second = (stream.uniform(SIXTEEN, 1).item() for _ in range(2))
    seen = augmented(of_one(SIXTEEN), (Plus(1.0), Plus(2.0)), Stream(0)).inputs["image"]
    torch.testing.assert_close(seen, 10 * (10 * SIXTEEN + 1.0 + first) + 2.0 + second)
    assert same(augmented(scenes(), (), Stream(0)), scenes())


# --- how often, how large, where -----------------------------------------------------------------


@pytest.mark.parametrize("flip", [0.0, 0.1, 0.5, 1.0])
def test_mirrors_come_at_the_stated_rate(flip: float) -> None:
    picture = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2).expand(4000, 1, 1, 2)
    seen = CropFlip(scale=(1.0, 1.0), flip=flip).batch(of_one(picture), Stream(3)).inputs["image"]
    mirrored = int(seen[:, 0, 0, 0].sum())
    # A binomial test; false-alarm rate 1e-6.
    assert stats.binomtest(mirrored, 4000, flip).pvalue > 1e-6


def test_the_least_draw_mirrors_nothing_that_is_not_to_be_mirrored() -> None:
    seen = CropFlip(scale=(0.5, 0.5), flip=0.0).batch(of_one(SIXTEEN), Told(0.0, 0.0, 0.0, 0.0))
    assert seen.inputs["image"][0, 0, 0, 0] < seen.inputs["image"][0, 0, 0, 3]


def test_side_and_place_are_uniform() -> None:
    # A slope in each direction tells where the points of the window lie.
    at = torch.linspace(-1, 1, 17)[:-1] + 1 / 16
    slopes = torch.stack([at.expand(16, 16), at[:, None].expand(16, 16)]).expand(3000, 2, 16, 16)
    seen = CropFlip(scale=(0.4, 0.9), flip=0.0).batch(of_one(slopes), Stream(4)).inputs["image"]
    across, down = seen[:, 0, 8].double(), seen[:, 1, :, 8].double()
    side = across[:, 11:13].mean(1) - across[:, 3:5].mean(1)
    height = down[:, 11:13].mean(1) - down[:, 3:5].mean(1)
    torch.testing.assert_close(height.float(), side.float())  # what single precision allows
    places = [(line[:, 7:9].mean(1) / (1 - side) + 1) / 2 for line in (across, down)]
    # Kolmogorov–Smirnov tests; false-alarm rate 1e-6 each.
    for numbers in ((side - 0.4) / 0.5, *places):
        assert stats.kstest(numbers.numpy(), "uniform").pvalue > 1e-6
    # Spearman's rank correlations; false-alarm rate 1e-6 each.
    for first, second in ((places[0], places[1]), (side, places[0]), (side[1:], side[:-1])):
        assert stats.spearmanr(first.numpy(), second.numpy()).pvalue > 1e-6


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        ({"scale": (0.0, 1.0)}, ValueError, r"scale is \(0.0, 1.0\); it has to be \(low, high\)"),
        ({"scale": (0.8, 0.5)}, ValueError, "scale is"),
        ({"scale": (0.5, 1.1)}, ValueError, "scale is"),
        ({"scale": (NAN, 1.0)}, ValueError, "scale is"),
        ({"flip": -0.1}, ValueError, r"flip is -0.1; it has to lie in \[0, 1\]"),
        ({"flip": NAN}, ValueError, "flip is nan"),
        ({"nearest": "depth"}, TypeError, r"nearest is the text 'depth'; write \('depth',\)"),
        ({"only": "image"}, TypeError, r"only is the text 'image'; write \('image',\)"),
    ],
)
def test_settings_are_refused(given_: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CropFlip(**given_)
