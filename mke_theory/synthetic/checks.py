"""Refusals that all worlds share: strange modalities, samples that are no numbers, bad priors."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mke_theory.synthetic.world import Floats

_LARGEST = 1e100


def refuse_strange(names: Iterable[str], modalities: tuple[str, ...]) -> None:
    """Raise ValueError where `names` is empty, or names something that is no modality.

    A mapping by modality counts as its keys.
    """
    given = tuple(names)
    if not given:
        raise ValueError(f"no modality is given; name at least one of {list(modalities)}")
    strange = [name for name in given if name not in modalities]
    if strange:
        raise ValueError(f"no modality {strange}; this world has {list(modalities)}")


def chosen(modalities: Iterable[str] | None, world_modalities: tuple[str, ...]) -> tuple[str, ...]:
    """The named modalities, each once, in the world's order; None means all of them.

    Raises ValueError for an empty choice and for names that are no modality; TypeError for a bare
    string, which would be read letter by letter.
    """
    if modalities is None:
        return world_modalities
    if isinstance(modalities, str):
        raise TypeError(f"modalities is the text {modalities!r}; give a tuple: ({modalities!r},)")
    wanted = tuple(modalities)
    refuse_strange(wanted, world_modalities)
    return tuple(name for name in world_modalities if name in wanted)


def checked_inputs(
    inputs: Mapping[str, Floats], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Floats]:
    """The inputs as float64 [n, *shape], in the world's order, all of the same n.

    Raises ValueError for an empty mapping, a name that is no modality, a shape that is not the
    world's, lengths that differ, and values that are NaN, infinite or beyond 1e100.
    """
    names = chosen(inputs, tuple(shapes))
    found = {name: np.asarray(inputs[name], dtype=np.float64) for name in names}
    n = len(found[names[0]]) if found[names[0]].ndim else 0
    for name, x in found.items():
        if x.shape != (n, *shapes[name]):
            wanted = ", ".join(str(size) for size in ("n", *shapes[name]))
            raise ValueError(
                f"modality {name!r} has shape {x.shape}; it has to be [{wanted}], with the same n "
                "for every modality"
            )
        strange = ~(np.abs(x) <= _LARGEST)  # also where they are NaN
        if strange.any():
            row = int(np.argwhere(strange)[0, 0])
            raise ValueError(
                f"modality {name!r} is NaN or infinite in sample {row}, or beyond {_LARGEST:g}; a "
                "world's posterior reads numbers: leave the modality out where it is missing"
            )
    return found


def checked_priors(priors: Sequence[float] | Floats, classes: int) -> Floats:
    """The priors as float64 [classes].

    Raises ValueError where there is not one for each class, one is not above 0, or they do not sum
    to 1 within 1e-9.
    """
    p = np.asarray(priors, dtype=np.float64)
    if p.shape != (classes,):
        raise ValueError(f"priors have shape {p.shape}; {classes} classes need ({classes},)")
    if not (np.isfinite(p) & (p > 0)).all():
        raise ValueError(f"priors are {p.tolist()}; every class has to occur: each above 0")
    if abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"priors sum to {p.sum()}; they have to sum to 1: divide them by the sum")
    return p


def checked_count(name: str, value: int, least: int, most: int | None = None) -> int:
    """A whole number in least..most (None: no upper limit).

    Raises TypeError where it is no whole number, ValueError where it is out of range.
    """
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it has to be a whole number") from None
    if count < least or (most is not None and count > most):
        allowed = f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"{name} is {count}; allowed is {allowed}")
    return count


def refuse_infinite(name: str, value: object) -> None:
    """Raise TypeError where a setting is no number, ValueError where it is not below 1e100 in size.

    Below, its square is finite.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}; it has to be a number")
    if not abs(value) < _LARGEST:  # also where it is NaN
        raise ValueError(f"{name} is {value}; it has to be finite and below {_LARGEST:g} in size")


def refuse_no_numbers(name: str, values: object) -> None:
    """`refuse_infinite` for each of several; TypeError where they are no tuple."""
    if not isinstance(values, tuple):
        raise TypeError(f"{name} is {values!r}; it has to be a tuple of numbers, such as (1.0,)")
    for at, value in enumerate(values):
        refuse_infinite(f"{name}[{at}]", value)


def refuse_unequal_copies(copies: Mapping[str, Floats], beside: Floats | float = 0.0) -> None:
    """Raise ValueError where modalities that see one thing, each as [n, d], do not see the same.

    Copies may differ by 1e-4 of their size (at least of 1), and by 1e-6 of the numbers `beside`
    them, [n], that they were read from: single precision is enough.
    """
    first, *others = copies
    for name in others:
        apart = np.abs(copies[name] - copies[first])
        allowed = 1e-4 * np.maximum(1.0, np.abs(copies[first]))
        allowed = np.maximum(allowed, 1e-6 * np.reshape(beside, (-1, 1)))
        strange = (apart > allowed).any(axis=1)
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            raise ValueError(
                f"modalities {first!r} and {name!r} see the same quantity but differ by "
                f"{apart[row].max():.3g} in sample {row}; this world does not produce such a row: "
                "give modalities of one sample, unperturbed"
            )


def numbered(count: int) -> tuple[str, ...]:
    """The names ("x1", "x2", …) of `count` modalities, the teacher's first."""
    return tuple(f"x{at}" for at in range(1, count + 1))


__all__ = [
    "checked_count",
    "checked_inputs",
    "checked_priors",
    "chosen",
    "numbered",
    "refuse_infinite",
    "refuse_no_numbers",
    "refuse_strange",
    "refuse_unequal_copies",
]
