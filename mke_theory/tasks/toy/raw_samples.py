"""Pictures and sounds of your own arrays as trained encoders take them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.data.file_hashes import content_of
from mke_theory.tasks.files.features.raw_samples import Computed, RawSamples, repeated_grey
from mke_theory.tasks.toy.array_reading import RESERVED, read_arrays
from mke_theory.tasks.toy.arrays import Arrays
from mke_theory.tasks.toy.stored_arrays import KEYS, loaded, read_keys


def array_samples(file: Path, modality: str) -> RawSamples:
    """The samples of an array of an .npz file or a folder, as the task `arrays` reads them.

    Pictures are bytes [n, 3, h, w], [n, h, w, 3], or, in grey, [n, 1, h, w] or [n, h, w]; sounds
    are floats [n, samples] in [−1, 1]. Samples are named by the folder's keys.npy, or by their
    numbers. Of a folder nothing but the array and the names is read, so that features may be made
    into the same folder.

    Raises FileNotFoundError where the file is not there, ValueError where the array is not, or is
    neither; and as `read_arrays`.
    """
    task = Arrays(file=str(file))
    if (missing := task.missing()) is not None:
        raise FileNotFoundError(missing)
    if file.is_dir():
        array, keys = file / f"{modality}.npy", file / f"{KEYS}.npy"
        _refuse_absent(file, modality, [path.stem for path in sorted(file.glob("*.npy"))])
        x, content = loaded(array, mapped=True), content_of([array, keys])
    else:
        arrays = read_arrays(file)
        _refuse_absent(file, modality, list(arrays))
        x, content = arrays[modality], task.data_hash() or ""
    names = read_keys(file) or tuple(map(str, range(len(x))))
    return RawSamples(_values(modality, x), names, modality, "arrays", content)


def _refuse_absent(file: Path, modality: str, names: Sequence[str]) -> None:
    known = [name for name in names if name not in (*RESERVED, KEYS)]
    if modality not in known:
        raise ValueError(f"modality is {modality!r}; {file} has {', '.join(known) or 'none'}")


def _values(name: str, x: Any) -> Any:
    if x.dtype == np.uint8 and x.ndim == 4 and x.shape[1] == 3:
        return x
    if x.dtype == np.uint8 and x.ndim == 4 and x.shape[3] == 3:
        return np.moveaxis(x, 3, 1)
    if x.dtype == np.uint8 and x.ndim == 4 and x.shape[1] == 1:
        return repeated_grey(x[:, 0])
    if x.dtype == np.uint8 and x.ndim == 3:
        return repeated_grey(x)
    if np.issubdtype(x.dtype, np.floating) and x.ndim == 2:
        return Computed(len(x), lambda row: np.asarray(x[row : row + 1][0], dtype=np.float32))
    raise ValueError(
        f"modality {name!r} is {x.dtype} {x.shape}; an encoder takes pictures as uint8 [n, 3, h, w]"
        " (of shares: (255 * x).round().astype(np.uint8)), or sounds as floats [n, samples]"
    )
