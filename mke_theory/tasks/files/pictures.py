"""Pictures as arrays; damaged and other files are refused by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy as np

from mke_theory.data.optional_imports import library
from mke_theory.tasks.files.advice import advice

_STORED = {"RGB": ("RGB",), "L": ("L",), "I;16": ("I;16", "I;16B", "I;16L", "I")}


def read_picture(path: Path | str, *, mode: Literal["RGB", "L", "I;16"]) -> np.ndarray:
    """The pixels of a picture: [h, w, 3] uint8 (RGB), [h, w] uint8 (L) or [h, w] uint16 (I;16).

    Nothing is converted or scaled. Raises FileNotFoundError where there is no such file, and
    ValueError, with the file's name, where it is not a picture, is damaged or truncated, or has
    another mode.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    image_module = library("PIL.Image", "reading pictures needs")
    try:
        # A picture that is too large to be true is an error here, not a warning.
        with warnings.catch_warnings(action="error"), image_module.open(path) as image:
            if image.mode not in _STORED[mode]:
                raise ValueError(
                    f"{path}: has mode {image.mode}, {mode} is wanted; convert the picture"
                )
            pixels = np.array(image)
    except (OSError, SyntaxError, Warning, image_module.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable picture ({error}); {advice(error)}") from error
    if mode != "I;16":
        return pixels
    if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"{path}: has values outside 0 to 65535; 16 bits are wanted")
    return pixels.astype(np.uint16)
