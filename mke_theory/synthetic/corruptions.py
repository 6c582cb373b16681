"""What goes wrong with pairs: strangers paired, modalities missing, D_u and test shifted.

Each corruption acts on any world, in this order: other priors, moved inputs, mismatched pairs,
missing modalities. What becomes of the exact errors, with R*(m) the Bayes error on modalities m:

- moved inputs: posterior(x) becomes posterior(x − δ), and R* stays; a rule learned before the move
  does worse (`Shifted` is a world of its own).
- other priors π': P'(k | x) ∝ P(k | x) π'_k/π_k, and R*' = 1 − E max_k P(k | x) π'_k/π_k with the
  mean over the old world (`reweighted`); `discrete.with_priors` has it in closed form.
- mismatched share s: P' = (1 − s) P(α, β, y) + s P(α, y) P(β), so that
  (1 − s) R*(α, β) + s R*(α) ≤ R*' ≤ R*(α); `mismatched_posterior`, and `discrete.mismatched` for
  the exact R*'. The lower end is what one has who sees which pairs are wrong.
- missing shares: the mean of R* over what is left of a sample (`missing_bayes_error`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from mke_theory.data.rng import seed_for
from mke_theory.synthetic.checks import (
    checked_count,
    checked_priors,
    chosen,
    refuse_no_numbers,
    refuse_no_posterior,
    refuse_strange,
)
from mke_theory.synthetic.world import Draw, Exact, Floats, World

Part = Literal["unlabelled", "test", "both"]
_LARGEST_ODDS = 1000.0
"""Resampling that keeps fewer than one draw in a thousand is refused."""


@dataclass(frozen=True)
class Shift:
    """A displacement of one modality: one number for all its coordinates, or one for each."""

    modality: str
    by: tuple[float, ...]

    def __post_init__(self) -> None:
        refuse_no_numbers("by", self.by)
        if not self.by:
            raise ValueError("by is empty; give one number, or one for each coordinate")


@dataclass(frozen=True)
class MissingShare:
    """A modality that a share in [0, 1) of the samples of D_u lack."""

    modality: str
    share: float

    def __post_init__(self) -> None:
        _refuse_share("share", self.share, 1.0)


@dataclass(frozen=True)
class Shifted:
    """A world whose inputs are moved; itself a world, with the same Bayes errors."""

    world: World
    shifts: tuple[Shift, ...]

    def __post_init__(self) -> None:
        for shift in self.shifts:
            refuse_strange([shift.modality], self.world.modalities)
            numbers = math.prod(self.world.shapes[shift.modality])
            if len(shift.by) not in (1, numbers):
                raise ValueError(
                    f"by has {len(shift.by)} numbers; modality {shift.modality!r} needs 1 or "
                    f"{numbers}"
                )

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.world.modalities

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self.world.shapes

    @property
    def classes(self) -> int:
        return self.world.classes

    @property
    def priors(self) -> Floats:
        return self.world.priors

    def sample(self, n: int, rng: np.random.Generator) -> Draw:
        draw = self.world.sample(n, rng)
        return replace(draw, inputs=self._moved(draw.inputs, 1.0))

    def posterior(self, inputs: Mapping[str, Floats]) -> Floats:
        """The posterior of the world at x − δ."""
        refuse_strange(inputs, self.modalities)
        return self.world.posterior(self._moved(inputs, -1.0))

    def bayes_error(self, modalities: tuple[str, ...] | None = None) -> Exact:
        """As in the world: moving is undone by moving back."""
        return self.world.bayes_error(modalities)

    def _moved(self, inputs: Mapping[str, Floats], sign: float) -> dict[str, Floats]:
        moved = dict(inputs)
        for shift in self.shifts:
            if shift.modality in moved:
                shape = self.shapes[shift.modality] if len(shift.by) > 1 else ()
                moved[shift.modality] = moved[shift.modality] + sign * np.reshape(shift.by, shape)
        return moved


@dataclass(frozen=True)
class Corruptions:
    """What happens to D_u, and, for shifts and priors, to test: nothing, by default.

    mismatched: the share of pairs of D_u in which all modalities but the teacher's come from
        another of these samples; exactly round(share · n) of them, none its own.
    missing: modalities that exactly round(share · n) samples of D_u lack (NaN), independently of
        everything; never the teacher's, which has to see every sample.
    shifts, priors: displacements, and P(y) other than the world's, in the parts `shifted` names.

    Raises ValueError where a share is out of range or a modality is named twice.
    """

    mismatched: float = 0.0
    missing: tuple[MissingShare, ...] = ()
    shifts: tuple[Shift, ...] = ()
    priors: tuple[float, ...] | None = None
    shifted: Part = "both"

    def __post_init__(self) -> None:
        _refuse_share("mismatched", self.mismatched, 1.0, included=True)
        for names in ([m.modality for m in self.missing], [s.modality for s in self.shifts]):
            if len(set(names)) < len(names):
                raise ValueError(f"a modality is named twice: {names}")
        if self.shifted not in ("unlabelled", "test", "both"):
            raise ValueError(f"shifted is {self.shifted!r}; choose unlabelled, test or both")

    def refuse_unfit(self, world: World, teacher_modalities: tuple[str, ...]) -> None:
        """Raise ValueError where the corruption cannot be carried out on the world."""
        Shifted(world, self.shifts)
        for lacking in self.missing:
            refuse_strange([lacking.modality], world.modalities)
            if lacking.modality in teacher_modalities:
                raise ValueError(
                    f"modality {lacking.modality!r} is the teacher's and cannot be missing: it "
                    "labels every sample of D_u"
                )
        if self.priors is not None:
            _odds(world, self.priors)
        if self.mismatched and set(teacher_modalities) >= set(world.modalities):
            raise ValueError("the teacher reads every modality; there is none left to mismatch")

    def unlabelled(
        self, world: World, n: int, teacher_modalities: tuple[str, ...], seed: int
    ) -> Draw:
        """Samples of D_u; labels are those of the teacher's modalities."""
        self.refuse_unfit(world, teacher_modalities)
        draw = self._drawn(world, n, seed, here=self.shifted != "test")
        draw = mismatch(draw, self.mismatched, teacher_modalities, seed_for(seed, "mismatched"))
        for lacking in self.missing:
            draw = lose(draw, lacking, seed_for(seed, "missing", lacking.modality))
        return draw

    def test(self, world: World, n: int, seed: int) -> Draw:
        """Samples of the test part."""
        return self._drawn(world, n, seed, here=self.shifted != "unlabelled")

    def _drawn(self, world: World, n: int, seed: int, *, here: bool) -> Draw:
        rng = np.random.default_rng(seed)
        if not here:
            return world.sample(n, rng)
        moved = Shifted(world, self.shifts) if self.shifts else world
        if self.priors is None:
            return moved.sample(n, rng)
        return resample(moved, self.priors, n, rng)


# On draws


def mismatch(draw: Draw, share: float, teacher_modalities: tuple[str, ...], seed: int) -> Draw:
    """The draw with round(share · n) pairs whose β comes from another of these samples.

    The chosen samples stand in a ring, in random order, and each takes the β of the next: all
    modalities but the teacher's together, and none its own. Labels stay with α.

    Raises ValueError where share is outside [0, 1] or exactly one sample would be chosen.
    """
    _refuse_share("mismatched", share, 1.0, included=True)
    refuse_strange(teacher_modalities, tuple(draw.inputs))
    count = round(share * len(draw))
    if count == 0:
        return draw
    if count == 1:
        raise ValueError(
            f"mismatched is {share}, one pair of {len(draw)}: it takes two to swap; raise the "
            "share or draw more"
        )
    ring = np.random.default_rng(seed).choice(len(draw), count, replace=False)
    source = np.arange(len(draw))
    source[ring] = np.roll(ring, 1)
    inputs = {
        name: x if name in teacher_modalities else x[source] for name, x in draw.inputs.items()
    }
    return Draw(inputs, draw.labels)


def lose(draw: Draw, lacking: MissingShare, seed: int) -> Draw:
    """The draw with exactly round(share · n) samples whose modality is NaN throughout."""
    refuse_strange([lacking.modality], tuple(draw.inputs))
    rows = np.random.default_rng(seed).choice(
        len(draw), round(lacking.share * len(draw)), replace=False
    )
    x = draw.inputs[lacking.modality].copy()
    x[rows] = np.nan
    return Draw({**draw.inputs, lacking.modality: x}, draw.labels)


def resample(world: World, priors: tuple[float, ...], n: int, rng: np.random.Generator) -> Draw:
    """Independent draws of the world in which P(y = k) is priors[k] and P(x | y) as it was.

    A draw of class k is kept with probability ∝ priors[k]/P(k). Raises ValueError where priors are
    none, or so far from the world's that fewer than one draw in a thousand is kept.
    """
    checked_count("n", n, 1)
    odds = _odds(world, priors)
    kept: list[Draw] = []
    wanted = n
    while wanted > 0:
        draw = world.sample(math.ceil(wanted * odds.max()) + 16, rng)
        rows = np.flatnonzero(rng.random(len(draw)) * odds.max() < odds[draw.labels])[:wanted]
        kept.append(Draw({name: x[rows] for name, x in draw.inputs.items()}, draw.labels[rows]))
        wanted -= len(rows)
    inputs = {name: np.concatenate([d.inputs[name] for d in kept]) for name in world.modalities}
    return Draw(inputs, np.concatenate([d.labels for d in kept]))


# On exact errors


def reweighted(posterior: Floats, old: Floats, new: Floats) -> Floats:
    """P'(k | x) ∝ P(k | x) new_k/old_k, [n, classes]: the posterior under other priors.

    Raises ValueError where either are no priors, or rows of the posterior do not sum to 1.
    """
    refuse_no_posterior(posterior)
    k = posterior.shape[1]
    weighted = posterior * (checked_priors(new, k) / checked_priors(old, k))
    return weighted / weighted.sum(axis=1, keepdims=True)


def independence_ratio(
    world: World, inputs: Mapping[str, Floats], teacher_modalities: tuple[str, ...]
) -> Floats:
    """p(α, β)/(p(α) p(β)) = Σ_k P(k | α) P(k | β)/P(k), [n], where α and β are free given y.

    Whether they are is the caller's to know; a world does not say.
    """
    alpha, beta = _parted(inputs, teacher_modalities)
    return (world.posterior(alpha) * world.posterior(beta) / world.priors).sum(axis=1)


def mismatched_posterior(
    world: World,
    inputs: Mapping[str, Floats],
    share: float,
    teacher_modalities: tuple[str, ...],
    ratio: Floats,
) -> Floats:
    """P'(y | α, β) ∝ (1 − s) r P(y | α, β) + s P(y | α), [n, classes], r = p(α, β)/(p(α) p(β)).

    `ratio` is r, [n]; `independence_ratio` has it where α and β are independent given y. A pair as
    likely together as apart (r = 1) is a mean of both posteriors with weights 1 − s and s.

    Raises ValueError where a ratio is negative, NaN or infinite, or 0 though no pair is mismatched.
    """
    _refuse_share("mismatched", share, 1.0, included=True)
    alpha, _ = _parted(inputs, teacher_modalities)
    right, alone, r = world.posterior(inputs), world.posterior(alpha), np.asarray(ratio)
    if r.shape != (len(right),):
        raise ValueError(f"ratio has shape {r.shape}; {len(right)} samples need ({len(right)},)")
    if not (np.isfinite(r) & (r >= 0)).all() or (share == 0 and (r == 0).any()):
        raise ValueError(
            f"ratios run from {r.min()} to {r.max()}; each is a ratio of densities: finite, at "
            "least 0, and above 0 where no pair is mismatched"
        )
    mixed = (1 - share) * r[:, None] * right + share * alone
    return mixed / mixed.sum(axis=1, keepdims=True)


def missing_bayes_error(world: World, missing: Iterable[MissingShare]) -> Exact:
    """Σ over what is left of a sample, of its probability times the Bayes error on it.

    Who decides sees what is missing, and it is missing independently of everything. A sample in
    which nothing is left is an error: at least one modality has to be missing nowhere.
    """
    lacking = tuple(missing)
    shares = {each.modality: each.share for each in lacking}
    if len(shares) < len(lacking):
        raise ValueError(f"a modality is named twice: {[each.modality for each in lacking]}")
    refuse_strange([*shares, *world.modalities], world.modalities)
    if len(shares) == len(world.modalities):
        raise ValueError("every modality can be missing; one has to be there in every sample")
    value, tolerance, methods = 0.0, 0.0, set()
    for pattern in product((True, False), repeat=len(shares)):
        gone = {name for name, is_gone in zip(shares, pattern, strict=True) if is_gone}
        weight = math.prod(shares[m] if m in gone else 1 - shares[m] for m in shares)
        left = chosen(set(world.modalities) - gone, world.modalities)
        exact = world.bayes_error(left)
        value, tolerance = value + weight * exact.value, tolerance + weight * exact.tolerance
        methods.add(exact.method)
    coarsest = next(m for m in ("quadrature", "enumeration", "closed form") if m in methods)
    return Exact(value, tolerance, coarsest)


def even_confusion(rates: Iterable[float]) -> Floats:
    """C[y, ỹ]: label y is kept but for rates[y], and the wrong label is even over the others.

    Raises ValueError for fewer than two rates, or one outside [0, 1].
    """
    a = np.array(list(rates), dtype=np.float64)
    if len(a) < 2 or not ((a >= 0) & (a <= 1)).all():
        raise ValueError(f"rates are {a.tolist()}; give at least two, each in [0, 1]")
    even = np.repeat(a[:, None] / (len(a) - 1), len(a), axis=1)
    return np.where(np.eye(len(a), dtype=bool), 1 - a[:, None], even)


def _parted(
    inputs: Mapping[str, Floats], teacher_modalities: tuple[str, ...]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    alpha = {name: x for name, x in inputs.items() if name in teacher_modalities}
    beta = {name: x for name, x in inputs.items() if name not in teacher_modalities}
    if not alpha or not beta:
        raise ValueError(
            f"inputs are {list(inputs)}, the teacher's {list(teacher_modalities)}; both sides of "
            "a pair are needed"
        )
    return alpha, beta


def _odds(world: World, priors: tuple[float, ...]) -> Floats:
    """priors[k]/P(k), each positive and at most a thousand."""
    odds = checked_priors(priors, world.classes) / world.priors
    if odds.max() > _LARGEST_ODDS:
        raise ValueError(
            f"priors {priors} are {odds.max():.0f} times the world's somewhere; at most "
            f"{_LARGEST_ODDS:.0f} times can be resampled: build the world with these priors"
        )
    return odds


def _refuse_share(name: str, share: float, most: float, *, included: bool = False) -> None:
    if not (0 <= share < most or (included and share == most)):
        allowed = f"[0, {most:g}]" if included else f"[0, {most:g})"
        raise ValueError(f"{name} is {share}; it has to lie in {allowed}")
