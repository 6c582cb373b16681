"""Hashes of files: known digests, and what moves them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.data import file_hashes
from mke_theory.data.file_hashes import content_of, sha256_of, stamp_of


def test_a_digest_by_hand(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the first example of the standard
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "abc") == digest
    lines = f"abc {digest}\ngone absent\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()[:16]
    assert content_of([tmp_path / "gone", tmp_path / "abc"]) == expected


def test_contents_are_named_below_the_root(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text(folder)
    first, second = tmp_path / "one" / "file", tmp_path / "other" / "file"
    both = content_of([first, second], tmp_path)
    assert content_of([second, first], tmp_path) == both
    first.write_text("other")
    second.write_text("one")
    assert content_of([first, second], tmp_path) != both  # the contents changed places
    assert content_of([first], tmp_path) != content_of([first])


def test_a_file_is_read_again_only_where_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    original = file_hashes.sha256_of

    def counting(path: Path) -> str:
        read.append(path)
        return original(path)

    monkeypatch.setattr(file_hashes, "sha256_of", counting)
    path = tmp_path / "file"
    path.write_text("first")
    before = content_of([path])
    assert content_of([path]) == before and len(read) == 1
    path.write_text("other")  # of the same size
    os.utime(path, ns=(1, 1))
    assert content_of([path]) != before and len(read) == 2


@given(content=st.binary(max_size=300))
def test_the_hash_is_that_of_the_content(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "hashed"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


def test_the_stamp_is_that_of_paths_sizes_and_times(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"abc")
    found = [stamp_of([first, second])]
    assert stamp_of(path for path in (first, second)) == found[0] and len(found[0]) == 64
    now = first.stat().st_mtime_ns
    os.utime(first, ns=(now, now + 1))
    found.append(stamp_of([first, second]))
    first.write_bytes(b"abcd")
    os.utime(first, ns=(now, now + 1))
    found.append(stamp_of([first, second]))
    second.write_bytes(b"")
    found.append(stamp_of([first, second]))
    found.append(stamp_of([second, first]))
    first.rename(tmp_path / "third")
    found.append(stamp_of([tmp_path / "third", second]))
    assert len(set(found)) == 6
