"""Refusal of films and recordings that are not whole, by what their container states."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mke_theory.data.optional_imports import library
from mke_theory.tasks.files.audio import UNKNOWN_SIZES

SLACK = 0.5
"""Seconds that a track may end before the length that its file states."""

_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")  # what begins an mp4 or mov
_MATROSKA = b"\x1a\x45\xdf\xa3"  # what begins an mkv or webm
_FLAC = b"fLaC"
_FLAC_START = _FLAC + b"\0\0\0\x22"  # and its first block: 34 bytes on the whole recording
_FLAC_LAST = _FLAC + b"\x80\0\0\x22"  # the same where no other block follows
_OGG_PAGE = 27  # bytes of a page's head, before the sizes of its pieces


def refuse_cut(path: Path) -> None:
    """Raise ValueError where an mp4, mov, mkv, webm or avi ends before one of its parts does."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length_of = _walk(file.read(8))
        at = 0 if length_of else size
        while length_of and at < size:
            file.seek(at)
            at += length_of(file.read(20).ljust(20, b"\0"), size - at)
    if at > size:
        raise ValueError(f"{path}: truncated, {at - size} bytes are missing; fetch it again")


def refuse_early_end(
    path: Path | str, film: Any, stream: Any, *, origin: float, start: float, end: float
) -> None:
    """Raise ValueError where a track ends more than `SLACK` before its stated end.

    `film` and `stream` are PyAV's. The track's own first and last moment are `start` and `end`, in
    seconds after `origin`, which is where the film begins on the clock of its container.
    """
    stated = _stated_end(film, stream, origin, start)
    if stated is not None and end < stated - SLACK:
        raise ValueError(
            f"{path}: truncated, its {stream.type} ends after {end:.2f} s of {stated:.2f} s; fetch "
            "it again"
        )


def refuse_odd_ogg(path: Path) -> None:
    """Raise ValueError where an ogg is cut, or holds recordings one after the other.

    A whole one ends with a whole page that is marked as the last. Of several recordings, which may
    differ in their sample rates, a reader would take the first alone.
    """
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return
    content = path.read_bytes()
    at, last, begun = 0, False, False
    while content[at : at + 4] == b"OggS":
        kind, pieces = content[at + 5 : at + 6], content[at + 26 : at + 27]
        if not pieces:
            break
        if kind[0] & 2 and begun:  # a first page, after pages that were none
            raise ValueError(f"{path}: holds several recordings in a row; keep one of them")
        begun = begun or not kind[0] & 2
        sizes = content[at + _OGG_PAGE : at + _OGG_PAGE + pieces[0]]
        at += _OGG_PAGE + pieces[0] + sum(sizes)
        last = bool(kind[0] & 4)
    if not last or at > len(content):
        raise ValueError(f"{path}: truncated, its last page is missing; fetch it again")


def refuse_odd_flac(path: Path, samples: int) -> None:
    """Raise ValueError where a flac has fewer samples than it states, or is several in a row.

    `samples` is how many were found. Stating fewer, or nothing, is allowed: who writes into a pipe
    cannot go back to the head. Such a file that was cut between two of its frames looks whole.
    """
    with path.open("rb") as file:
        if file.read(4) != _FLAC:
            return
    content = path.read_bytes()
    if max(content.find(_FLAC_START, 4), content.find(_FLAC_LAST, 4)) >= 0:
        raise ValueError(f"{path}: holds several recordings in a row; keep one of them")
    stated = int.from_bytes(content[18:26], "big") & ((1 << 36) - 1)
    if samples < stated:
        raise ValueError(f"{path}: truncated, has {samples} of {stated} samples; fetch it again")


def _stated_end(film: Any, stream: Any, origin: float, start: float) -> float | None:
    """The end of a track, in seconds after `origin`; None where the file does not state it."""
    if film.format.name == "aac":  # a stream of frames that states nothing; FFmpeg guesses
        return None
    if stream.duration:
        return start + float(stream.duration * stream.time_base)
    matroska = "matroska" in film.format.name  # states moments on its own clock, not lengths
    if "DURATION" in stream.metadata:  # as hours:minutes:seconds
        with suppress(ValueError):  # a damaged tag, or not three numbers
            hours, minutes, seconds = map(float, stream.metadata["DURATION"].split(":"))
            return 3600 * hours + 60 * minutes + seconds - matroska * origin
    if not film.duration:
        return None
    length = film.duration / library("av", "reading films needs").time_base
    return float(length - matroska * origin)


def _walk(head: bytes) -> Callable[[bytes, int], int] | None:
    """A function from the first bytes of a part, and the number of bytes left, to its length."""
    if head[4:] in _BOXES:
        return _box_length
    if head[:4] == b"RIFF":
        return _chunk_length
    return _element_length if head[:4] == _MATROSKA else None


def _box_length(head: bytes, left: int) -> int:
    length, _, long = struct.unpack(">I4sQ", head[:16])
    return left if length == 0 else max(8, long if length == 1 else length)


def _chunk_length(head: bytes, left: int) -> int:
    (length,) = struct.unpack("<I", head[4:8])
    return left if length in UNKNOWN_SIZES else 8 + length


def _element_length(head: bytes, left: int) -> int:
    """In name and size, the leading zeros of the first byte count the bytes that follow it."""
    name = 9 - head[0].bit_length()
    width = 9 - head[name].bit_length()
    largest = (1 << 7 * width) - 1
    length = int.from_bytes(head[name : name + width]) & largest
    return left if length == largest else name + width + length
