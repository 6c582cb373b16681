"""Pictures and sounds of your own arrays as trained encoders take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mke_theory.tasks.files.features.raw_samples import Computed, RawSamples, repeated_grey
from mke_theory.tasks.toy.arrays import RESERVED, Arrays, read_arrays
from mke_theory.tasks.toy.stored_arrays import read_keys


def array_samples(file: Path, modality: str) -> RawSamples:
    """The samples of a modality of an .npz file or a folder, as the task `arrays` reads it.

    Pictures are bytes [n, 3, h, w], [n, h, w, 3], or, in grey, [n, 1, h, w] or [n, h, w]; sounds
    are floats [n, samples] in [−1, 1]. Samples are named by the folder's keys.npy, or by their
    numbers. Raises FileNotFoundError where the file is not there, ValueError where the modality is
    not, or is neither; and as `read_arrays`.
    """
    task = Arrays(file=str(file))
    if (missing := task.missing()) is not None:
        raise FileNotFoundError(missing)
    arrays = read_arrays(file)
    names = [name for name in arrays if name not in RESERVED]
    if modality not in names:
        raise ValueError(f"modality is {modality!r}; {file} has {', '.join(names)}")
    keys = read_keys(file) or tuple(map(str, range(len(arrays["labels"]))))
    values = _values(modality, arrays[modality])
    return RawSamples(values, keys, modality, "arrays", task.data_hash() or "")


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
