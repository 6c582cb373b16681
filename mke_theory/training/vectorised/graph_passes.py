"""A traced graph rewritten: equal in value, and cheaper in memory.

A product that is taller than wide becomes the transpose of one that is wider than tall, a softmax
or a concatenation over a short last axis one over the axis before it: the samples, which are many,
then lie next to each other. What stands for missing numbers is put in their places in one pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, Node

from mke_theory.training.vectorised.convolutions import lower_convolutions

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


_SOFTMAX = {aten._softmax.default, aten._log_softmax.default}
_SOFTMAX_BACKWARD = {
    aten._softmax_backward_data.default,
    aten._log_softmax_backward_data.default,
}


def rewrite(graph: Graph) -> None:
    """Replace what the graph does by what has the same value and moves less memory."""
    for node in list(graph.nodes):
        _drop_what_does_nothing(graph, node)
    for node in list(graph.nodes):
        if node.target is aten.where.self:
            _fill_in(graph, node)
    graph.eliminate_dead_code()
    turns = dict.fromkeys(lower_convolutions(graph), True) | _turns_of_results(graph)
    for node in list(graph.nodes):
        if node.target is aten.bmm.default:
            tall = _shape(node)[1] >= _shape(node)[2]
            if turns.get(node, tall):
                _turn_product(graph, node)
        elif node.target is aten.cat.default:
            _turn_concatenation(graph, node)
        elif node.target in _SOFTMAX or node.target in _SOFTMAX_BACKWARD:
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
    """A view of the same shape, a factor or power of 1, and the operand of a tensor of ones."""
    views = (aten.view.default, aten._unsafe_view.default, aten.expand.default)
    if node.target is aten.relu.default:
        node.target, node.args = aten.clamp_min.default, (*node.args, 0)  # has an `out`
    scaled = (
        aten.mul.Scalar,
        aten.div.Scalar,
        aten.mul.Tensor,
        aten.div.Tensor,
        aten.pow.Tensor_Scalar,
    )
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


def _fill_in(graph: Any, node: Node) -> None:
    """A choice between numbers and a whole tensor of one value, by that value alone.

    One pass finds missing numbers (NaN) and puts 0 in their places, where that is the choice.
    """
    mask, *choices = node.args
    for i, choice in enumerate(choices):
        value, other = _value(choice), choices[1 - i]
        if value is None or not isinstance(mask, Node) or not isinstance(other, Node):
            continue
        given: Any = (mask, other)
        shape = torch.broadcast_shapes(*(_shape(x) for x in given if "val" in x.meta))
        like = node.meta["val"]
        if tuple(shape) != _shape(node) or other.meta["val"].dtype != like.dtype:
            continue
        missing = mask.target is aten.isnan.default and mask.args[0] is other
        with graph.inserting_before(node):
            if missing and i == 0 and value == 0.0 and _shape(other) == _shape(node):
                new = graph.call_function(
                    aten.nan_to_num.default, (other, 0.0, float("inf"), -float("inf"))
                )
            else:
                one = graph.call_function(
                    aten.full.default, ([], value), {"dtype": like.dtype, "device": like.device}
                )
                new = graph.call_function(
                    aten.where.self, (mask, one, other) if i == 0 else (mask, other, one)
                )
        new.meta = dict(node.meta)
        node.replace_all_uses_with(new)
        graph.erase_node(node)
        return


def _value(node: Any) -> float | None:
    """The number that all entries of a floating-point constant are."""
    if not isinstance(node, Node) or not node.meta["val"].dtype.is_floating_point:
        return None
    if node.target is aten.full.default:
        return float(node.args[1])  # type: ignore[arg-type]
    if node.target is aten.scalar_tensor.default:
        return float(node.args[0])  # type: ignore[arg-type]
    return None


def _turned(graph: Any, node: Any) -> Any:
    """The transpose of the last two axes; that of a transpose is what it was made from."""
    if node.target is _TRANSPOSE and sorted(node.args[1:]) == [1, 2]:
        return node.args[0]
    return graph.call_function(_TRANSPOSE, (node, 1, 2))


def _lay_out(graph: Any, node: Node) -> None:
    """Operands in order; RuntimeError where the traced function read them in another order."""
    if node.target is aten.as_strided.default:
        traced = node.all_input_nodes[0].meta["val"]
        if not traced.in_order:
            raise RuntimeError("as_strided of a view is not repeated; index or reshape instead")
    with graph.inserting_before(node):
        for one in node.all_input_nodes:
            order = {"memory_format": torch.contiguous_format}
            node.replace_input_with(one, graph.call_function(aten.clone.default, (one,), order))


def _turns_of_results(graph: Any) -> dict[Node, bool]:
    """For each product that the graph returns, or a sum of such: whether to turn it over.

    They are turned so that what is returned lies in memory in the order of its axes.
    """
    last = next(node for node in reversed(graph.nodes) if node.op == "output")
    waiting = [(node, False) for node in last.all_input_nodes]
    turns: dict[Node, bool] = {}
    while waiting:
        node, turn = waiting.pop()
        if node.target is aten.bmm.default:
            turns[node] = turn
        elif node.target is _TRANSPOSE and sorted(node.args[1:]) == [1, 2]:
            waiting.append((node.all_input_nodes[0], not turn))
        elif node.target is aten.add.Tensor or node.target is aten._unsafe_view.default:
            same = [x for x in node.all_input_nodes if _shape(x) == _shape(node)]
            waiting += [(x, turn) for x in same]
    return turns


def _turn_product(graph: Any, node: Node) -> None:
    """A·B as (Bᵀ·Aᵀ)ᵀ: where A·B is taller than wide, the longer axis then runs along memory."""
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
    if len(_shape(node)) != 3 or len(node.args) < 2 or node.args[1] not in (2, -1):
        return
    parts: Any = node.args[0]
    if any(_shape(part)[1] < _shape(part)[2] for part in parts):
        return
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
    backward = node.target in _SOFTMAX_BACKWARD
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
