"""Models by hand; missing modalities leave no trace; every sample is judged on its own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from mke_theory.models import (
    MLP,
    Attention,
    Concatenate,
    ConvEncoder,
    Flatten,
    Frames,
    Gated,
    LateAverage,
    MultimodalModel,
    coordinates,
    count_parameters,
    multimodal,
)
from mke_theory.models.multimodal import FusionName, Missing

NAN = float("nan")
FUSIONS: tuple[FusionName, ...] = ("concatenate", "late average", "gated", "attention")
every_fusion = pytest.mark.parametrize("fusion", FUSIONS)
lenient = pytest.mark.parametrize("missing", ["zero", "learned"])
every_missing = pytest.mark.parametrize("missing", ["refuse", "zero", "learned"])


def some_inputs(n: int = 6) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return {
        "sound": torch.randn(n, 5, generator=draw),
        "image": torch.randn(n, 1, 6, 7, generator=draw),
        "depth": torch.randn(n, 2, 2, generator=draw),
    }


def some_model(
    fusion: FusionName = "concatenate", missing: Missing = "refuse", *, seed: int = 0
) -> MultimodalModel:
    torch.manual_seed(seed)
    encoders = {
        "sound": MLP([5, 4], activate=True),
        "image": ConvEncoder((1, 6, 7), channels=(2, 3), features=6),
        "depth": Flatten((2, 2)),
    }
    model = multimodal(encoders, 3, fusion=fusion, hidden=(8,), missing=missing)
    if missing == "learned":
        for token in model.tokens.values():
            nn.init.normal_(token)
    return model


def without(inputs: Mapping[str, Tensor], name: str, rows: list[int]) -> dict[str, Tensor]:
    x = inputs[name].clone()
    x[rows] = NAN
    return {**inputs, name: x}


def set_linear(layer: nn.Module, weight: list[list[float]], bias: list[float]) -> None:
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


# --- encoders ------------------------------------------------------------------------------------


def test_mlp_by_hand() -> None:
    # [1, 2] → ReLU [1 − 2, 1 + 2 + 1] = [0, 4] → 2 · 4 − 9 = −1, which stays without `activate`.
    for activate, expected in ((False, -1.0), (True, 0.0)):
        net = MLP([2, 2, 1], activate=activate)
        linear = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
        set_linear(linear[0], [[1, -1], [1, 1]], [0, 1])
        set_linear(linear[1], [[7, 2]], [-9])
        assert net(torch.tensor([[1.0, 2.0]])).tolist() == [[expected]]
        assert net.out_features == 1
    assert MLP([6, 3])(torch.zeros(4, 2, 3)).shape == (4, 3)


@pytest.mark.parametrize("sizes", [[], [3], [3, 0], [0, 2]])
def test_mlp_refuses(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="it needs an input and an output, each ≥ 1"):
        MLP(sizes)


def test_flatten_keeps_every_number_in_order() -> None:
    x = torch.arange(12.0).reshape(2, 3, 2)
    assert Flatten((3, 2))(x).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert Flatten((3, 2)).out_features == 6


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 28, 28), (2, 40, 48), (3, 7, 5)])
@pytest.mark.parametrize("strides", [(), (1,), (2,), (3,), (4,), (2, 2), (1, 2, 3)])
def test_conv_encoder_fits_images_of_any_size(
    shape: tuple[int, int, int], strides: tuple[int, ...]
) -> None:
    channels = (4, 5, 6)[: len(strides)]
    net = ConvEncoder(shape, channels=channels, strides=strides, features=9)
    assert net(torch.randn(2, *shape)).shape == (2, net.out_features) == (2, 9)


def test_conv_encoder_refuses() -> None:
    with pytest.raises(ValueError, match=r"channels \(4,\) need as many strides, each ≥ 1; got"):
        ConvEncoder((1, 8, 8), channels=(4,))
    with pytest.raises(ValueError, match=r"need as many strides, each ≥ 1; got \(2, 0\)"):
        ConvEncoder((1, 8, 8), strides=(2, 0))
    with pytest.raises(ValueError, match=r"sizes is \[0, 64\]"):
        ConvEncoder((1, 1, 1), channels=(4,), strides=(1,))


def test_frames_are_averaged_and_those_that_are_not_there_do_not_count() -> None:
    net = Frames(MLP([2, 1]))
    assert isinstance(net.encoder, MLP)
    set_linear(net.encoder.layers[1], [[1, 10]], [1])
    x = torch.tensor([[[1.0, 2.0], [3.0, 0.0]], [[NAN, NAN], [5.0, 1.0]], [[NAN, NAN]] * 2])
    # 22 and 4; 16 alone; nothing.
    x = x.requires_grad_()
    features = net(x)
    assert features.tolist() == [[13], [16], [0]]
    assert net.out_features == 1
    features.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[0.5, 5], [0.5, 5]], [[0, 0], [1, 10]], [[0, 0], [0, 0]]]


def test_frames_share_an_encoder_of_pictures() -> None:
    encoder = ConvEncoder((1, 6, 7), channels=(2, 3), features=6)
    net, x = Frames(encoder), torch.randn(4, 3, 1, 6, 7)
    alone = torch.stack([encoder(x[:, frame]) for frame in range(3)]).mean(dim=0)
    torch.testing.assert_close(net(x), alone)
    torch.testing.assert_close(net(x[:, [2, 0, 1]]), alone)
    assert count_parameters(net) == count_parameters(encoder)


def test_frames_refuse() -> None:
    with pytest.raises(TypeError, match="Sequential has no out_features"):
        Frames(nn.Sequential())
    for shape in ((2, 4), (2, 0, 1, 6, 7)):
        with pytest.raises(ValueError, match=r"\[n, frames, \.\.\.\] with at least one frame; got"):
            Frames(MLP([2, 1]))(torch.zeros(shape))


# --- fusion --------------------------------------------------------------------------------------

FEATURES = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.tensor([[10.0], [20.0]])}
SIZES = {"a": 2, "b": 1}
B_MISSING = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False])}


def test_concatenate_by_hand() -> None:
    fuse = Concatenate(SIZES)
    assert fuse(FEATURES).tolist() == [[1, 2, 10], [3, 4, 20]]
    assert fuse(dict(reversed(FEATURES.items()))).tolist() == [[1, 2, 10], [3, 4, 20]]
    assert fuse.out_features == 3


def test_late_average_counts_only_those_present() -> None:
    fuse = LateAverage(SIZES, 1)
    set_linear(fuse.heads["a"], [[1, 1]], [1])  # logits 4 and 8
    set_linear(fuse.heads["b"], [[0.1]], [0])  # logits 1 and 2
    assert fuse(FEATURES).flatten().tolist() == pytest.approx([2.5, 5.0])
    assert fuse(FEATURES, B_MISSING).flatten().tolist() == pytest.approx([2.5, 8.0])


def test_gated_weighs_by_hand_and_gives_no_weight_to_the_missing() -> None:
    fuse = Gated(SIZES, 1)
    set_linear(fuse.project["a"], [[1, 1]], [1])  # 4 and 8
    set_linear(fuse.project["b"], [[0.1]], [0])  # 1 and 2
    ln3 = torch.log(torch.tensor(3.0)).item()
    set_linear(fuse.gate, [[0, 0, 0], [0, 0, 0]], [ln3, 0])  # weights 3/4 and 1/4
    assert fuse(FEATURES).flatten().tolist() == pytest.approx([3.25, 6.5])
    assert fuse(FEATURES, B_MISSING).flatten().tolist() == pytest.approx([3.25, 8.0])
    # However much the gate is for it.
    set_linear(fuse.gate, [[0, 0, 0], [0, 0, 1e30]], [0, 0])
    assert fuse(FEATURES, B_MISSING).flatten().tolist() == pytest.approx([1.0, 8.0])


def some_attention(width: int, *, ask: list[list[float]], answer: list[list[float]]) -> Attention:
    """Tokens a₁ + a₂, b and the layer's own, each repeated `width` times and not normalised."""
    fuse = Attention(SIZES, width)
    set_linear(fuse.project["a"], [[1, 1]] * width, [0] * width)
    set_linear(fuse.project["b"], [[1]] * width, [0] * width)
    set_linear(fuse.ask, ask, [0] * (3 * width))
    set_linear(fuse.answer, answer, [0] * width)
    fuse.norm = nn.Identity()  # type: ignore[assignment]
    return fuse


def test_attention_averages_the_tokens_that_are_there() -> None:
    fuse = some_attention(1, ask=[[0], [0], [1]], answer=[[0]])
    nn.init.constant_(fuse.own, 5)
    # Own token 5; a is 3 and 7, b is 10 and 20.
    assert fuse(FEATURES).flatten().tolist() == pytest.approx([6, 32 / 3])
    assert fuse(FEATURES, B_MISSING).flatten().tolist() == pytest.approx([6, 6])
    # Nothing to choose by: each token also gets the mean of all, so the mean doubles.
    set_linear(fuse.answer, [[1]], [0])
    assert fuse(FEATURES).flatten().tolist() == pytest.approx([12, 64 / 3])
    assert fuse(FEATURES, B_MISSING).flatten().tolist() == pytest.approx([12, 12])


def test_attention_chooses_by_query_and_key() -> None:
    # Own token 0 asks for nothing and so averages; a large product picks the largest token.
    fuse = some_attention(1, ask=[[100], [1], [1]], answer=[[1]])
    nn.init.zeros_(fuse.own)
    mean = (0 + 3 + 10) / 3
    assert fuse(FEATURES)[0].item() == pytest.approx((0 + 3 + 10 + mean + 10 + 10) / 3)
    # The second sample has a = 7 alone: own token 0 averages 0 and 7, a picks itself.
    assert fuse(FEATURES, B_MISSING)[1].item() == pytest.approx((0 + 7 + 3.5 + 7) / 2)


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    fuse = Attention(SIZES, 8, heads=2)
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(fuse.ask.weight)
        theirs.in_proj_bias.copy_(fuse.ask.bias)
    theirs.out_proj.load_state_dict(fuse.answer.state_dict())
    projected = [fuse.project[name](FEATURES[name]) for name in "ab"]
    tokens = torch.stack([fuse.own.expand(2, -1), *projected], dim=1)
    here = torch.stack([torch.ones(2, dtype=torch.bool), *B_MISSING.values()], dim=1)
    asked = fuse.norm(tokens)
    found, _ = theirs(asked, asked, asked, key_padding_mask=~here)
    seen = (tokens + found) * here.unsqueeze(2)
    expected = seen.sum(dim=1) / here.sum(dim=1, keepdim=True)
    torch.testing.assert_close(fuse(FEATURES, B_MISSING), expected)


def test_attention_refuses_heads_that_do_not_divide() -> None:
    for heads in (0, 3):
        with pytest.raises(ValueError, match=f"heads is {heads}; it has to divide out_features, 8"):
            Attention(SIZES, 8, heads=heads)


# --- the whole model -----------------------------------------------------------------------------


def test_the_network_of_two_moons_by_hand() -> None:
    # [x1, x2] = [2, 3] → ReLU [2 − 3, 3] = [0, 3] → logits [0 + 1, 3 · 2].
    model = coordinates({"x1": (1,), "x2": (1,)}, 2, hidden=(2,))
    assert isinstance(model.head, MLP)
    linear = [layer for layer in model.head.layers if isinstance(layer, nn.Linear)]
    set_linear(linear[0], [[1, -1], [0, 1]], [0, 0])
    set_linear(linear[1], [[5, 0], [0, 2]], [1, 0])
    inputs = {"x1": torch.tensor([[2.0]]), "x2": torch.tensor([[3.0]])}
    assert model(inputs).tolist() == [[1, 6]]
    assert count_parameters(model) == (2 * 2 + 2) + (2 * 2 + 2)
    assert model.modalities == ("x1", "x2")


def test_one_key_is_the_unimodal_case() -> None:
    # The published teacher: 1 → 32 → 32 → 2, and nothing beside it.
    model = coordinates({"x1": (1,)}, 2, hidden=(32, 32))
    assert count_parameters(model) == (32 + 32) + (32 * 32 + 32) + (2 * 32 + 2)
    x = torch.randn(5, 1)
    assert isinstance(model.head, MLP)
    assert torch.equal(model({"x1": x}), model.head(x))
    # Late average and gate of one modality weigh it by 1.
    encoder = MLP([1, 3])
    late = multimodal({"x1": encoder}, 2, fusion="late average")
    assert isinstance(late.fusion, LateAverage)
    torch.testing.assert_close(late({"x1": x}), late.fusion.heads["x1"](encoder(x)))
    gated = multimodal({"x1": encoder}, 2, fusion="gated")
    assert isinstance(gated.fusion, Gated)
    torch.testing.assert_close(gated({"x1": x}), gated.head(gated.fusion.project["x1"](encoder(x))))


def test_frozen_parameters_are_not_counted() -> None:
    model = MLP([3, 2])
    model.layers[1].bias.requires_grad_(False)
    assert count_parameters(model) == 6


@every_fusion
@every_missing
def test_order_and_extra_modalities_do_not_matter(fusion: FusionName, missing: Missing) -> None:
    model, inputs = some_model(fusion, missing), some_inputs()
    expected = model(inputs)
    assert expected.shape == (6, 3)
    assert torch.equal(model(dict(reversed(inputs.items()))), expected)
    # A modality without an encoder is not even looked at.
    assert torch.equal(model({"smell": torch.full((6, 2), NAN), **inputs}), expected)


@every_fusion
@every_missing
def test_a_sample_is_judged_on_its_own(fusion: FusionName, missing: Missing) -> None:
    model, inputs = some_model(fusion, missing).train(), some_inputs()
    if missing != "refuse":
        inputs = without(inputs, "image", [1, 4])
    whole = model(inputs)
    for i in range(6):
        alone = model({name: x[i : i + 1] for name, x in inputs.items()})
        torch.testing.assert_close(alone, whole[i : i + 1])
    # Wild neighbours make no difference.
    wild = {name: torch.cat([x[:1], 1e3 * x[1:]]) for name, x in inputs.items()}
    torch.testing.assert_close(model(wild)[:1], whole[:1])


@every_fusion
def test_hidden_perturbs_the_features_between_encoder_and_fusion(fusion: FusionName) -> None:
    model, inputs = some_model(fusion), some_inputs()
    seen = {}

    def double(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        seen.update(features)
        return {name: 2 * h for name, h in features.items()}

    found = model(inputs, double)
    encoded = {name: model.encoders[name](x) for name, x in inputs.items()}
    assert seen.keys() == encoded.keys()
    assert all(torch.equal(seen[name], h) for name, h in encoded.items())
    twice = {name: 2 * h for name, h in encoded.items()}
    assert torch.equal(found, model.head(model.fusion(twice, None)))


# --- missing modalities --------------------------------------------------------------------------


@every_fusion
@lenient
def test_nothing_missing_is_as_if_nothing_could_be(fusion: FusionName, missing: Missing) -> None:
    strict, tolerant = some_model(fusion), some_model(fusion, missing)
    torch.testing.assert_close(tolerant(some_inputs()), strict(some_inputs()))


@every_fusion
@lenient
def test_an_absent_key_is_a_missing_modality(fusion: FusionName, missing: Missing) -> None:
    model, inputs = some_model(fusion, missing), some_inputs()
    for name in inputs:
        rest = {other: x for other, x in inputs.items() if other != name}
        as_nan = model(without(inputs, name, list(range(6))))
        assert bool(torch.isfinite(as_nan).all())
        assert torch.equal(model(rest), as_nan)
        assert not torch.allclose(as_nan, model(inputs))
        # Also where the features are perturbed: a token is not a feature.
        shifted = model(rest, lambda features: {n: h + 1 for n, h in features.items()})
        moved = {n: model.encoders[n](x) + 1 for n, x in rest.items()}
        gone = torch.zeros(6, dtype=torch.bool)
        width = model.encoders[name].out_features
        token = model.tokens[name] if missing == "learned" else torch.zeros(width)
        features = {n: moved.get(n, token.expand(6, -1)) for n in inputs}
        present = {n: ~gone if n in rest else gone for n in inputs}
        torch.testing.assert_close(shifted, model.head(model.fusion(features, present)))


@every_fusion
@lenient
def test_one_sample_missing_a_modality_changes_no_other(
    fusion: FusionName, missing: Missing
) -> None:
    model, inputs = some_model(fusion, missing), some_inputs()
    some = model(without(inputs, "image", [1, 4]))
    gone = model({name: x for name, x in inputs.items() if name != "image"})
    full = model(inputs)
    torch.testing.assert_close(some[[1, 4]], gone[[1, 4]])
    torch.testing.assert_close(some[[0, 2, 3, 5]], full[[0, 2, 3, 5]])


@every_fusion
@lenient
def test_a_missing_sample_leaks_neither_value_nor_gradient(
    fusion: FusionName, missing: Missing
) -> None:
    # NaN in the first entry marks the modality as missing; what stands behind it must not matter.
    model, inputs = some_model(fusion, missing), some_inputs()
    marked = inputs["sound"].clone()
    marked[2, 0] = NAN
    expected = model(without(inputs, "sound", [2]))
    x = marked.requires_grad_()
    found = model({**inputs, "sound": x})
    assert torch.equal(found, expected)
    found.square().sum().backward()
    assert x.grad is not None
    assert not x.grad[2].any()
    assert bool(torch.isfinite(x.grad).all())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name


@lenient
def test_an_infinite_input_is_not_covered_up(missing: Missing) -> None:
    model = coordinates({"x": (2,)}, 2, hidden=(), missing=missing)
    assert not torch.isfinite(model({"x": torch.tensor([[0.0, float("inf")]])})).all()


@pytest.mark.parametrize("training", [True, False])
def test_a_model_that_refuses_says_what_is_missing(training: bool) -> None:
    model, inputs = some_model().train(training), some_inputs()
    message = "'image' is missing in some samples and this model refuses that; build it with"
    with pytest.raises(ValueError, match=message):
        model(without(inputs, "image", [5]))
    with pytest.raises(ValueError, match=message):
        model({name: x for name, x in inputs.items() if name != "image"})


@every_missing
def test_no_modality_at_all_is_refused(missing: Missing) -> None:
    with pytest.raises(ValueError, match=r"reads \('sound', 'image', 'depth'\); got \('smell',\)"):
        some_model(missing=missing)({"smell": torch.zeros(2, 2)})


# --- parameters ----------------------------------------------------------------------------------


@every_fusion
@every_missing
def test_gradients_reach_every_parameter(fusion: FusionName, missing: Missing) -> None:
    model, inputs = some_model(fusion, missing), some_inputs(64)
    if missing != "refuse":
        for name in inputs:
            inputs = without(inputs, name, [list(inputs).index(name)])
    nn.functional.cross_entropy(model(inputs), torch.arange(64) % 3).backward()
    for name, parameter in model.named_parameters():
        token = name.startswith("tokens")
        if token and fusion != "concatenate":  # others give the missing no vote; the gate sees it
            continue
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name


def test_equal_seeds_make_equal_models() -> None:
    inputs = some_inputs()
    assert torch.equal(some_model(seed=1)(inputs), some_model(seed=1)(inputs))
    assert not torch.equal(some_model(seed=1)(inputs), some_model(seed=2)(inputs))


def test_weights_survive_a_round_trip() -> None:
    first, second = (some_model("gated", "learned", seed=seed) for seed in (1, 2))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(some_inputs()), second(some_inputs()))


@every_fusion
@pytest.mark.parametrize("shared_inputs", [True, False])
def test_many_students_at_once_are_the_same_students(
    shared_inputs: bool, fusion: FusionName
) -> None:
    # Inputs that differ by student, as under each one's own noise, cannot be searched for missing
    # values inside vmap; there the model has to be one that accepts them.
    missing: Missing = "refuse" if shared_inputs else "zero"
    students = [
        multimodal(
            {"x1": MLP([1, 4]), "x2": MLP([1, 4])}, 2, fusion=fusion, hidden=(8,), missing=missing
        )
        for _ in range(4)
    ]
    inputs = {name: torch.randn(4, 7, 1) for name in ("x1", "x2")}
    if shared_inputs:
        inputs = {name: x[0] for name, x in inputs.items()}
    own = [inputs if shared_inputs else {n: x[i] for n, x in inputs.items()} for i in range(4)]
    parameters, buffers = torch.func.stack_module_state(students)

    def logits(state: dict[str, Tensor], x: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(students[0], (state, buffers), (x,))

    def loss(state: dict[str, Tensor], x: dict[str, Tensor]) -> Tensor:
        return logits(state, x).square().mean()

    axes = (0, None if shared_inputs else 0)
    together = torch.func.vmap(logits, in_dims=axes)(parameters, inputs)
    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=axes)(parameters, inputs)
    for i, student in enumerate(students):
        alone = student(own[i])
        torch.testing.assert_close(together[i], alone)
        alone.square().mean().backward()
        for name, parameter in student.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(gradients[name][i], parameter.grad)


# --- refusals ------------------------------------------------------------------------------------


def test_models_refuse() -> None:
    encoders: dict[str, nn.Module] = {"a": Flatten((2,))}
    head = MLP([2, 2])
    with pytest.raises(ValueError, match="an encoder for at least one modality"):
        MultimodalModel({}, Concatenate(SIZES), head)
    with pytest.raises(ValueError, match="missing is 'skip'; choose refuse, zero or learned"):
        multimodal(encoders, 2, missing="skip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fusion is 'sum'; choose concatenate, late average"):
        multimodal(encoders, 2, fusion="sum")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Sequential has no out_features"):
        multimodal({"a": nn.Sequential()}, 2)


@every_fusion
@pytest.mark.parametrize("name", ["half", "values", "a.b", ""])
def test_names_that_torch_keeps_for_itself_are_refused(name: str, fusion: FusionName) -> None:
    with pytest.raises(ValueError, match=r"torch refuses a modality's name, .*; rename it"):
        multimodal({name: Flatten((2,))}, 2, fusion=fusion)
