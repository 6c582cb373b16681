"""Predictions of a whole pool, and the embedding behind them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.models import MLP, multimodal
from mke_theory.training.predict import embed, predict


def test_an_embedding_is_what_the_last_linear_layer_reads() -> None:
    model = multimodal({"a": MLP([2, 3], activate=True)}, 2, hidden=(4,))
    pool = Pool({"a": torch.randn(7, 2)}, torch.zeros(7, dtype=torch.int64))
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    found = embed(model, pool)
    assert found.shape == (7, 4)
    torch.testing.assert_close(last(found), predict(model, pool))
    assert not last._forward_pre_hooks  # nothing is left behind


def test_a_model_without_a_linear_layer_has_no_embedding() -> None:
    pool = Pool({"a": torch.randn(7, 2)}, torch.zeros(7, dtype=torch.int64))
    with pytest.raises(TypeError, match="no linear layer"):
        embed(nn.Identity(), pool)
