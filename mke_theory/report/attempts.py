"""The files at the end of a study, each on its own: one that fails costs no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Attempts:
    """The `files` that were written, and in `troubles` a line on each that could not be."""

    files: list[Path] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def write(self, what: str, make: Callable[[], Path | Iterable[Path]]) -> list[Path]:
        """The paths that `make` returns; none, and a line that names `what`, where it raises."""
        try:
            made = make()
        except Exception as error:  # whatever goes wrong with one file, the others are written
            self.troubles.append(f"{what} could not be written: {_line(error)}")
            return []
        found = [made] if isinstance(made, Path) else list(made)
        self.files += found
        return found


def _line(error: Exception) -> str:
    """The error on one line, with its class where the message alone may say little."""
    words = " ".join(str(error).split())
    if isinstance(error, OSError | ValueError) and words:
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
