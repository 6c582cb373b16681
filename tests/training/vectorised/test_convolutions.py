"""Convolutions as products: equal to torch's, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional as F

from mke_theory.training.vectorised.compiled_step import Program
from mke_theory.training.vectorised.convolutions import folded, folding, unfolded, unfolding

SETTINGS = [
    ((3, 3), (2, 2), (1, 1)),
    ((5, 5), (4, 4), (2, 2)),
    ((1, 1), (1, 1), (0, 0)),
    ((2, 3), (1, 3), (1, 0)),
    ((3, 2), (4, 1), (2, 1)),
]
"""Kernel, stride, padding."""


def normal(*shape: int) -> Tensor:
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize(("kernel", "stride", "padding"), SETTINGS)
def test_the_layout_is_that_of_unfold_and_folding_is_its_adjoint(
    kernel: Any, stride: Any, padding: Any
) -> None:
    g, c, n = 3, 2, 5
    x = normal(n, g * c, 7, 8)
    found = unfolded(x, g, kernel, stride, padding)
    places = F.unfold(x, kernel, padding=padding, stride=stride)  # [n, g · numbers, places]
    numbers = places.shape[1] // g
    expected = places.unflatten(1, (g, numbers)).permute(1, 2, 3, 0).flatten(2)
    assert torch.equal(found, expected)
    back = folded(expected, (g, c, 7, 8, n), kernel, stride, padding)
    assert torch.allclose(
        back.permute(4, 0, 1, 2, 3).flatten(1, 2),
        F.fold(places, (7, 8), kernel, padding=padding, stride=stride),
    )


def test_an_earlier_result_in_its_place_does_no_harm() -> None:
    x, settings = normal(4, 2, 5, 5), (2, (3, 3), (2, 2), (1, 1))
    out = unfolded(x, *settings).fill_(7)
    write = unfolding((x, *settings), out)
    write()
    assert torch.equal(out, unfolded(x, *settings))
    shape = (2, 1, 5, 5, 4)
    pictures = torch.full(shape, 7.0, dtype=torch.float64)
    folding((out, shape, *settings[1:]), pictures)()
    assert torch.equal(pictures, folded(out, shape, *settings[1:]))


@pytest.mark.parametrize(("kernel", "stride", "padding"), SETTINGS)
@pytest.mark.parametrize("jobs", [1, 3])
def test_gradients_of_many_models_are_those_of_torch(
    kernel: Any, stride: Any, padding: Any, jobs: int
) -> None:
    def loss(weights: tuple[Tensor, Tensor], bias: Tensor, x: Tensor) -> Tensor:
        first = torch.relu(F.conv2d(x, weights[0], bias, stride, padding))
        return F.conv2d(first, weights[1], None, 1, 1).square().sum()

    weights = normal(jobs, 4, 2, *kernel), normal(jobs, 3, 4, 3, 3)
    given = (weights, normal(jobs, 4), normal(jobs, 5, 2, 9, 8))
    step = vmap(grad(loss, argnums=(0, 1, 2)))
    program = Program(step, given)
    names = [str(node.target) for node, _ in program._instructions]
    assert not any("convolution" in name for name in names)
    given[2].mul_(0.5)
    program.run()
    expected = step(*given)
    torch.testing.assert_close(program.result, expected, rtol=1e-10, atol=1e-10)


def test_what_is_no_plain_convolution_of_pictures_stays_as_it_is() -> None:
    weight, x = normal(2, 3, 2, 3, 3), normal(2, 4, 2, 9, 9)
    for function in (
        lambda w, x: F.conv2d(x, w, None, dilation=2),
        lambda w, x: F.conv_transpose2d(x, w.transpose(0, 1)),
        lambda w, x: F.conv1d(x[:, :, 0], w[:, :, 0]),
    ):
        program = Program(vmap(function), (weight, x))
        names = [str(node.target) for node, _ in program._instructions]
        assert any("convolution" in name for name in names)
        x.mul_(0.5)
        program.run()
        torch.testing.assert_close(program.result, vmap(function)(weight, x))
