"""One JSON line a finished run: everything that tables and figures are built from.

A run is named by its key: a hash of task, arm, seed, configuration, split, code and environment. A
run whose key stands in `records.jsonl` is done; a rerun skips it. A record holds

- key, task, arm, seed, config (plain), config_hash, split_hash, code, environment, seconds;
- rule: which weights were used ("last step", …); metrics: name → share in [0, 1], or None where
  there is no such number; counts: samples by part, and parameters;
- account: part → `Account.to_dict()`; differences: field → [value in the base arm, value here];
- artifacts: name → path of a file, relative to the folder of the records.

Only key, task, arm, seed, config_hash and metrics are required here.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Self

import numpy as np

Record = dict[str, Any]

FILE = "records.jsonl"
LOCK = "records.lock"
MINIMUM_FREE = 64 * 2**20
"""Bytes that have to be free on the disk before a run may start."""

_RECORD = {"key": str, "task": str, "arm": str, "seed": int, "config_hash": str, "metrics": dict}


# Who a run is


def canonical(value: object) -> Any:
    """The plain JSON form of `value`; equal configurations have equal forms.

    A dataclass becomes a dictionary of its fields with its class name under "kind". Fields declared
    with `compare=False` (where data lie, how many workers read them) are no part of what a run is
    and are left out. Tuples become lists, enums their value, paths text with forward slashes.

    Raises TypeError for every other type and ValueError for NaN and infinity.
    """
    if isinstance(value, Enum):
        return canonical(value.value)
    if isinstance(value, np.generic):
        return canonical(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a configuration holds finite numbers only; got {value}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, Mapping):
        return {_text(name): canonical(item) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        kind, names = type(value).__name__, [f.name for f in fields(value) if f.compare]
        if "kind" in names:
            raise TypeError(f"{kind} has a field 'kind', which is the place of its class name")
        return {"kind": kind} | {name: canonical(getattr(value, name)) for name in names}
    raise TypeError(
        f"{type(value).__name__} has no plain form; a configuration is made of dataclasses, "
        "mappings, sequences, enums, paths, numbers, text and None"
    )


def config_hash(value: object) -> str:
    """16 hexadecimal digits that depend on `canonical(value)`, and not on the order of its keys."""
    return _digest(canonical(value))


def code_version(folder: Path = Path(__file__).parents[1]) -> str:
    """16 hexadecimal digits that change with any source or manifest in `folder` (the package)."""
    manifests = [path for path in folder.rglob("manifests/*") if path.is_file()]
    found = [*folder.rglob("*.py"), *manifests]
    sources = {path.relative_to(folder).as_posix(): path for path in found}
    return config_hash(
        {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sources.items()}
    )


def environment() -> dict[str, str]:
    """Versions of Python and torch and the kind of machine; nothing that names a host or user."""
    return {
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
        "platform": f"{platform.system()}-{platform.machine()}",
    }


def run_key(
    *,
    task: str,
    arm: str,
    seed: int,
    config_hash: str,
    code: str,
    environment: Mapping[str, str],
    data_hash: str | None = None,
) -> str:
    """16 hexadecimal digits that change with each of the parts."""
    return _digest([task, arm, seed, config_hash, data_hash, code, dict(environment)])


def _digest(plain: object) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the keys of a mapping have to be text; got {name!r}")
    return name


# The file of finished runs


class Records:
    """The finished runs of one folder, open for appending by one process at a time.

    `repaired` is True where opening cut off half a line that a killed process had left behind.
    """

    def __init__(
        self, folder: Path, file: BinaryIO, done: dict[str, Record], repaired: bool, held: ExitStack
    ) -> None:
        self.folder, self.repaired = folder, repaired
        self._file, self._by_key, self._held = file, done, held

    @classmethod
    def open(cls, folder: str | Path, *, minimum_free: int = MINIMUM_FREE) -> Self:
        """The records of `folder`, which is made if absent; everything is checked before any work.

        Raises OSError (of the fitting kind) where the folder cannot be made or written, has less
        than `minimum_free` bytes left or is in use by another run, and ValueError where a complete
        line is damaged.
        """
        folder = Path(folder)
        _refuse_unusable(folder, minimum_free)
        with ExitStack() as held:
            _lock(held, folder / LOCK)
            file = held.enter_context(open(folder / FILE, "a+b", buffering=0))
            file.seek(0)
            content = file.read()
            done = _parse(_complete(content), folder / FILE)
            repaired = _repair(file, content)
            return cls(folder, file, done, repaired, held.pop_all())

    def append(self, record: Record) -> None:
        """Afterwards `record` is on the disk; if it raises, the file is as it was before.

        Raises ValueError where the record is incomplete or holds NaN, OSError where it cannot be
        written (a full disk).
        """
        line = _to_line(record)
        size = os.fstat(self._file.fileno()).st_size
        try:
            _write_all(self._file, line)
            os.fsync(self._file.fileno())
        except BaseException as error:
            self._file.truncate(size)
            if not isinstance(error, OSError):
                raise
            raise OSError(
                error.errno,
                f"run {record['key']} could not be recorded in {self.folder / FILE} "
                f"({error.strerror}); all earlier runs are kept: make room and start again",
            ) from error
        self._by_key[record["key"]] = json.loads(line)

    def has(self, key: str) -> bool:
        """Whether the run with this key is done."""
        return key in self._by_key

    def __iter__(self) -> Iterator[Record]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def close(self) -> None:
        """Let another process write. Closing twice does no harm."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read(folder: str | Path) -> list[Record]:
    """The finished runs of `folder` in the order of their first line; of equal keys the last wins.

    Takes no lock: half a line at the end (a run being written) is passed over. Raises
    FileNotFoundError where nothing was recorded, ValueError where a complete line is damaged.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(f"no {FILE} in {folder}; run an experiment with this folder first")
    return list(_parse(_complete(path.read_bytes()), path).values())


def only(records: Iterable[Record], keys: Iterable[str]) -> list[Record]:
    """The records with these keys, in the order of `keys`; keys without a record are passed over.

    A folder may hold runs of several configurations: a report is about those it planned.
    """
    by_key = {record["key"]: record for record in records}
    return [by_key[key] for key in dict.fromkeys(keys) if key in by_key]


def write_atomic(path: str | Path, content: str | bytes) -> Path:
    """Afterwards `path` holds `content`; a crash on the way leaves the former file untouched."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _refuse_unusable(folder: Path, minimum_free: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FileExistsError(
            f"{folder} cannot hold results: a file is in the way; choose another folder"
        ) from None
    except OSError as error:
        raise type(error)(
            error.errno, f"cannot make {folder} ({error.strerror}); choose another folder"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to {folder}; make it writable or choose another one")
    for path in (folder / FILE, folder / LOCK):
        if path.exists() and not path.is_file():
            raise FileExistsError(f"{path} has to be a file but is none; move it away")
    free = shutil.disk_usage(folder).free
    if free < minimum_free:
        raise OSError(
            f"{folder} has {free / 2**20:.0f} MiB free and {minimum_free / 2**20:.0f} MiB are "
            "needed; make room or choose another folder"
        )


def _lock(held: ExitStack, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no locks of this kind
        return
    file = held.enter_context(path.open("ab"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"another run is writing to {path.parent}; wait for its end or choose another folder"
        ) from None
    except OSError:  # a file system without locks
        return
    # A forked child may still hold the file, so that closing it here would not release it.
    held.callback(fcntl.flock, file, fcntl.LOCK_UN)


def _repair(file: BinaryIO, content: bytes) -> bool:
    """Make the file end with a complete line; True where half a line was cut off."""
    kept = _complete(content)
    if len(kept) < len(content):
        file.truncate(len(kept))
    elif kept and not kept.endswith(b"\n"):
        _write_all(file, b"\n")
    return len(kept) < len(content)


def _complete(content: bytes) -> bytes:
    """`content` up to its last complete line; a last line that lacks only its end is complete."""
    cut = content.rfind(b"\n") + 1
    try:
        # No proper beginning of a JSON object is itself JSON, so what parses was written in full.
        return content if isinstance(json.loads(content[cut:]), dict) else content[:cut]
    except ValueError:
        return content[:cut]


def _parse(content: bytes, path: Path) -> dict[str, Record]:
    by_key: dict[str, Record] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            by_key[record["key"]] = record
        except (ValueError, TypeError, KeyError):
            raise ValueError(
                f"line {number} of {path} is damaged; delete that line (its run will be repeated) "
                "or restore the file"
            ) from None
    return by_key


def _to_line(record: Record) -> bytes:
    for name, kind in _RECORD.items():
        if not isinstance(record.get(name), kind):
            raise ValueError(
                f"a record needs {name!r} of type {kind.__name__}; got {record.get(name)!r}"
            )
    for name, value in record["metrics"].items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"metric {name!r} is {value}; a metric without a value is None")
    return (json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _write_all(file: BinaryIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:  # a nearly full disk takes a part first, and refuses the next
        rest = rest[file.write(rest) :]
