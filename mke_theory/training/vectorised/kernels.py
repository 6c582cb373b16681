"""The fastest way to carry out an operation, measured when a step is written down.

Torch and NumPy both have products of small matrices, and entry-by-entry operations; which of them
is faster depends on the processor and on the shapes. `kernel_of` runs those that can do the work a
few times each, on the real operands, and keeps the fastest. A choice holds for its shapes for as
long as the process lives.

Products by different libraries differ in the order of summation, so two processes that choose
differently differ in rounding. Everything else has the same entries whoever computes it. Another
way than the first has to be clearly faster to be chosen, so that a choice seldom changes by chance.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload

from mke_theory.training.vectorised.convolutions import OWN, Kernel

aten = torch.ops.aten

_Way = Callable[[Tensor], Kernel]
"""A way to carry out an operation on known operands, once the place of its result is known."""

_ROUNDS = 5
_CLEARLY = 0.8
"""A way is chosen over an earlier one where it takes less than this share of its time."""

_OF_NUMPY: dict[Any, Any] = {
    aten.add.Tensor: np.add,
    aten.bitwise_and.Tensor: np.bitwise_and,
    aten.bmm.default: np.matmul,
    aten.clamp_min.default: np.maximum,
    aten.div.Tensor: np.divide,
    aten.ge.Tensor: np.greater_equal,
    aten.isnan.default: np.isnan,
    aten.lt.Tensor: np.less,
    aten.mul.Tensor: np.multiply,
    aten.sub.Tensor: np.subtract,
}
_NUMPY_HAS = {torch.float32, torch.float64, torch.bool}

_OF_TORCH: dict[Any, Any] = {
    aten._log_softmax.default: torch._log_softmax,
    aten._log_softmax_backward_data.default: torch._log_softmax_backward_data,
    aten._softmax.default: torch._softmax,
    aten._softmax_backward_data.default: torch._softmax_backward_data,
    aten.add.Tensor: torch.add,
    aten.bmm.default: torch.bmm,
    aten.cat.default: torch.cat,
    aten.clamp_min.default: torch.clamp_min,
    aten.div.Tensor: torch.div,
    aten.exp.default: torch.exp,
    aten.mul.Tensor: torch.mul,
    aten.nan_to_num.default: torch.nan_to_num,
    aten.neg.default: torch.neg,
    aten.sub.Tensor: torch.sub,
    aten.sum.dim_IntList: torch.sum,
    aten.where.self: torch.where,
}
"""Functions of torch with the arguments of an operation, called in less time than its overload."""

_chosen: dict[Any, str] = {}


def kernel_of(
    function: Any,
    operands: Sequence[Any],
    options: Mapping[str, Any],
    out: Tensor,
    constant: Collection[int] = (),
) -> Kernel | None:
    """The operation with its result written to `out`; None where it has to make its own result.

    `out` has the shape and type of the result, and may be an operand's own memory. `constant` are
    the places of operands whose numbers never change.
    """
    if function in OWN:
        return OWN[function](operands, out)
    if function is aten.reshape.default:
        return partial(out.view(operands[0].shape).copy_, operands[0])
    ways = dict(_ways(function, operands, options, out, constant))
    if len(ways) < 2:
        return next((way(out) for way in ways.values()), None)
    seen = tuple(_outline(x) for x in (*operands, *options.values(), out))
    key = (str(function), tuple(ways), seen, torch.get_num_threads())
    if key not in _chosen:
        _chosen[key] = _fastest(ways, out)
    return ways[_chosen[key]](out)


def products_chosen() -> Counter[str]:
    """The count of products of this process, by shape and layout, for each library chosen."""
    return Counter(name for key, name in _chosen.items() if key[0] == str(aten.bmm.default))


def _outline(operand: Any) -> Any:
    """The properties of an operand on which the time of an operation depends."""
    if isinstance(operand, Tensor):
        return tuple(operand.shape), operand.stride(), operand.dtype
    return str(operand)


def _fastest(ways: Mapping[str, _Way], out: Tensor) -> str:
    """The way of least time, each timed on a result of its own: `out` may be an operand."""
    kernels = {name: way(torch.empty_like(out)) for name, way in ways.items()}
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(_ROUNDS):
        for name, kernel in kernels.items():
            start = time.perf_counter()
            kernel()
            least[name] = min(least[name], time.perf_counter() - start)
    best = next(iter(ways))
    for name, seconds in least.items():
        if seconds < _CLEARLY * least[best]:
            best = name
    return best


def _ways(
    function: OpOverload,
    operands: Sequence[Any],
    options: Mapping[str, Any],
    out: Tensor,
    constant: Collection[int],
) -> Iterator[tuple[str, _Way]]:
    """All that can carry out the operation, by name, the usual one first."""
    writes = _writing(function)
    if writes is None:
        return
    call, keyword = writes

    def of_torch(place: Tensor) -> Kernel:
        return partial(call, *operands, **options, **{keyword: place})

    def of_numpy(place: Tensor) -> Kernel:
        arrays = [x.numpy() if isinstance(x, Tensor) else x for x in operands]
        return partial(_OF_NUMPY[function], *arrays, out=place.numpy())

    numpy_can = out.device.type == "cpu" and function in _OF_NUMPY and not options
    numpy_can = numpy_can and _suits_numpy(operands, out)
    usual: list[tuple[str, _Way]] = [("torch", of_torch)]
    if numpy_can:  # the faster one for products of small matrices, mostly
        usual.insert(0 if function is aten.bmm.default else 1, ("numpy", of_numpy))
    yield from usual
    if out.device.type == "cpu" and function is aten.where.self:
        yield from _by_bits(operands, out, constant)


def _suits_numpy(operands: Sequence[Any], out: Tensor) -> bool:
    """True where NumPy has the types, and computes in the one in which torch does."""
    given = {x.dtype for x in operands if isinstance(x, Tensor)}
    return len(given) == 1 and given | {out.dtype} <= _NUMPY_HAS


@cache
def _writing(function: OpOverload) -> tuple[Callable[..., Any], str] | None:
    """The same operation with a place for its result as an argument, and that argument's name."""
    if torch.Tag.dynamic_output_shape in function.tags:  # it would resize the place in silence
        return None
    packet = function.overloadpacket
    wanted = [(x.name, str(x.type)) for x in function._schema.arguments]
    for name in packet.overloads():
        other = getattr(packet, name)
        written = [x for x in other._schema.arguments if x.alias_info and x.alias_info.is_write]
        given = [(x.name, str(x.type)) for x in other._schema.arguments if x not in written]
        if len(written) == 1 and given == wanted:
            return _OF_TORCH.get(function, other), written[0].name
    return None


def _by_bits(
    operands: Sequence[Any], out: Tensor, constant: Collection[int]
) -> Iterator[tuple[str, _Way]]:
    """A choice between numbers and a 0 or NaN, by the bits of the numbers: it does not branch."""
    mask, yes, no = operands
    whole = {torch.float32: torch.int32, torch.float64: torch.int64}.get(out.dtype)
    filled = [_filler(x) if i in constant else None for i, x in ((1, yes), (2, no))]
    if whole is None or mask.dtype != torch.bool or (filled[0] is None) == (filled[1] is None):
        return
    numbers, filler = (no, filled[0]) if filled[0] is not None else (yes, filled[1])
    if not isinstance(numbers, Tensor) or numbers.dtype != out.dtype or numbers.dim() == 0:
        return
    hides = filled[0] is not None  # the mask is true where the filler goes
    to_nan = filler != 0.0

    def way(place: Tensor) -> Kernel:
        bits = torch.empty_like(mask, dtype=whole, memory_format=torch.preserve_format)
        shown, result = numbers.view(whole), place.view(whole)
        combine = torch.bitwise_or if to_nan else torch.bitwise_and

        def carry_out() -> None:
            bits.copy_(mask)  # 1 or 0
            if hides == to_nan:
                bits.neg_()  # all bits where the mask is true
            else:
                bits.sub_(1)  # all bits where it is false
            combine(shown, bits, out=result)

        return carry_out

    yield "bits", way


def _filler(value: Any) -> float | None:
    """The single 0 or NaN that `value` is; None where it is anything else."""
    if isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point():
        value = float(value)
    if isinstance(value, float) and (math.isnan(value) or str(value) == "0.0"):
        return value
    return None
