"""A traced graph rewritten: equal in value, and cheaper in memory.

A product that is taller than wide becomes the transpose of one that is wider than tall, a softmax
or a concatenation over a short last axis one over the axis before it: the samples, which are many,
then lie next to each other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten
_TRANSPOSE = aten.transpose.int

_FILLED = {
    aten.ones_like.default: 1.0,
    aten.zeros_like.default: 0.0,
    aten.new_zeros.default: 0.0,
    aten.new_ones.default: 1.0,
}
"""Operations that read the shape of their operand and nothing else."""


_IN_ORDER = {
    aten.as_strided.default,
    aten.native_group_norm.default,
    aten.native_group_norm_backward.default,
}
"""Operations that want their operands laid out in order."""


def rewrite(module: GraphModule) -> None:
    """Equal in value, cheaper in memory: products along the samples, biases inside products."""
    graph = module.graph
    for node in list(graph.nodes):
        _drop_what_does_nothing(graph, node)
    graph.eliminate_dead_code()
    for node in list(graph.nodes):
        if node.target is aten.bmm.default:
            _turn_product(graph, node)
        elif node.target is aten.cat.default:
            _turn_concatenation(graph, node)
        elif node.target in (aten._log_softmax.default, aten._log_softmax_backward_data.default):
            _turn_softmax(graph, node)
        elif node.target in _IN_ORDER:
            _lay_out(graph, node)
        elif node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default  # a view of a turned product may have to copy
    graph.eliminate_dead_code()
    graph.lint()


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def _drop_what_does_nothing(graph: Any, node: Node) -> None:
    """A view of the same shape, a factor of 1, and what a tensor of ones takes its shape from."""
    views = (aten.view.default, aten._unsafe_view.default, aten.expand.default)
    if node.target is aten.relu.default:
        node.target, node.args = aten.clamp_min.default, (*node.args, 0)  # writes where it is told
    scaled = (aten.mul.Scalar, aten.div.Scalar, aten.mul.Tensor, aten.div.Tensor)
    if node.target in _FILLED:
        like = node.meta["val"]
        with graph.inserting_before(node):
            filled = graph.call_function(
                aten.full.default,
                (list(like.shape), _FILLED[node.target]),
                {"dtype": like.dtype, "device": like.device},
            )
        filled.meta = dict(node.meta)
        node.replace_all_uses_with(filled)
        graph.erase_node(node)
        return
    given: Any = node.args[0] if node.args else None
    if not isinstance(given, Node) or "val" not in given.meta:
        return
    same = node.target in views and _shape(node) == _shape(given)
    once = node.target in scaled and node.args[1] == 1
    if once and node.meta["val"].dtype != given.meta["val"].dtype:  # True / 1 is a float
        return
    if same or once:
        node.replace_all_uses_with(given)
        graph.erase_node(node)


def _turned(graph: Any, node: Any) -> Any:
    """The transpose of the last two axes; that of a transpose is what it was made from."""
    if node.target is _TRANSPOSE and sorted(node.args[1:]) == [1, 2]:
        return node.args[0]
    return graph.call_function(_TRANSPOSE, (node, 1, 2))


def _lay_out(graph: Any, node: Node) -> None:
    """Operands in order; RuntimeError where the traced function read them in another order."""
    if node.target is aten.as_strided.default:
        traced = node.all_input_nodes[0].meta["val"]
        if not traced.is_contiguous() or traced.storage_offset() != 0:
            raise RuntimeError("as_strided of a view is not repeated; index or reshape instead")
    with graph.inserting_before(node):
        for one in node.all_input_nodes:
            order = {"memory_format": torch.contiguous_format}
            node.replace_input_with(one, graph.call_function(aten.clone.default, (one,), order))


def _turn_product(graph: Any, node: Node) -> None:
    """A·B as (Bᵀ·Aᵀ)ᵀ where A·B is taller than wide: the longer axis then runs along memory."""
    if _shape(node)[1] <= _shape(node)[2]:
        return
    left, right = node.args
    with graph.inserting_before(node):
        product = graph.call_function(
            aten.bmm.default, (_turned(graph, right), _turned(graph, left))
        )
        turned = graph.call_function(_TRANSPOSE, (product, 1, 2))
    turned.meta = dict(node.meta)
    node.replace_all_uses_with(turned)
    graph.erase_node(node)


def _turn_concatenation(graph: Any, node: Node) -> None:
    """Features side by side, laid one below the other: each then keeps its run of samples."""
    shape = _shape(node)
    if len(shape) != 3 or len(node.args) < 2 or node.args[1] not in (2, -1) or shape[1] <= shape[2]:
        return
    parts: Any = node.args[0]
    with graph.inserting_before(node):
        joined = graph.call_function(
            aten.cat.default, ([_turned(graph, part) for part in parts], 1)
        )
        turned = graph.call_function(_TRANSPOSE, (joined, 1, 2))
    turned.meta = dict(node.meta)
    node.replace_all_uses_with(turned)
    graph.erase_node(node)


def _turn_softmax(graph: Any, node: Node) -> None:
    """The softmax over a short last axis as one over the axis before it."""
    backward = node.target is aten._log_softmax_backward_data.default
    *tensors, axis, rest = node.args
    shape = _shape(node)
    if len(shape) != 3 or axis not in (2, -1) or shape[1] <= shape[2]:
        return
    assert len(tensors) == 1 + backward
    with graph.inserting_before(node):
        turned = [_turned(graph, one) for one in tensors]
        if backward:  # a constant more often than not: it is then laid out anew only once
            dense = {"memory_format": torch.contiguous_format}
            turned[0] = graph.call_function(aten.clone.default, (turned[0],), dense)
        made = graph.call_function(node.target, (*turned, 1, rest))
        back = graph.call_function(_TRANSPOSE, (made, 1, 2))
    back.meta = dict(node.meta)
    node.replace_all_uses_with(back)
    graph.erase_node(node)
