"""A function written down while it runs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from mke_theory.training.vectorised.tracing import traced


def targets(function: object, *arguments: Tensor) -> list[str]:
    with torch.no_grad():
        graph, _ = traced(function, arguments)  # type: ignore[arg-type]
    return [str(node.target) for node in graph.nodes if node.op == "call_function"]


def test_operations_in_their_order() -> None:
    x, y = torch.ones(2, 3), torch.ones(3)
    assert targets(lambda x, y: [(x + y).exp(), y], x, y) == [
        "aten.add.Tensor",
        "aten.exp.default",
    ]


def test_below_a_gradient_of_many() -> None:
    found = targets(lambda x: [vmap(grad(lambda z: (z * z).sum()))(x)], torch.ones(4, 2))
    assert found.count("aten.mul.Tensor") == 3 and found[-1] == "aten.add.Tensor"


def test_what_is_read_beside_the_arguments_is_a_constant() -> None:
    weight = torch.tensor([2.0, 3.0])
    with torch.no_grad():
        graph, constants = traced(lambda x: [x * weight, x + weight], [torch.ones(2)])
    assert [node.op for node in graph.nodes].count("get_attr") == 1
    (only,) = constants.values()
    assert only is weight


def test_a_change_in_place_inside_is_a_new_tensor() -> None:
    def changed(x: Tensor) -> list[Tensor]:
        y = x * 2
        y += 1
        return [y]

    assert targets(changed, torch.ones(2)) == ["aten.mul.Tensor", "aten.add.Tensor"]


def test_outlines_of_results() -> None:
    with torch.no_grad():
        graph, _ = traced(lambda x: [(x.mT * 1.5).double()], [torch.ones(2, 3)])
    mul, copied = [node.meta["val"] for node in graph.nodes if node.op == "call_function"][1:]
    assert tuple(mul.shape) == (3, 2) and not mul.in_order and mul.dtype == torch.float32
    assert copied.dtype == torch.float64


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: [x * float(x.sum())], "looks at the values"),
        (lambda x: [x + torch.rand(3)], "draws random numbers"),
        (lambda x: [x.mul_(2)], "changes its operand"),
    ],
)
def test_what_cannot_be_repeated_is_refused(function: object, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        targets(function, torch.ones(3))
