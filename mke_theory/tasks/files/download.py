"""Files from the web, complete and verified or not there at all."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any
from urllib.parse import urlsplit

from tqdm import tqdm

from mke_theory.data.file_hashes import sha256_of
from mke_theory.data.zip_lists import refuse_lost_members

_SCHEMES = ("http", "https", "file")
_CHUNK = 1 << 16
_GIBIBYTE = 1 << 30
_FULL = (errno.ENOSPC, errno.EDQUOT)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # a version of the format that Python does not know
)


class _InterruptedError(ConnectionError):
    """The transfer stopped early; what has arrived is kept."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None,
    timeout: float = 60.0,
    progress: bool = True,
    attempts: int = 5,
    wait: float = 1.0,
) -> Path:
    """`target` holds what is at `url`, whole and with the hash asked for; returns `target`.

    What has arrived is kept in `<target>.part`. A broken transfer goes on from there, `attempts`
    times in all with pauses of `wait` seconds, doubled each time, and again by the next call; a
    server that cannot send parts starts over. `sha256=None` leaves the check of the content to the
    caller (archives made on demand have no lasting hash). `timeout` is in seconds without a sign of
    life. A target that has the hash already is left as it is.

    Raises ValueError for another scheme than http, https or file, and for a wrong hash (the part is
    then removed); FileNotFoundError where the server has no such file; ConnectionError
    where it cannot be had; OSError where the disk is full.
    """
    if urlsplit(url).scheme not in _SCHEMES:
        raise ValueError(f"{url}: the address has to begin with one of {', '.join(_SCHEMES)}")
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1; got {attempts}")
    if sha256 is not None and target.is_file() and sha256_of(target) == sha256:
        return target
    part = target.with_name(target.name + ".part")
    for attempt in range(attempts):
        try:
            _fetch(url, part, timeout=timeout, progress=progress)
            break
        except _InterruptedError as error:
            if attempt + 1 == attempts:
                kept = f"; the next call goes on from {part}" if part.exists() else ""
                raise ConnectionError(
                    f"{url}: gave up after {attempts} attempts ({error}){kept}"
                ) from error
        time.sleep(wait * 2**attempt)
    _refuse_wrong_content(part, url, sha256)
    os.replace(part, target)
    return target


def _fetch(url: str, part: Path, *, timeout: float, progress: bool) -> None:
    """Append to `part` what it lacks, or write it anew where the server sends all of the file."""
    have = part.stat().st_size if part.exists() else 0
    response = _open(url, part, have, timeout)
    if response is None:
        return
    with response:
        sent = response.headers.get("Content-Range")
        if sent is not None and not sent.startswith(f"bytes {have}-"):
            part.unlink()
            raise _InterruptedError(f"the server sent {sent!r}, not what follows byte {have}")
        start = 0 if sent is None else have
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        part.parent.mkdir(parents=True, exist_ok=True)  # not before there is something to put in
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(
                total=total,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                disable=not progress,
            ) as bar,
        ):
            done = start + _copy(response, file, part, bar, total)
    if total is not None and done < total:
        raise _InterruptedError(f"the connection closed after {done} of {total} bytes")


def _open(url: str, part: Path, have: int, timeout: float) -> Any:
    """The server's answer, or None where `part` is complete already."""
    headers = {"User-Agent": "mke_theory"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and have:
                if error.headers.get("Content-Range") == f"bytes */{have}":
                    return None
                part.unlink()
                raise _InterruptedError("what had arrived is no part of this file") from error
            if error.code == 429 or error.code >= 500:
                raise _InterruptedError(f"status {error.code} {error.reason}") from error
            message = f"{url}: the server answers {error.code} {error.reason}"
            if error.code in (404, 410):
                raise FileNotFoundError(f"{message}; the file has moved") from error
            raise ConnectionError(message) from error
    except urllib.error.URLError as error:
        if urlsplit(url).scheme == "file":
            raise FileNotFoundError(f"{url}: {error.reason}") from error
        raise _InterruptedError(str(error.reason)) from error
    except (HTTPException, OSError) as error:
        raise _InterruptedError(str(error) or type(error).__name__) from error


def _copy(source: Any, file: IO[bytes], part: Path, bar: Any, total: int | None) -> int:
    """Copy all of `source` and return the number of bytes; `total` is for the message alone."""
    count = 0
    while True:
        try:
            chunk = source.read(_CHUNK)
        except (HTTPException, OSError) as error:
            raise _InterruptedError(str(error) or type(error).__name__) from error
        if not chunk:
            return count
        try:
            file.write(chunk)
            file.flush()
        except OSError as error:
            if error.errno in _FULL:
                raise OSError(
                    error.errno,
                    f"the disk is full (the file needs {total or 'an unknown number of'} bytes); "
                    "make room and run again, what has arrived is kept",
                    str(part),
                ) from error
            raise
        count += len(chunk)
        bar.update(len(chunk))


def _refuse_wrong_content(part: Path, url: str, sha256: str | None) -> None:
    if sha256 is None or (found := sha256_of(part)) == sha256:
        return
    length = part.stat().st_size
    part.unlink()
    raise ValueError(
        f"{url}: the {length} bytes that came have SHA-256 {found}, expected is {sha256}; they are "
        "removed. Run again; if this repeats, the file there has changed"
    )


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    regular: bool  # an ordinary file, against a link or a device
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    folder: Path,
    *,
    members: Callable[[str], bool] | None = None,
    limit: int = _GIBIBYTE,
) -> list[Path]:
    """The files of a tar or zip archive for whose names `members` is true, written under `folder`.

    Every member is looked at before the first is written. Returns the paths written; modes, owners
    and times are not taken over.

    Raises ValueError where a member has an absolute path or `..` in it, is a link or a device, or
    is encrypted, where all files together exceed `limit` bytes, or where the archive is damaged.
    """
    if not archive.is_file():
        raise FileNotFoundError(f"{archive}: no such archive")
    written = []
    try:
        with _opened(archive) as opened:
            listed = _tar_members if isinstance(opened, tarfile.TarFile) else _zip_members
            for member in listed(opened, limit):
                if members is not None and not members(member.name):
                    continue
                path = folder / PurePosixPath(member.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
                written.append(path)
    except _DAMAGED as error:
        raise ValueError(f"{archive}: damaged or no tar or zip ({error}); fetch again") from error
    except ValueError as error:
        raise ValueError(f"{archive}: {error}") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # of bz2; of a place before the beginning
            raise
        raise ValueError(f"{archive}: damaged ({error}); fetch again") from error
    return written


def _opened(archive: Path) -> Any:
    if zipfile.is_zipfile(archive):
        return zipfile.ZipFile(archive)
    return tarfile.open(archive)


def _tar_members(archive: tarfile.TarFile, limit: int) -> list[_Member]:
    kept: list[_Member] = []
    total = 0
    for entry in archive:  # one by one: a bomb is met before the rest is unpacked to find its end
        total += entry.size
        regular = entry.isreg() and not entry.issparse()

        def content(entry: tarfile.TarInfo = entry) -> IO[bytes]:
            source = archive.extractfile(entry)
            assert source is not None
            return source

        member = _Member(entry.name, entry.size, regular or entry.isdir(), content)
        _refuse(member, total, limit)
        if not entry.isdir():
            kept.append(member)
    return kept


def _zip_members(archive: zipfile.ZipFile, limit: int) -> list[_Member]:
    kept: list[_Member] = []
    total = 0
    refuse_lost_members(archive)
    for entry in archive.infolist():
        total += entry.file_size
        refuse_method(entry)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        regular = kind in (0, stat.S_IFREG, stat.S_IFDIR) and not entry.flag_bits & 1

        def content(entry: zipfile.ZipInfo = entry) -> IO[bytes]:
            return archive.open(entry)

        member = _Member(entry.filename, entry.file_size, regular, content)
        _refuse(member, total, limit)
        if not entry.is_dir():
            kept.append(member)
    return kept


def refuse_method(entry: zipfile.ZipInfo) -> None:
    """Raise ValueError where a member of a zip is packed in a way that Python cannot unpack."""
    if entry.compress_type not in _METHODS:
        raise ValueError(
            f"{entry.filename} is packed by method {entry.compress_type}, which Python cannot "
            "unpack (9 is Deflate64, of Windows' explorer); unpack the archive by another "
            "program, such as 7-Zip, and pack it anew as a plain zip"
        )


def _refuse(member: _Member, total: int, limit: int) -> None:
    path = PureWindowsPath(member.name)  # takes / and \ alike as separators
    if path.anchor or ".." in path.parts:
        raise ValueError(f"member {member.name!r} leads out of the folder; nothing is unpacked")
    if not member.regular:
        raise ValueError(f"member {member.name!r} is no plain file; nothing is unpacked")
    if total > limit:
        raise ValueError(
            f"up to member {member.name!r} the archive holds {total} bytes, more than the limit of "
            f"{limit}; nothing is unpacked"
        )
