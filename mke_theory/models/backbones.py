"""Published encoders, through `transformers`: ResNet and ConvNeXt for pictures, AST for sound.

They start from random weights, or from weights that somebody has trained: of a folder with
config.json and model.safetensors, or of the hub, as "owner/name" or "owner/name@revision".

None of them looks at a batch, so that a sample's answer depends on that sample alone: where a
ResNet has batch normalisation it is replaced by group normalisation, or, with trained weights, by
the fixed means and variances that came with them.
Ref: he2016deep; liu2022convnet; woo2023convnext; gong2021ast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mke_theory.models.encoders import channels_of, group_norm
from mke_theory.models.pretrained import pretrained, transformers

Kind = Literal["resnet", "convnext", "convnextv2"]
Size = Literal["atto", "tiny", "small", "base"]
SoundSize = Literal["tiny", "small", "base"]


@dataclass(frozen=True)
class Shape:
    """The channels of each stage of a picture backbone, and how many blocks it has."""

    channels: tuple[int, ...]
    blocks: tuple[int, ...]
    bottleneck: bool = False  # ResNet alone


PICTURE_SHAPES: dict[tuple[Kind, Size], Shape] = {
    ("resnet", "tiny"): Shape((64, 128, 256, 512), (2, 2, 2, 2)),  # ResNet-18
    ("resnet", "small"): Shape((64, 128, 256, 512), (3, 4, 6, 3)),  # ResNet-34
    ("resnet", "base"): Shape((256, 512, 1024, 2048), (3, 4, 6, 3), bottleneck=True),  # ResNet-50
    ("convnext", "tiny"): Shape((96, 192, 384, 768), (3, 3, 9, 3)),
    ("convnext", "small"): Shape((96, 192, 384, 768), (3, 3, 27, 3)),
    ("convnext", "base"): Shape((128, 256, 512, 1024), (3, 3, 27, 3)),
    ("convnextv2", "atto"): Shape((40, 80, 160, 320), (2, 2, 6, 2)),
    ("convnextv2", "tiny"): Shape((96, 192, 384, 768), (3, 3, 9, 3)),
    ("convnextv2", "base"): Shape((128, 256, 512, 1024), (3, 3, 27, 3)),
}


@dataclass(frozen=True)
class SoundShape:
    """The width of an AST, its layers, and its heads of attention."""

    width: int
    layers: int
    heads: int


SOUND_SHAPES: dict[SoundSize, SoundShape] = {
    "tiny": SoundShape(192, 12, 3),
    "small": SoundShape(384, 12, 6),
    "base": SoundShape(768, 12, 12),
}


def picture_backbone(
    kind: Kind,
    *,
    size: Size | Shape | None = None,
    channels: int = 3,
    weights: str | None = None,
) -> PictureBackbone:
    """Feature maps of pictures with `channels` channels, for `segmenter_on`.

    `size` is one of `PICTURE_SHAPES` or a `Shape`, by default "tiny"; with `weights` it
    comes from them. Where trained weights are for another number of channels, each new channel gets
    the sum over the old ones divided by the number of new ones, so that a picture with the same
    values in all channels gives the same maps as before.

    Raises ValueError where a setting is out of range or the weights are damaged, of another kind or
    incomplete; FileNotFoundError where they are not there.
    """
    if channels < 1:
        raise ValueError(f"channels is {channels}; it has to be at least 1")
    if weights is None:
        net = _backbone_class(kind)(_picture_config(kind, size or "tiny", channels))
    else:
        if size is not None:
            raise ValueError(f"size is {size!r}, but it comes from the weights; leave it out")
        net = pretrained(_backbone_class(kind), kind, weights, fresh="hidden_states_norms.")
        _take_channels(net, channels)
    _replace_batch_norms(net, fixed=weights is not None)
    return PictureBackbone(net)


def picture_encoder(
    kind: Kind,
    *,
    size: Size | Shape | None = None,
    channels: int = 3,
    weights: str | None = None,
) -> Pooled:
    """Features [n, out_features] of pictures: the mean of a backbone's coarsest map."""
    return Pooled(picture_backbone(kind, size=size, channels=channels, weights=weights))


def sound_encoder(
    *,
    bands: int,
    frames: int,
    size: SoundSize | SoundShape | None = None,
    weights: str | None = None,
) -> SoundEncoder:
    """Features [n, out_features] of log-mel spectrograms [n, 1, bands, frames]: an AST.

    `size` is one of `SOUND_SHAPES` or a `SoundShape`, by default "tiny"; with `weights`
    it comes from them, and their embeddings of positions are interpolated to `bands` and `frames`.
    Trained weights expect spectrograms made and scaled as they were in training.
    Raises as `picture_backbone` does.
    """
    library = transformers()
    if weights is None:
        config = _sound_config(size or "tiny", bands, frames)
        return SoundEncoder(library.ASTModel(config))
    if size is not None:
        raise ValueError(f"size is {size!r}, but it comes from the weights; leave it out")
    net = pretrained(library.ASTModel, "audio-spectrogram-transformer", weights)
    _refuse_short(bands, frames, net.config.patch_size)
    _take_positions(net, bands, frames)
    return SoundEncoder(net)


class PictureBackbone(nn.Module):
    """A list of feature maps, finest (a quarter of the size) first; `channels` states theirs."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.channels = tuple(net.channels)
        # ConvNeXt cuts into patches and drops what is left over: below this nothing would be left.
        patches = net.config.model_type.startswith("convnext")
        self.least = net.config.patch_size * 2 ** (len(self.channels) - 1) if patches else 1

    def forward(self, x: Tensor) -> list[Tensor]:
        if min(x.shape[-2:]) < self.least:
            raise ValueError(
                f"pictures are {x.shape[-2]} × {x.shape[-1]}; {self.net.config.model_type} needs "
                f"at least {self.least} × {self.least}: enlarge them or take a resnet"
            )
        return list(self.net(x).feature_maps)


class Pooled(nn.Module):
    """The mean over the picture of a backbone's coarsest map, [n, out_features]."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_features = channels_of(backbone)[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone(x)[-1].mean(dim=(2, 3))


class SoundEncoder(nn.Module):
    """Features [n, out_features] of [n, 1, bands, frames]: the mean of AST's two class tokens."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.out_features = int(net.config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        bands, frames = self.net.config.num_mel_bins, self.net.config.max_length
        if tuple(x.shape[1:]) != (1, bands, frames):
            raise ValueError(
                f"spectrograms have to be [n, 1, {bands}, {frames}]; got {tuple(x.shape)}"
            )
        return self.net(x[:, 0].transpose(1, 2)).pooler_output


class FixedNorm(nn.Module):
    """(x − mean)/sd · weight + bias by channel: a batch normalisation whose statistics stay."""

    mean: Tensor
    variance: Tensor

    def __init__(self, trained: nn.BatchNorm2d) -> None:
        super().__init__()
        assert trained.running_mean is not None and trained.running_var is not None
        self.weight, self.bias, self.eps = trained.weight, trained.bias, trained.eps
        self.register_buffer("mean", trained.running_mean)
        self.register_buffer("variance", trained.running_var)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, eps=self.eps)


def _backbone_class(kind: Kind) -> Any:
    names = {
        "resnet": "ResNetBackbone",
        "convnext": "ConvNextBackbone",
        "convnextv2": "ConvNextV2Backbone",
    }
    if kind not in names:
        raise ValueError(f"kind is {kind!r}; choose one of {tuple(names)}")
    return getattr(transformers(), names[kind])


def _picture_config(kind: Kind, size: Size | Shape, channels: int) -> Any:
    if not isinstance(size, Shape):
        known = tuple(name for of, name in PICTURE_SHAPES if of == kind)
        if size not in known:
            raise ValueError(f"size is {size!r}; {kind} has {known}, or give a Shape")
        size = PICTURE_SHAPES[kind, size]
    numbers = (*size.channels, *size.blocks)
    if not numbers or len(size.channels) != len(size.blocks) or min(numbers) < 1:
        raise ValueError(f"{size} needs as many channels as blocks, at least one, each ≥ 1")
    stages = [f"stage{i + 1}" for i in range(len(size.channels))]
    common = dict(
        num_channels=channels,
        hidden_sizes=list(size.channels),
        depths=list(size.blocks),
        out_features=stages,
    )
    if kind == "resnet":
        return transformers().ResNetConfig(
            layer_type="bottleneck" if size.bottleneck else "basic",
            embedding_size=min(64, size.channels[0]),
            **common,
        )
    config = (
        transformers().ConvNextConfig if kind == "convnext" else transformers().ConvNextV2Config
    )
    return config(num_stages=len(stages), **common)


def _sound_config(size: SoundSize | SoundShape, bands: int, frames: int) -> Any:
    if not isinstance(size, SoundShape):
        if size not in SOUND_SHAPES:
            raise ValueError(f"size is {size!r}; choose one of {tuple(SOUND_SHAPES)}")
        size = SOUND_SHAPES[size]
    if min(size.width, size.layers, size.heads) < 1 or size.width % size.heads:
        raise ValueError(f"{size} needs numbers ≥ 1, and heads that divide the width")
    config = transformers().ASTConfig(
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        num_mel_bins=bands,
        max_length=frames,
    )
    _refuse_short(bands, frames, config.patch_size)
    return config


def _refuse_short(bands: int, frames: int, patch: int) -> None:
    if min(bands, frames) < patch:
        raise ValueError(
            f"bands is {bands} and frames is {frames}; an AST needs at least {patch} of each"
        )


def _take_channels(net: Any, channels: int) -> None:
    """Make the first convolution read another number of channels, as `picture_backbone` states."""
    if net.config.num_channels == channels:
        return
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    share = first.weight.detach().sum(dim=1, keepdim=True) / channels
    first.weight = nn.Parameter(share.repeat(1, channels, 1, 1))
    first.in_channels = net.config.num_channels = channels
    for module in net.modules():
        if hasattr(module, "num_channels"):
            module.num_channels = channels


def _take_positions(net: Any, bands: int, frames: int) -> None:
    """Interpolate an AST's embeddings of positions to other spectrograms."""
    embeddings, config = net.embeddings, net.config
    if (config.num_mel_bins, config.max_length) == (bands, frames):
        return
    before = embeddings.get_shape(config)
    config.num_mel_bins, config.max_length = bands, frames
    tokens, places = embeddings.position_embeddings.detach().split(
        [2, before[0] * before[1]], dim=1
    )
    grid = places.transpose(1, 2).unflatten(2, before)
    grid = F.interpolate(
        grid, size=embeddings.get_shape(config), mode="bilinear", align_corners=False
    )
    joined = torch.cat([tokens, grid.flatten(2).transpose(1, 2)], dim=1)
    embeddings.position_embeddings = nn.Parameter(joined)


def _replace_batch_norms(net: nn.Module, *, fixed: bool) -> None:
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                norm = FixedNorm(child) if fixed else group_norm(child.num_features)
                setattr(parent, name, norm)
