"""Pairs by a rule that everybody gets the same of, from files that are what they should be."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import struct
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
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.tasks.av_digits import prepare as av_digits_originals
from mke_theory.tasks.av_digits.prepare import prepare, writers_table
from mke_theory.tasks.av_digits.reader import (
    IMAGES,
    LABELS,
    MANIFEST,
    PAIRS,
    WRITERS,
    check,
    load,
    make_pairs,
    manifest_of,
    read_idx,
    read_labels,
    read_manifest,
    read_pairs,
    read_writers,
    recording_names,
    write_manifest,
)
from mke_theory.tasks.av_digits.split import (
    RANKS,
    TEST_SPEAKERS,
    TRAIN_SPEAKERS,
    held_out_writers,
    write_pairs,
)

soundfile = pytest.importorskip("soundfile", reason="needs the extra mke_theory[data]")
pytest.importorskip("transformers", reason="needs the extra mke_theory[data]")

SPEAKERS = ("george", "theo")
TAKES = 2
EXTRAS = ("recordings/0_eve_0.wav", "recordings/0_theo_x.wav", "old/0_theo_0.wav", "README.md")


def idx(array: np.ndarray) -> bytes:
    """The gzipped idx file of a uint8 or int32 array, written by hand."""
    kind = {"uint8": 0x08, "int32": 0x0C}[array.dtype.name]
    head = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return gzip.compress(head + array.astype(array.dtype.newbyteorder(">")).tobytes(), mtime=0)


def originals(folder: Path) -> Path:
    """What the web has, in small: two speakers, two takes of each digit, 90 images, 6 writers."""
    rng = np.random.default_rng(3)
    folder.mkdir()
    labels = rng.permutation(np.repeat(np.arange(10), 9)).astype(np.uint8)
    images = rng.integers(0, 256, (90, 28, 28), dtype=np.uint8)
    extended = np.zeros((120, 8), dtype=np.int32)
    extended[:90, 0] = labels
    extended[:, 1] = 4
    extended[:, 2] = 2100 + rng.integers(0, 6, 120)
    (folder / Path(LABELS).name).write_bytes(idx(labels))
    (folder / Path(IMAGES).name).write_bytes(idx(images))
    (folder / "qmnist.gz").write_bytes(idx(extended))
    with tarfile.open(folder / "fsdd.tar.gz", "w:gz") as archive:
        names = [f"{d}_{s}_{t}.wav" for d in range(10) for s in SPEAKERS for t in range(TAKES)]
        members = [f"recordings/{name}" for name in names]
        for name in [*members, *EXTRAS]:
            file = io.BytesIO(b"else")
            if name in members:
                noise = 0.1 * rng.standard_normal(1000 + int(rng.integers(9000)))
                soundfile.write(file, noise, 8000, format="WAV", subtype="PCM_16")
            info = tarfile.TarInfo(f"fsdd-master/{name}")
            info.size = len(file.getvalue())
            file.seek(0)
            archive.addfile(info, file)
    return folder


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return originals(tmp_path_factory.mktemp("av") / "web")


@pytest.fixture(scope="module")
def folder(web: Path) -> Path:
    """The prepared folder, straight from the small originals."""
    made = web.parent / "root" / "av_digits"
    (made / "mnist").mkdir(parents=True)
    shutil.copy(web / Path(LABELS).name, made / LABELS)
    shutil.copy(web / Path(IMAGES).name, made / IMAGES)
    with tarfile.open(web / "fsdd.tar.gz") as archive:
        (made / "recordings").mkdir()
        for name in archive.getnames()[: -len(EXTRAS)]:
            source = archive.extractfile(name)
            if source is not None:
                (made / "recordings" / Path(name).name).write_bytes(source.read())
    table = writers_table(read_idx(web / "qmnist.gz"), read_labels(made))
    lines = [",".join(table.columns), *(",".join(map(str, row)) for row in table.to_numpy())]
    (made / WRITERS).write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    labels, names = read_labels(made), recording_names(made)
    write_pairs(made / PAIRS, make_pairs(names, labels, read_writers(made, labels)), names)
    return made


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "av_digits"))


# idx files


@given(
    shape=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    kind=st.sampled_from(["uint8", "int32"]),
    seed=st.integers(0, 99),
)
def test_idx_files_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], kind: str, seed: int
) -> None:
    bounds = np.iinfo(kind)
    rng = np.random.default_rng(seed)
    array = rng.integers(bounds.min, bounds.max, shape, dtype=kind, endpoint=True)
    path = tmp_path_factory.getbasetemp() / "read-back.gz"
    path.write_bytes(idx(array))
    found = read_idx(path)
    assert found.dtype == array.dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, array)


GOOD = struct.pack(">HBBI3B", 0, 8, 1, 3, 7, 2, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(GOOD[:-1]), "has 10 bytes, shape \\(3,\\) needs 11"),
        (gzip.compress(GOOD + b"\0"), "has 12 bytes"),
        (gzip.compress(GOOD[:6]), "needs"),
        (gzip.compress(b"\0\0\x09\x01" + GOOD[4:]), "0x00000901"),
        (gzip.compress(b"\x01" + GOOD[1:]), "0x01000801"),
        (gzip.compress(b"\0\0\x08\0"), "0x00000800"),
        (gzip.compress(b""), "no known idx"),
        (gzip.compress(GOOD)[:-2], "damaged gzip"),
        (gzip.compress(GOOD)[:12], "damaged gzip"),
        (GOOD, "damaged gzip"),
    ],
)
def test_other_idx_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "good.gz").write_bytes(gzip.compress(GOOD))
    np.testing.assert_array_equal(read_idx(tmp_path / "good.gz"), [7, 2, 1])
    (tmp_path / "bad.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(tmp_path / "bad.gz")
    assert "bad.gz" in str(caught.value)
    with pytest.raises(FileNotFoundError, match="prepare"):
        read_idx(tmp_path / "absent.gz")


# the rule


def test_pairs_by_hand() -> None:
    """Digit 0 only. Writers 10, 20, 30, 40: the third, 30, is for test."""
    names = ["0_theo_0.wav", "0_lucas_10.wav", "0_lucas_9.wav"]
    labels = np.zeros(6, dtype=np.int64)
    writers = np.array([10, 20, 30, 40, 10, 30])
    order = sorted(range(6), key=lambda i: hashlib.sha256(f"mnist-t10k-{i}".encode()).hexdigest())
    train, test = [i for i in order if i not in (2, 5)], [i for i in order if i in (2, 5)]
    pairs = make_pairs(names, labels, writers)
    assert pairs.split.tolist() == ["train"] * 4 + ["test"]
    assert pairs.image.tolist() == [*train, test[0]]
    assert pairs.recording.tolist() == [2, 1, 2, 1, 0]  # take 9 before take 10
    assert pairs.rank.tolist() == [0, 0, 1, 1, 0]
    assert pairs.speaker.tolist() == ["lucas"] * 4 + ["theo"]
    assert pairs.writer.tolist() == writers[pairs.image].tolist()
    assert len(pairs) == 5


@settings(max_examples=25)
@given(seed=st.integers(0, 999), images=st.integers(30, 120))
def test_pairs_in_general(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    labels, writers = rng.integers(0, 10, images), rng.integers(0, 9, images)
    everyone = [*TRAIN_SPEAKERS, *TEST_SPEAKERS]
    names = [f"{d}_{s}_{t}.wav" for d in range(10) for s in everyone for t in range(2)]
    shuffled = rng.permutation(len(names))
    pairs = make_pairs(names, labels, writers)
    assert len(np.unique(pairs.image)) == len(pairs)
    assert len(np.unique(np.stack([pairs.recording, pairs.rank]), axis=1).T) == len(pairs)
    np.testing.assert_array_equal(pairs.digit, labels[pairs.image])
    assert [names[r].split("_")[:2] for r in pairs.recording] == [
        [str(d), s] for d, s in zip(pairs.digit, pairs.speaker, strict=True)
    ]
    test = pairs.split == "test"
    assert set(pairs.writer[test]) <= set(held_out_writers(writers))
    assert not set(pairs.writer[~test]) & set(held_out_writers(writers))
    assert set(pairs.speaker[test]) <= set(TEST_SPEAKERS)
    assert not set(pairs.speaker[~test]) & set(TEST_SPEAKERS)
    assert pairs.rank[test].max(initial=0) < RANKS["test"] and pairs.rank.max() < RANKS["train"]
    again = make_pairs([names[i] for i in shuffled], labels, writers)  # no order of files matters
    np.testing.assert_array_equal(shuffled[again.recording], pairs.recording)
    np.testing.assert_array_equal(again.image, pairs.image)


def test_pairs_refuse_what_the_rule_does_not_know() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match=r"speakers \['eve'\]"):
        make_pairs(["0_eve_0.wav"], one, one)
    with pytest.raises(ValueError, match=r"odd\.wav"):
        make_pairs(["odd.wav"], one, one)
    with pytest.raises(ValueError, match="no pairs"):
        make_pairs(["1_theo_0.wav"], one, one)


# the folder


def test_load(folder: Path, tmp_path: Path) -> None:
    data = load(folder, cache=tmp_path)
    assert data.names == tuple(sorted(data.names)) and len(data.names) == 10 * 2 * TAKES
    assert data.audio.shape == (40, 1, 40, 48) and data.audio.dtype == np.float32
    assert data.images.shape == (90, 28, 28) and data.images.dtype == np.uint8
    np.testing.assert_array_equal(read_labels(folder)[data.pairs.image], data.pairs.digit)
    first = data.pairs.select("train")
    assert set(first.split) == {"train"} and set(first.rank) == {0}
    both = data.pairs.select("train", (0, 1))
    assert set(both.rank) == {0, 1} and len(both) > len(first)
    with pytest.raises(ValueError, match="split must be one of"):
        data.pairs.select("validation")
    with pytest.raises(ValueError, match=r"there are \[0\]"):
        data.pairs.select("test", (1,))
    np.testing.assert_array_equal(first.rows(np.array([3, 1])).image, first.image[[3, 1]])


def test_the_table_and_the_rule_give_the_same(copy: Path, tmp_path: Path) -> None:
    by_table = load(copy, cache=tmp_path).pairs
    (copy / PAIRS).unlink()
    by_rule = load(copy, cache=tmp_path).pairs
    for name, column in vars(by_table).items():
        np.testing.assert_array_equal(column, getattr(by_rule, name))


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"prepare --data-root {tmp_path}"):
        load(tmp_path / "av_digits")
    with pytest.raises(FileNotFoundError, match="prepare"):
        check(tmp_path / "av_digits")


@pytest.mark.parametrize("name", [LABELS, IMAGES, "recordings", WRITERS])
def test_every_missing_part_is_named(copy: Path, name: str) -> None:
    (copy / PAIRS).unlink()
    (copy / name).rename(copy / "elsewhere")
    with pytest.raises(FileNotFoundError, match=name):
        load(copy)


def test_bad_recordings_are_named(copy: Path, tmp_path: Path) -> None:
    recordings = copy / "recordings"
    cut = (recordings / "3_theo_0.wav").read_bytes()[:500]
    (recordings / "3_theo_0.wav").write_bytes(cut)
    soundfile.write(recordings / "4_theo_0.wav", np.zeros(4000), 8000)
    with pytest.raises(ValueError, match="2 of 40") as caught:
        load(copy, cache=tmp_path / "cache")
    assert "3_theo_0.wav" in str(caught.value) and "4_theo_0.wav" in str(caught.value)
    (recordings / "noise.wav").touch()
    with pytest.raises(ValueError, match=r"noise\.wav"):
        load(copy)
    for path in recordings.iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="there is none"):
        load(copy)


def test_images_and_labels_have_to_fit(copy: Path) -> None:
    labels = read_labels(copy).astype(np.uint8)
    (copy / LABELS).write_bytes(idx(labels[:-1]))
    with pytest.raises(ValueError, match="shape is"):
        load(copy)
    labels[5] = 10
    (copy / LABELS).write_bytes(idx(labels))
    with pytest.raises(ValueError, match="digit from 0 to 9"):
        load(copy)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("split", "validation", "line 3 has split validation"),
        ("rank", "-1", "ranks begin at 0"),
        ("digit", "7", "line 3 has digit 7"),
        ("wav", "recordings/0_theo_99.wav", "is not there"),
        ("speaker", "lucas", "line 3 has speaker lucas"),
        ("mnist_index", "90", "allowed are 0 to 89"),
        ("mnist_index", "many", "not a table of"),
        ("writer", "", "not a table of|empty cells"),
        ("split", "test", "speaker george is in train and in test"),
    ],
)
def test_a_table_with_a_wrong_cell_is_refused(
    copy: Path, column: str, value: str, message: str
) -> None:
    lines = (copy / PAIRS).read_text().splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index(column)] = value
    lines[2] = ",".join(cells)
    (copy / PAIRS).write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=message) as caught:
        read_pairs(copy / PAIRS, recording_names(copy), read_labels(copy))
    assert "pairs.csv" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\0", b"split\n"])
def test_a_file_that_is_no_such_table_is_refused(copy: Path, content: bytes) -> None:
    (copy / PAIRS).write_bytes(content)
    with pytest.raises(ValueError, match="not a table"):
        read_pairs(copy / PAIRS, recording_names(copy), read_labels(copy))


def test_writers_have_to_fit_the_labels(copy: Path, web: Path) -> None:
    labels, extended = read_labels(copy), read_idx(web / "qmnist.gz")
    np.testing.assert_array_equal(read_writers(copy, labels), extended[:90, 2])
    with pytest.raises(ValueError, match="image 0 has digit"):
        read_writers(copy, (labels + 1) % 10)
    with pytest.raises(ValueError, match="one row for each of the 89"):
        read_writers(copy, labels[:-1])
    with pytest.raises(ValueError, match="90 of 90 digits"):
        writers_table(extended, (labels + 1) % 10)
    with pytest.raises(ValueError, match="shape"):
        writers_table(extended[:50], labels)


# the manifest


def test_check_names_what_differs(copy: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest"
    write_manifest(manifest, manifest_of(copy))
    assert read_manifest(manifest) == manifest_of(copy)
    check(copy, manifest)
    (copy / PAIRS).unlink()
    check(copy, manifest)  # the rule gives the same
    (copy / PAIRS).write_text("other")
    (copy / WRITERS).unlink()
    (copy / "recordings/3_theo_0.wav").unlink()
    (copy / "recordings/4_theo_1.wav").write_bytes(b"other")
    (copy / "recordings/4_eve_1.wav").write_bytes(b"more")
    with pytest.raises(ValueError) as caught:
        check(copy, manifest)
    for text in (
        "pairs.csv (other content)",
        "t10k-writers.csv (missing)",
        "3_theo_*.wav (1 files instead of 2)",
        "4_theo_*.wav (other content)",
        "4_eve_*.wav (not part of it)",
    ):
        assert text in str(caught.value)
    assert "5_theo" not in str(caught.value)


def test_the_committed_manifest_and_split_agree() -> None:
    manifest = read_manifest()
    groups = {name: n for name, (n, _) in manifest.items() if name.startswith("recordings/")}
    speakers = [*TRAIN_SPEAKERS, *TEST_SPEAKERS]
    assert groups == {f"recordings/{d}_{s}_*.wav": 50 for d in range(10) for s in speakers}
    assert set(manifest) - set(groups) == {LABELS, IMAGES, WRITERS, PAIRS}
    split = json.loads((MANIFEST.parent / "av_digits_split.json").read_text())
    assert split["pairs_csv_sha256"] == manifest[PAIRS][1]
    assert split["speakers"] == {"train": list(TRAIN_SPEAKERS), "test": list(TEST_SPEAKERS)}
    train, test = split["writers"]["train"], split["writers"]["test"]
    assert not set(train) & set(test) and len(train) + len(test) == 297
    assert held_out_writers(np.array(train + test)).tolist() == test


# fetching the originals


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
    command = [sys.executable, "-m", "mke_theory.tasks.av_digits.prepare", "check"]
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

    monkeypatch.setattr(av_digits_originals, "prepare", pretended)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given_options.items()]
    monkeypatch.setattr(sys, "argv", ["command", "prepare", *arguments])
    av_digits_originals.main()
    assert used == given_options | {"recordings_url": av_digits_originals.RECORDINGS_URL}
    assert capsys.readouterr().out == f"{tmp_path / 'av_digits'}: complete and verified\n"


# the real data


@pytest.mark.data("av_digits")
def test_the_rule_gives_the_published_pairs(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "av_digits"
    names, labels = recording_names(folder), read_labels(folder)
    writers = read_writers(folder, labels)
    pairs = make_pairs(names, labels, writers)
    write_pairs(tmp_path / PAIRS, pairs, names)
    assert (tmp_path / PAIRS).read_bytes() == (folder / PAIRS).read_bytes()
    split = json.loads((MANIFEST.parent / "av_digits_split.json").read_text())
    counts = {
        part: [int(((pairs.split == part) & (pairs.rank == rank)).sum()) for rank in range(ranks)]
        for part, ranks in RANKS.items()
    }
    assert split["pairs"] == counts == {"train": [2000, 2000, 1980], "test": [1000]}
    assert held_out_writers(writers).tolist() == split["writers"]["test"]


@pytest.mark.data("av_digits")
def test_the_real_data_are_the_published_ones(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "av_digits"
    check(folder)
    data = load(folder, cache=tmp_path)
    assert data.audio.shape == (3000, 1, 40, 48) and data.images.shape == (10000, 28, 28)
    assert np.isfinite(data.audio).all() and len(data.pairs) == 6980
    # Sound tells the digit: the nearest recording of the same speaker says it in 2 of 3 cases at
    # least (chance: 1 in 10, and 65 of 100 by chance has probability below 1e-40).
    george = [i for i, name in enumerate(data.names) if "_george_" in name][::5]
    rows = data.audio[george].reshape(len(george), -1)
    distance = np.linalg.norm(rows[:, None] - rows[None], axis=2) + np.diag([np.inf] * len(rows))
    digit = np.array([int(data.names[i][0]) for i in george])
    assert (digit[distance.argmin(axis=1)] == digit).mean() > 0.65


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
