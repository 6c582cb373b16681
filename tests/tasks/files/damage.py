"""Damage done at random to a small file of each format, and what its reader makes of it.

`python -m tests.tasks.files.damage FORMAT SEED FIRST COUNT` prints a line for each damaged copy, so
that whoever reads the lines knows which one a crash of the process belongs to.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.audit.files import read_columns
from mke_theory.data.npz_files import read_npy, read_npz
from mke_theory.study import records
from mke_theory.tasks.files.download import unpack
from mke_theory.tasks.files.media import read_frames, read_sound
from mke_theory.tasks.files.pictures import read_picture
from mke_theory.tasks.nyu_depth.matlab import opened
from mke_theory.tasks.nyu_depth.matlab5 import read_mat

RANDOM = np.random.default_rng(0)
SOUND = 0.5 * np.sin(np.arange(2000) / 5)
PICTURE = RANDOM.integers(0, 255, (24, 32, 3), dtype=np.uint8)
ARRAYS = {"a": RANDOM.normal(size=(20, 3)), "b": np.arange(20)}


def _npz(path: Path) -> None:
    np.savez_compressed(path, **ARRAYS)  # type: ignore[arg-type]


def _sound(path: Path) -> None:
    import soundfile

    soundfile.write(path, SOUND, 8000, format=path.suffix[1:])


def _picture(path: Path) -> None:
    from PIL import Image

    Image.fromarray(PICTURE).save(path)


def _film(path: Path) -> None:
    import av

    with av.open(path, "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for at in range(8):
            level = np.full((32, 32, 3), 20 * at, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(level)))
        film.mux(stream.encode())


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "some words, again and again\n" * 30)
        archive.writestr("b/c.bin", ARRAYS["a"].tobytes())


def _mat5(path: Path) -> None:
    from scipy.io import savemat

    savemat(path, ARRAYS, do_compression=False)


def _mat73(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.arange(600.0).reshape(20, 30), chunks=(5, 30))


def _csv(path: Path) -> None:
    lines = [f"{i},{i % 3},class {i % 2}" for i in range(40)]
    path.write_text("\n".join(["id,a,b", *lines, ""]), encoding="utf-8")


def _jsonl(path: Path) -> None:
    with records.Records.open(path.parent, minimum_free=0) as kept:
        for i in range(5):
            kept.append(records.Record(f"k{i}", "task", "arm", i, "hash", {"test": i / 7}))


def _unpacked(path: Path) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        found = unpack(path, Path(folder))
        return [(p.relative_to(folder).as_posix(), p.read_bytes()) for p in found]


def _dataset(path: Path) -> Any:
    with opened(path) as file:
        return file["a"][()]


def _columns(path: Path) -> Any:
    found = read_columns([path])
    return found.ids, found.columns


FORMATS: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], Any]]] = {
    "npz": ("x.npz", _npz, lambda path: read_npz(path, "write it anew")),
    "npy": ("x.npy", lambda path: np.save(path, ARRAYS["a"]), lambda p: read_npy(p, "again")),
    "wav": ("x.wav", _sound, lambda path: read_sound(path, rate=8000)),
    "flac": ("x.flac", _sound, lambda path: read_sound(path, rate=8000)),
    "png": ("x.png", _picture, lambda path: read_picture(path, mode="RGB")),
    "jpg": ("x.jpg", _picture, lambda path: read_picture(path, mode="RGB")),
    "mp4": ("x.mp4", _film, lambda path: read_frames(path, every=0.1, size=(8, 8))),
    "zip": ("x.zip", _zip, _unpacked),
    "mat 5": ("x.mat", _mat5, lambda path: read_mat(path, ("a", "b"))),
    "mat 7.3": ("y.mat", _mat73, _dataset),
    "csv": ("x.csv", _csv, _columns),
    "jsonl": ("records.jsonl", _jsonl, lambda path: records.read(path.parent)),
}
"""Format → the file's name, the way to write it, and the reader."""

CHECKED = ("npz", "flac", "png", "zip")
"""Formats with check sums: a changed bit may not change what is read."""


def damaged(content: bytes, seed: int, at: int) -> tuple[str, bytes]:
    """The kind of damage, and a copy that is cut (even `at`) or has 1 to 8 bits flipped (odd)."""
    random = np.random.default_rng((seed, at))
    if at % 2 == 0:
        return "cut", content[: random.integers(len(content))]
    copy = bytearray(content)
    for place in random.integers(8 * len(content), size=random.integers(1, 9)):
        copy[place // 8] ^= 1 << place % 8
    return "flipped", bytes(copy)


def outcome(read: Callable[[Path], Any], path: Path, whole: str) -> str:
    """Same, refused, changed, or the class of an error that is none of ours."""
    try:
        with warnings.catch_warnings(action="ignore"):
            found = _plain(read(path))
    except (ValueError, OSError) as error:
        return "refused" if path.name in str(error) else f"without a name: {error}"
    except MemoryError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "same" if found == whole else "changed"


def _plain(found: Any) -> str:
    """The content in a form that can be compared."""
    if isinstance(found, dict):
        return repr({name: _plain(value) for name, value in found.items()})
    if isinstance(found, np.ndarray):
        return f"{found.shape} {found.dtype} {found.tolist()}"
    return repr(found)


def of_format(name: str, seed: int, first: int, count: int, out: Any) -> None:
    """Print the number, the kind and the outcome of each damaged copy."""
    file, write, read = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        write(path)
        content, whole = path.read_bytes(), _plain(read(path))
        for at in range(first, first + count):
            kind, copy = damaged(content, seed, at)
            path.write_bytes(copy)
            print(json.dumps([at, kind, outcome(read, path, whole)]), file=out, flush=True)


def counted(name: str, count: int, seed: int = 0, *, apart: bool) -> Counter[tuple[str, str]]:
    """(kind, outcome) → number of copies; `apart` in processes of their own, which may crash."""
    found: Counter[tuple[str, str]] = Counter()
    at = 0
    while at < count:
        if apart:
            lines, code = _in_child(name, seed, at, count - at)
        else:
            held = io.StringIO()
            of_format(name, seed, at, count - at, held)
            lines, code = held.getvalue().splitlines(), 0
        for line in lines:
            at, kind, said = json.loads(line)
            found[kind, said] += 1
        at += 1
        if at < count:
            found["cut" if at % 2 == 0 else "flipped", f"crash {code}"] += 1
            at += 1
    return found


def _in_child(name: str, seed: int, first: int, count: int) -> tuple[list[str], int]:
    given = [
        sys.executable,
        "-m",
        "tests.tasks.files.damage",
        name,
        *map(str, (seed, first, count)),
    ]
    root = Path(__file__).parents[3]
    done = subprocess.run(given, cwd=root, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if not lines and first == 0:
        raise RuntimeError(f"{name}: nothing was read at all: {done.stderr[-500:]}")
    return lines, done.returncode


if __name__ == "__main__":
    of_format(sys.argv[1], *map(int, sys.argv[2:5]), sys.stdout)
