"""A function written down as a graph of torch's operations, while it runs once.

This is what `make_fx` does, without the stand-in that it makes of every result, which costs time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.func import functionalize
from torch.fx import Graph, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary


@dataclass(frozen=True)
class Outline:
    """A tensor without its numbers: what `node.meta["val"]` has of a node's result."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    in_order: bool
    """True where it is all of its memory, in the order of its axes."""

    @classmethod
    def of(cls, x: Tensor) -> Outline:
        in_order = x.is_contiguous() and x.storage_offset() == 0
        return cls(x.shape, x.dtype, x.device, in_order)


def traced(
    function: Callable[..., Sequence[Any]], arguments: Sequence[Any]
) -> tuple[Graph, Mapping[str, Tensor]]:
    """The graph of `function(*arguments)`, and the tensors that it reads beside its arguments.

    The graph has a placeholder for each argument and returns a list. What the function changes in
    place inside becomes new tensors. Raises RuntimeError where it looks at the values of tensors,
    draws random numbers or changes an argument, and what the function raises.
    """
    recorder = _Recorder()
    for i, x in enumerate(arguments):
        recorder.begin(f"argument_{i}", x)
    with recorder:
        found = functionalize(function)(*arguments)
    recorder.graph.output(tree_map(recorder.node_of, list(found)))
    return recorder.graph, recorder.constants


class _Recorder(TorchDispatchMode):
    """Notes each operation that is carried out, below all transformations of functions."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = Graph()
        self.constants: dict[str, Tensor] = {}
        self._nodes: Any = WeakTensorKeyDictionary()

    def begin(self, name: str, x: Any) -> None:
        """An argument of the function."""
        node = self.graph.placeholder(name)
        if isinstance(x, Tensor):
            self._note(x, node)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        _refuse_operation(func)
        kwargs = kwargs or {}
        given = tree_map(self.node_of, (args, kwargs))
        result = func(*args, **kwargs)
        node = self.graph.call_function(func, *given)
        if isinstance(result, Tensor):
            self._note(result, node)
        elif isinstance(result, tuple | list):
            for i, one in enumerate(result):
                if isinstance(one, Tensor):
                    self._note(one, self.graph.call_function(operator.getitem, (node, i)))
        return result

    def _note(self, x: Tensor, node: Node) -> None:
        node.meta["val"] = Outline.of(x)
        self._nodes[x] = node

    def node_of(self, x: Any) -> Any:
        """The node that made a tensor; of another tensor one that stands for it as it is."""
        if not isinstance(x, Tensor):
            return x
        node = self._nodes.get(x)
        if node is None:
            name = f"constant_{len(self.constants)}"
            self.constants[name] = x
            node = self.graph.get_attr(name)
            self._note(x, node)
        return node


def _refuse_operation(function: OpOverload) -> None:
    """Raise RuntimeError for what a repetition of the graph would not do as it was done."""
    if function._schema.is_mutable:
        raise RuntimeError(f"{function} changes its operand; a program has no place for that")
    if torch.Tag.nondeterministic_seeded in function.tags:
        raise RuntimeError(f"{function} draws random numbers; hand them in as an argument")
    if torch.Tag.data_dependent_output in function.tags:
        raise RuntimeError(f"{function} looks at the values of tensors, which will be others")
