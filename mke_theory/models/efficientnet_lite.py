"""EfficientNet-Lite: EfficientNet without gates and with ReLU6, for features of pictures.

Seven stages of inverted residual blocks: a block widens its input sixfold (the first stage does
not), convolves each channel by itself, and narrows the result; where size and width stay it adds
its input. Widths and depths of a variant are those of EfficientNet-B0 times its two numbers, but
for the stem, the head, and the depth of the first and the last stage, which the Lite variants keep.

Batch normalisation of a trained network is an affine map by channel, so that it goes into the
convolution before it: W·γ/σ, and β − μγ/σ as its bias. A sample's features depend on it alone.
Ref: tan2019efficientnet; liu2020efficientnetlite; sandler2018mobilenetv2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Variant = Literal["lite0", "lite1", "lite2", "lite3", "lite4"]

SCALES: dict[Variant, tuple[float, float]] = {
    "lite0": (1.0, 1.0),
    "lite1": (1.0, 1.1),
    "lite2": (1.1, 1.2),
    "lite3": (1.2, 1.4),
    "lite4": (1.4, 1.8),
}
"""Width and depth of each variant, as multiples of B0's."""


@dataclass(frozen=True)
class StageShape:
    """A stage of B0: kernel size, stride of its first block, widening, channels out, blocks."""

    kernel: int
    stride: int
    widening: int
    channels: int
    blocks: int


STAGES = (
    StageShape(3, 1, 1, 16, 1),
    StageShape(3, 2, 6, 24, 2),
    StageShape(5, 2, 6, 40, 2),
    StageShape(3, 2, 6, 80, 3),
    StageShape(5, 1, 6, 112, 3),
    StageShape(5, 2, 6, 192, 4),
    StageShape(3, 1, 6, 320, 1),
)
STEM, HEAD = 32, 1280
EPSILON = 1e-3
"""Added to the variances of the batch normalisations, as the networks were trained."""


class EfficientNetLite(nn.Module):
    """The maps after each of the seven stages, [n, c, h/s, w/s] with s = 2, 4, 8, 16, 16, 32, 32.

    Input is [n, 3, h, w] in RGB, less ImageNet's mean and over its standard deviation by channel.
    `channels` states each c. A stage at stride s has ⌈h/s⌉ rows and ⌈w/s⌉ columns.
    """

    def __init__(self, variant: Variant = "lite2", *, classes: int = 1000) -> None:
        super().__init__()
        if variant not in SCALES:
            raise ValueError(f"variant is {variant!r}; choose one of {tuple(SCALES)}")
        width, depth = SCALES[variant]
        self.stem = Convolution(3, STEM, kernel=3, stride=2)
        stages, inward = [], STEM
        for i, shape in enumerate(STAGES):
            outward = _rounded(shape.channels * width)
            ends = i in (0, len(STAGES) - 1)
            blocks = shape.blocks if ends else math.ceil(shape.blocks * depth)
            stages.append(_stage(shape, inward, outward, blocks))
            inward = outward
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(_rounded(shape.channels * width) for shape in STAGES)
        self.head = Convolution(inward, HEAD, kernel=1)
        self.classify = nn.Linear(HEAD, classes)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        x = F.relu6(self.stem(x))
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def logits(self, x: Tensor) -> Tensor:
        """The classes' logits [n, classes] of whole pictures."""
        return self.classify(F.relu6(self.head(self(x)[-1])).mean(dim=(2, 3)))


class Block(nn.Module):
    """Widen, convolve channel by channel, narrow; plus the input where size and width are kept."""

    def __init__(self, inward: int, outward: int, shape: StageShape, *, first: bool) -> None:
        super().__init__()
        wide = inward * shape.widening
        stride = shape.stride if first else 1
        self.widen = Convolution(inward, wide, kernel=1) if shape.widening > 1 else None
        self.depthwise = Convolution(wide, wide, kernel=shape.kernel, stride=stride, groups=wide)
        self.narrow = Convolution(wide, outward, kernel=1)
        self.adds = stride == 1 and inward == outward

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.widen is None else F.relu6(self.widen(x))
        y = self.narrow(F.relu6(self.depthwise(wide)))
        return x + y if self.adds else y


class Convolution(nn.Conv2d):
    """A convolution whose output has ⌈size/stride⌉ rows and columns.

    The zeros around the input are those that this size needs, half of them on each side, an odd one
    at the end: for stride 2 they depend on whether the size is odd.
    """

    def __init__(
        self, inward: int, outward: int, *, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inward, outward, kernel, stride, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        around = []
        for size in reversed(input.shape[-2:]):
            missing = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            around += [missing // 2, missing - missing // 2]
        same = len(set(around)) == 1
        if same:  # both ways give the same sums; this one copies nothing
            return F.conv2d(
                input, self.weight, self.bias, self.stride, around[0], groups=self.groups
            )
        return super().forward(F.pad(input, around))


def efficientnet_lite(variant: Variant, weights: Mapping[str, Tensor]) -> EfficientNetLite:
    """The trained network of a variant, its batch normalisations folded into its convolutions.

    `weights` are named as in the published PyTorch checkpoints: `_conv_stem.weight`,
    `_bn0.weight`, …, `_blocks.3._expand_conv.weight`, `_blocks.3._bn0.weight`, …, `_fc.bias`.
    Raises ValueError where one is missing, has another shape, is not finite, or is left over.
    """
    left = {name: x for name, x in weights.items() if not name.endswith("num_batches_tracked")}
    net = EfficientNetLite(variant, classes=_classes(left))
    blocks = [block for block in net.stages.modules() if isinstance(block, Block)]
    _fold(net.stem, left, "_conv_stem", "_bn0")
    for i, block in enumerate(blocks):
        name = f"_blocks.{i}."
        if block.widen is not None:
            _fold(block.widen, left, f"{name}_expand_conv", f"{name}_bn0")
        _fold(block.depthwise, left, f"{name}_depthwise_conv", f"{name}_bn1")
        _fold(block.narrow, left, f"{name}_project_conv", f"{name}_bn2")
    _fold(net.head, left, "_conv_head", "_bn1")
    _copy(net.classify.weight, _take(left, "_fc.weight"), "_fc.weight")
    _copy(net.classify.bias, _take(left, "_fc.bias"), "_fc.bias")
    if left:
        raise ValueError(
            f"{len(left)} weights are left over, such as {next(iter(left))}; EfficientNet-"
            f"{variant} has {len(blocks)} blocks: name the variant that the weights are of"
        )
    return net.eval().requires_grad_(False)


def _stage(shape: StageShape, inward: int, outward: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        *(Block(outward if i else inward, outward, shape, first=i == 0) for i in range(blocks))
    )


def _rounded(channels: float) -> int:
    """The nearest multiple of eight that is not more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _fold(conv: nn.Conv2d, left: dict[str, Tensor], name: str, norm: str) -> None:
    """Set a convolution to a trained one followed by its batch normalisation."""
    weight = _take(left, f"{name}.weight").double()
    gain, shift, mean, variance = (
        _take(left, f"{norm}.{part}").double()
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    if bool((variance < 0).any()):
        raise ValueError(f"{norm}.running_var holds a negative number; the weights are damaged")
    scale = gain / torch.sqrt(variance + EPSILON)
    assert conv.bias is not None
    if weight.shape[0] == len(scale):  # else the copy names the shapes
        weight = weight * scale[:, None, None, None]
    _copy(conv.weight, weight, f"{name}.weight")
    _copy(conv.bias, shift - mean * scale, norm)


def _take(left: dict[str, Tensor], name: str) -> Tensor:
    if name not in left:
        raise ValueError(
            f"the weights lack {name}; they are of another architecture, or incomplete"
        )
    return left.pop(name)


def _copy(parameter: Tensor, value: Tensor, name: str) -> None:
    if parameter.shape != value.shape:
        raise ValueError(
            f"{name} is {tuple(value.shape)}, but this variant has {tuple(parameter.shape)}; "
            "name the variant that the weights are of"
        )
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} holds a number that is not finite; the weights are damaged")
    with torch.no_grad():
        parameter.copy_(value)


def _classes(weights: Mapping[str, Tensor]) -> int:
    bias = weights.get("_fc.bias")
    return 1000 if bias is None or bias.ndim != 1 else len(bias)
