"""Published files, fetched from a server on this machine, verified and laid out."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.av_digits import prepare as commands
from mke_theory.tasks.av_digits.manifest import MANIFEST, manifest_of, read_manifest
from mke_theory.tasks.av_digits.prepare import prepare
from mke_theory.tasks.av_digits.reader import IMAGES, LABELS, PAIRS, WRITERS
from tests.tasks.av_digits.made_recordings import idx, write_manifest


@pytest.fixture(scope="module")
def served(web: Path) -> Iterator[str]:
    """The address of the folder `web` on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(web)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def prepare_from(
    served: str,
    root: Path,
    manifest: Path,
    recordings: str = "fsdd.tar.gz",
    writers: str = "qmnist.gz",
) -> Path:
    return prepare(
        root,
        recordings_url=f"{served}/{recordings}",
        mnist_url=f"{served}/",
        writers_url=f"{served}/{writers}",
        manifest=manifest,
        progress=False,
    )


@pytest.fixture
def manifest(folder: Path, tmp_path: Path) -> Path:
    write_manifest(tmp_path / "manifest", manifest_of(folder))
    return tmp_path / "manifest"


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_prepare_lays_out_the_originals(
    served: str, folder: Path, tmp_path: Path, manifest: Path
) -> None:
    made = prepare_from(served, tmp_path / "root", manifest)
    assert made == tmp_path / "root" / "av_digits"
    assert contents(made) == contents(folder)


def test_prepare_mends_what_is_wrong_and_leaves_the_rest(
    served: str, folder: Path, tmp_path: Path, manifest: Path
) -> None:
    made = Path(shutil.copytree(folder, tmp_path / "root" / "av_digits"))
    prepare_from("http://127.0.0.1:1", tmp_path / "root", manifest)  # complete: nothing is fetched
    for name in (PAIRS, LABELS, WRITERS):
        (made / name).write_bytes(b"damaged")
    (made / "recordings/7_theo_1.wav").unlink()
    (made / "recordings/8_theo_1.wav").write_bytes(b"damaged")
    prepare_from(served, tmp_path / "root", manifest)
    assert contents(made) == contents(folder)


def test_prepare_refuses_other_originals_and_can_be_run_again(
    served: str, web: Path, folder: Path, tmp_path: Path, manifest: Path
) -> None:
    with tarfile.open(web / "other.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("fsdd/recordings/0_theo_0.wav")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    root = tmp_path / "root"
    with pytest.raises(
        ValueError, match="recordings are not those of commit 26eb9aaf76e8"
    ) as caught:
        prepare_from(served, root, manifest, recordings="other.tar.gz")
    assert "recordings/0_theo_*.wav (1 files instead of 2)" in str(caught.value)
    assert not (root / "av_digits/recordings").exists()
    with pytest.raises(ValueError, match="damaged"):
        prepare_from(served, root, manifest, recordings=Path(LABELS).name)
    (root / "av_digits" / WRITERS).unlink()
    with pytest.raises(ValueError, match="extended labels"):
        prepare_from(served, root, manifest, writers=Path(LABELS).name)
    assert contents(prepare_from(served, root, manifest)) == contents(folder)


def test_the_command_ends_with_one_line_of_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mke_theory.tasks.av_digits", "check"]
    done = subprocess.run(
        [*command, "--data-root", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"error: data root {tmp_path}: has no folder")


def test_the_commands_hand_on_their_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given_options = {"data_root": tmp_path, "mnist_url": "a", "writers_url": "b"}
    used: dict[str, object] = {}

    def pretended(data_root: Path, **options: object) -> Path:
        used.update(options, data_root=data_root)
        return data_root / "av_digits"

    monkeypatch.setattr(commands, "prepare", pretended)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given_options.items()]
    monkeypatch.setattr(sys, "argv", ["command", "prepare", *arguments])
    commands.main()
    assert used == given_options | {"recordings_url": commands.RECORDINGS_URL}
    assert capsys.readouterr().out == f"{tmp_path / 'av_digits'}: complete and verified\n"


@pytest.mark.data("av_digits")
def test_prepare_makes_the_published_folder_from_the_originals(
    data_root: Path, tmp_path: Path
) -> None:
    folder, web = data_root / "av_digits", tmp_path / "web"
    web.mkdir()
    shutil.copy(folder / LABELS, web)
    shutil.copy(folder / IMAGES, web)
    table = np.loadtxt(folder / WRITERS, delimiter=",", skiprows=1, usecols=(1, 2, 3), dtype="i4")
    (web / "qmnist.gz").write_bytes(idx(np.pad(table, ((0, 5), (0, 5)))))
    with tarfile.open(web / "fsdd.tar", "w") as archive:
        archive.add(folder / "recordings", "fsdd-master/recordings")
    made = prepare_from(web.as_uri(), tmp_path / "root", MANIFEST, recordings="fsdd.tar")
    assert manifest_of(made) == manifest_of(folder) == read_manifest()
