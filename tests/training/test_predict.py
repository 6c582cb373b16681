"""Predictions of a whole pool, and the embedding behind them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Batch, Pool
from mke_theory.models import MLP, multimodal
from mke_theory.training.predict import embed, fitting, logits_of, predict
from tests.training.small_runs import Small, points


def test_predictions_do_not_depend_on_the_batch_size() -> None:
    model, pool = Small(), points(37)
    model.eval()
    with torch.no_grad():
        whole = model({"x": pool.inputs["x"]})
    for size in (1, 5, 36, 37, 4096, None):
        torch.testing.assert_close(predict(model, pool, batch_size=size), whole)


def test_every_part_is_left_in_its_mode() -> None:
    model = Small()
    model.train()
    model.layers[2].eval()
    modes = [module.training for module in model.modules()]
    assert torch.equal(predict(model, points()), predict(model, points()))
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(KeyError):
        predict(model, Pool({"y": torch.zeros(2, 3)}, torch.zeros(2, dtype=torch.long)))
    assert [module.training for module in model.modules()] == modes


def test_predictions_can_be_learned_from() -> None:
    logits = predict(Small(), points())
    assert not logits.requires_grad and not logits.is_inference()
    weight = torch.ones((), requires_grad=True)
    (weight * logits).sum().backward()
    assert weight.grad is not None and weight.grad.item() == pytest.approx(logits.sum().item())


class Fixed(nn.Module):
    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["x"] * 2


def test_a_model_without_weights_can_predict() -> None:
    assert torch.equal(predict(Fixed(), points()), 2 * points().inputs["x"])


def test_what_is_asked_of_each_batch_is_kept() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    pool = Pool({"x": x}, torch.zeros(3, dtype=torch.long))
    found = predict(Fixed(), pool, batch_size=2, then=lambda logits: logits.argmax(dim=1))
    assert found.tolist() == [0, 1, 1]
    assert [part.tolist() for part in logits_of(Fixed(), pool, batch_size=2)] == [
        [[2.0, 0.0], [0.0, 2.0]],
        [[0.0, 6.0]],
    ]


@pytest.mark.parametrize(("width", "expected"), [(3, 1024), (2**12, 1024), (2**20, 4), (2**23, 1)])
def test_large_samples_are_looked_at_a_few_at_a_time(width: int, expected: int) -> None:
    class Wide:
        modalities = ("x",)

        def __len__(self) -> int:
            return 2000

        def __getitem__(self, index: Any) -> Batch:
            rows = len(range(2000)[index])
            return Batch({"x": torch.zeros(1, 1).expand(rows, width)}, torch.zeros(rows))

    assert fitting(Wide()) == expected


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
