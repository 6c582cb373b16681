"""A traced step as a list of instructions on fixed buffers: what makes thousands of students cheap.

A step of a stack of small students costs hundreds of calls on small arrays, each of which allocates
its result. `Program` has the step written down once, by tracing the very functions that define the
losses, the transforms and the models (`make_fx`), and then repeats it without Python's and
autograd's share of the work:

- what depends on constants alone (masks, one-hot labels, the loss's gradient at its logits' place)
  is computed once;
- the long axis, that of the samples, comes last, so that products and sums run along memory;
- every result has a buffer of its own, taken over by later results when it is no longer read.

The values are those of the traced function up to the order of summation. There is no second
definition of anything: a new loss or model is traced like the others, and an operation that this
file does not know runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.func import functionalize
from torch.fx import GraphModule, Node, map_arg
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from mke_theory.training.vectorised.graph_passes import rewrite

Instruction = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

aten = torch.ops.aten

_INTO_BUFFER: dict[Any, Any] = {
    aten._log_softmax.default: aten._log_softmax.out,
    aten._log_softmax_backward_data.default: aten._log_softmax_backward_data.out,
    aten._softmax.default: aten._softmax.out,
    aten._softmax_backward_data.default: aten._softmax_backward_data.out,
    aten.add.Tensor: aten.add.out,
    aten.bmm.default: aten.bmm.out,
    aten.cat.default: aten.cat.out,
    aten.div.Tensor: aten.div.out,
    aten.exp.default: aten.exp.out,
    aten.mul.Tensor: aten.mul.out,
    aten.neg.default: aten.neg.out,
    aten.clamp_min.default: aten.clamp_min.out,
    aten.sub.Tensor: aten.sub.out,
    aten.sum.dim_IntList: aten.sum.IntList_out,
    aten.threshold_backward.default: aten.threshold_backward.grad_input,
    aten.where.self: aten.where.self_out,
}
"""Operations that can write their result where they are told, by the form that does."""

_ENTRYWISE = {
    aten.add.Tensor,
    aten.div.Tensor,
    aten.exp.default,
    aten.mul.Tensor,
    aten.neg.default,
    aten.clamp_min.default,
    aten.sub.Tensor,
    aten.threshold_backward.default,
    aten.where.self,
}
"""Those whose result may take the place of an operand, entry by entry."""


class Program:
    """`function(*arguments)` on arguments that keep their places in memory.

    `arguments` are nested containers of tensors. The caller writes new values into those tensors
    and calls `run()`; `result`, in the structure that `function` returns, then holds the new
    values. Tensors in `constant` are never written to again. Runs without gradients: what
    `function` differentiates, it differentiates inside (`torch.func.grad`).

    Raises what `function` raises; RuntimeError where its flow depends on the values of tensors,
    or where it draws random numbers or changes an argument. `run` raises RuntimeError where a
    result has another shape than before.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        constant: Iterable[Tensor] = (),
    ) -> None:
        self._kept = {id(x) for x in constant}
        flat, form = tree_flatten(tuple(arguments))
        made = []

        def of_leaves(leaves: list[Any]) -> list[Any]:
            found, shape = tree_flatten(function(*tree_unflatten(leaves, form)))
            made.append(shape)
            return found

        with torch.no_grad():
            graph = make_fx(functionalize(of_leaves))(flat)
            rewrite(graph)
            self._values: dict[Node, Any] = {}
            self._instructions: list[Instruction] = []
            self.result = tree_unflatten(self._record(graph, flat), made[0])
        del self._values

    def run(self) -> None:
        """Carry out every instruction on what the arguments hold now."""
        # A student may diverge, and who trains it will see that; NumPy need not warn at every step.
        with torch.inference_mode(), np.errstate(over="ignore", invalid="ignore"):
            for function, arguments, options in self._instructions:
                function(*arguments, **options)

    @property
    def bytes(self) -> int:
        """The memory of all buffers, beside the arguments."""
        return self._memory.bytes

    def _record(self, module: GraphModule, flat: Sequence[Any]) -> list[Any]:
        """Walk the graph once: constants and views are settled, the rest becomes instructions."""
        nodes = list(module.graph.nodes)
        self._memory = _Memory(nodes)
        self._fixed: set[Node] = set()
        inputs = iter(flat)
        for node in nodes:
            if node.op == "placeholder":
                value = next(inputs)
                self._values[node] = value
                if not isinstance(value, Tensor) or id(value) in self._kept:
                    self._fixed.add(node)
            elif node.op == "get_attr":
                self._values[node] = getattr(module, str(node.target))
                self._fixed.add(node)
            elif node.op == "output":
                found = list(self._filled(node.args[0]))
            else:
                self._settle(node)
            self._memory.release_after(node)
        return found

    def _filled(self, arguments: Any) -> Any:
        return map_arg(arguments, lambda node: self._values[node])

    def _settle(self, node: Node) -> None:
        operands = node.all_input_nodes
        chosen = self._chosen(node)
        if chosen is not None:
            self._values[node] = self._values[chosen]
            self._memory.follow(node, chosen)
            if chosen in self._fixed:
                self._fixed.add(node)
            return
        function: Any = node.target
        if isinstance(function, OpOverload):
            _refuse_operation(function)
        arguments, options = self._filled(node.args), self._filled(node.kwargs)
        value = function(*arguments, **options)
        if all(one in self._fixed for one in operands):
            self._values[node] = value
            self._fixed.add(node)
            return
        shared = _shares(value, [self._values[one] for one in operands])
        if shared is not None:
            # A view of a buffer that stays in its place: nothing to do when the step is repeated.
            self._values[node] = value
            self._memory.follow(node, operands[shared])
            return
        into = _INTO_BUFFER.get(function)
        if into is None:
            self._copy_out(node, function, arguments, options, value)
            return
        spare = None
        if function in _ENTRYWISE:
            spare = self._memory.taken_over(node, value, self._values, self._fixed)
        buffer = self._memory.place(node, value) if spare is None else spare
        keyword = into._schema.arguments[-1].name  # "out", or "grad_input" for some
        self._values[node] = buffer
        instruction = (into, arguments, {**options, keyword: buffer})
        if function is aten.bmm.default and _suits_numpy(buffer):
            instruction = _by_numpy(arguments, buffer)
        instruction[0](*instruction[1], **instruction[2])
        self._instructions.append(instruction)

    def _chosen(self, node: Node) -> Node | None:
        """The operand that a `where` hands on unchanged, because its mask is constant and true."""
        if node.target is not aten.where.self:
            return None
        mask, chosen, _ = node.args
        if not isinstance(chosen, Node) or mask not in self._fixed or not isinstance(mask, Node):
            return None
        value, made = self._values[chosen], node.meta["val"]
        same = value.shape == made.shape and value.dtype == made.dtype
        return chosen if same and bool(self._values[mask].all()) else None

    def _copy_out(
        self, node: Node, function: Any, arguments: Any, options: Any, value: Any
    ) -> None:
        """An operation that makes its own results: they are copied to where they are awaited."""
        single = isinstance(value, Tensor)
        made = (value,) if single else tuple(value)
        places = tuple(
            self._memory.place(node, one) if isinstance(one, Tensor) else None for one in made
        )

        def carry_out(*arguments: Any, **options: Any) -> None:
            made = function(*arguments, **options)
            for place, one in zip(places, (made,) if single else made, strict=True):
                if place is not None:
                    if one.shape != place.shape:  # `copy_` would broadcast
                        raise RuntimeError(f"the shape of a result of {function} changes")
                    place.copy_(one)

        for place, one in zip(places, made, strict=True):
            if place is not None:
                place.copy_(one)
        self._values[node] = places[0] if single else places
        self._instructions.append((carry_out, arguments, options))


def _refuse_operation(function: OpOverload) -> None:
    """Raise RuntimeError for what repeats differently, or not at all, on fixed buffers."""
    if function._schema.is_mutable:
        raise RuntimeError(f"{function} changes its operand; a program has no place for that")
    if torch.Tag.nondeterministic_seeded in function.tags:
        raise RuntimeError(f"{function} draws random numbers; hand them in as an argument")


def _suits_numpy(product: Tensor) -> bool:
    return product.device.type == "cpu" and product.dtype in (torch.float32, torch.float64)


def _by_numpy(factors: Sequence[Tensor], buffer: Tensor) -> Instruction:
    """The product of two stacks of matrices by NumPy's BLAS, on the same memory.

    On small matrices it is faster than torch's `bmm`: `benchmarks/ensemble.py` prints both.
    """
    left, right = (x.numpy() for x in factors)
    return np.matmul, (left, right), {"out": buffer.numpy()}


class _Memory:
    """Buffers for the results of a graph, each handed on when its last reader is done."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.bytes = 0
        self._last = {}
        for node in nodes:
            for operand in node.all_input_nodes:
                self._last[operand] = node
        self._owner: dict[Node, Node] = {}
        self._held: dict[Node, list[Tensor]] = {}
        self._readers: dict[Node, set[Node]] = {}
        self._free: dict[tuple[int, torch.dtype, torch.device], list[Tensor]] = {}

    def place(self, node: Node, like: Tensor) -> Tensor:
        """A buffer with the shape and strides of `like`, which is a dense tensor."""
        size = like.numel()
        spare = self._free.get((size, like.dtype, like.device), [])
        if spare:
            flat = spare.pop()
        else:
            flat = torch.empty(size, dtype=like.dtype, device=like.device)
            self.bytes += size * flat.element_size()
        self._held.setdefault(node, []).append(flat)
        self._readers.setdefault(node, {node})
        strides = like.stride() if _is_dense(like) else like.contiguous().stride()
        return flat.as_strided(like.shape, strides)

    def taken_over(
        self, node: Node, like: Tensor, values: dict[Node, Any], fixed: set[Node]
    ) -> Tensor | None:
        """The buffer of an operand that nobody reads after `node` and that has its very layout."""
        owners = [self._owner.get(operand, operand) for operand in node.all_input_nodes]
        for operand, owner in zip(node.all_input_nodes, owners, strict=True):
            held = self._held.get(owner, [])
            # An operand that reads the same buffer in another order would find it overwritten.
            if operand in fixed or len(held) != 1 or owners.count(owner) > 1:
                continue
            value = values[operand]
            same = value.shape == like.shape and value.stride() == like.stride()
            whole = value.dtype == like.dtype and value.numel() == held[0].numel()
            if same and whole and self._is_last(owner, node):
                self.follow(node, operand)
                return value
        return None

    def follow(self, node: Node, operand: Node) -> None:
        """`node` lies in the buffer of `operand`, which therefore has its readers too."""
        owner = self._owner.get(operand, operand)
        if owner in self._held:
            self._owner[node] = owner
            self._readers[owner].add(node)

    def release_after(self, node: Node) -> None:
        """Hand on every buffer whose last reader was `node`."""
        for operand in [*node.all_input_nodes, node]:
            owner = self._owner.get(operand, operand)
            if owner in self._held and self._is_last(owner, node):
                for flat in self._held.pop(owner):
                    kind = (flat.numel(), flat.dtype, flat.device)
                    self._free.setdefault(kind, []).append(flat)

    def _is_last(self, owner: Node, node: Node) -> bool:
        """Whether no node after `node` reads the buffer of `owner`, by whatever name."""
        return all(self._last.get(reader, reader) <= node for reader in self._readers[owner])


def _is_dense(x: Tensor) -> bool:
    """Whether the entries fill one stretch of memory without gaps, in whatever order."""
    expected = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def _shares(value: Any, operands: Sequence[Any]) -> int | None:
    """The operand in whose memory `value` lies, if any."""
    if not isinstance(value, Tensor):
        return None
    for i, operand in enumerate(operands):
        if isinstance(operand, tuple | list):
            if any(value is one for one in operand):
                return i
        elif isinstance(operand, Tensor):
            storages = value.untyped_storage().data_ptr(), operand.untyped_storage().data_ptr()
            if storages[0] == storages[1]:
                return i
    return None
