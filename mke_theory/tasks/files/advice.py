"""Advice on a file that a library could not read: whether its content is to blame at all."""

from __future__ import annotations

import errno
import os

_OF_THE_SYSTEM = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES EAGAIN EBUSY EIO EMFILE ENFILE ENODEV ENOLCK ENOMEM ENXIO EPERM ESTALE ETIMEDOUT"
    ).split()
    if hasattr(errno, name)
)
"""Errors of the system that say nothing on the content of a file."""


def advice(error: BaseException) -> str:
    """The remedy for a reader's error, to stand after its message.

    A file that is locked, not permitted, out of reach or too large for the memory is not damaged,
    and nobody should fetch gigabytes for it.
    """
    number = getattr(error, "errno", None)
    if isinstance(error, MemoryError):
        return "there is too little memory for it; close other programs, or use a larger machine"
    if isinstance(number, int) and number in _OF_THE_SYSTEM:
        return (
            f"the system refused it ({os.strerror(number)}): the file need not be damaged; look "
            "whether another program holds it and whether it may be read, and try again"
        )
    return "fetch it again"
