"""The archives: fetched once, known by their hashes, and their members found by name."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mke_theory.tasks.ravdess.archives import (
    AUDIO,
    SOURCES,
    TRACKING,
    Archive,
    content,
    fetched,
    members,
    read_sources,
    verified,
)
from mke_theory.tasks.ravdess.names import parse_recording
from tests.tasks.files.clips import cut
from tests.tasks.ravdess.made_archives import write_zip

FACE = Archive("face.zip", "0", "csv")
ONE, TWO = "01-03-01-01-01-01", "01-05-02-01-01-01"


def test_the_archives_are_those_of_the_records() -> None:
    files = "https://zenodo.org/records/{}/files/{}?download=1"
    assert AUDIO.url == files.format("1188976", "Audio_Speech_Actors_01-24.zip")
    assert TRACKING.url == files.format("3255102", "FacialTracking_Actors_01-24.zip")
    assert all(len(one.md5 or "") == 32 for one in (AUDIO, TRACKING))


def test_an_archive_is_fetched_unless_it_is_there(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "web" / "face.zip", {"a.csv": b"1"})
    archive = replace(FACE, address=source.as_uri())
    folder = tmp_path / "ravdess"
    path = fetched(archive, folder, progress=False)
    assert path == folder / "face.zip" and path.read_bytes() == source.read_bytes()
    source.unlink()
    assert fetched(archive, folder, progress=False) == path
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"or put face\.zip into .*ravdess by hand"):
        fetched(archive, folder, progress=False)


def test_a_hash_is_learned_at_first_use_and_compared_later(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "face.zip", {"a.csv": b"1"})
    found = verified(FACE, path)
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["bytes"] == path.stat().st_size
    recorded = json.loads((tmp_path / SOURCES).read_text())["archives"]["face.zip"]
    assert recorded == found | {"known": False}
    assert verified(FACE, path) == found
    write_zip(path, {"a.csv": b"2"})
    with pytest.raises(ValueError, match=r"when it was first used here it was .*--accept-other"):
        verified(FACE, path)
    other = verified(FACE, path, accept_other=True)
    assert verified(FACE, path) == other != found


def test_a_known_hash_is_compared_at_once(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "face.zip", {"a.csv": b"1"})
    known = replace(FACE, md5=hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
    with pytest.raises(ValueError, match=rf"face\.zip: has hash {known.md5}, as published it was"):
        verified(replace(known, md5="0" * 32), path)
    assert not (tmp_path / SOURCES).exists()  # what was refused is not taken for the first use
    verified(known, path)
    assert read_sources(tmp_path)["archives"]["face.zip"]["known"] is True


@pytest.mark.parametrize("text", ["", "{", "[]", '{"archives": {"face.zip": {}}}'])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    path = write_zip(tmp_path / "face.zip", {"a.csv": b"1"})
    (tmp_path / SOURCES).write_text(text)
    with pytest.raises(ValueError, match=r"sources\.json: is damaged .*; remove it"):
        verified(FACE, path)


def test_members_are_found_wherever_they_lie(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "face.zip",
        {
            f"01-{ONE}.csv": b"1",
            f"Actor_01/01-{TWO}.CSV": b"2",
            f"02-{TWO}.csv": b"silent film of the same",
            f"copy/01-{ONE}.csv": b"1",  # as some mirrors have it
            f"__MACOSX/._01-{ONE}.csv": b"x",
            "01-02-03-01-01-01-01.csv": b"a song",
            "02-02-03-01-01-01-01.csv": b"the same song",
            "01-02-04-01-01-01-01.csv": b"another song",
            "README.txt": b"x",
            "Actor_01/clip.csv": b"x",
            f"03-{ONE}.csv": b"x",
        },
    )
    found = members(FACE, path)
    assert found.names == {
        parse_recording(ONE): f"01-{ONE}.csv",
        parse_recording(TWO): f"Actor_01/01-{TWO}.CSV",
    }
    assert found.songs == 2
    first, second = found.wrong
    assert "clip.csv: a clip is named by seven fields" in first
    assert f"03-{ONE}.csv: a clip of modality 03 is a file of type wav" in second


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({f"01-{ONE}.csv": b"1", f"copy/01-{ONE}.csv": b"2"}, "differ; keep one"),
        ({f"01-{ONE}.csv": bytes(65 << 20)}, "encrypted or has more than"),
    ],
)
def test_members_that_cannot_be_right_are_refused(
    tmp_path: Path, files: Mapping[str, bytes], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        members(FACE, write_zip(tmp_path / "face.zip", files))


def test_damage_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "face.zip", {f"01-{ONE}.csv": bytes(range(256)) * 9})
    raw = bytearray(path.read_bytes())
    raw[60] ^= 255
    (tmp_path / "other.zip").write_bytes(raw)
    with (
        zipfile.ZipFile(tmp_path / "other.zip") as opened,
        pytest.raises(ValueError, match=rf"other\.zip: 01-{ONE}\.csv is damaged"),
    ):
        content(opened, f"01-{ONE}.csv")
    with pytest.raises(ValueError, match=r"face\.zip: damaged or no zip archive"):
        members(FACE, cut(path, 0.5))
