"""Ways to carry out an operation: all give the same entries, and the fastest is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from mke_theory.training.vectorised import kernels

aten = torch.ops.aten


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def results(function: Any, operands: Sequence[Any], constant: Sequence[int] = ()) -> dict[str, Any]:
    """The result of each way, by its name."""
    like = function(*operands)
    found = {}
    for name, way in kernels._ways(function, operands, {}, like, constant):
        out = torch.full_like(like, 7)
        way(out)()
        found[name] = out
    return found


HOLES = torch.tensor([[1.0, float("nan"), -0.5], [float("inf"), 2.0, float("nan")]])
MASK = torch.tensor([[True], [False]])


@pytest.mark.parametrize(
    ("function", "operands"),
    [
        (aten.add.Tensor, (normal(3, 1), normal(3, 4))),
        (aten.mul.Tensor, (normal(3, 4).T, normal(4, 1))),
        (aten.clamp_min.default, (HOLES, 0)),
        (aten.isnan.default, (HOLES,)),
        (aten.lt.Tensor, (HOLES, torch.tensor(0.0))),
        (aten.ge.Tensor, (HOLES, torch.tensor(1.0))),
        (aten.bitwise_and.Tensor, (MASK, torch.tensor([True, False]))),
        (aten.div.Tensor, (normal(2, 3), HOLES)),
    ],
)
def test_numpy_and_torch_agree_entry_by_entry(function: Any, operands: Sequence[Any]) -> None:
    found = results(function, operands)
    assert list(found) == ["torch", "numpy"]
    for out in found.values():
        torch.testing.assert_close(out, function(*operands), rtol=0, atol=0, equal_nan=True)


def test_products_agree_up_to_rounding() -> None:
    left, right = normal(5, 3, 40), normal(5, 7, 40).mT
    found = results(aten.bmm.default, (left, right))
    assert list(found) == ["numpy", "torch"]
    for out in found.values():
        torch.testing.assert_close(out, left @ right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("filler", [0.0, float("nan")])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_choice_by_bits_is_the_choice(filler: float, first: bool, kind: torch.dtype) -> None:
    one, x = torch.tensor(filler, dtype=kind), HOLES.to(kind)
    operands = (MASK, one, x) if first else (MASK, x, one)
    found = results(aten.where.self, operands, constant=[1 if first else 2])
    assert list(found) == ["torch", "bits"]
    expected = torch.where(*operands)
    for out in found.values():
        torch.testing.assert_close(out, expected, rtol=0, atol=0, equal_nan=True)
    overwritten = x.clone()
    again = (MASK, one, overwritten) if first else (MASK, overwritten, one)
    ways = dict(kernels._ways(aten.where.self, again, {}, overwritten, [1 if first else 2]))
    ways["bits"](overwritten)()  # its operand's own memory
    torch.testing.assert_close(overwritten, expected, rtol=0, atol=0, equal_nan=True)


def test_a_choice_of_numbers_that_may_change_is_not_made_by_bits() -> None:
    for operands, constant in (
        ((MASK, torch.tensor(0.0), HOLES), []),
        ((MASK, torch.tensor(2.0), HOLES), [1]),
        ((MASK, HOLES * 2, HOLES), [1]),
        ((MASK, torch.tensor(0), torch.ones(2, 3, dtype=torch.int64)), [1]),
    ):
        assert list(results(aten.where.self, operands, constant)) == ["torch"]


def test_the_fastest_way_is_kept_and_a_little_faster_one_is_not() -> None:
    def taking(milliseconds: float) -> Any:
        return lambda out: lambda: time.sleep(milliseconds / 1000)

    out = torch.empty(1)
    assert kernels._fastest({"usual": taking(20), "other": taking(2)}, out) == "other"
    assert kernels._fastest({"usual": taking(20), "other": taking(19)}, out) == "usual"


def test_an_operation_that_makes_its_own_result_has_no_kernel() -> None:
    mask = torch.tensor([True, False])
    out = torch.empty(1)
    assert kernels.kernel_of(aten.index.Tensor, (torch.ones(2), [mask]), {}, out) is None


def test_a_choice_is_made_once_for_its_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    once = kernels._fastest

    def counted(ways: Any, out: Tensor) -> str:
        asked.append(list(ways))
        return once(ways, out)

    monkeypatch.setattr(kernels, "_chosen", {})
    monkeypatch.setattr(kernels, "_fastest", counted)
    for shape in ((2, 3, 4), (2, 3, 4), (2, 3, 5)):
        left, out = torch.ones(shape), torch.empty(2, 3, 3)
        kernel = kernels.kernel_of(aten.bmm.default, (left, left.mT), {}, out)
        assert kernel is not None
        kernel()
        assert bool((out == shape[2]).all())
    assert asked == [["numpy", "torch"]] * 2
    assert sum(kernels.products_chosen().values()) == 2
