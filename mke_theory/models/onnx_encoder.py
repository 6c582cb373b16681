"""ONNX files as frozen encoders, through onnxruntime, with any tensor of the graph as a tap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mke_theory.data.file_hashes import sha256_of
from mke_theory.data.optional_imports import library
from mke_theory.models.frozen import (
    FrozenEncoder,
    content_of_words,
    described,
    in_pieces,
    missing_places,
    places_of,
    renamed,
)
from mke_theory.models.onnx_graph import Graph, read_graph, with_outputs

_ERRORS_ONLY = 3  # onnxruntime's severity: below are remarks on its own optimisations


def from_onnx(
    path: Path | str,
    taps: Sequence[str] | Mapping[str, str] = (),
    *,
    raw: str,
    name: str | None = None,
    prepare: Callable[[Tensor], Tensor] | None = None,
    prepared: str = "",
) -> FrozenEncoder:
    """The network of an ONNX file, by default called by its file and with its own outputs.

    taps: names of tensors that the graph computes, in its midst too (`tensor_names` lists them), or
    {tap: name}; each needs one row a sample. prepare and prepared are those of `from_module`: what
    they give goes in as it is, mostly float32. Where the file is for batches of one size, samples
    go through it in pieces of that size. It runs on as many threads as torch has when it is loaded.

    Raises ImportError without onnxruntime, FileNotFoundError where the file or one of its weights
    is not there, and ValueError where it is damaged, takes more than one input or lacks a tap.
    """
    path = Path(path)
    content, graph = _read(path)
    places = places_of(taps or graph.outputs)
    missing = [place for place in places.values() if place not in (*graph.computed, *graph.outputs)]
    if missing:
        raise missing_places(str(path), missing, dict.fromkeys([*graph.outputs, *graph.computed]))
    inner = [place for place in dict.fromkeys(places.values()) if place not in graph.outputs]
    session = _session(path, with_outputs(content, inner))
    files = [sha256_of(path.parent / each) for each in graph.files]
    words = [sha256_of(path), *files, described(prepare, prepared), *renamed(places)]
    hashed = content_of_words("ONNX", *words)
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = [each.name for each in inputs]
        raise ValueError(f"{path}: takes the inputs {names}; an encoder takes one")
    compute = _computed(str(path), session, places, prepare)
    size = (inputs[0].shape or [None])[0]
    if isinstance(size, int):
        compute = in_pieces(compute, size)
    return FrozenEncoder(name or path.stem, hashed, tuple(places), compute, raw)


def tensor_names(path: Path | str) -> tuple[str, ...]:
    """The names of all tensors that an ONNX file computes, in order: each can be a tap."""
    return _read(Path(path))[1].computed


def _read(path: Path) -> tuple[bytes, Graph]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; an ONNX file is wanted")
    content = path.read_bytes()
    try:
        graph = read_graph(content)
    except ValueError as error:  # also where a name is no text
        raise ValueError(f"{path}: cannot be read as ONNX ({error}); fetch it again") from error
    for each in graph.files:
        if not (path.parent / each).is_file():
            raise FileNotFoundError(
                f"{path.parent / each}: no such file; {path.name} keeps its weights there"
            )
    return content, graph


def _session(path: Path, content: bytes) -> Any:
    runtime = library("onnxruntime", "ONNX encoders need")
    options = runtime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path.parent.resolve())
    )
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors have a class for each of their causes
        why = str(error).strip().split("\n")[0]
        raise ValueError(f"{path}: onnxruntime cannot load it ({why}); fetch it again") from error


def _computed(
    path: str,
    session: Any,
    places: Mapping[str, str],
    prepare: Callable[[Tensor], Tensor] | None,
) -> Callable[[Tensor], dict[str, Tensor]]:
    (described_input,) = session.get_inputs()

    def compute(batch: Tensor) -> dict[str, Tensor]:
        x = batch if prepare is None else prepare(batch)
        fed = {described_input.name: np.ascontiguousarray(x.detach().cpu().numpy())}
        try:
            found = session.run(list(places.values()), fed)
        except Exception as error:
            raise ValueError(
                f"{path}: takes {described_input.type} {described_input.shape}, and cannot compute "
                f"on {x.dtype} {list(x.shape)} ({str(error).strip().splitlines()[0]})"
            ) from error
        return {
            tap: torch.from_numpy(np.array(each)) for tap, each in zip(places, found, strict=True)
        }

    return compute
