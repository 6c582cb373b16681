"""The files that the web has of `av_digits`, in small, and the folder that is prepared from it."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mke_theory.tasks.av_digits.prepare import writers_table
from mke_theory.tasks.av_digits.reader import (
    IMAGES,
    LABELS,
    PAIRS,
    WRITERS,
    read_idx,
    read_labels,
    read_writers,
    recording_names,
)
from mke_theory.tasks.av_digits.split import make_pairs, write_pairs

SPEAKERS = ("george", "theo")
TAKES = 2
EXTRAS = ("recordings/0_eve_0.wav", "recordings/0_theo_x.wav", "old/0_theo_0.wav", "README.md")


def idx(array: np.ndarray) -> bytes:
    """The gzipped idx file of a uint8 or int32 array, written by hand."""
    kind = {"uint8": 0x08, "int32": 0x0C}[array.dtype.name]
    head = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return gzip.compress(head + array.astype(array.dtype.newbyteorder(">")).tobytes(), mtime=0)


def published(folder: Path) -> Path:
    """The published files in small: two speakers, two takes of each digit, 90 images, 6 writers."""
    soundfile = pytest.importorskip("soundfile", reason="needs the extra mke_theory[data]")
    pytest.importorskip("transformers", reason="needs the extra mke_theory[data]")
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


def prepared(web: Path) -> Path:
    """The prepared folder, straight from the published files, without `prepare`."""
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


def write_manifest(path: Path, entries: Mapping[str, tuple[int, str]]) -> None:
    """Write `entries` as lines "<count> <SHA-256>  <name>"."""
    lines = [f"{count:>2} {sha256}  {name}\n" for name, (count, sha256) in entries.items()]
    path.write_text("".join(lines), encoding="utf-8")
