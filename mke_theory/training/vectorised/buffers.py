"""Memory for the results of a traced step, each stretch handed on when its last reader is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node


class Buffers:
    """The places of the results of a graph's nodes, in the order in which the nodes are met."""

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
        """True where no node after `node` reads the buffer of `owner`, by whatever name."""
        return all(self._last.get(reader, reader) <= node for reader in self._readers[owner])


def _is_dense(x: Tensor) -> bool:
    """True where the entries fill one stretch of memory without gaps, in whatever order."""
    expected = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def sharing(value: Any, operands: Sequence[Any]) -> int | None:
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
