"""Several pictures of one sample: a film is what its frames are on average."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mke_theory.models.encoders import width_of


class Frames(nn.Module):
    """The mean of an encoder's features over the frames of [n, frames, c, h, w].

    The frames share the encoder, and their order does not matter. A frame that is NaN does not
    count; a sample without any frame has zeros for features.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.out_features = width_of(encoder)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() < 3 or x.shape[1] == 0:
            raise ValueError(
                f"films have to be [n, frames, ...] with at least one frame; got {tuple(x.shape)}"
            )
        whole = torch.where(torch.isnan(x), 0.0, x)
        features = self.encoder(whole.flatten(0, 1)).unflatten(0, x.shape[:2])
        here = ~torch.isnan(x.flatten(2)[:, :, 0]).unsqueeze(2)
        total = torch.where(here, features, 0.0).sum(dim=1)
        return total / here.sum(dim=1).clamp(min=1)
