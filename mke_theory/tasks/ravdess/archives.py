"""The two public archives of RAVDESS: where they are, whether they are these, what is in them.

Ref: livingstone2018ravdess; swanson2019ravdess.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mke_theory.data.zip_lists import refuse_lost_members
from mke_theory.tasks.files.download import download, refuse_method
from mke_theory.tasks.ravdess.names import SONG, Clip, Recording, parse_name

SOURCES = "sources.json"
"""The file, beside the archives, of their hashes and of what was left out of them."""

_LARGEST = 64 << 20  # bytes of one member: a tracking has about 1 MB, a sound 0.5
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A zip archive of a Zenodo record.

    md5: 32 hexadecimal digits that its content has to have, or None where it is to be learned at
    first use. address: the place to fetch it from instead of the record.
    """

    name: str
    record: str
    suffix: str
    md5: str | None = None
    address: str = ""

    @property
    def url(self) -> str:
        """The address of the file."""
        place = f"https://zenodo.org/records/{self.record}/files/{self.name}?download=1"
        return self.address or place


# Many public programs state the first hash, the repositories of one author the second; neither
# archive was at hand when this was written.
AUDIO = Archive(
    "Audio_Speech_Actors_01-24.zip", "1188976", "wav", "bc696df654c87fed845eb13823edef8a"
)
TRACKING = Archive(
    "FacialTracking_Actors_01-24.zip", "3255102", "csv", "5753bbc64a9a790f8a8d3e03cba526ee"
)

WANTED = (
    f"{AUDIO.name} of https://zenodo.org/records/{AUDIO.record} (208 MB) and {TRACKING.name} of "
    f"https://zenodo.org/records/{TRACKING.record} (417 MB), both CC BY-NC-SA 4.0"
)


@dataclass(frozen=True)
class Members:
    """Speech in an archive by recording, the number of songs, and lines on names that are wrong."""

    names: dict[Recording, str]
    songs: int = 0
    wrong: list[str] = field(default_factory=list)


def fetched(archive: Archive, folder: Path, *, progress: bool = True) -> Path:
    """The archive in `folder`, fetched where it is not there; a broken transfer goes on.

    Raises as `download` does, saying that it may also be put there by hand.
    """
    path = folder / archive.name
    if path.is_file():
        return path
    try:
        return download(archive.url, path, sha256=None, progress=progress)
    except OSError as error:
        raise type(error)(f"{error}; or put {archive.name} into {folder} by hand") from error


def verified(archive: Archive, path: Path, *, accept_other: bool = False) -> dict[str, str | int]:
    """The size and hashes of an archive, compared with those known and those of its first use.

    They are written into `SOURCES` beside it when they are seen for the first time. Raises
    ValueError where they are others; with `accept_other` they are taken over.
    """
    found = _hashes(path)
    known = read_sources(path.parent)
    before = known.get("archives", {}).get(archive.name)
    wanted = before["sha256"] if before else archive.md5
    seen = found["sha256"] if before else found["md5"]
    if wanted not in (None, seen) and not accept_other:
        since = "when it was first used here" if before else "as published"
        raise ValueError(
            f"{path}: has hash {seen}, {since} it was {wanted}; remove it and run again to fetch "
            "it anew, or take it as it is by --accept-other (its hash is then recorded)"
        )
    if before is None or wanted != seen:
        entry = found | {"known": archive.md5 == found["md5"]}
        write_sources(path.parent, archives=known.get("archives", {}) | {archive.name: entry})
    return found


def members(archive: Archive, path: Path) -> Members:
    """The clips of speech in an archive, wherever in it they lie; nothing is unpacked.

    Hidden files and those of another type do not count, and songs are counted. Where a recording
    was tracked with sound (01) and without (02), the first is taken. Raises ValueError where the
    archive is damaged, one member is encrypted, larger than 64 MiB or packed by an unknown method,
    or two of one name differ.
    """
    names: dict[Clip, zipfile.ZipInfo] = {}
    wrong: list[str] = []
    for entry in _entries(path):
        name = PurePosixPath(entry.filename).name
        if name.startswith(".") or not name.lower().endswith(f".{archive.suffix}"):
            continue
        try:
            clip = parse_name(name)
        except ValueError as error:
            wrong.append(f"{path}: {error}")
            continue
        other = names.setdefault(clip, entry)
        if (other.CRC, other.file_size) != (entry.CRC, entry.file_size):
            raise ValueError(f"{path}: {other.filename} and {entry.filename} differ; keep one")
        if entry.flag_bits & 1 or entry.file_size > _LARGEST:
            raise ValueError(
                f"{path}: {entry.filename} is encrypted or has more than {_LARGEST} bytes"
            )
        try:
            refuse_method(entry)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    spoken: dict[Recording, str] = {}
    for clip in sorted(names):  # by recording, then by modality
        if clip.recording.channel != SONG:
            spoken.setdefault(clip.recording, names[clip].filename)
    songs = {clip.recording for clip in names if clip.recording.channel == SONG}
    return Members(spoken, len(songs), wrong)


def content(opened: zipfile.ZipFile, member: str) -> bytes:
    """The bytes of a member; ValueError where they are damaged."""
    try:
        return opened.read(member)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise ValueError(f"{opened.filename}: {member} is damaged ({error})") from error


def read_sources(folder: Path) -> dict[str, Any]:
    """The record of the archives in `folder`; empty where no archive was used there."""
    path = folder / SOURCES
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _ = [entry["sha256"] for entry in found.get("archives", {}).values()]
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: is damaged ({error}); remove it to record the archives anew"
        ) from error
    return dict(found)


def write_sources(folder: Path, **parts: object) -> None:
    """Record parts anew, beside what is recorded already."""
    text = json.dumps(read_sources(folder) | parts, indent=1, sort_keys=True)
    (folder / SOURCES).write_text(f"{text}\n", encoding="utf-8")


def _entries(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as opened:
            refuse_lost_members(opened)
            return [entry for entry in opened.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(
            f"{path}: damaged or no zip archive ({error}); remove it and run again"
        ) from error


def _hashes(path: Path) -> dict[str, str | int]:
    """The size and both hashes, in one reading."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    return {"bytes": path.stat().st_size, "md5": md5.hexdigest(), "sha256": sha256.hexdigest()}
