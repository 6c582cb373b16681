"""One JSON line a finished run: everything that tables and figures are built from."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Self

FILE = "records.jsonl"
LOCK = "records.lock"
MINIMUM_FREE = 64 * 2**20
"""Bytes that have to be free on the disk before a run may start."""


@dataclass(frozen=True)
class Record:
    """The outcome of one run in plain JSON types, read and written here alone.

    key: of the run (`keys.run_key`). metrics: name to a share in [0, 1], or None where there is no
    such number. scores: part to every metric of the task. confusion: counts on test, a row a true
    class. bounds: metric to [low, high], where samples of test are missing. history: [step, loss].
    account: part to `Account.to_dict()`. differences: field to [value in the method arm, value
    here]. counts: samples by part, and parameters. training: what it took. artifacts: kind to the
    path of a file, relative to the folder of the records. extra: what one study records beyond.

    Raises ValueError where a part is of another type, or a metric is NaN or infinite.
    """

    key: str
    task: str
    arm: str
    seed: int
    config_hash: str
    metrics: dict[str, Any]
    title: str = ""
    arm_title: str = ""
    class_names: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    split_hash: str = ""
    code: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    metric: str = "accuracy"
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    bounds: dict[str, list[float]] = field(default_factory=dict)
    history: list[list[float]] = field(default_factory=list)
    account: dict[str, Any] = field(default_factory=dict)
    differences: dict[str, list[Any]] = field(default_factory=dict)
    varies: str = ""
    skipped: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    training: dict[str, float | None] = field(default_factory=dict)
    seconds: float | None = None
    artifacts: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(
                    f"a record needs {name!r} of type {kind.__name__}; got {getattr(self, name)!r}"
                )
        for name, value in self.metrics.items():
            number = isinstance(value, int | float) and math.isfinite(value)
            if value is not None and not number:
                raise ValueError(f"metric {name!r} is {value}; a metric without a value is None")

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """The record of a line's content; ValueError where a field is missing or not known."""
        strange = plain.keys() - {f.name for f in fields(cls)}
        if strange:
            raise ValueError(f"a record has no field {sorted(strange)}")
        try:
            return cls(**plain)
        except TypeError as error:
            raise ValueError(f"a record lacks a field ({error})") from None

    def to_dict(self) -> dict[str, Any]:
        """The record's fields by name; those that say nothing are left out."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        return {n: v for n, v in known.items() if n in _KINDS or v not in (None, "", [], {})}


_KINDS = {"key": str, "task": str, "arm": str, "seed": int, "config_hash": str, "metrics": dict}
"""The fields that every record has to have."""


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
                f"run {record.key} could not be recorded in {self.folder / FILE} "
                f"({error.strerror}); all earlier runs are kept: make room and start again",
            ) from error
        self._by_key[record.key] = Record.of(json.loads(line))

    def has(self, key: str) -> bool:
        """True where the run with this key is done."""
        return key in self._by_key

    def of(self, keys: Iterable[str]) -> list[Record]:
        """The records with these keys, in their order, each once; keys without one are passed over.

        A folder may hold runs of several configurations: a report is about those it planned.
        """
        return [self._by_key[key] for key in dict.fromkeys(keys) if key in self._by_key]

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


def write_atomic(path: str | Path, content: str | bytes) -> Path:
    """Afterwards `path` holds `content`; a crash on the way leaves the former file untouched."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(_encoded(content) if isinstance(content, str) else content)
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
            record = Record.of(json.loads(line))
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"line {number} of {path} is damaged, or was written by another version ({error}); "
                "delete that line (its run will be repeated) or restore the file"
            ) from None
        by_key[record.key] = record
    return by_key


def _to_line(record: Record) -> bytes:
    return _encoded(json.dumps(record.to_dict(), allow_nan=False, ensure_ascii=False) + "\n")


def _encoded(text: str) -> bytes:
    """UTF-8; a byte of a path that is of another encoding as an escape, which JSON reads back."""
    return text.encode(errors="backslashreplace")


def _write_all(file: BinaryIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:  # a nearly full disk takes a part first, and refuses the next
        rest = rest[file.write(rest) :]
