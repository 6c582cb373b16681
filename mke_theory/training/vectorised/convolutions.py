"""Convolutions of many models as products of matrices, on a processor.

`vmap` makes one convolution in groups of those of many models, which torch carries out group by
group. Here each group's input is laid out so that its convolution is a product: a row for each
number under the kernel, a column for each place of the kernel and each sample, samples last.

    y [o, places] = weight [o, numbers] · unfolded(x) [numbers, places]

The gradients are products too; that of the input is folded back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

aten = torch.ops.aten

Kernel = Callable[[], object]
"""An operation bound to its operands and to the place of its result."""

_LARGEST = 2**22
"""Numbers that an input is laid out to, for one model: beyond, the layout costs too much memory."""
_PASSES = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.permute.default,
    aten.threshold_backward.default,
}
"""Operations that keep the order in which their operand lies in memory."""


def lower_convolutions(graph: Graph) -> set[Node]:
    """Put products in place of convolutions; returns products that are to have samples last."""
    laid_out: dict[Any, Node] = {}
    sought: set[Node] = set()
    for node in list(graph.nodes):
        if node.target is aten.convolution.default:
            one = _Convolution.of(node, *node.args)
            if one is not None:
                _forward(one, node, laid_out)
        elif node.target is aten.convolution_backward.default:
            gradient, x, weight, _, *rest, wanted = node.args
            one = _Convolution.of(gradient, x, weight, None, *rest)
            if one is not None and not wanted[2]:
                sought |= _sources(gradient)
                _backward(one, node, gradient, laid_out)
    return sought


class _Convolution:
    """The nodes and sizes of one convolution: n samples, g groups, c channels to o."""

    def __init__(self, graph: Graph, x: Node, weight: Node, y: Node, settings: Any) -> None:
        self.graph, self.x, self.weight = graph, x, weight
        self.stride, self.padding, self.groups = settings
        self.n, self.size = x.meta["val"].shape[0], list(x.meta["val"].shape[2:])
        outputs, self.c, *self.kernel = weight.meta["val"].shape
        self.o, self.places = outputs // self.groups, list(y.meta["val"].shape[2:])
        self.numbers = self.c * self.kernel[0] * self.kernel[1]
        self.columns = self.places[0] * self.places[1] * self.n

    @classmethod
    def of(
        cls,
        y: Node,
        x: Node,
        weight: Node,
        bias: Any,
        stride: list[int],
        padding: list[int],
        dilation: list[int],
        transposed: bool,
        more: list[int],
        groups: int,
    ) -> _Convolution | None:
        """The convolution, if it is plain, of pictures, and small enough."""
        plain = bias is None and not transposed and set(dilation) == {1} and len(stride) == 2
        if not plain or x.meta["val"].device.type != "cpu":
            return None
        found = cls(y.graph, x, weight, y, (stride, padding, groups))
        return found if found.numbers * found.columns <= _LARGEST else None

    def call(self, function: Any, *arguments: Any, shape: Sequence[int]) -> Node:
        """A new node with a result of this shape."""
        node = self.graph.call_function(function, arguments)
        node.meta["val"] = replace(self.x.meta["val"], shape=torch.Size(shape), in_order=True)
        return node

    def weights(self) -> Node:
        """The kernels as rows, [g, o, numbers]."""
        shape = [self.groups, self.o, self.numbers]
        return self.call(aten.view.default, self.weight, shape, shape=shape)

    def unfolded(self, laid_out: dict[Any, Node]) -> Node:
        """[g, numbers, columns], laid out once for the convolution and its gradients."""
        settings = (self.groups, tuple(self.kernel), tuple(self.stride), tuple(self.padding))
        key = (_origin(self.x), settings)
        if key not in laid_out:
            shape = (self.groups, self.numbers, self.columns)
            laid_out[key] = self.call(unfolded, self.x, *settings, shape=shape)
        return laid_out[key]

    def samples_first(self, y: Node, channels: int, size: Sequence[int]) -> Node:
        """[g, channels, places · n] as the pictures [n, g · channels, h, w] that it is."""
        split = [self.groups, channels, *size, self.n]
        apart = self.call(aten.view.default, y, split, shape=split)
        turned = [self.n, self.groups, channels, *size]
        first = self.call(aten.permute.default, apart, [4, 0, 1, 2, 3], shape=turned)
        shape = [self.n, self.groups * channels, *size]
        return self.call(aten.view.default, first, shape, shape=shape)

    def samples_last(self, y: Node) -> Node:
        """[n, g · o, h, w] as [g, o, columns]."""
        split = [self.n, self.groups, self.o, *self.places]
        apart = self.call(aten.view.default, y, split, shape=split)
        turned = [self.groups, self.o, *self.places, self.n]
        last = self.call(aten.permute.default, apart, [1, 2, 3, 4, 0], shape=turned)
        shape = [self.groups, self.o, self.columns]
        return self.call(aten.view.default, last, shape, shape=shape)

    def product(self, left: Node, right: Node, shape: Sequence[int]) -> Node:
        """The product of the matrices of each group."""
        return self.call(aten.bmm.default, left, right, shape=[self.groups, *shape])

    def turned(self, x: Node) -> Node:
        """The transpose of the last two axes."""
        g, rows, columns = x.meta["val"].shape
        return self.call(aten.transpose.int, x, 1, 2, shape=[g, columns, rows])


def _forward(one: _Convolution, node: Node, laid_out: dict[Any, Node]) -> None:
    with one.graph.inserting_before(node):
        y = one.product(one.weights(), one.unfolded(laid_out), [one.o, one.columns])
        node.replace_all_uses_with(one.samples_first(y, one.o, one.places))
    one.graph.erase_node(node)


def _backward(one: _Convolution, node: Node, gradient: Node, laid_out: dict[Any, Node]) -> None:
    with one.graph.inserting_before(node):
        slopes = one.samples_last(gradient)
        for result in list(node.users):
            if result.args[1] == 0:  # of the input
                columns = one.product(one.turned(one.weights()), slopes, [one.numbers, one.columns])
                settings = (tuple(one.kernel), tuple(one.stride), tuple(one.padding))
                shape = (one.groups, one.c, *one.size, one.n)
                back = one.call(folded, columns, shape, *settings, shape=shape)
                new = one.samples_first(back, one.c, one.size)
            else:
                of_weights = one.product(
                    slopes, one.turned(one.unfolded(laid_out)), [one.o, one.numbers]
                )
                shape = one.weight.meta["val"].shape
                new = one.call(aten.view.default, of_weights, list(shape), shape=shape)
            result.replace_all_uses_with(new)
            one.graph.erase_node(result)
    one.graph.erase_node(node)


def _origin(node: Node) -> Node:
    """The node that this one is another view of."""
    while node.target in (aten.view.default, aten._unsafe_view.default, aten.permute.default):
        node = node.all_input_nodes[0]
    return node


def _sources(node: Node) -> set[Node]:
    """The products that a gradient comes from on a way that keeps its order in memory."""
    while node.target in _PASSES:
        node = node.all_input_nodes[0]
    return {node} if node.target is aten.bmm.default else set()


def unfolded(
    x: Tensor,
    groups: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """Pictures [n, g · c, h, w] as [g, c · kernel, places · n]: the numbers under the kernel."""
    n, channels = x.shape[:2]
    places = [(x.shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
    numbers = channels // groups * kernel[0] * kernel[1]
    out = x.new_empty(groups, numbers, places[0] * places[1] * n)
    unfolding((x, groups, kernel, stride, padding), out)()
    return out


def unfolding(operands: Sequence[Any], out: Tensor) -> Kernel:
    """`unfolded` of the operands, written to `out`."""
    x, groups, kernel, stride, padding = operands
    last = x.unflatten(1, (groups, -1)).permute(1, 2, 3, 4, 0)
    # One turn of the whole, where samples do not lie side by side, and not one for each place.
    near = last if last.stride(4) == 1 else torch.empty_like(last, memory_format=_IN_ORDER)
    pairs = _pairs(out, near, kernel, stride, padding)

    def carry_out() -> None:
        if near is not last:
            near.copy_(last)
        if any(padding):
            out.zero_()
        for place, seen in pairs:
            place.copy_(seen)

    return carry_out


def folded(
    columns: Tensor,
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """Pictures [g, c, h, w, n] that add up what lies over each number: adjoint to `unfolded`."""
    out = columns.new_empty(shape)
    folding((columns, shape, kernel, stride, padding), out)()
    return out


def folding(operands: Sequence[Any], out: Tensor) -> Kernel:
    """`folded` of the operands, written to `out`."""
    columns, _, kernel, stride, padding = operands
    pairs = _pairs(columns, out, kernel, stride, padding)

    def carry_out() -> None:
        out.zero_()
        for place, seen in pairs:
            seen.add_(place)

    return carry_out


_IN_ORDER = torch.contiguous_format


def _pairs(
    columns: Tensor, pictures: Tensor, kernel: Sequence[int], stride: Any, padding: Any
) -> list[tuple[Tensor, Tensor]]:
    """For each place of the kernel: its numbers in [g, c · kernel, …] and in [g, c, h, w, n]."""
    g, c, height, width, n = pictures.shape
    sizes = (height, width)
    places = [(sizes[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
    apart = columns.view(g, c, *kernel, *places, n)
    pairs = []
    for at in product(*(range(k) for k in kernel)):
        spans = [_spans(sizes[i], places[i], at[i], stride[i], padding[i]) for i in range(2)]
        (down, across), (rows, lines) = zip(*spans, strict=True)
        pairs.append((apart[:, :, at[0], at[1], down, across], pictures[:, :, rows, lines]))
    return pairs


def _spans(size: int, places: int, at: int, stride: int, padding: int) -> tuple[slice, slice]:
    """Places whose number `at` under the kernel lies inside the picture, and where it lies."""
    first = max(0, -((at - padding) // stride))
    end = max(first, min(places, (size - 1 + padding - at) // stride + 1))
    start = first * stride - padding + at
    return slice(first, end), slice(start, start + (end - first) * stride, stride)


OWN: dict[Any, Callable[[Sequence[Any], Tensor], Kernel]] = {
    unfolded: unfolding,
    folded: folding,
}
"""Functions of this file, each with the one that writes its result to a given place."""
