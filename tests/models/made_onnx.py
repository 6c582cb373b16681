"""Small ONNX files, written byte by byte after onnx.proto."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FLOAT = 1


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def field(number: int, content: bytes | str | int) -> bytes:
    if isinstance(content, int):
        return varint(number * 8) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(number * 8 + 2) + varint(len(content)) + content


def node(kind: str, inputs: list[str], output: str) -> bytes:
    named = b"".join(field(1, each) for each in inputs)
    return field(1, named + field(2, output) + field(4, kind))


def tensor(name: str, values: np.ndarray, location: str | None = None) -> bytes:
    head = b"".join(field(1, size) for size in values.shape) + field(2, FLOAT) + field(8, name)
    if location is None:
        return field(5, head + field(9, values.astype("<f4").tobytes()))
    entry = field(1, "location") + field(2, location)
    return field(5, head + field(13, entry) + field(14, 1))


def value(name: str, sizes: list[int | str]) -> bytes:
    dims = b"".join(field(1, field(1 if isinstance(s, int) else 2, s)) for s in sizes)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dims)))


def write_network(
    path: Path,
    weights: np.ndarray,
    shift: np.ndarray,
    *,
    batch: int | str = "batch",
    location: str | None = None,
) -> Path:
    """y = relu(x W + b), with the tensors x, product, shifted and y; W may lie in another file."""
    inward, outward = weights.shape
    graph = (
        node("MatMul", ["x", "W"], "product")
        + node("Add", ["product", "b"], "shifted")
        + node("Relu", ["shifted"], "y")
        + field(2, "small")
        + tensor("W", weights, location)
        + tensor("b", shift)
        + field(11, value("x", [batch, inward]))
        + field(12, value("y", [batch, outward]))
    )
    if location is not None:
        (path.parent / location).write_bytes(weights.astype("<f4").tobytes())
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))
    return path
