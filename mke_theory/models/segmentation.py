"""Segmentation: pictures of several modalities in, the logits of every pixel out.

Each modality has a branch: a backbone that gives feature maps of several sizes, and a projection of
each map to one width. The maps of the modalities that a sample has are added, and a decoder goes
from the coarsest map to the finest. A unimodal model has one branch, so that of a teacher and the
same branch of its student have equal parameters under equal names.
Ref: lin2017feature (the way from coarse to fine); chen2018encoder (dilated surroundings);
hu2018squeeze (gates).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mke_theory.data.pool import is_present
from mke_theory.models.encoders import channels_of, group_norm
from mke_theory.models.fusion import by_modality
from mke_theory.models.multimodal import Hidden

DenseFusion = Literal["sum", "gated", "late"]


def segmenter(
    channels: Mapping[str, int],
    classes: int,
    *,
    width: int = 16,
    stages: int = 4,
    fusion: DenseFusion = "sum",
    prior: Sequence[float] | None = None,
) -> Segmenter:
    """A `Segmenter` of small convolutional branches, `channels` = {modality: its channels}.

    Stage 1, 2, … of a branch has `width`, 2 `width`, … channels at a half, a quarter, … of the
    size of the input; the decoder has 2 `width`. No layer looks at a batch, so a sample's logits
    depend on that sample alone.
    """
    for name, value in (("width", width), ("stages", stages), *channels.items()):
        if value < 1:
            raise ValueError(f"{name} is {value}; it has to be at least 1")
    pyramids = {name: Pyramid(n, width, stages) for name, n in channels.items()}
    return Segmenter(pyramids, classes, width=2 * width, fusion=fusion, prior=prior)


def segmenter_on(
    backbones: Mapping[str, nn.Module],
    classes: int,
    *,
    width: int = 64,
    fusion: DenseFusion = "sum",
    prior: Sequence[float] | None = None,
) -> Segmenter:
    """A `Segmenter` on the feature maps of any backbones, such as those of `picture_backbone`.

    A backbone gives a list of maps [n, c, h, w], finest first, and states each c in `channels`. The
    backbones may differ, but not in how many maps they give and how large these are.
    """
    return Segmenter(backbones, classes, width=width, fusion=fusion, prior=prior)


class Segmenter(nn.Module):
    """Logits [n, k, h, w] from {modality: [n, c, h, w]}; modalities without a branch are not read.

    A modality that a sample lacks (NaN throughout, or the key is absent) adds nothing to it.

    fusion: "sum" adds the maps of the modalities, size by size. "gated" weighs the channels of each
    modality by its own mean over the picture before that. "late" gives each modality a decoder too
    and adds logits, as fits evidence that is independent given the class: with m modalities
    there, log P(class | all) = Σ log P(class | one) − (m − 1) log P(class) + a constant. `prior`
    is P(class) [k], for "late" alone; without it the classes are equally likely.
    """

    log_prior: Tensor | None

    def __init__(
        self,
        backbones: Mapping[str, nn.Module],
        classes: int,
        *,
        width: int,
        fusion: DenseFusion = "sum",
        prior: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        _refuse_settings(classes, fusion, prior)
        levels = _levels(backbones)
        gated = fusion == "gated"
        self.branches = by_modality(
            {name: Branch(net, width, gated=gated) for name, net in backbones.items()}
        )
        self.late = fusion == "late"
        if self.late:
            self.decoders = by_modality({m: Decoder(levels, width, classes) for m in backbones})
        else:
            self.decoder = Decoder(levels, width, classes)
        log_prior = None if prior is None else torch.log(torch.tensor(prior)).reshape(-1, 1, 1)
        self.register_buffer("log_prior", log_prior)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the model reads, in order."""
        return tuple(self.branches)

    def forward(self, inputs: Mapping[str, Tensor], hidden: Hidden | None = None) -> Tensor:
        """Logits; `hidden` perturbs the coarsest maps {modality: [n, width, h, w]} before fusion.

        Raises ValueError where no modality is there, or pictures differ in height or width.
        """
        known = {name: inputs[name] for name in self.modalities if name in inputs}
        size = self._size(known, inputs)
        maps = {
            name: self.branches[name](torch.where(torch.isnan(x), 0.0, x))
            for name, x in known.items()
        }
        if hidden is not None:
            coarsest = hidden({name: levels[-1] for name, levels in maps.items()})
            maps = {name: [*levels[:-1], coarsest[name]] for name, levels in maps.items()}
        present = {name: is_present(x).reshape(-1, 1, 1, 1) for name, x in known.items()}
        if self.late:
            decoded = {name: self.decoders[name](levels) for name, levels in maps.items()}
            logits = self._evidence(decoded, present)
        else:
            logits = self.decoder(_added(maps, present))
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)

    def _size(self, known: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> torch.Size:
        if not known:
            raise ValueError(f"the model reads {self.modalities}; got {tuple(inputs)}")
        shapes = {name: tuple(x.shape) for name, x in known.items()}
        if any(x.dim() != 4 for x in known.values()) or len({s[2:] for s in shapes.values()}) > 1:
            raise ValueError(
                f"pictures have to be [n, channels, h, w] with the same h and w; got {shapes}"
            )
        return next(iter(known.values())).shape[2:]

    def _evidence(self, decoded: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """The sum of the logits of modalities that are there, with the prior counted once."""
        total = sum(torch.where(here, decoded[name], 0.0) for name, here in present.items())
        assert isinstance(total, Tensor)  # sum() may be 0 to a type checker
        if self.log_prior is None:
            return total
        count = torch.stack(tuple(present.values())).sum(dim=0)
        return total - (count - 1) * self.log_prior


def _added(maps: Mapping[str, Sequence[Tensor]], present: Mapping[str, Tensor]) -> list[Tensor]:
    """Size by size the sum over modalities, each taken where it is there."""
    sizes = {name: [tuple(level.shape[2:]) for level in levels] for name, levels in maps.items()}
    if any(found != next(iter(sizes.values())) for found in sizes.values()):
        raise ValueError(f"backbones have to give maps of the same sizes; got {sizes}")
    heard = [
        [torch.where(present[name], level, 0.0) for level in levels]
        for name, levels in maps.items()
    ]
    return [torch.stack(same_size).sum(dim=0) for same_size in zip(*heard, strict=True)]


class Branch(nn.Module):
    """The maps of one modality's backbone for the fusion, each of `width` channels.

    With `gated` each channel is multiplied by a number in (0, 1) that depends on the means of all
    channels of that map over the picture.
    """

    def __init__(self, backbone: nn.Module, width: int, *, gated: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        channels = channels_of(backbone)
        self.project = nn.ModuleList(nn.Conv2d(inward, width, 1) for inward in channels)
        self.gate = nn.ModuleList(nn.Linear(width, width) for _ in channels if gated)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [f(level) for f, level in zip(self.project, self.backbone(x), strict=True)]
        if not self.gate:
            return maps
        shares = [
            torch.sigmoid(g(m.mean(dim=(2, 3)))) for g, m in zip(self.gate, maps, strict=True)
        ]
        return [m * share[:, :, None, None] for m, share in zip(maps, shares, strict=True)]


class Pyramid(nn.Module):
    """Feature maps at 1/2, 1/4, … of the size, with `width`, 2 `width`, … channels.

    A stage is a 3 × 3 convolution of stride 2 and a residual one of stride 1, both with group
    normalisation.
    """

    def __init__(self, channels: int, width: int, stages: int) -> None:
        super().__init__()
        self.channels = tuple(width * 2**stage for stage in range(stages))
        inward = (channels, *self.channels[:-1])
        self.stages = nn.ModuleList(map(Stage, inward, self.channels))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Stage(nn.Module):
    """Half the size, `outward` channels: a strided convolution, then a residual one."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.shrink = _convolution(inward, outward, stride=2)
        self.refine = _convolution(outward, outward)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.shrink(x))
        return torch.relu(x + self.refine(x))


class Decoder(nn.Module):
    """Logits at the size of the finest map, from maps of one width, finest first.

    The coarsest map is seen with its surroundings: a plain and a dilated convolution and the mean
    over the picture. From there each finer map is added to what is known, and smoothed.
    """

    def __init__(self, levels: int, width: int, classes: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.far = nn.Conv2d(width, width, 3, padding=3, dilation=3)
        self.everywhere = nn.Conv2d(width, width, 1)
        self.norm = group_norm(width)
        self.smooth = nn.ModuleList(_convolution(width, width) for _ in range(levels - 1))
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        *finer, x = maps
        whole = self.everywhere(x.mean(dim=(2, 3), keepdim=True))
        x = torch.relu(self.norm(self.near(x) + self.far(x) + whole))
        for smooth, level in zip(self.smooth, reversed(finer), strict=True):
            x = F.interpolate(x, size=level.shape[2:], mode="bilinear", align_corners=False)
            x = torch.relu(smooth(x + level))
        return self.classify(x)


def _convolution(inward: int, outward: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inward, outward, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, group_norm(outward))


def _levels(backbones: Mapping[str, nn.Module]) -> int:
    """The count of maps that every backbone gives; ValueError where they differ in that."""
    levels = {name: len(channels_of(backbone)) for name, backbone in backbones.items()}
    if not levels:
        raise ValueError("a segmenter needs a branch for at least one modality; got none")
    if len(set(levels.values())) > 1:
        raise ValueError(f"backbones have to give equally many maps; got {levels}")
    return next(iter(levels.values()))


def _refuse_settings(classes: int, fusion: str, prior: Sequence[float] | None) -> None:
    if classes < 2:
        raise ValueError(f"classes is {classes}; it has to be at least 2")
    if fusion not in get_args(DenseFusion):
        raise ValueError(f"fusion is {fusion!r}; choose one of {get_args(DenseFusion)}")
    if prior is None:
        return
    if fusion != "late":
        raise ValueError(f"prior is for fusion 'late'; fusion is {fusion!r}")
    one_each = len(prior) == classes and all(share > 0.0 for share in prior)
    if not (one_each and abs(sum(prior) - 1.0) <= 1e-3):
        raise ValueError(
            f"prior is {list(prior)}; it needs {classes} numbers above 0 with sum 1, a class each"
        )
