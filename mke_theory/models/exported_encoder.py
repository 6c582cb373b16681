"""Archives of torch.export (.pt2) as frozen encoders: a network without its Python code."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.data.file_hashes import sha256_of
from mke_theory.models.frozen import (
    OUTPUT,
    FrozenEncoder,
    computed_by,
    content_of_words,
    described,
    in_pieces,
    missing_places,
    places_of,
    renamed,
)

_TRAINING_FLAG = {
    **{"batch_norm": 5, "native_batch_norm": 5, "_native_batch_norm_legit": 5},
    **{"_native_batch_norm_legit_functional": 5, "cudnn_batch_norm": 5},
    **{"dropout": 2, "feature_dropout": 2, "native_dropout": 2},
}
_RUNNING_MEAN = 3  # of every batch normalisation; where there is none, it looks at the batch


def from_exported(
    path: Path | str,
    taps: Sequence[str] | Mapping[str, str] = (OUTPUT,),
    *,
    raw: str,
    name: str | None = None,
    prepare: Callable[[Tensor], Tensor] | None = None,
    prepared: str = "",
) -> FrozenEncoder:
    """The network of an archive that `torch.export.save` wrote, by default called by its file.

    taps, prepare and prepared are those of `from_module`; submodules keep their names through
    export. Where the archive is for batches of one size, samples go through it in pieces of that
    size; exported with `dynamic_shapes=({0: torch.export.Dim("batch")},)` it takes any. Load only
    archives of people you trust: they can hold pickled objects.

    Raises FileNotFoundError where there is no such file, and ValueError where it is damaged or no
    such archive, takes more than one input, was exported in training mode (a batch normalisation
    would look at the other samples), or lacks a tap, with the names that there are.
    """
    path = Path(path)
    called = name or path.stem
    _refuse_other_files(path)
    program = _loaded(path)
    _refuse_training(path, program)
    with _quiet():
        net: nn.Module = torch.export.unflatten(program)
    places = places_of(taps)
    known = {OUTPUT, *(each for each, _ in net.named_modules() if each)}
    missing = [place for place in places.values() if place.partition("[")[0] not in known]
    if missing:
        raise missing_places(str(path), missing, sorted(known))
    compute = computed_by(net, places, prepare)
    fixed = _batch_size(path, program)
    hashed = [sha256_of(path), described(prepare, prepared), *renamed(places)]
    content = content_of_words("torch.export", *hashed)
    return FrozenEncoder(
        called, content, tuple(places), in_pieces(compute, fixed) if fixed else compute, raw
    )


def _refuse_other_files(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; an archive of torch.export.save is wanted")
    names = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    if not any(each.endswith("/archive_format") for each in names):
        raise ValueError(
            f"{path}: is truncated, or no archive of torch.export.save; fetch it again (a file of "
            "torch.save holds weights without their network: build that and use from_module)"
        )


def _loaded(path: Path) -> Any:
    try:
        with _quiet():
            return torch.export.load(path)
    except Exception as error:  # a damaged archive's error has many classes
        why = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{path}: cannot be loaded by torch {torch.__version__} ({why}); fetch it again, or "
            "export it anew with this version"
        ) from error


def _refuse_training(path: Path, program: Any) -> None:
    for node in program.graph.nodes:
        kind, _, overload = str(node.target).removeprefix("aten.").partition(".")
        at = _TRAINING_FLAG.get(kind)
        if node.op != "call_function" or at is None:
            continue
        if overload == "no_stats" or ("norm" in kind and node.args[_RUNNING_MEAN] is None):
            raise ValueError(
                f"{path}: has a batch normalisation without running statistics, which looks at the "
                "batch; export the part of the network before it"
            )
        if node.args[at : at + 1] == (True,):
            raise ValueError(
                f"{path}: was exported in training mode ({kind} looks at the batch or at chance); "
                "call net.eval() before torch.export.export"
            )


def _batch_size(path: Path, program: Any) -> int | None:
    """The one size of batch that the archive takes; None where it takes any."""
    inputs = program.graph_signature.user_inputs
    if len(inputs) != 1:
        raise ValueError(f"{path}: takes {len(inputs)} inputs; an encoder takes one")
    (node,) = (each for each in program.graph.nodes if each.name == inputs[0])
    size = node.meta["val"].shape[0]
    return size if isinstance(size, int) else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of torch about its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
