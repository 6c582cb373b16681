"""The student: an encoder for each modality, a fusion, a head. A unimodal model has one key."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from mke_theory.data.pool import is_present
from mke_theory.models.encoders import MLP, Flatten, width_of
from mke_theory.models.fusion import Attention, Concatenate, Gated, LateAverage, by_modality

Missing = Literal["refuse", "zero", "learned"]
FusionName = Literal["concatenate", "late average", "gated", "attention"]
Hidden = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class MultimodalModel(nn.Module):
    """Logits [n, k] from a dictionary of inputs; modalities it has no encoder for are not read.

    `missing` says what becomes of a sample that lacks a modality (NaN throughout, or the key is
    absent): refuse it with an error, put zeros in place of its features, or a learned token.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: nn.Module,
        head: nn.Module,
        *,
        missing: Missing = "refuse",
    ) -> None:
        super().__init__()
        if not encoders:
            raise ValueError("a model needs an encoder for at least one modality; got none")
        if missing not in ("refuse", "zero", "learned"):
            raise ValueError(f"missing is {missing!r}; choose refuse, zero or learned")
        self.encoders = by_modality(encoders)
        self.fusion, self.head, self.missing = fusion, head, missing
        self.inspects = True
        """Off where inputs are known to be whole: under torch.func no value can be looked at."""
        if missing == "learned":
            self.tokens = nn.ParameterDict(
                {name: nn.Parameter(torch.zeros(width_of(enc))) for name, enc in encoders.items()}
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the model reads, in order."""
        return tuple(self.encoders)

    def forward(self, inputs: Mapping[str, Tensor], hidden: Hidden | None = None) -> Tensor:
        """Logits; `hidden` perturbs the features {modality: [n, width]} between encoder and fusion.

        Raises ValueError where a modality is missing and the model was built to refuse that.
        """
        encoders = self.encoders
        known = {name: inputs[name] for name in encoders if name in inputs}
        if not known:
            raise ValueError(f"the model reads {self.modalities}; got {tuple(inputs)}")
        if self.missing == "refuse":
            if self.inspects or len(known) < len(encoders):
                self.refuse_missing(known)
            features = {name: encoder(known[name]) for name, encoder in encoders.items()}
            present = None
        else:
            features, present = self._encode_present(known)
        if hidden is not None:
            features = hidden(features)
        if present is not None:
            features = {
                name: torch.where(here.unsqueeze(1), features[name], self._token(name, features))
                for name, here in present.items()
            }
        return self.head(self.fusion(features, present))

    def _encode_present(
        self, known: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        features, present = {}, {}
        anyone = next(iter(known.values()))
        for name in self.modalities:
            if name in known:
                present[name] = is_present(known[name])
                x = known[name]
                features[name] = self.encoders[name](torch.where(torch.isnan(x), 0.0, x))
            else:
                present[name] = torch.zeros(len(anyone), dtype=torch.bool, device=anyone.device)
                width = width_of(self.encoders[name])
                features[name] = torch.zeros(
                    len(anyone), width, dtype=anyone.dtype, device=anyone.device
                )
        return features, present

    def _token(self, name: str, features: Mapping[str, Tensor]) -> Tensor:
        if self.missing == "learned":
            return self.tokens[name].to(features[name].dtype)
        return torch.zeros_like(features[name])

    def refuse_missing(self, known: Mapping[str, Tensor]) -> None:
        """Raise ValueError where one of the model's modalities is not there in every sample."""
        absent = [name for name in self.encoders if name not in known]
        if not absent and self.inspects:
            # In training on an accelerator a look at values would stall the device at every step.
            look = next(iter(known.values())).is_cpu or not self.training
            absent = [name for name, x in known.items() if look and not bool(is_present(x).all())]
        if absent:
            raise ValueError(
                f"modality {absent[0]!r} is missing in some samples and this model refuses that; "
                'build it with missing="zero" or missing="learned"'
            )


@contextmanager
def unwatched(*models: nn.Module) -> Iterator[None]:
    """Inside the block no model, nor one inside it, looks for missing modalities.

    For inputs that are known to be whole, and where values cannot be looked at.
    """
    inside = [m for model in models for m in model.modules() if isinstance(m, MultimodalModel)]
    before = [model.inspects for model in inside]
    for model in inside:
        model.inspects = False
    try:
        yield
    finally:
        for model, former in zip(inside, before, strict=True):
            model.inspects = former


def multimodal(
    encoders: Mapping[str, nn.Module],
    classes: int,
    *,
    fusion: FusionName = "concatenate",
    hidden: tuple[int, ...] = (),
    missing: Missing = "refuse",
) -> MultimodalModel:
    """A model from its encoders: fuse, then an MLP head with the given hidden sizes.

    "late average" needs no head: each modality votes with `classes` logits.
    """
    sizes = {name: width_of(encoder) for name, encoder in encoders.items()}
    joined: nn.Module
    head: nn.Module
    if fusion == "late average":
        joined, head = LateAverage(sizes, classes), nn.Identity()
    elif fusion == "gated":
        joined = Gated(sizes, max(sizes.values()))
        head = MLP([max(sizes.values()), *hidden, classes])
    elif fusion == "attention":
        width = max(sizes.values())
        joined = Attention(sizes, width, heads=math.gcd(4, width))
        head = MLP([width, *hidden, classes])
    elif fusion == "concatenate":
        joined = Concatenate(sizes)
        head = MLP([sum(sizes.values()), *hidden, classes])
    else:
        raise ValueError(
            f"fusion is {fusion!r}; choose concatenate, late average, gated, attention"
        )
    return MultimodalModel(encoders, joined, head, missing=missing)


def coordinates(
    shapes: Mapping[str, tuple[int, ...]],
    classes: int,
    *,
    hidden: tuple[int, ...],
    missing: Missing = "refuse",
) -> MultimodalModel:
    """An MLP on the raw numbers of all modalities side by side: the network of TwoMoon."""
    encoders = {name: Flatten(shape) for name, shape in shapes.items()}
    return multimodal(encoders, classes, hidden=hidden, missing=missing)


def count_parameters(model: nn.Module) -> int:
    """The number of trainable numbers in a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
