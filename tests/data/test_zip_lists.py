"""A list of members that one changed length has cut short is noticed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mke_theory.data.zip_lists import refuse_lost_members


@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_members_behind_a_wrong_length_are_missed(comment: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = comment
        for name in ("one", "two"):
            archive.writestr(name, "words")
    with zipfile.ZipFile(path) as archive:
        refuse_lost_members(archive)
        assert archive.read("two") == b"words"
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 33] = 0x40  # the first member's comment: 16 KiB
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["one"]  # which zipfile says nothing about
        with pytest.raises(zipfile.BadZipFile, match="lists 1 members and states 2"):
            refuse_lost_members(archive)
