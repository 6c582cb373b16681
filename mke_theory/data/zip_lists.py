"""The list of members at the end of a zip archive, held against the number that it states."""

from __future__ import annotations

import struct
import zipfile

_END = 22  # bytes of the last record, before the archive's comment
_IN_ZIP64 = 0xFFFF


def refuse_lost_members(archive: zipfile.ZipFile) -> None:
    """Raise BadZipFile where the list has another number of members than the archive states.

    One wrong length in the list hides all members after it, and zipfile would not mind.
    """
    file = archive.fp
    if file is None:
        raise ValueError("the archive is closed; open it first")
    at = file.tell()
    file.seek(0, 2)
    file.seek(max(0, file.tell() - _END - len(archive.comment)))
    end = file.read(_END)
    file.seek(at)
    if end[:4] != b"PK\x05\x06":
        raise zipfile.BadZipFile("its last record is not where it belongs")
    (stated,) = struct.unpack_from("<H", end, 10)
    found = len(archive.infolist())
    if stated not in (found, _IN_ZIP64):
        raise zipfile.BadZipFile(f"it lists {found} members and states {stated}")
