"""The graph inside an ONNX file, as far as taps need it: names of tensors, and more outputs.

An ONNX file is one message in the wire format of protocol buffers. Reading names off it takes no
more than walking its fields, and two messages one after the other are read as one merged message,
so that outputs are added by appending a few bytes. The package `onnx` is not needed.
Ref: onnx2019open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Numbers of the fields in onnx.proto.
_GRAPH = 7  # of a model
_NODE, _INITIALIZER, _GRAPH_OUTPUT = 1, 5, 12  # of a graph
_NODE_OUTPUT = 2
_EXTERNAL = 13  # of a tensor
_KEY, _VALUE = 1, 2  # of an entry of _EXTERNAL
_VALUE_NAME = 1  # of a description of an output

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # how a field is laid out


@dataclass(frozen=True)
class Graph:
    """Names of the tensors that nodes compute, in order; of outputs; of files with weights."""

    computed: tuple[str, ...]
    outputs: tuple[str, ...]
    files: tuple[str, ...]


def read_graph(content: bytes) -> Graph:
    """The graph of a serialised model; ValueError where the bytes are no whole one."""
    computed: list[str] = []
    outputs: list[str] = []
    files: dict[str, None] = {}
    for graph in _messages(memoryview(content), _GRAPH):
        for number, part in _fields(graph):
            if number == _NODE:
                computed += [bytes(each).decode() for each in _messages(part, _NODE_OUTPUT)]
            elif number == _GRAPH_OUTPUT:
                outputs += [bytes(each).decode() for each in _messages(part, _VALUE_NAME)]
            elif number == _INITIALIZER:
                files |= dict.fromkeys(_external_files(part))
    if not outputs:
        raise ValueError("it has no graph with outputs")
    return Graph(tuple(filter(None, computed)), tuple(outputs), tuple(files))


def with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """The model with further outputs, each of the name of a tensor that it computes."""
    described = b"".join(_message(_GRAPH_OUTPUT, _message(_VALUE_NAME, n.encode())) for n in names)
    return content + _message(_GRAPH, described) if names else content


def _external_files(tensor: memoryview) -> Iterator[str]:
    for entry in _messages(tensor, _EXTERNAL):
        parts = {number: bytes(part).decode() for number, part in _fields(entry)}
        if parts.get(_KEY) == "location":
            yield parts[_VALUE]


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    return (part for number, part in _fields(message) if number == wanted)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field that has a length; numbers by value are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        layout = tag & 7
        if layout == _VARINT:
            _, at = _varint(message, at)
        elif layout in (_FIXED64, _FIXED32):
            at += 8 if layout == _FIXED64 else 4
        elif layout == _LENGTH:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError(f"it ends {at + length - len(message)} bytes too early")
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError("it is no ONNX file")
    if at > len(message):
        raise ValueError("it ends too early")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, lowest first, and the place behind it."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("it ends too early, or is no ONNX file")


def _message(number: int, content: bytes) -> bytes:
    return _encoded(number << 3 | _LENGTH) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
