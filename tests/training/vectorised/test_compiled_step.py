"""A traced step as instructions on fixed buffers: the values of what was traced, every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_flatten

from mke_theory.training.vectorised.compiled_step import Program


def agrees(function: Callable[..., Any], arguments: list[Any], constant: list[Tensor]) -> Program:
    """The program, once its results have matched those of the function on three fills."""
    program = Program(function, arguments, constant)
    kept = {id(x) for x in constant}
    draw = torch.Generator().manual_seed(1)
    for _ in range(3):
        for x in tree_flatten(arguments)[0]:
            if id(x) not in kept and x.is_floating_point():
                x.copy_(torch.randn(x.shape, generator=draw, dtype=x.dtype))
        program.run()
        expected = tree_flatten(function(*arguments))[0]
        found = tree_flatten(program.result)[0]
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    return program


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_products_taller_than_wide_and_wider_than_tall() -> None:
    agrees(lambda a, b: (a @ b, (b.mT @ a.mT).exp()), [normal(3, 40, 5), normal(3, 5, 4)], [])
    agrees(lambda a, b: a @ b, [normal(3, 4, 5), normal(3, 5, 40)], [])


def test_softmax_and_its_gradient_over_a_short_last_axis() -> None:
    labels = torch.tensor([0, 2, 1, 0, 1] * 4)

    def loss(logits: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, labels)

    agrees(lambda x: torch.log_softmax(x, 2), [normal(3, 20, 3)], [])
    agrees(vmap(grad(loss)), [normal(4, 20, 3)], [])
    agrees(vmap(grad(loss)), [normal(4, 3, 3)[:, [0, 1, 2, 0] * 5]], [])


def test_a_buffer_read_twice_in_two_orders_is_not_overwritten() -> None:
    agrees(lambda x: (x * 2.0) + (x * 2.0).mT, [normal(2, 5, 5)], [])

    def own_transpose(x: Tensor) -> Tensor:
        y = x * 2.0
        return y + y.mT

    agrees(own_transpose, [normal(2, 5, 5)], [])


def test_a_result_that_is_awaited_keeps_its_buffer() -> None:
    def kept(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = x * 2.0
        second = first + 1.0
        return first, second.relu(), (second - first).mT

    agrees(kept, [normal(2, 6, 3)], [])


def test_operations_that_make_their_own_results_are_copied() -> None:
    def several(x: Tensor) -> tuple[Tensor, ...]:
        values, index = x.sort(dim=1)
        parts = torch.split(values.cumsum(1), 2, dim=2)
        return (*parts, x.gather(1, index), values.std())

    agrees(several, [normal(2, 6, 4)], [])


def test_changes_in_place_inside_the_function_are_seen() -> None:
    def changed(x: Tensor) -> Tensor:
        mask = x > 0
        mask.logical_and_(x < 1)
        y = x * 1.0
        y[:, 0] = 7.0
        y.mul_(2.0)
        return torch.where(mask, y, -y)

    agrees(changed, [normal(3, 6)], [])


def test_what_is_constant_is_computed_once_and_what_is_not_is_not() -> None:
    x, mask = normal(3, 6), torch.tensor([[True] * 6] * 3)

    def masked(x: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, x, x.exp().mul(mask.sum())) + mask.double()

    once = agrees(masked, [x, mask], [mask])
    program = Program(masked, [x, mask])
    mask[1] = False
    program.run()
    torch.testing.assert_close(program.result, masked(x, mask))
    # With a constant mask there is no sum of it, no choice by it and no number made of it.
    assert len(once._instructions) == len(program._instructions) - 3


def test_constants_may_be_renewed_as_long_as_the_instructions_fit() -> None:
    x, mask, shift = normal(3, 6), torch.ones(3, 6, dtype=torch.bool), normal(3, 1)

    def function(x: Tensor, mask: Tensor, shift: Tensor) -> Tensor:
        return torch.where(mask, x * 2, -x) + shift.exp()

    program = Program(function, [x, mask, shift], [mask, shift])
    shift.mul_(2)
    assert program.renew()
    program.run()
    torch.testing.assert_close(program.result, function(x, mask, shift))
    mask[0, 0] = False  # what was handed on unchanged now has to be chosen
    assert not program.renew()


def test_a_part_of_the_result_is_renewed_alone() -> None:
    x = normal(2, 3)
    program = Program(lambda x: {"sum": x.exp().sum(1), "square": x * x}, [x])
    before = program.result["sum"].clone()
    squares = program.only(lambda result: result["square"])
    x.fill_(3.0)
    squares()
    assert bool((program.result["square"] == 9.0).all())
    assert torch.equal(program.result["sum"], before)
    program.run()
    torch.testing.assert_close(program.result["sum"], x.exp().sum(1))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, stride=2, padding=1)
        self.out = nn.Linear(3 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.conv(x)).flatten(1))


def test_convolutions_and_a_gradient_of_a_gradient() -> None:
    net = Net().double()
    weights = {n: torch.stack([p.detach()] * 3) for n, p in net.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(net, weights, (x,)).square().mean()

    agrees(vmap(grad(loss)), [weights, normal(3, 5, 1, 8, 8)], [])
    agrees(grad(lambda x: grad(lambda z: z.pow(3).sum())(x).sum()), [normal(4)], [])


def test_numbers_that_are_no_tensors_stay_as_they_are() -> None:
    x = normal(2, 3)
    program = Program(lambda x: {"sum": x.sum(), "list": [x, 2.0]}, [x])
    x.fill_(1.0)
    program.run()
    assert float(program.result["sum"]) == 6.0
    assert program.result["list"][1] == 2.0


def test_flow_that_depends_on_values_is_refused() -> None:
    with pytest.raises(RuntimeError):
        Program(vmap(lambda x: x if bool(x > 0) else -x), [normal(3)])


def test_buffers_are_handed_on() -> None:
    def long(x: Tensor) -> Tensor:
        for _ in range(20):
            x = (x @ x) * 0.1
        return x

    program = agrees(long, [normal(2, 8, 8)], [])
    assert program.bytes <= 4 * 2 * 8 * 8 * 8  # a few buffers, not forty


def test_a_factor_of_one_and_a_constant_choice_keep_the_type_of_the_result() -> None:
    agrees(lambda x: (x > 0) / 1, [normal(3, 4)], [])
    every = torch.ones(3, 4, dtype=torch.bool)
    agrees(lambda x, m: torch.where(m, (x * 2).float(), x * 3), [normal(3, 4), every], [every])


def test_places_in_memory_are_those_of_the_traced_function() -> None:
    agrees(
        lambda a, b: torch.as_strided(a @ b, (2, 3), (3, 1)) * 1.5,
        [normal(2, 40, 5), normal(2, 5, 3)],
        [],
    )
    with pytest.raises(RuntimeError, match="as_strided"):
        Program(lambda x: torch.as_strided((x * 2).mT, (2, 3), (1, 2)), [normal(4, 5)])


def test_operations_that_want_their_operands_in_order_get_them() -> None:
    def grouped(a: Tensor, b: Tensor) -> Tensor:
        return nn.functional.group_norm(a @ b, 1)

    agrees(grouped, [normal(3, 20, 2), normal(3, 2, 4)], [])


def test_products_in_a_type_that_numpy_lacks() -> None:
    x = normal(2, 4, 4).bfloat16()
    program = Program(lambda x: x @ x, [x])
    x.mul_(2)
    program.run()
    torch.testing.assert_close(program.result, x @ x)


def test_random_numbers_and_shapes_that_change_are_refused() -> None:
    with pytest.raises(RuntimeError, match="draws random numbers"):
        Program(lambda x: x + torch.rand(3), [torch.ones(3)])
    with pytest.raises(RuntimeError, match="changes its operand"):
        Program(lambda x: x.mul_(2), [torch.ones(3)])
    x = torch.tensor([1.0, 2.0, -1.0])
    program = Program(lambda x: x[x > 0], [x])
    x.copy_(torch.tensor([-1.0, 2.0, -1.0]))
    with pytest.raises(RuntimeError, match="the shape of a result"):
        program.run()
