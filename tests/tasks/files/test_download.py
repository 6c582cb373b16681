"""Files fetched are whole and right or are not there; archives stay in their folder."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.files.download import download, unpack

CONTENT = np.random.default_rng(0).bytes(300_000)
HASH = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """A server on this machine; what it does wrong is set by the test."""

    url: str = ""
    ranges: bool = True
    lengths: bool = True
    break_after: list[int] = field(default_factory=list)  # bytes of the next answers; then whole
    refusals: list[int] = field(default_factory=list)  # status of the next answers; then 200
    shift: int = 0  # how far off the next part is that the server sends
    asked: list[str | None] = field(default_factory=list)  # the Range of each request


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.refusals or self.path != "/file":
                self.send_error(state.refusals.pop(0) if state.refusals else 404)
                return
            start = int(wanted[len("bytes=") : -1]) if wanted and state.ranges else 0
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                self.end_headers()
                return
            if wanted:
                start, state.shift = start + state.shift, 0
            body = CONTENT[start:]
            self.send_response(206 if wanted and state.ranges else 200)
            if wanted and state.ranges:
                at = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
                self.send_header("Content-Range", at)
            if state.lengths:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.break_after.pop(0)] if state.break_after else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/file"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(
    site: Site,
    target: Path,
    *,
    sha256: str | None = HASH,
    attempts: int = 4,
    url: str = "",
) -> Path:
    return download(
        url or site.url,
        target,
        sha256=sha256,
        timeout=10,
        progress=False,
        attempts=attempts,
        wait=0.001,
    )


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


# download


def test_the_file_is_fetched_once(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    assert fetch(site, target) == target
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    fetch(site, target)
    assert site.asked == [None]
    target.write_bytes(b"damaged")
    fetch(site, target)
    assert target.read_bytes() == CONTENT and len(site.asked) == 2


def test_a_broken_transfer_goes_on_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.break_after = [100_000, 50_000, 0]
    fetch(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert site.asked == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-"]


def test_the_number_of_attempts_is_bounded_and_the_next_call_goes_on(
    site: Site, tmp_path: Path
) -> None:
    target = tmp_path / "file"
    site.break_after = [1000] * 10
    with pytest.raises(ConnectionError, match=r"3 attempts.*3000 of 300000.*goes on from"):
        fetch(site, target, attempts=3)
    assert part_of(target).read_bytes() == CONTENT[:3000] and not target.exists()
    site.break_after = []
    fetch(site, target)
    assert site.asked[-1] == "bytes=3000-" and target.read_bytes() == CONTENT
    with pytest.raises(ValueError, match="attempts"):
        fetch(site, target, attempts=0)


@pytest.mark.parametrize("lengths", [True, False])
def test_a_server_without_parts_starts_over(site: Site, tmp_path: Path, lengths: bool) -> None:
    site.ranges, site.lengths = False, lengths
    part_of(tmp_path / "file").write_bytes(CONTENT[:5000])
    fetch(site, tmp_path / "file")
    assert site.asked == ["bytes=5000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_part_than_the_one_asked_for_is_not_appended(site: Site, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(CONTENT[:5000])
    site.shift = 7
    fetch(site, tmp_path / "file", sha256=None)
    assert site.asked == ["bytes=5000-", None]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_complete_part_needs_nothing_more(site: Site, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(CONTENT)
    fetch(site, tmp_path / "file")
    assert site.asked == [f"bytes={len(CONTENT)}-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(site: Site, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(CONTENT + b"more")
    fetch(site, tmp_path / "file")
    assert site.asked == [f"bytes={len(CONTENT) + 4}-", None]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"what was there")
    part_of(target).write_bytes(b"x" * 5000)
    with pytest.raises(ValueError, match=f"300000 bytes that came .* expected is {HASH}"):
        fetch(site, target)
    assert target.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [target]
    fetch(site, target)
    assert target.read_bytes() == CONTENT


def test_without_a_hash_the_content_is_left_to_the_caller(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    fetch(site, tmp_path / "file", sha256=None)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_passing_trouble_is_waited_for_and_lasting_trouble_is_not(
    site: Site, tmp_path: Path
) -> None:
    site.refusals = [503, 429]
    fetch(site, tmp_path / "file")
    assert len(site.asked) == 3
    with pytest.raises(FileNotFoundError, match="404"):
        fetch(site, tmp_path / "other", url=site.url + "s")
    site.refusals = [403]
    with pytest.raises(ConnectionError, match="403"):
        fetch(site, tmp_path / "other")
    assert len(site.asked) == 5
    site.refusals = [500] * 9
    with pytest.raises(ConnectionError, match=r"gave up after 4 attempts.*500"):
        fetch(site, tmp_path / "other")
    assert len(site.asked) == 9


def test_nobody_at_that_address(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="gave up after 2 attempts") as caught:
        fetch(site, tmp_path / "file", url="http://127.0.0.1:1/file", attempts=2)
    assert "goes on" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "data:,a", "/a", "a"])
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="has to begin with one of http, https, file"):
        download(url, tmp_path / "file", sha256=None)


def test_files_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(CONTENT)
    url = (tmp_path / "there").as_uri()
    download(url, tmp_path / "here", sha256=HASH, progress=False)
    assert (tmp_path / "here").read_bytes() == CONTENT
    with pytest.raises(FileNotFoundError):
        download(url + "s", tmp_path / "here", sha256=None, progress=False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_named(site: Site, tmp_path: Path) -> None:
    part_of(tmp_path / "file").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"the disk is full.*300000 bytes"):
        fetch(site, tmp_path / "file")
    assert len(site.asked) == 1


def test_progress_goes_to_the_error_stream(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(site.url, tmp_path / "file", sha256=HASH)
    out, err = capsys.readouterr()
    assert out == "" and "file" in err and "300k" in err


def test_what_cannot_be_had_leaves_no_folder(site: Site, tmp_path: Path) -> None:
    """An empty one would look like a data set that is there."""
    with pytest.raises(ConnectionError):
        fetch(site, tmp_path / "new/file", url="http://127.0.0.1:1/file", attempts=1)
    with pytest.raises(FileNotFoundError):
        fetch(site, tmp_path / "new/file", url=(tmp_path / "absent").as_uri())
    assert not (tmp_path / "new").exists()
    fetch(site, tmp_path / "new/file")
    assert (tmp_path / "new/file").read_bytes() == CONTENT


# unpack


def tar(path: Path, entries: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, entries: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


ENTRIES = {"top/a.txt": b"a" * 1000, "top/sub/b.txt": b"b", "c.txt": b""}


@pytest.mark.parametrize("make", [tar, zipped])
def test_members_are_unpacked(tmp_path: Path, make: object) -> None:
    archive = make(tmp_path / "archive", ENTRIES)  # type: ignore[operator]
    written = unpack(archive, tmp_path / "all")
    assert written == [tmp_path / "all" / name for name in ENTRIES]
    assert [path.read_bytes() for path in written] == list(ENTRIES.values())
    some = unpack(archive, tmp_path / "some", members=lambda name: name.endswith("b.txt"))
    assert some == [tmp_path / "some/top/sub/b.txt"]
    assert sorted(p.name for p in (tmp_path / "some").rglob("*.txt")) == ["b.txt"]


def test_a_tar_of_a_whole_folder_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/sub/a").write_text("a")
    with tarfile.open(tmp_path / "archive", "w:xz") as archive:
        archive.add(tmp_path / "in", ".")  # begins with a member "."
    assert unpack(tmp_path / "archive", tmp_path / "out") == [tmp_path / "out/sub/a"]


@pytest.mark.parametrize("make", [tar, zipped])
@pytest.mark.parametrize(
    "name", ["/etc/a", "../a", "a/../../b", "C:/a", "C:a", "a\\..\\..\\b", "\\a", "//host/a"]
)
def test_members_that_lead_out_are_refused(tmp_path: Path, make: object, name: str) -> None:
    archive = make(tmp_path / "archive", {"fine": b"1", name: b"2"})  # type: ignore[operator]
    with pytest.raises(ValueError, match="leads out of the folder"):
        unpack(archive, tmp_path / "out")
    with pytest.raises(ValueError, match="leads out of the folder"):  # even where it is not asked
        unpack(archive, tmp_path / "out", members=lambda name: name == "fine")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "fine"
    archive = tar(tmp_path / "archive", {"fine": b"1", "link": info})
    with pytest.raises(ValueError, match="'link' is no plain file"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    archive = zipped(tmp_path / "archive", {"link": b"fine"}, mode=kind | 0o644)
    with pytest.raises(ValueError, match="no plain file"):
        unpack(archive, tmp_path / "out")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "archive", {"a": b"b"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match="no plain file"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("make", [tar, zipped])
def test_the_limit_holds_for_all_files_together(tmp_path: Path, make: object) -> None:
    archive = make(tmp_path / "archive", ENTRIES)  # type: ignore[operator]
    unpack(archive, tmp_path / "fits", limit=1001)
    with pytest.raises(ValueError, match="holds 1001 bytes, more than the limit of 1000"):
        unpack(archive, tmp_path / "out", limit=1000)
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    info = tarfile.TarInfo("bomb")
    info.size = 1 << 50
    with gzip.open(tmp_path / "archive", "wb") as file:
        file.write(info.tobuf())
    with pytest.raises(ValueError, match="more than the limit"):
        unpack(tmp_path / "archive", tmp_path / "out")


@pytest.mark.parametrize("make", [tar, zipped])
def test_damaged_archives_are_refused(tmp_path: Path, make: object) -> None:
    noise = {"a": np.random.default_rng(0).bytes(5000), "b": b"b"}
    archive = make(tmp_path / "archive", noise)  # type: ignore[operator]
    content = archive.read_bytes()
    for damaged in (b"", b"nothing of the kind", content[: len(content) // 2], content[:60]):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match="archive: damaged"):
            unpack(archive, tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "absent", tmp_path / "out")


def test_a_changed_byte_in_a_zip_is_noticed(tmp_path: Path) -> None:  # a tar carries no sums
    archive = zipped(tmp_path / "archive", {"a": np.random.default_rng(0).bytes(5000)})
    changed = bytearray(archive.read_bytes())
    changed[2000] ^= 0xFF
    archive.write_bytes(changed)
    with pytest.raises(ValueError, match="damaged"):
        unpack(archive, tmp_path / "out")


def test_a_method_that_python_does_not_know_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("film.mp4", b"nothing" * 10)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(mark) + offset] = 9  # Deflate64
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"film\.mp4 is packed by method 9.*another program"):
        unpack(path, tmp_path)
