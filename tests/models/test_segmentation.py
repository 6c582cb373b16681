"""Segmenters by hand; a teacher is a branch of its student; missing modalities leave no trace."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mke_theory.models import Segmenter, segmenter, segmenter_on
from mke_theory.models.segmentation import Branch, Decoder, DenseFusion, Pyramid

NAN = float("nan")
FUSIONS: tuple[DenseFusion, ...] = ("sum", "gated", "late")
CHANNELS = {"image": 3, "depth": 2}
every_fusion = pytest.mark.parametrize("fusion", FUSIONS)


def some_inputs(n: int = 4, height: int = 13, width: int = 10) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(5)
    return {
        name: torch.randn(n, channels, height, width, generator=draw)
        for name, channels in CHANNELS.items()
    }


def some_model(fusion: DenseFusion = "sum", *, seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return segmenter(CHANNELS, 5, width=4, stages=3, fusion=fusion)


def without(inputs: Mapping[str, Tensor], name: str, rows: list[int]) -> dict[str, Tensor]:
    x = inputs[name].clone()
    x[rows] = NAN
    return {**inputs, name: x}


# --- by hand -------------------------------------------------------------------------------------


class AsItIs(nn.Module):
    """A backbone whose only map is the picture."""

    channels = (1,)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


def set_convolution(layer: nn.Module, centre: list[float], bias: list[float]) -> None:
    assert isinstance(layer, nn.Conv2d)
    middle = layer.kernel_size[0] // 2
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0, middle, middle] = torch.tensor(centre)
        assert layer.bias is not None
        layer.bias.copy_(torch.tensor(bias))


def plain(decoder: nn.Module, weight: list[float], bias: list[float]) -> None:
    """Make the logits of a decoder of one level weight · ReLU(map) + bias."""
    assert isinstance(decoder, Decoder)
    set_convolution(decoder.near, [1.0], [0.0])
    set_convolution(decoder.far, [0.0], [0.0])
    set_convolution(decoder.everywhere, [0.0], [0.0])
    decoder.norm = nn.Identity()  # type: ignore[assignment]
    set_convolution(decoder.classify, weight, bias)


def branch(model: Segmenter, name: str) -> Branch:
    found = model.branches[name]
    assert isinstance(found, Branch)
    return found


def by_hand(fusion: DenseFusion, prior: tuple[float, ...] | None = None) -> Segmenter:
    """Maps a and 2 b + 1, then logits [map, 5 − map] of what ReLU leaves of it."""
    model = segmenter_on({"a": AsItIs(), "b": AsItIs()}, 2, width=1, fusion=fusion, prior=prior)
    set_convolution(branch(model, "a").project[0], [1.0], [0.0])
    set_convolution(branch(model, "b").project[0], [2.0], [1.0])
    for decoder in model.decoders.values() if model.late else [model.decoder]:
        plain(decoder, [1.0, -1.0], [0.0, 5.0])
    return model


A = torch.tensor([[[[1.0, -2.0]]], [[[3.0, 4.0]]]])
B = torch.tensor([[[[10.0, -7.0]]], [[[NAN, NAN]]]])  # the second sample lacks b


def test_sum_by_hand() -> None:
    logits = by_hand("sum")({"a": A, "b": B})
    # 1 + 21 = 22; ReLU(−2 − 13) = 0. Then a alone.
    assert logits[0].tolist() == [[[22, 0]], [[-17, 5]]]
    assert logits[1].tolist() == [[[3, 4]], [[2, 1]]]


def test_gated_by_hand() -> None:
    model = by_hand("gated")
    for name, bias in (("a", math.log(3.0)), ("b", 0.0)):
        gate = branch(model, name).gate[0]
        assert isinstance(gate, nn.Linear)
        with torch.no_grad():
            gate.weight.fill_(1.0 if name == "b" else 0.0)
            gate.bias.fill_(bias)
    logits = model({"a": A, "b": B})
    # a counts 3/4; the map of b is [21, −13] with mean 4, so b counts σ(4).
    share = 1.0 / (1.0 + math.exp(-4.0))
    assert logits[0, 0].flatten().tolist() == pytest.approx([0.75 + 21 * share, 0.0])
    assert logits[1, 0].flatten().tolist() == pytest.approx([0.75 * 3, 0.75 * 4])


def test_late_adds_the_evidence_and_counts_the_prior_once() -> None:
    expected = [[[1 + 21, 0]], [[(5 - 1) + (5 - 21), 5 + 5]]]
    logits = by_hand("late")({"a": A, "b": B})
    assert logits[0].tolist() == expected
    assert logits[1].tolist() == [[[3, 4]], [[2, 1]]]
    # With both there the prior has been counted once too often; with one it has not.
    prior = torch.tensor([0.2, 0.8]).log().reshape(2, 1, 1)
    found = by_hand("late", (0.2, 0.8))({"a": A, "b": B})
    torch.testing.assert_close(found[0], torch.tensor(expected) - prior)
    torch.testing.assert_close(found[1], logits[1])
    nothing = by_hand("late", (0.2, 0.8))({"a": torch.full_like(A, NAN)})
    torch.testing.assert_close(nothing, prior.expand(2, 2, 1, 2))


def test_late_with_the_true_posteriors_is_the_posterior_of_all() -> None:
    # Two classes, a and b independent given the class: P(class | a, b) by Bayes' rule.
    prior, a, b = (torch.tensor(p) for p in ([0.3, 0.7], [0.9, 0.2], [0.4, 0.5]))
    alone = [(prior * like / (prior * like).sum()).log() for like in (a, b)]
    together = (prior * a * b) / (prior * a * b).sum()
    model = by_hand("late", (0.3, 0.7))
    for name, own in zip("ab", alone, strict=True):
        plain(model.decoders[name], [0.0, 0.0], own.tolist())
    logits = model({"a": A[:1], "b": B[:1]})
    torch.testing.assert_close(logits.softmax(dim=1)[0, :, 0, 0], together)


def test_pyramid_halves_and_doubles() -> None:
    net = Pyramid(2, 8, 3)
    maps = net(torch.randn(2, 2, 21, 8))
    assert [tuple(m.shape) for m in maps] == [(2, 8, 11, 4), (2, 16, 6, 2), (2, 32, 3, 1)]
    assert net.channels == (8, 16, 32)


# --- one branch a modality -----------------------------------------------------------------------


@every_fusion
def test_a_teacher_is_a_branch_of_its_student(fusion: DenseFusion) -> None:
    student = some_model(fusion)
    for name, channels in CHANNELS.items():
        teacher = segmenter({name: channels}, 5, width=4, stages=3, fusion=fusion)
        others = [
            f"{part}.{m}." for part in ("branches", "decoders") for m in CHANNELS if m != name
        ]
        own = {
            key: value
            for key, value in student.state_dict().items()
            if not key.startswith(tuple(others))
        }
        teacher.load_state_dict(own)  # strict: the same names and shapes, none more, none fewer
        x = some_inputs()[name]
        assert torch.equal(teacher({name: x}), student({name: x}))


@every_fusion
def test_order_and_strange_modalities_do_not_matter(fusion: DenseFusion) -> None:
    model, inputs = some_model(fusion), some_inputs()
    expected = model(inputs)
    assert model.modalities == ("image", "depth")
    assert torch.equal(model(dict(reversed(inputs.items()))), expected)
    assert torch.equal(model({"smell": torch.full((4, 2), NAN), **inputs}), expected)


@every_fusion
def test_a_sample_is_judged_on_its_own(fusion: DenseFusion) -> None:
    model, inputs = some_model(fusion).train(), without(some_inputs(), "depth", [1])
    whole = model(inputs)
    for i in range(4):
        alone = model({name: x[i : i + 1] for name, x in inputs.items()})
        torch.testing.assert_close(alone, whole[i : i + 1])
    torch.testing.assert_close(model.eval()(inputs), whole)


@settings(max_examples=40)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    n=st.integers(1, 3),
    stages=st.integers(1, 4),
    fusion=st.sampled_from(FUSIONS),
    classes=st.integers(2, 40),
)
def test_every_pixel_has_logits(
    height: int, width: int, n: int, stages: int, fusion: DenseFusion, classes: int
) -> None:
    model = segmenter(CHANNELS, classes, width=2, stages=stages, fusion=fusion)
    logits = model(some_inputs(n, height, width))
    assert logits.shape == (n, classes, height, width)
    assert bool(torch.isfinite(logits).all())


@every_fusion
def test_hidden_perturbs_the_coarsest_maps(fusion: DenseFusion) -> None:
    model, inputs = some_model(fusion), without(some_inputs(), "depth", [1])
    seen: dict[str, Tensor] = {}

    def same(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        seen.update(features)
        return dict(features)

    assert torch.equal(model(inputs, same), model(inputs))
    assert {name: tuple(h.shape) for name, h in seen.items()} == {
        "image": (4, 8, 2, 2),
        "depth": (4, 8, 2, 2),
    }
    moved = model(inputs, lambda features: {name: h + 1 for name, h in features.items()})
    assert not torch.allclose(moved, model(inputs))
    # A missing modality stays missing.
    only = model(
        inputs, lambda features: {m: h + 1 if m == "depth" else h for m, h in features.items()}
    )
    torch.testing.assert_close(only[1], model(inputs)[1])
    assert not torch.allclose(only[0], model(inputs)[0])


# --- missing modalities --------------------------------------------------------------------------


@every_fusion
def test_an_absent_key_is_a_missing_modality(fusion: DenseFusion) -> None:
    model, inputs = some_model(fusion), some_inputs()
    for name in inputs:
        rest = {other: x for other, x in inputs.items() if other != name}
        as_nan = model(without(inputs, name, [0, 1, 2, 3]))
        torch.testing.assert_close(as_nan, model(rest))
        assert not torch.allclose(as_nan, model(inputs))


@every_fusion
def test_one_sample_missing_a_modality_changes_no_other(fusion: DenseFusion) -> None:
    model, inputs = some_model(fusion), some_inputs()
    some = model(without(inputs, "depth", [1, 3]))
    torch.testing.assert_close(some[[1, 3]], model({"image": inputs["image"]})[[1, 3]])
    torch.testing.assert_close(some[[0, 2]], model(inputs)[[0, 2]])


@every_fusion
def test_a_missing_sample_leaks_neither_value_nor_gradient(fusion: DenseFusion) -> None:
    model, inputs = some_model(fusion), some_inputs()
    expected = model(without(inputs, "image", [2]))
    marked = inputs["image"].clone()
    marked[2, 0, 0, 0] = NAN  # the first entry marks it, whatever stands behind it
    x = marked.requires_grad_()
    found = model({**inputs, "image": x})
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    assert x.grad is not None
    assert not x.grad[2].any()
    assert bool(x.grad[0].any())
    assert bool(torch.isfinite(x.grad).all())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert bool(parameter.grad.any()), name


@every_fusion
def test_a_sample_without_any_modality_has_finite_logits(fusion: DenseFusion) -> None:
    inputs = {name: torch.full_like(x, NAN) for name, x in some_inputs().items()}
    logits = some_model(fusion)(inputs)
    assert bool(torch.isfinite(logits).all())


# --- training ------------------------------------------------------------------------------------


def test_it_learns_what_no_modality_shows_alone() -> None:
    # The class of a block of pixels is the exclusive or of what picture and depth show there.
    draw = torch.Generator().manual_seed(1)
    bits = {name: torch.randint(2, (24, 1, 3, 4), generator=draw) for name in CHANNELS}
    inputs = {
        name: F.interpolate(2.0 * b - 1.0, scale_factor=4).expand(-1, CHANNELS[name], -1, -1)
        for name, b in bits.items()
    }
    truth = F.interpolate((bits["image"] ^ bits["depth"]).float(), scale_factor=4)[:, 0].long()
    torch.manual_seed(0)
    model = segmenter(CHANNELS, 2, width=8, stages=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = F.cross_entropy(model(inputs), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = (model(inputs).argmax(dim=1) == truth).float().mean().item()
    assert right > 0.95  # either modality alone allows 0.5
    alone = (model({"image": inputs["image"]}).argmax(dim=1) == truth).float().mean().item()
    assert alone < 0.75


def test_equal_seeds_make_equal_models() -> None:
    inputs = some_inputs()
    assert torch.equal(some_model(seed=1)(inputs), some_model(seed=1)(inputs))
    assert not torch.equal(some_model(seed=1)(inputs), some_model(seed=2)(inputs))


def test_weights_and_prior_survive_a_round_trip() -> None:
    torch.manual_seed(1)
    first = segmenter(CHANNELS, 2, width=4, stages=2, fusion="late", prior=(0.1, 0.9))
    second = segmenter(CHANNELS, 2, width=4, stages=2, fusion="late", prior=(0.5, 0.5))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(some_inputs()), second(some_inputs()))


@every_fusion
def test_many_students_at_once_are_the_same_students(fusion: DenseFusion) -> None:
    students = [some_model(fusion, seed=seed) for seed in range(3)]
    inputs = without(some_inputs(), "depth", [1])
    parameters, buffers = torch.func.stack_module_state(students)

    def logits(state: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(students[0], (state, buffers), (inputs,))

    together = torch.func.vmap(logits)(parameters)
    gradients = torch.func.vmap(torch.func.grad(lambda s: logits(s).square().mean()))(parameters)
    for i, student in enumerate(students):
        alone = student(inputs)
        torch.testing.assert_close(together[i], alone)
        alone.square().mean().backward()
        for name, parameter in student.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(gradients[name][i], parameter.grad, rtol=1e-4, atol=1e-5)


@every_fusion
def test_half_precision_and_channels_last_give_the_same(fusion: DenseFusion) -> None:
    model, inputs = some_model(fusion), without(some_inputs(), "depth", [1])
    expected = model(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = model(inputs)
    assert coarse.dtype == torch.bfloat16
    # bfloat16 has 8 bits; about ten layers of rounding lie between.
    assert (coarse.float() - expected).abs().max().item() < 0.1 * expected.abs().max().item()
    last = {name: x.contiguous(memory_format=torch.channels_last) for name, x in inputs.items()}
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(model(last), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@every_fusion
def test_it_can_be_compiled(fusion: DenseFusion) -> None:
    model, inputs = some_model(fusion), without(some_inputs(), "depth", [1])
    compiled = torch.compile(model, backend="aot_eager", dynamic=False, fullgraph=True)
    logits = compiled(inputs)
    torch.testing.assert_close(logits, model(inputs))
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# --- refusals ------------------------------------------------------------------------------------


def test_segmenters_refuse() -> None:
    with pytest.raises(ValueError, match="a branch for at least one modality; got none"):
        segmenter({}, 2)
    for setting, value in (("width", 0), ("stages", 0)):
        with pytest.raises(ValueError, match=f"{setting} is 0; it has to be at least 1"):
            segmenter({"image": 3}, 2, **{setting: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="image is 0; it has to be at least 1"):
        segmenter({"image": 0}, 2)
    with pytest.raises(ValueError, match="classes is 1; it has to be at least 2"):
        segmenter({"image": 3}, 1)
    with pytest.raises(ValueError, match=r"fusion is 'mean'; choose one of \('sum', 'gated'"):
        segmenter({"image": 3}, 2, fusion="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prior is for fusion 'late'; fusion is 'sum'"):
        segmenter({"image": 3}, 2, prior=(0.5, 0.5))
    for prior in ((1.0,), (0.5, 0.6), (0.0, 1.0), (NAN, 0.5)):
        with pytest.raises(ValueError, match="it needs 2 numbers above 0 with sum 1"):
            segmenter({"image": 3}, 2, fusion="late", prior=prior)
    with pytest.raises(ValueError, match=r"torch refuses a modality's name, .*; rename it"):
        segmenter({"a.b": 3}, 2)
    with pytest.raises(TypeError, match="Identity has no channels; a backbone has to state those"):
        segmenter_on({"image": nn.Identity()}, 2)
    uneven = {"image": Pyramid(3, 4, 2), "depth": Pyramid(2, 4, 3)}
    message = "equally many maps; got {'image': 2, 'depth': 3}"
    with pytest.raises(ValueError, match=message):
        segmenter_on(uneven, 2)


def test_inputs_that_do_not_fit_are_refused() -> None:
    model, inputs = some_model(), some_inputs()
    with pytest.raises(ValueError, match=r"reads \('image', 'depth'\); got \('smell',\)"):
        model({"smell": torch.zeros(2, 2)})
    with pytest.raises(ValueError, match=r"the same h and w; got .*'depth': \(4, 2, 12, 10\)"):
        model({**inputs, "depth": inputs["depth"][:, :, :12]})
    with pytest.raises(ValueError, match=r"\[n, channels, h, w\] .*'image': \(4, 13, 10\)"):
        model({"image": inputs["image"][:, 0]})
    coarser = nn.Sequential(nn.AvgPool2d(2), Pyramid(2, 4, 2))
    coarser.channels = (4, 8)  # type: ignore[assignment]
    with pytest.raises(ValueError, match="maps of the same sizes; got"):
        segmenter_on({"image": Pyramid(3, 4, 2), "depth": coarser}, 2)(inputs)
