"""Arrays made from many files: read in parallel, bad files named, the result kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from mke_theory.data.npz_files import DAMAGE
from mke_theory.data.optional_imports import versions_of

Arrays = Mapping[str, np.ndarray]
Item = TypeVar("Item")
Made = TypeVar("Made")

SEAL = "sha256"
"""The name of the hash of all else in a file that lists others (see `seal_of`)."""

_FORMAT = 2  # raise it when the folder is laid out in another way
_MANIFEST = "manifest.json"
_READERS = ("PIL", "av", "h5py", "numpy", "scipy", "soundfile", "transformers")
_LISTED = 10  # the most bad files that one message names
_END = 1 << 20
_ATTEMPTS = 5


@dataclass(frozen=True)
class Collected(Generic[Made]):
    """The items `kept` that could be read, their `arrays` in order, and messages on bad ones."""

    arrays: list[Made]
    kept: list[int]
    bad: tuple[str, ...]


def collect(
    items: Sequence[Item],
    read: Callable[[Item], Made],
    *,
    skip_bad: bool,
    workers: int,
    progress: str,
) -> Collected[Made]:
    """The results of `read` for each item, in order, by `workers` processes.

    An item is bad where `read` raises ValueError or OSError (no such file, no permission, ...);
    any other error is one of the program and ends the call. One worker stays in this process;
    several need a `read` and results that can be pickled. `progress` names the bar.

    Raises ValueError where there are no items; where one is bad and `skip_bad` is off, with the
    first ten messages; and where all are bad.
    """
    if not items or workers < 1:
        raise ValueError(
            f"{progress}: needs at least one item and one worker; got {len(items)} and {workers}"
        )
    arrays: list[Made] = []
    kept: list[int] = []
    bad: list[str] = []
    jobs = (delayed(_attempt)(read, item) for item in items)
    results = Parallel(n_jobs=workers, return_as="generator")(jobs)
    with tqdm(results, total=len(items), desc=progress, unit="file") as bar:
        for index, made in enumerate(bar):
            if isinstance(made, _Bad):
                bad.append(made.message)
                bar.set_postfix(bad=len(bad), refresh=False)
                continue
            arrays.append(made)
            kept.append(index)
    if bad and (not skip_bad or not kept):
        raise ValueError(_complaint(bad, len(items), all_bad=not kept))
    return Collected(arrays, kept, tuple(bad))


def prepared(
    name: str,
    key: str,
    build: Callable[[], Arrays],
    *,
    cache: Path | None = None,
) -> dict[str, np.ndarray]:
    """The arrays that `build` makes, memory-mapped from disk and read-only.

    They lie in a folder of `cache` (default: `cache_folder()`), called by `name` and `key`:
    one .npy an array, and manifest.json with the version of the layout, the key, the versions of
    the libraries that read files, each array's shape, type and hash, and a hash of all this.
    The folder appears whole or not at all, also where two processes build at once. It is used
    again where it has this version and key, and nothing is damaged, missing, or there without
    being listed; it is made anew where not, with a RuntimeWarning for damage. Damage is looked for
    in the size and in the first and the last MiB of each array.

    Other versions of the libraries may decode a film into slightly other numbers. They make nothing
    anew, as results should not change in the midst of a study because of an upgrade: what was used
    is in the manifest, and whoever wants the arrays of the new ones removes the folder.

    `key` has to change whenever the arrays would (`key_of`), and so has to cover whether bad files
    are skipped. Raises ValueError where `build` gives no arrays, or arrays of Python objects, and
    what `build` raises. A cache that cannot be written gives the arrays in memory, and a
    RuntimeWarning.
    """
    if not name.replace("-", "_").isidentifier():
        raise ValueError(f"name must be letters, digits, _ and -, and begin a word; got {name!r}")
    digest = hashlib.sha256(key.encode()).hexdigest()
    try:
        folder = (cache or cache_folder()) / f"{name}-{digest[:16]}"
    except FileNotFoundError as nowhere:
        return _without_cache(name, build(), str(nowhere).partition(";")[0])
    kept, damage = _open(folder, key)
    if damage:
        warnings.warn(f"{folder}: {damage}; made anew", RuntimeWarning, stacklevel=2)
    if kept is not None:
        return kept
    arrays = build()
    _refuse_arrays(name, arrays)
    try:
        _keep(folder, key, arrays)
        kept, damage = _open(folder, key)
    except OSError as error:
        kept, damage = None, str(error)
    if kept is None:
        return _without_cache(name, arrays, f"{folder}: {damage}")
    return kept


def _without_cache(name: str, arrays: Arrays, why: str) -> dict[str, np.ndarray]:
    """The arrays in memory, as good as those of a cache, only slower; a run should not end here."""
    _refuse_arrays(name, arrays)
    warnings.warn(
        f"could not keep the arrays of {name} ({why}), so each run makes them anew; set MKE_CACHE "
        "to a folder that can be written and has room",
        RuntimeWarning,
        stacklevel=3,
    )
    return {each: _read_only(array) for each, array in arrays.items()}


def cache_folder() -> Path:
    """The folder of made files: $MKE_CACHE, or mke_theory in $XDG_CACHE_HOME or ~/.cache.

    Raises FileNotFoundError where none of them is known, as in a container whose user has no home.
    """
    if os.environ.get("MKE_CACHE"):
        return Path(os.environ["MKE_CACHE"])
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise FileNotFoundError(
            "there is no folder for a cache: the user has no home folder; set MKE_CACHE to one "
            "that can be written"
        ) from error
    return Path(base) / "mke_theory"


def key_of(version: int, settings: Mapping[str, Any], files: Sequence[Path]) -> str:
    """64 hexadecimal digits that change with the version, a setting, or a file or their order.

    A file counts by its name, size, and the hash of its first and last MiB, so files up to 2 MiB
    count whole. Times do not count: a copy of the data has others, and would be prepared anew for
    nothing. A missing file counts as missing. Settings are what JSON can hold; raises TypeError
    where they are not.
    """
    digest = hashlib.sha256(json.dumps([version, settings], sort_keys=True).encode())
    for file in files:
        content = quick_hash(file) if file.is_file() else "absent"
        digest.update(f"{content}  {file.name}\n".encode())
    return digest.hexdigest()


def seal_of(content: Mapping[str, Any]) -> str:
    """The SHA-256 of a JSON object, whatever its layout and the order of its names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def libraries_of(folder: Path) -> dict[str, str]:
    """The versions that the arrays in a folder of `prepared` were made with."""
    found: dict[str, str] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))[
        "libraries"
    ]
    return found


@dataclass(frozen=True)
class _Bad:
    message: str


def _attempt(read: Callable[[Item], Made], item: Item) -> Made | _Bad:
    """The result for an item, or the error with it."""
    try:
        return read(item)
    except (ValueError, OSError) as error:
        message = str(error)
    if isinstance(item, str | Path) and str(item) not in message:
        message = f"{item}: {message}"
    return _Bad(message)


def _complaint(bad: Sequence[str], total: int, *, all_bad: bool) -> str:
    rest = f"\n... and {len(bad) - _LISTED} more" if len(bad) > _LISTED else ""
    remedy = "is this the right folder?" if all_bad else "or leave them out with --skip-bad"
    return (
        f"{len(bad)} of {total} files cannot be used:\n"
        + "\n".join(bad[:_LISTED])
        + f"{rest}\nFetch them again, {remedy}"
    )


def _refuse_arrays(name: str, arrays: Arrays) -> None:
    if not arrays:
        raise ValueError(f"{name}: there are no arrays to keep")
    for each, array in arrays.items():
        if not each.isidentifier():
            raise ValueError(f"{name}: an array's name must be letters, digits and _; got {each!r}")
        if array.dtype.hasobject:
            raise ValueError(f"{name}: {each} holds Python objects; make it numbers or strings")


def _open(folder: Path, key: str) -> tuple[dict[str, np.ndarray] | None, str]:
    """The kept arrays, or None and the damage ("" where nothing of this key is there)."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT or manifest["key"] != key:
            return None, ""
        described = manifest["arrays"]
        if manifest.pop(SEAL) != seal_of(manifest):
            raise ValueError(f"{_MANIFEST} has changed")
        if strange := sorted({path.stem for path in folder.glob("*.npy")} - set(described)):
            raise ValueError(f"{strange[0]}.npy is not in {_MANIFEST}")
        return {each: _array(folder, each, entry) for each, entry in described.items()}, ""
    except (FileNotFoundError, NotADirectoryError) as error:
        return None, f"{error.filename} is missing" if folder.is_dir() else ""
    except (OSError, TypeError, AttributeError, *DAMAGE) as error:
        return None, f"damaged ({error})"


def _array(folder: Path, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    file = folder / f"{name}.npy"
    if quick_hash(file) != entry["quick"]:
        raise ValueError(f"{file.name} has changed")
    empty = 0 in entry["shape"]  # what is empty cannot be mapped
    return _read_only(np.load(file, mmap_mode=None if empty else "r", allow_pickle=False))


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _keep(folder: Path, key: str, arrays: Arrays) -> None:
    """Write all beside `folder`, and rename it when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(folder)
    try:
        _write(temporary, key, arrays)
        _put(temporary, folder, key)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(folder: Path, key: str, arrays: Arrays) -> None:
    folder.mkdir()
    described = {}
    for name, array in arrays.items():
        file = folder / f"{name}.npy"
        np.save(file, array, allow_pickle=False)
        described[name] = {
            "shape": list(array.shape),
            "dtype": array.dtype.str,
            "quick": quick_hash(file),
        }
    manifest = {
        "format": _FORMAT,
        "key": key,
        "libraries": versions_of(*_READERS),
        "arrays": described,
    }
    text = json.dumps(manifest | {SEAL: seal_of(manifest)}, indent=1) + "\n"
    (folder / _MANIFEST).write_text(text, encoding="utf-8")


def _put(temporary: Path, folder: Path, key: str) -> None:
    """Rename, unless another process was first; what is there and cannot be used makes room."""
    for _ in range(_ATTEMPTS):
        try:
            os.rename(temporary, folder)
            return
        except OSError:
            if not folder.exists():
                raise
        if _open(folder, key)[0] is not None:
            return
        old = _beside(folder)
        with suppress(FileNotFoundError):  # another process has moved it away
            os.rename(folder, old)
        shutil.rmtree(old, ignore_errors=True)
    raise OSError(f"{folder} comes back whenever it is removed")


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.part")


def quick_hash(path: Path) -> str:
    """The SHA-256 of a file's size and of its first and last MiB."""
    size = path.stat().st_size
    digest = hashlib.sha256(f"{size} ".encode())
    with path.open("rb") as file:
        digest.update(file.read(_END))
        file.seek(max(_END, size - _END))
        digest.update(file.read(_END))
    return digest.hexdigest()
