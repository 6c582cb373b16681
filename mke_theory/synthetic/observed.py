"""Worlds seen through a camera: a modality is shown as a long vector or as an image.

A view is a fixed, smooth, injective map from the numbers of a modality to what is shown, without
noise. Nothing is lost in it, so posterior and Bayes errors are those of the world behind. A view
can be undone exactly, and a sample that it does not show is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from mke_theory.synthetic.checks import checked_count, checked_inputs, refuse_strange
from mke_theory.synthetic.world import Draw, Exact, Floats, World

MOST_NUMBERS = 65_536
"""A view that shows more numbers a sample is refused."""

LARGEST_LIFT = 2_048
"""A rotation in more dimensions is refused."""

_TOLERANCE = 1e-3
"""A sample further than this from what a view shows, in units of its largest number, is refused."""

_BLUR = 0.02
"""A number that rounding to single precision would move by more is not read from a view."""


class View(Protocol):
    """A map from d numbers to what is shown; `modality` is the one it shows."""

    @property
    def modality(self) -> str: ...

    def shape(self, numbers: int) -> tuple[int, ...]:
        """The shape of what is shown; ValueError where it cannot hold that many numbers."""
        ...

    def show(self, x: Floats) -> Floats:
        """[n, d] to [n, *shape]."""
        ...

    def undo(self, shown: Floats, numbers: int) -> Floats:
        """[n, *shape] to [n, d]; exact up to rounding for what `show` has made.

        NaN where single precision, which a task holds, would not tell the number to 0.02.
        """
        ...


@dataclass(frozen=True)
class Lifted:
    """A surface in `size` dimensions, curled up by two rounds of waves and turned at random.

    x is laid out as two halves (a, b) = s x L with orthonormal rows of L and s = `linear`, then
    a ← a + sin(bW + c), b ← b + sin(aV + e), and the whole is rotated: a small linear part under
    waves of height 1, which can be taken off in reverse. `bend` is the spread of the waves'
    arguments for x of length 1. The larger it is, the smaller s, and the fewer the dimensions for
    each number of x, the less a linear map of what is shown knows of x; one number in many
    dimensions is always read with ease.
    """

    modality: str
    size: int = 64
    linear: float = 0.2
    bend: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        checked_count("size", self.size, 2, LARGEST_LIFT)
        for name in ("linear", "bend"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; it has to be positive and finite"
                )
        # Both waves turn a rounding of a into one of b and back, then the layout is stretched.
        waves = max(1.0, self.bend) * max(1.0, self.bend / self.linear)
        blur = np.finfo(np.float32).eps / 2 * self.size * waves / self.linear
        if blur > _BLUR:
            raise ValueError(
                f"linear is {self.linear} and bend {self.bend}; at size {self.size} rounding to "
                f"single precision may move a number by {blur:.2g}, more than {_BLUR}: raise "
                "linear, or lower bend"
            )

    def shape(self, numbers: int) -> tuple[int, ...]:
        if self.size < numbers:
            raise ValueError(f"size is {self.size}; {numbers} numbers need at least {numbers}")
        return (self.size,)

    def show(self, x: Floats) -> Floats:
        lift = _lift(self.seed, x.shape[1], self.size)
        a, b = np.split(self.linear * x @ lift.layout, [self.size // 2], axis=1)
        a = a + np.sin(self.bend / self.linear * b @ lift.first + lift.phases[: self.size // 2])
        b = b + np.sin(self.bend * a @ lift.second + lift.phases[self.size // 2 :])
        return np.concatenate([a, b], axis=1) @ lift.rotation

    def undo(self, shown: Floats, numbers: int) -> Floats:
        lift = _lift(self.seed, numbers, self.size)
        a, b = np.split(shown @ lift.rotation.T, [self.size // 2], axis=1)
        b = b - np.sin(self.bend * a @ lift.second + lift.phases[self.size // 2 :])
        a = a - np.sin(self.bend / self.linear * b @ lift.first + lift.phases[: self.size // 2])
        return np.concatenate([a, b], axis=1) @ lift.layout.T / self.linear


@dataclass(frozen=True)
class Bumps:
    """A grey image [1, side, side · tiles]: in each tile a smooth bump whose place is two numbers.

    The first number moves the bump right, the second down, x/√(1 + x²) of `reach` of half a tile.
    An odd number at the end moves its bump right alone. `spread` is the bump's width in pixels.
    """

    modality: str
    side: int = 16
    reach: float = 0.6
    spread: float = 2.0

    def __post_init__(self) -> None:
        checked_count("side", self.side, 4)
        if not 0 < self.reach <= 1:
            raise ValueError(
                f"reach is {self.reach}; it has to lie in (0, 1], a share of half a tile"
            )
        if not 0.5 <= self.spread < np.inf:
            raise ValueError(
                f"spread is {self.spread}; below half a pixel a bump falls between the pixels"
            )

    def shape(self, numbers: int) -> tuple[int, ...]:
        return (1, self.side, self.side * math.ceil(numbers / 2))

    def show(self, x: Floats) -> Floats:
        columns, rows = x[:, 0::2], np.zeros((len(x), math.ceil(x.shape[1] / 2)))
        rows[:, : x.shape[1] // 2] = x[:, 1::2]
        across, down = (_ridge(v, self.side, self.reach, self.spread) for v in (columns, rows))
        tiles = down[:, :, :, None] * across[:, :, None, :]  # [n, tiles, side, side]
        return np.moveaxis(tiles, 1, 2).reshape(len(x), *self.shape(x.shape[1]))

    def undo(self, shown: Floats, numbers: int) -> Floats:
        tiles = shown.reshape(len(shown), self.side, math.ceil(numbers / 2), self.side)
        across, down = tiles.sum(axis=1), np.moveaxis(tiles.sum(axis=3), 1, 2)
        x = np.zeros((len(shown), 2 * tiles.shape[2]))
        x[:, 0::2] = _place(across, self.reach, self.spread)
        x[:, 1::2] = _place(down, self.reach, self.spread)
        return x[:, :numbers]


@dataclass(frozen=True)
class Observed:
    """A world seen through views; modalities without a view are shown as they are.

    Raises ValueError where a view names no modality, two name one, or one cannot hold its numbers;
    MemoryError where a view shows more than 65,536 numbers a sample.
    """

    world: World
    views: tuple[View, ...]

    def __post_init__(self) -> None:
        names = [view.modality for view in self.views]
        refuse_strange(names, self.world.modalities)
        if len(set(names)) < len(names):
            raise ValueError(f"views are of {names}; one modality has one view")
        for view in self.views:
            shape = view.shape(self._numbers(view.modality))
            if math.prod(shape) > MOST_NUMBERS:
                raise MemoryError(
                    f"a view of {view.modality!r} shows {shape}, {math.prod(shape):,} numbers a "
                    f"sample; the limit is {MOST_NUMBERS:,}: make it smaller"
                )

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.world.modalities

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        seen = {view.modality: view.shape(self._numbers(view.modality)) for view in self.views}
        return {**self.world.shapes, **seen}

    @property
    def classes(self) -> int:
        return self.world.classes

    @property
    def priors(self) -> Floats:
        return self.world.priors

    def sample(self, n: int, rng: np.random.Generator) -> Draw:
        draw = self.world.sample(n, rng)
        return Draw(self.shown(draw.inputs), draw.labels)

    def posterior(self, inputs: Mapping[str, Floats]) -> Floats:
        """The posterior of the world at what the inputs show.

        Raises ValueError where a sample is none that the view shows, to a thousandth.
        """
        return self.world.posterior(self.behind(inputs))

    def bayes_error(self, modalities: tuple[str, ...] | None = None) -> Exact:
        """As in the world behind: the views are injective."""
        return self.world.bayes_error(modalities)

    def shown(self, inputs: Mapping[str, Floats]) -> dict[str, Floats]:
        """Samples of the world as the views show them."""
        seen = dict(checked_inputs(inputs, self.world.shapes))
        for view in self.views:
            if view.modality in seen:
                x = seen[view.modality]
                seen[view.modality] = view.show(x.reshape(len(x), self._numbers(view.modality)))
        return seen

    def behind(self, inputs: Mapping[str, Floats]) -> dict[str, Floats]:
        """The samples of the world behind what is shown: `shown` undone."""
        found = dict(checked_inputs(inputs, self.shapes))
        for view in self.views:
            if view.modality in found:
                shown = found[view.modality]
                x = view.undo(shown, self._numbers(view.modality))
                _refuse_unseen(view, shown, x)
                found[view.modality] = x.reshape(len(x), *self.world.shapes[view.modality])
        return found

    def _numbers(self, modality: str) -> int:
        return math.prod(self.world.shapes[modality])


def _refuse_unseen(view: View, shown: Floats, x: Floats) -> None:
    if len(x) == 0:
        return
    unread = ~np.isfinite(x).all(axis=1)
    if unread.any():
        row = int(np.flatnonzero(unread)[0])
        raise ValueError(
            f"modality {view.modality!r} of sample {row} cannot be read: {type(view).__name__} "
            "shows no such sample, or a number too large for single precision; give clean samples "
            "of a world whose numbers are of size 1"
        )
    again = view.show(x)
    off = np.abs(again - shown).reshape(len(shown), -1).max(axis=1)
    if off.max() > _TOLERANCE * np.abs(shown).max():
        row = int(off.argmax())
        raise ValueError(
            f"modality {view.modality!r} of sample {row} is off by {off[row]:.2g} from anything "
            f"that {type(view).__name__} shows; a world's posterior reads clean samples only"
        )


@dataclass(frozen=True)
class _Lift:
    """The random numbers of a `Lifted`; both matrices make waves' arguments of spread about 1."""

    layout: Floats
    first: Floats
    second: Floats
    phases: Floats
    rotation: Floats


@lru_cache(maxsize=16)
def _lift(seed: int, numbers: int, size: int) -> _Lift:
    rng = np.random.default_rng(seed)
    half = size // 2
    return _Lift(
        layout=np.linalg.qr(rng.normal(size=(size, numbers)))[0].T,
        first=rng.normal(size=(size - half, half)) * np.sqrt(2),
        second=rng.normal(size=(half, size - half)) * np.sqrt(2 / half),
        phases=rng.uniform(0, 2 * np.pi, size),
        rotation=np.linalg.qr(rng.normal(size=(size, size)))[0],
    )


def _ridge(x: Floats, cells: int, reach: float, spread: float) -> Floats:
    """exp(−(u − p)²/2 spread²) at u = 0..cells − 1, p = middle + reach · half · x/√(1 + x²).

    x [..., d] gives [..., d, cells].
    """
    half = (cells - 1) / 2
    place = half + reach * half * x / np.sqrt(1 + x**2)
    return np.exp(-((np.arange(cells) - place[..., None]) ** 2) / (2 * spread**2))


def _place(ridge: Floats, reach: float, spread: float) -> Floats:
    """Undo `_ridge`, whatever the height of the ridge: [..., d, cells] to [..., d].

    log ridge(u + 1) − log ridge(u) = (p − u − 1/2)/spread², read where the ridge is highest.
    """
    half = (ridge.shape[-1] - 1) / 2
    at = np.minimum(ridge.argmax(axis=-1), ridge.shape[-1] - 2)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.log(
            np.take_along_axis(ridge, at + 1, axis=-1) / np.take_along_axis(ridge, at, axis=-1)
        )[..., 0]
        unit = spread**2 / (reach * half)
        bent = rise * unit + (at[..., 0] + 0.5 - half) / (reach * half)
        x = bent / np.sqrt(1 - bent**2)
        # dx/d bent = (1 + x²)^(3/2); `rise` is the difference of two logarithms, each half a unit.
        blurred = np.finfo(np.float32).eps * unit * (1 + x**2) ** 1.5 > _BLUR
        return np.where(blurred, np.nan, x)
