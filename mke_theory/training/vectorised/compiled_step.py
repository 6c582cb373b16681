"""A traced step as a list of instructions on fixed buffers: what makes thousands of jobs cheap.

A step of many small models costs hundreds of calls on small arrays, each of which allocates its
result. `Program` has the step written down once, by tracing the very functions that define the
losses, the transforms and the models (`tracing`), and then repeats it without Python's and
autograd's share of the work:

- what depends on constants alone (masks, one-hot labels, the loss's gradient at its logits' place)
  is computed once;
- the long axis, that of the samples, comes last, so that products and sums run along memory;
- every result has a buffer of its own, taken over by later results when it is no longer read;
- each operation is carried out by the library that is fastest at it here (`kernels`).

The values are those of the traced function up to the order of summation. There is no second
definition of anything: a new loss or model is traced like the others, and an operation that this
file does not know runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Graph, Node, map_arg
from torch.utils._pytree import tree_flatten, tree_unflatten

from mke_theory.training.vectorised.buffers import Buffers, sharing
from mke_theory.training.vectorised.convolutions import Kernel
from mke_theory.training.vectorised.graph_passes import rewrite
from mke_theory.training.vectorised.kernels import kernel_of
from mke_theory.training.vectorised.tracing import traced

aten = torch.ops.aten


class Program:
    """`function(*arguments)` on arguments that keep their places in memory.

    `arguments` are nested containers of tensors. The caller writes new values into those tensors
    and calls `run()`; `result`, in the structure that `function` returns, then holds the new
    values. After a change of tensors in `constant` the caller has to call `renew()` first. Runs
    without gradients: what `function` differentiates, it differentiates inside (`torch.func.grad`).

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

        def of_leaves(*leaves: Any) -> list[Any]:
            found, shape = tree_flatten(function(*tree_unflatten(list(leaves), form)))
            made.append(shape)
            return found

        with torch.no_grad():
            graph, self._constants = traced(of_leaves, flat)
            rewrite(graph)
        self._values: dict[Node, Any] = {}
        self._instructions: list[tuple[Node, Kernel]] = []
        self._once: list[Kernel | Tensor] = []  # of constants: operations, and masks that are true
        with torch.inference_mode(), np.errstate(all="ignore"):
            found = self._record(graph, flat)
        self._sources = tree_unflatten(found, made[0])
        self.result = tree_unflatten(list(self._filled(found)), made[0])
        del self._values, self._fixed, self._forever, self._constants

    def run(self) -> None:
        """Carry out every instruction on what the arguments hold now."""
        _carry_out([kernel for _, kernel in self._instructions])

    def only(self, part: Callable[[Any], Any]) -> Callable[[], None]:
        """A shorter `run` that renews only that part of `result`, and what it is made from."""
        wanted = [x for x in tree_flatten(part(self._sources))[0] if isinstance(x, Node)]
        needed = set(wanted)
        while wanted:
            new = [x for x in wanted.pop().all_input_nodes if x not in needed]
            needed.update(new)
            wanted += new
        return partial(
            _carry_out, [kernel for node, kernel in self._instructions if node in needed]
        )

    def renew(self) -> bool:
        """Compute anew what depends on constants alone; False where another program is needed."""
        for one in self._once:
            if isinstance(one, Tensor):
                if not bool(one.all()):
                    return False
            else:
                _carry_out([one])
        return True

    @property
    def bytes(self) -> int:
        """The memory of all buffers, beside the arguments."""
        return self._buffers.bytes

    def _record(self, graph: Graph, flat: Sequence[Any]) -> list[Any]:
        """Walk the graph once: constants and views are settled, the rest becomes instructions."""
        nodes = list(graph.nodes)
        self._buffers = Buffers(nodes)
        self._fixed: set[Node] = set()  # depends on constants alone
        self._forever: set[Node] = set()  # not even on those that the caller may change
        inputs = iter(flat)
        for node in nodes:
            if node.op == "placeholder":
                value = next(inputs)
                self._values[node] = value
                if not isinstance(value, Tensor) or id(value) in self._kept:
                    self._fixed.add(node)
            elif node.op == "get_attr":
                self._values[node] = self._constants[str(node.target)]
                self._fixed.add(node)
                self._forever.add(node)
            elif node.op == "output":
                found: Any = node.args[0]
            else:
                self._settle(node)
            self._buffers.release_after(node)
        return list(found)

    def _filled(self, arguments: Any) -> Any:
        return map_arg(arguments, lambda node: self._values[node])

    def _settle(self, node: Node) -> None:
        operands = node.all_input_nodes
        if all(one in self._forever for one in operands):
            self._forever.add(node)
        chosen = self._chosen(node)
        if chosen is not None:
            self._values[node] = self._values[chosen]
            self._buffers.follow(node, chosen)
            if chosen in self._fixed:
                self._fixed.add(node)
            return
        function: Any = node.target
        arguments, options = self._filled(node.args), self._filled(node.kwargs)
        value = function(*arguments, **options)
        shared = sharing(value, [self._values[one] for one in operands])
        if shared is not None:
            # A view of a buffer that stays in its place: nothing to do when the step is repeated.
            self._values[node] = value
            self._buffers.follow(node, operands[shared])
            if all(one in self._fixed for one in operands):
                self._fixed.add(node)
        elif all(one in self._fixed for one in operands):
            self._values[node] = value
            self._fixed.add(node)
            if node not in self._forever:
                self._once.append(_copying(function, arguments, options, value))
        elif isinstance(value, Tensor):
            self._instruct(node, function, arguments, options, value)
        else:
            self._copy_out(node, function, arguments, options, value)

    def _instruct(
        self, node: Node, function: Any, arguments: Any, options: Any, value: Tensor
    ) -> None:
        spare = None
        if isinstance(function, OpOverload) and torch.Tag.pointwise in function.tags:
            spare = self._buffers.taken_over(node, value, self._values, self._fixed)
        place = self._buffers.place(node, value) if spare is None else spare
        constant = [
            i for i, x in enumerate(node.args) if isinstance(x, Node) and x in self._forever
        ]
        kernel = kernel_of(function, arguments, options, place, constant)
        if kernel is None:
            kernel = _copying(function, arguments, options, place)
        self._values[node] = place
        kernel()
        self._instructions.append((node, kernel))

    def _chosen(self, node: Node) -> Node | None:
        """The operand that a `where` hands on unchanged, because its mask is constant and true."""
        if node.target is not aten.where.self:
            return None
        mask, chosen, _ = node.args
        if not isinstance(chosen, Node) or mask not in self._fixed or not isinstance(mask, Node):
            return None
        value, made = self._values[chosen], node.meta["val"]
        same = value.shape == made.shape and value.dtype == made.dtype
        if not same or not bool(self._values[mask].all()):
            return None
        self._once.append(self._values[mask])
        return chosen

    def _copy_out(
        self, node: Node, function: Any, arguments: Any, options: Any, value: Any
    ) -> None:
        """An operation of several results: they are copied to where they are awaited."""
        places = tuple(
            self._buffers.place(node, one) if isinstance(one, Tensor) else None for one in value
        )
        self._values[node] = places
        kernel = _copying(function, arguments, options, places)
        kernel()
        self._instructions.append((node, kernel))


def _carry_out(kernels: Sequence[Kernel]) -> None:
    # A model may diverge, and who trains it will see that; NumPy need not warn at every step.
    with torch.inference_mode(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for kernel in kernels:
            kernel()


def _copying(function: Any, arguments: Any, options: Any, places: Any) -> Kernel:
    """An operation that makes its own results, which are then copied to their places."""

    def carry_out() -> None:
        made = function(*arguments, **options)
        pairs = [(places, made)] if isinstance(made, Tensor) else zip(places, made, strict=True)
        for place, one in pairs:
            if isinstance(place, Tensor):
                if one.shape != place.shape:  # `copy_` would broadcast
                    raise RuntimeError(f"the shape of a result of {function} changes")
                place.copy_(one)

    return carry_out
