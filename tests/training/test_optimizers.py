"""torch's optimisers, with the settings of a configuration and no others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mke_theory.training.optimizers import optimizer_of


def path(gradients: list[float], rule: Any, momentum: float, decay: float) -> list[float]:
    """The weight, 1 at first, after each update with learning rate 0.1."""
    weight = nn.Parameter(torch.ones((), dtype=torch.float64))
    optimizer = optimizer_of(
        [weight], rule, learning_rate=0.1, momentum=momentum, weight_decay=decay
    )
    found = []
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        found.append(weight.item())
    return found


@pytest.mark.parametrize(
    ("momentum", "decay", "expected"),
    [
        (0.0, 0.0, [0.9, 0.6]),
        (0.5, 0.0, [0.9, 0.9 - 0.1 * (0.5 * 1 + 3)]),
        # The decay is part of the gradient: 1 + 0.2 · 1, then 3 + 0.2 · 0.88.
        (0.0, 0.2, [0.88, 0.88 - 0.1 * (3 + 0.176)]),
    ],
)
def test_sgd_by_hand(momentum: float, decay: float, expected: list[float]) -> None:
    assert path([1.0, 3.0], "sgd", momentum, decay) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_adamw_by_hand(decay: float) -> None:
    # Means of gradients are 0.1/0.1 and 0.39/0.19, of squares 0.001/0.001 and 0.009999/0.001999.
    lengths = [1.0, (0.39 / 0.19) / (0.009999 / 0.001999) ** 0.5]
    first = (1 - 0.1 * decay) - 0.1 * lengths[0]
    second = (1 - 0.1 * decay) * first - 0.1 * lengths[1]
    assert path([1.0, 3.0], "adamw", 0.0, decay) == pytest.approx([first, second], rel=1e-7)


@pytest.mark.parametrize(("rule", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_all_other_settings_are_torchs(rule: Any, kind: Any) -> None:
    layer = nn.Linear(2, 3)
    mine = optimizer_of(layer.parameters(), rule, learning_rate=0.3, momentum=0.0, weight_decay=0.1)
    theirs = kind(layer.parameters(), lr=0.3, weight_decay=0.1)
    assert type(mine) is kind
    assert mine.state_dict() == theirs.state_dict()
    assert [id(w) for w in mine.param_groups[0]["params"]] == [id(w) for w in layer.parameters()]
