"""Trained weights from a folder or the hub, complete and of the right architecture, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mke_theory.data.file_hashes import content_of
from mke_theory.data.optional_imports import library

_FILES = ("config.json", "model.safetensors")
_NAMED = 5  # how many missing weights one message names


def transformers() -> Any:
    """The library, imported; ImportError with the remedy where it is not installed."""
    return library("transformers", "published encoders need")


def pretrained(architecture: Any, kind: str, weights: str, *, fresh: str | None = None) -> Any:
    """The network of `architecture` with trained weights, in float32.

    Those whose names start with `fresh` may be missing: the checkpoint of a classifier has no
    normalisation of its feature maps.
    """
    folder = _names_folder(weights)
    if folder:
        _refuse_incomplete(Path(weights))
    name, _, revision = (weights, "", "") if folder else weights.partition("@")
    try:
        with _quiet(bars=not folder):
            config = transformers().AutoConfig.from_pretrained(name, revision=revision or "main")
            _refuse_other_kind(config.model_type, kind, weights)
            if fresh is not None:
                config.out_features = [stage for stage in config.stage_names if stage != "stem"]
            net, info = architecture.from_pretrained(
                name,
                config=config,
                revision=revision or "main",
                use_safetensors=True,
                output_loading_info=True,
            )
    except _OtherKindError:
        raise
    except Exception as problem:  # a damaged file's error has a class of the library's own
        raise _unreadable(weights, problem, folder=folder) from problem
    missing = sorted(
        key for key in info["missing_keys"] if fresh is None or not key.startswith(fresh)
    )
    if missing:
        raise ValueError(
            f"{weights}: lacks {len(missing)} weights of {architecture.__name__}, such as "
            f"{', '.join(missing[:_NAMED])}; name a complete model of kind {kind!r}"
        )
    return net.float()


def weights_content(weights: str) -> str:
    """16 hexadecimal digits of what a folder holds; of a name on the hub, the commit it stands for.

    Raises OSError where the folder is incomplete, or the hub does not give the name.
    """
    if _names_folder(weights):
        folder = Path(weights)
        _refuse_incomplete(folder)
        return content_of([*folder.glob("*.json"), *folder.glob("*.safetensors")], folder)
    name, _, revision = weights.partition("@")
    try:
        found = transformers().utils.cached_file(name, _FILES[0], revision=revision or "main")
    except OSError as problem:
        raise _unreadable(weights, problem, folder=False) from problem
    return Path(found).parent.name[:16]  # the hub's cache has a folder for each commit


def _names_folder(weights: str) -> bool:
    """True where a folder is meant, be it there or not, and no name on the hub."""
    return Path(weights).is_dir() or weights.startswith((".", "/", "~"))


class _OtherKindError(ValueError):
    """The weights are of another architecture."""


def _refuse_other_kind(found: str, kind: str, weights: str) -> None:
    if found != kind:
        raise _OtherKindError(f"{weights}: holds a {found!r}, but a {kind!r} is asked for")


def _refuse_incomplete(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of weights")
    for name in _FILES:
        split = folder / f"{name}.index.json"
        if not (folder / name).is_file() and not split.is_file():
            raise FileNotFoundError(
                f"{folder}: has no {name}; a folder of weights needs {' and '.join(_FILES)} "
                "(weights in other formats are not read)"
            )


def _unreadable(weights: str, problem: Exception, *, folder: bool) -> Exception:
    why = str(problem).strip().split("\n")[0]
    if folder or not isinstance(problem, OSError):
        return ValueError(f"{weights}: cannot be loaded ({why}); fetch it again")
    return FileNotFoundError(
        f"{weights}: is no folder here, and the hub did not give it ({why}); where there is a "
        f"network run `hf download {weights.partition('@')[0]} --local-dir FOLDER`, and name FOLDER"
    )


@contextmanager
def _quiet(*, bars: bool) -> Iterator[None]:
    """Without the report of what was loaded, which `pretrained` judges by itself."""
    from transformers.utils import logging

    level, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()
