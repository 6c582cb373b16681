"""Fusion: the features of several modalities in, one vector [n, out_features] out.

`present[m]` is [n] True where the sample has modality m; None means that nothing is missing. The
caller has already put a token in place of missing features.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Present = Mapping[str, Tensor] | None


def by_modality(modules: Mapping[str, nn.Module]) -> nn.ModuleDict:
    """The modules under the names of their modalities; ValueError for a name that torch refuses."""
    try:
        return nn.ModuleDict(dict(modules))
    except KeyError as problem:
        raise ValueError(f"torch refuses a modality's name, {problem}; rename it") from None


class Concatenate(nn.Module):
    """All features side by side, in the order of the modalities."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.order = tuple(sizes)
        self.out_features = sum(sizes.values())

    def forward(self, features: Mapping[str, Tensor], present: Present = None) -> Tensor:
        if len(self.order) == 1:
            return features[self.order[0]]
        return torch.cat([features[name] for name in self.order], dim=1)


class LateAverage(nn.Module):
    """The mean over a sample's modalities of the logits of each alone, out_features apiece."""

    def __init__(self, sizes: Mapping[str, int], out_features: int) -> None:
        super().__init__()
        self.order = tuple(sizes)
        self.heads = by_modality({name: nn.Linear(n, out_features) for name, n in sizes.items()})
        self.out_features = out_features

    def forward(self, features: Mapping[str, Tensor], present: Present = None) -> Tensor:
        logits = torch.stack([self.heads[name](features[name]) for name in self.order], dim=1)
        if present is None:
            return logits.mean(dim=1)
        here = torch.stack([present[name] for name in self.order], dim=1).to(logits.dtype)
        return (logits * here.unsqueeze(2)).sum(dim=1) / here.sum(dim=1, keepdim=True).clamp(
            min=1.0
        )


class Gated(nn.Module):
    """A weighted mean of the projected features, the weights chosen for each sample by a gate.

    A missing modality has weight 0.
    """

    def __init__(self, sizes: Mapping[str, int], out_features: int) -> None:
        super().__init__()
        self.order = tuple(sizes)
        self.project = by_modality({name: nn.Linear(n, out_features) for name, n in sizes.items()})
        self.gate = nn.Linear(sum(sizes.values()), len(sizes))
        self.out_features = out_features

    def forward(self, features: Mapping[str, Tensor], present: Present = None) -> Tensor:
        score = self.gate(torch.cat([features[name] for name in self.order], dim=1))
        if present is not None:
            here = torch.stack([present[name] for name in self.order], dim=1)
            score = score.masked_fill(~here, torch.finfo(score.dtype).min)
        weight = torch.softmax(score, dim=1).unsqueeze(2)
        projected = [self.project[name](features[name]) for name in self.order]
        return (torch.stack(projected, dim=1) * weight).sum(dim=1)


class Attention(nn.Module):
    """The mean of tokens, one a modality, after each has looked at all of them: self-attention.

    A token is a modality's projected features; one of the layer's own is always there. The mean is
    that of token + attention(normalised tokens), with `heads` heads. A missing modality is neither
    looked at nor counted.
    """

    def __init__(self, sizes: Mapping[str, int], out_features: int, *, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or out_features % heads:
            raise ValueError(f"heads is {heads}; it has to divide out_features, {out_features}")
        self.order, self.heads = tuple(sizes), heads
        self.project = by_modality({name: nn.Linear(n, out_features) for name, n in sizes.items()})
        self.own = nn.Parameter(0.02 * torch.randn(out_features))
        self.norm = nn.LayerNorm(out_features)
        self.ask = nn.Linear(out_features, 3 * out_features)
        self.answer = nn.Linear(out_features, out_features)
        self.out_features = out_features

    def forward(self, features: Mapping[str, Tensor], present: Present = None) -> Tensor:
        projected = [self.project[name](features[name]) for name in self.order]
        own = self.own.to(projected[0].dtype).expand_as(projected[0])
        tokens = torch.stack([own, *projected], dim=1)
        here = torch.ones_like(tokens[:, :, 0], dtype=torch.bool)
        if present is not None:
            here = torch.stack([here[:, 0], *(present[name] for name in self.order)], dim=1)
        seen = torch.where(here.unsqueeze(2), tokens + self._attend(tokens, here), 0.0)
        return seen.sum(dim=1) / here.sum(dim=1, keepdim=True)

    def _attend(self, tokens: Tensor, here: Tensor) -> Tensor:
        # Written out: the fused kernels of torch cannot be vmapped.
        parts = self.ask(self.norm(tokens)).unflatten(2, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each [n, heads, tokens, width]
        score = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
        score = score.masked_fill(~here[:, None, None, :], torch.finfo(score.dtype).min)
        found = torch.softmax(score, dim=3).to(value.dtype) @ value
        return self.answer(found.transpose(1, 2).flatten(2))
