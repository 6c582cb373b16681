"""Checks of settings: numbers in their range, choices among those there are, names in a tuple."""

from __future__ import annotations

from math import inf


def refuse_beyond(
    part: object,
    *,
    positive: tuple[str, ...] = (),
    share: tuple[str, ...] = (),
    least_0: tuple[str, ...] = (),
    finite: tuple[str, ...] = (),
) -> None:
    """Raise ValueError where a number of the part is out of its range."""
    ranges = (
        (positive, lambda x: 0.0 < x < inf, "be positive"),
        (share, lambda x: 0.0 <= x <= 1.0, "lie in [0, 1]"),
        (least_0, lambda x: 0.0 <= x < inf, "be finite and not negative"),
        (finite, lambda x: abs(x) < inf, "be finite"),
    )
    for names, fits, wanted in ranges:
        for name in names:
            value = getattr(part, name)
            if not fits(value):
                raise ValueError(f"{name} is {value}; it has to {wanted}")


def refuse_other_than(part: object, **choices: tuple[str, ...]) -> None:
    """Raise ValueError where a setting of the part is none of its choices."""
    for name, allowed in choices.items():
        if getattr(part, name) not in allowed:
            raise ValueError(f"{name} is {getattr(part, name)!r}; choose one of {allowed}")


def refuse_text(part: object, *names: str) -> None:
    """Raise TypeError where a setting that lists modalities is a text."""
    for name in names:
        value = getattr(part, name)
        # A text is a sequence of letters, so `in` would look for the modality as a part of it.
        if isinstance(value, str):
            raise TypeError(f"{name} is the text {value!r}; write ({value!r},), a tuple of names")
