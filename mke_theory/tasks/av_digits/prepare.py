"""The commands `prepare` and `check` of `av_digits`: published files, fetched and verified.

The addresses come from the documentation of the data sets themselves. Where one has moved, give the
new one by option, or put the files by hand into the layout that `reader.py` describes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from mke_theory.tasks.av_digits.manifest import (
    MANIFEST,
    check,
    differences,
    group_of,
    manifest_of,
    read_manifest,
    shortened,
)
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
from mke_theory.tasks.av_digits.split import (
    FOLDER,
    PREPARE,
    held_out_writers,
    make_pairs,
    parse_name,
    write_pairs,
    write_table,
)
from mke_theory.tasks.files.commands import data_set, refuse_root_to_fill, run_command
from mke_theory.tasks.files.download import download, unpack

RECORDINGS_URL = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.tar.gz"
)
MNIST_URL = "https://raw.githubusercontent.com/fgnt/mnist/master"
WRITERS_URL = (
    "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
    "qmnist-test-labels-idx2-int.gz"
)

_Entries = Mapping[str, tuple[int, str]]


def prepare(
    data_root: Path,
    *,
    recordings_url: str = RECORDINGS_URL,
    mnist_url: str = MNIST_URL,
    writers_url: str = WRITERS_URL,
    manifest: Path = MANIFEST,
    progress: bool = True,
) -> Path:
    """Fetch what is missing into `<data_root>/av_digits` and check all of it; returns that folder.

    May be stopped at any moment, the next call goes on; files that are there and right stay.
    `recordings_url` is a tar or zip archive with the wav files in a folder `recordings`;
    `mnist_url` is the folder of the two t10k files; `writers_url` is QMNIST's table of test labels.
    Raises as `download`, `unpack` and `check` do.
    """
    folder = data_root / FOLDER
    wanted, fetched = read_manifest(manifest), folder / "fetched"
    for name in (IMAGES, LABELS):
        url = f"{mnist_url.rstrip('/')}/{Path(name).name}"
        download(url, folder / name, sha256=wanted[name][1], progress=progress)
    labels = read_labels(folder)
    found = manifest_of(folder)
    if found.get(WRITERS) != wanted[WRITERS]:
        _fetch_writers(folder / WRITERS, fetched, writers_url, labels, progress)
    if _recordings(found) != _recordings(wanted):
        _fetch_recordings(folder / "recordings", fetched, recordings_url, wanted, progress)
    if found.get(PAIRS) != wanted[PAIRS]:
        names = recording_names(folder)
        pairs = make_pairs(names, labels, read_writers(folder, labels))
        write_pairs(folder / PAIRS, pairs, names)
    check(folder, manifest)
    shutil.rmtree(fetched, ignore_errors=True)
    return folder


def writers_table(extended: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """The writer of each MNIST test image, from QMNIST's labels [≥ m, 8]: digit, series, writer.

    The first m rows of QMNIST's test set are the MNIST test set; their digits have to agree.
    """
    m = len(labels)
    if extended.ndim != 2 or extended.shape[1] != 8 or len(extended) < m:
        raise ValueError(f"extended labels need shape [{m} or more, 8]; got {extended.shape}")
    digit, series, writer = extended[:m, :3].T
    wrong = int((digit != labels).sum())
    if wrong:
        raise ValueError(
            f"{wrong} of {m} digits of the extended labels are not those of the MNIST test set"
        )
    split = np.where(np.isin(writer, held_out_writers(writer)), "test", "train")
    columns = {"mnist_index": np.arange(m), "digit": digit, "hsf_series": series}
    return pd.DataFrame(columns | {"writer": writer, "split": split})


def _fetch_writers(
    target: Path, fetched: Path, url: str, labels: np.ndarray, progress: bool
) -> None:
    extended = download(url, fetched / "writers.gz", sha256=None, progress=progress)
    try:
        write_table(target, writers_table(read_idx(extended), labels))
    except ValueError as error:
        raise ValueError(f"{url}: {error}") from error


def _fetch_recordings(
    target: Path, fetched: Path, url: str, wanted: _Entries, progress: bool
) -> None:
    """Put the recordings of the archive at `url` into `target` once they are known to be right."""
    archive = download(url, fetched / "recordings.archive", sha256=None, progress=progress)
    flat = fetched / "flat"
    shutil.rmtree(flat, ignore_errors=True)
    (flat / "recordings").mkdir(parents=True)
    for path in unpack(archive, fetched / "unpacked", members=_is_recording):
        if group_of(path.name) in wanted:
            os.replace(path, flat / "recordings" / path.name)
    wrong = differences(_recordings(wanted), manifest_of(flat))
    if wrong:
        raise ValueError(
            f"{url}: the recordings are not those of commit 26eb9aaf76e8: {shortened(wrong)}. Give "
            f"the address of an archive of that commit, or put its wav files into {target} by hand"
        )
    target.mkdir(parents=True, exist_ok=True)
    for path in flat.glob("recordings/*.wav"):
        os.replace(path, target / path.name)


def _is_recording(member: str) -> bool:
    path = PurePosixPath(member)
    return path.parent.name == "recordings" and parse_name(path.name) is not None


def _recordings(entries: _Entries) -> dict[str, tuple[int, str]]:
    return {name: entry for name, entry in entries.items() if name.startswith("recordings/")}


def _prepare_command(
    data_root: Path,
    recordings_url: str = RECORDINGS_URL,
    mnist_url: str = MNIST_URL,
    writers_url: str = WRITERS_URL,
) -> None:
    """Fetch the published files into <data-root>/av_digits and verify them.

    Args:
        data_root: folder above av_digits; it is made where the folder above it is there.
        recordings_url: tar or zip archive of the Free Spoken Digit Dataset.
        mnist_url: folder of the two t10k files.
        writers_url: QMNIST's extended test labels.
    """
    refuse_root_to_fill(data_root, FOLDER)
    folder = prepare(
        data_root, recordings_url=recordings_url, mnist_url=mnist_url, writers_url=writers_url
    )
    print(f"{folder}: complete and verified")


def _check_command(data_root: Path) -> None:
    """Compare the files in <data-root>/av_digits with the published ones.

    Args:
        data_root: folder above av_digits.
    """
    remedy = f"name the folder above {FOLDER}, or fetch the data by `{PREPARE} {data_root}`"
    folder = data_set(data_root, FOLDER, ("recordings", "mnist"), remedy)
    check(folder)
    print(f"{folder}: complete and verified")


def main() -> None:
    """The commands `prepare` and `check`."""
    run_command("av_digits", {"prepare": _prepare_command, "check": _check_command})
