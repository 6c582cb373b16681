"""Standard output and error on which printing cannot fail.

What a program has computed must not be lost because the last line about it could not be shown: on a
console of another encoding, in a pipe that was closed (`| head`), without any output at all.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


@contextmanager
def forgiving_console() -> Iterator[None]:
    """Inside the block, printing raises nothing; it is a decorator too.

    A letter that the console has no code for is shown as "?". Once something cannot be written, as
    the other end of a pipe is closed or a disk is full, the rest of that stream is dropped. Streams
    without bytes below them, such as a `StringIO`, are left as they are.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)
    try:
        yield
    finally:
        for stream, old in zip((sys.stdout, sys.stderr), before, strict=True):
            with suppress(ValueError):  # somebody has closed it
                stream.flush() if old is not None else stream.close()
        sys.stdout, sys.stderr = before


def _forgiving(stream: TextIO | None) -> TextIO:
    if stream is None:  # closed before the program began
        return open(os.devnull, "w", encoding="utf-8")
    below = getattr(stream, "buffer", None)
    if below is None:
        return stream
    with suppress(OSError, ValueError):
        stream.flush()
    return io.TextIOWrapper(
        _Dropping(below),  # type: ignore[type-var]  # a buffer, whose stub asks for more
        encoding=stream.encoding or "utf-8",
        errors="replace",
        line_buffering=True,
    )


class _Dropping(io.BufferedIOBase):
    """Bytes on their way to `below`, which drops them after the first error."""

    def __init__(self, below: Any) -> None:
        self._below: Any = below

    def write(self, content: Any) -> int:
        if self._below is not None:
            try:
                self._below.write(content)
                self._below.flush()
            except (OSError, ValueError):
                _divert(self._below)
                self._below = None
        return len(content)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._below is not None and bool(self._below.isatty())

    def fileno(self) -> int:
        if self._below is None:
            raise io.UnsupportedOperation("fileno")
        return int(self._below.fileno())


def _divert(below: Any) -> None:
    """Send what is still held back to nowhere, or the interpreter fails on it when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, below.fileno())
        finally:
            os.close(nowhere)
