"""Recordings, images and labels, read from files that are what they should be."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.tasks.av_digits import reader
from mke_theory.tasks.av_digits.manifest import check
from mke_theory.tasks.av_digits.prepare import writers_table
from mke_theory.tasks.av_digits.reader import (
    IMAGES,
    LABELS,
    PAIRS,
    WRITERS,
    load,
    read_idx,
    read_labels,
    read_writers,
    recording_names,
    spectrograms,
)
from mke_theory.tasks.files.audio import FrontEnd, read_wav
from tests.tasks.av_digits.made_recordings import TAKES, idx

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


def test_spectrograms_are_those_of_each_recording(folder: Path, tmp_path: Path) -> None:
    names = recording_names(folder)[:3]
    paths = [folder / "recordings" / name for name in names]
    found = spectrograms(paths, cache=tmp_path)
    assert found.shape == (3, 1, 40, 48) and found.dtype == np.float32
    for row, path in zip(found, paths, strict=True):
        np.testing.assert_array_equal(row[0], FrontEnd()(read_wav(path)))


def test_spectrograms_are_kept_until_a_recording_changes(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, read = sorted((copy / "recordings").iterdir())[:2], []
    monkeypatch.setattr(reader, "read_wav", lambda path, rate: read.append(path) or read_wav(path))
    first = spectrograms(paths, cache=tmp_path)
    np.testing.assert_array_equal(spectrograms(paths, cache=tmp_path), first)
    assert read == paths
    paths[1].write_bytes(paths[0].read_bytes())
    changed = spectrograms(paths, cache=tmp_path)
    np.testing.assert_array_equal(changed[1], first[0])
    assert read == 2 * paths


def test_bad_recordings_are_named(copy: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
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


@pytest.mark.data("av_digits")
def test_the_real_data_are_the_published_ones(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "av_digits"
    check(folder)
    data = load(folder, cache=tmp_path)
    assert data.audio.shape == (3000, 1, 40, 48) and data.images.shape == (10000, 28, 28)
    assert np.isfinite(data.audio).all() and len(data.pairs) == 6980
    # Sound has the digit: the nearest recording of the same speaker has the same in 2 of 3 cases at
    # least (chance: 1 in 10, and 65 of 100 by chance has probability below 1e-40).
    george = [i for i, name in enumerate(data.names) if "_george_" in name][::5]
    rows = data.audio[george].reshape(len(george), -1)
    distance = np.linalg.norm(rows[:, None] - rows[None], axis=2) + np.diag([np.inf] * len(rows))
    digit = np.array([int(data.names[i][0]) for i in george])
    assert (digit[distance.argmin(axis=1)] == digit).mean() > 0.65
