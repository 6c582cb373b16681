"""Labels that came through a type without a sign, in which −1 (unknown) has become a class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def marker_without_sign(labels: Tensor | NDArray[np.generic]) -> int | None:
    """The class that −1 becomes in the labels' type, where they have it; else None.

    A type with a sign has none, and 255 of bytes is a class where 254 is there as well.
    """
    values = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if values.dtype.kind != "u" or not values.size:
        return None
    last = int(np.iinfo(values.dtype).max)
    if int(values.max()) != last or bool((values == last - 1).any()):
        return None
    return last
