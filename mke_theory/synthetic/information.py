"""What the modalities of a finite world know of the class, in nats, and how two of them share it.

I(x_S; y) for every set S of modalities is a sum. For two sources it splits into four parts that are
not negative, redundancy R, unique U_α and U_β, synergy S, with

    R + U_α = I(α; y),   R + U_β = I(β; y),   R + U_α + U_β + S = I(α, β; y),

once one of them is defined. Two definitions are here. "broja": R + U_α + U_β is the least I_Q(α, β;
y) among all Q with P's own (α, y) and (β, y): what is there however the two are joined. "imin": R
is the least specific information, Σ_y P(y) min_i I(y; x_i); in closed form, and for copies of
different bits it calls redundant what is merely of equal size.

The first is a convex programme, H(y) − max_Q H_Q(y | α, β), solved along a central path. Its dual
certifies the answer: with λ(y, α), μ(y, β) such that Σ_y exp(λ + μ) ≤ 1 for all (α, β),

    E_P[λ] + E_P[μ] ≤ −H_Q(y | α, β) for every Q.

On the path of the barrier −τ Σ P(α | y) P(β | y) P(y) log Q both sides differ by τ.
Ref: bertschinger2014quantifying; makkeh2017bivariate; williams2010nonnegative.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import xlogy

from mke_theory.synthetic.checks import chosen, refuse_strange
from mke_theory.synthetic.discrete import Discrete
from mke_theory.synthetic.world import Floats, Ints

Measure = Literal["broja", "imin"]
MOST_CELLS = 1_000
"""The convex programme is refused for more cells (y, α, β) that can occur."""

_WANTED_GAP = 1e-9
_LARGEST_GAP = 1e-6
_MOST_STEPS = 400


@dataclass(frozen=True)
class Decomposition:
    """I(α, β; y) in four parts, in nats, each ≥ 0.

    `gap` bounds how far each is from its exact value (0: closed form). Divide by log 2 for bits.
    """

    redundancy: float
    unique_alpha: float
    unique_beta: float
    synergy: float
    gap: float
    measure: Measure

    @property
    def total(self) -> float:
        """I(α, β; y)."""
        return self.redundancy + self.unique_alpha + self.unique_beta + self.synergy


def entropy(p: Floats) -> float:
    """−Σ p log p of a table of probabilities of any shape."""
    return float(-xlogy(p, p).sum())


def information(world: Discrete, modalities: Iterable[str] | None = None) -> float:
    """I(x_S; y) of the named modalities; None means all of them."""
    joint = world.marginal(chosen(modalities, world.modalities))
    return max(0.0, entropy(world.priors) + entropy(joint.sum(axis=0)) - entropy(joint))


def informations(world: Discrete) -> dict[tuple[str, ...], float]:
    """I(x_S; y) for every non-empty set S of modalities, the smaller sets first."""
    names = world.modalities
    sets = (s for size in range(1, len(names) + 1) for s in combinations(names, size))
    return {s: information(world, s) for s in sets}


def conditional_information(
    world: Discrete, modalities: tuple[str, ...], given: tuple[str, ...]
) -> float:
    """I(x_S; y | x_T) = I(x_S, x_T; y) − I(x_T; y): what S adds to T."""
    return max(0.0, information(world, (*modalities, *given)) - information(world, given))


def co_information(world: Discrete) -> float:
    """Σ_S (−1)^(|S| + 1) I(x_S; y) over the non-empty sets S of modalities.

    For two modalities I(α; y) + I(β; y) − I(α, β; y) = R − S: positive where they repeat each
    other, negative where it takes both. For more, shared and synergistic parts mix with both signs.
    """
    return sum(-((-1.0) ** len(s)) * value for s, value in informations(world).items())


def decomposition(
    world: Discrete,
    alpha: tuple[str, ...] | None = None,
    beta: tuple[str, ...] | None = None,
    *,
    measure: Measure = "broja",
) -> Decomposition:
    """R, U_α, U_β and S of two sources; each is one modality, or several taken together.

    None stands for the first and the second modality of a world of two. Raises ValueError where
    there are more and the sources are not named, or they overlap; MemoryError where the programme
    has more than 1,000 cells; ArithmeticError where its gap stays above 1e-6, as it can where some
    values have a probability below 1e-40 or so.
    """
    if measure not in ("broja", "imin"):
        raise ValueError(f"measure is {measure!r}; choose broja or imin")
    p = _two_sources(world, alpha, beta)
    of_alpha, of_beta = _information(p.sum(axis=2)), _information(p.sum(axis=1))
    both = _information(p.reshape(len(p), -1))
    if measure == "imin":
        redundancy, gap = _specific_redundancy(p), 0.0
        union = of_alpha + of_beta - redundancy
    else:
        highest, lowest = _least_union(p)
        union, gap = highest, abs(highest - lowest)
    # Both measures have all parts ≥ 0; rounding, and the gap, may have left them a little below.
    union = float(min(max(union, of_alpha, of_beta), both, of_alpha + of_beta))
    return Decomposition(
        redundancy=of_alpha + of_beta - union,
        unique_alpha=union - of_beta,
        unique_beta=union - of_alpha,
        synergy=both - union,
        gap=gap,
        measure=measure,
    )


def _two_sources(
    world: Discrete, alpha: tuple[str, ...] | None, beta: tuple[str, ...] | None
) -> Floats:
    """P(y, α, β), [classes, values of α, values of β]; several modalities count as one."""
    if alpha is None and beta is None and len(world.modalities) == 2:
        alpha, beta = world.modalities[:1], world.modalities[1:]
    if alpha is None or beta is None:
        raise ValueError(
            f"the parts are defined for two sources and the world has {list(world.modalities)}; "
            "name alpha and beta, each one modality or several taken together, or read "
            "informations() and co_information()"
        )
    for names in (alpha, beta):
        refuse_strange(names, world.modalities)
    alpha, beta = chosen(alpha, world.modalities), chosen(beta, world.modalities)
    if set(alpha) & set(beta):
        raise ValueError(f"{sorted(set(alpha) & set(beta))} is in both sources")
    joint = world.marginal((*alpha, *beta))
    kept = chosen((*alpha, *beta), world.modalities)
    order = [0, *(1 + kept.index(name) for name in (*alpha, *beta))]
    ordered = joint.transpose(order)
    values = int(np.prod(ordered.shape[1 : 1 + len(alpha)]))
    return ordered.reshape(len(joint), values, -1)


def _information(joint: Floats) -> float:
    """I(y; x) of P(y, x), [classes, values]."""
    parts = entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint)
    return max(0.0, parts)


def _specific_redundancy(p: Floats) -> float:
    """Σ_y P(y) min over the sources of Σ_x P(x | y) log(P(y | x)/P(y))."""
    prior = p.sum(axis=(1, 2))
    specific = []
    for joint in (p.sum(axis=2), p.sum(axis=1)):
        x = joint.sum(axis=0)
        expected = prior[:, None] * x
        ratio = np.divide(joint, expected, out=np.ones_like(joint), where=expected > 0)
        specific.append(xlogy(joint, ratio).sum(axis=1))
    return float(np.minimum(*specific).sum())


# The convex programme


@dataclass(frozen=True)
class _Programme:
    """min Σ q log(q/q(α, β)) over q ≥ 0 with the sums of P, over the n cells that may be positive.

    `start` [n] is P(α | y) P(β | y) P(y), inside. `pair` [n] numbers (α, β) and `light` [pairs] is
    the smaller of P(α) and P(β). `sums` [c, n] makes the sums `wanted` [c]: P(y, α) and P(y, β).
    """

    start: Floats
    pair: Ints
    light: Floats
    sums: Floats
    wanted: Floats

    def conditional(self, q: Floats) -> Floats:
        """Q(y | α, β) of every cell."""
        return q / np.bincount(self.pair, q)[self.pair]

    def value(self, q: Floats) -> float:
        """−H_Q(y | α, β)."""
        return float(q @ np.log(self.conditional(q)))

    def barrier(self, q: Floats, tau: float) -> float:
        """What a step lowers: value(q) − τ Σ start log q."""
        return self.value(q) - tau * float(self.start @ np.log(q))

    def lower(self, dual: Floats) -> float:
        """What the dual certifies, once every Σ_y exp(λ + μ) is at most 1.

        Where it is more, λ(·, α) or μ(·, β) is lowered by its logarithm, whichever costs less; to
        charge that for every (α, β) is enough.
        """
        exponent = np.minimum(self.sums.T @ dual, 100.0)
        excess = np.log(np.maximum(np.bincount(self.pair, np.exp(exponent)), 1.0))
        return float(self.wanted @ dual - self.light @ excess)


def _least_union(p: Floats) -> tuple[float, float]:
    """(value at a feasible Q, a certified lower bound) of min_Q I_Q(α, β; y)."""
    programme = _programme(p)
    base = entropy(p.sum(axis=(1, 2)))
    q, tau, best, gap = programme.start, 0.1, -np.inf, np.inf
    for _ in range(_MOST_STEPS):
        try:
            q, dual, decrement = _step(programme, q, tau)
        except np.linalg.LinAlgError:
            break
        if decrement < 1e-3 * tau:
            best = max(best, programme.lower(dual))
            gap = programme.value(q) - best
            if tau <= _WANTED_GAP:
                break
            tau *= 0.2
    off = float(np.abs(programme.sums @ q - programme.wanted).max())
    if not (abs(gap) <= _LARGEST_GAP and off <= _LARGEST_GAP):
        raise ArithmeticError(
            f"the programme ended {gap:.2g} nats from its bound and {off:.2g} from the sums of P, "
            f"more than {_LARGEST_GAP:g}; leave out values whose probability is next to 0"
        )
    return base + programme.value(q), base + best


def _programme(p: Floats) -> _Programme:
    with_alpha, with_beta = p.sum(axis=2), p.sum(axis=1)
    y, a, b = np.nonzero((with_alpha > 0)[:, :, None] & (with_beta > 0)[:, None, :])
    if len(y) > MOST_CELLS:
        raise MemoryError(
            f"the programme has {len(y):,} cells; the limit is {MOST_CELLS:,}: use fewer values, "
            "or the measure imin"
        )
    start = with_alpha[y, a] * with_beta[y, b] / p.sum(axis=(1, 2))[y]
    if not start.min() > 1e-200:
        raise ArithmeticError(
            f"P(α | y) P(β | y) P(y) is {start.min():.2g} somewhere; leave out values whose "
            "probability is next to 0"
        )
    pairs, pair = np.unique(np.stack([a, b]), axis=1, return_inverse=True)
    light = np.minimum(with_alpha.sum(axis=0)[pairs[0]], with_beta.sum(axis=0)[pairs[1]])
    rows, wanted = [], []
    for k in range(len(p)):
        rows += [(y == k) & (a == v) for v in np.flatnonzero(with_alpha[k])]
        wanted += [x for x in with_alpha[k] if x > 0]
        # The sums over α and over β have one total: the largest of them follows from the others.
        largest = with_beta[k].argmax()
        others = [v for v in np.flatnonzero(with_beta[k]) if v != largest]
        rows += [(y == k) & (b == v) for v in others]
        wanted += [with_beta[k, v] for v in others]
    return _Programme(
        start=start,
        pair=pair,
        light=light,
        sums=np.array(rows, dtype=np.float64),
        wanted=np.array(wanted),
    )


def _step(programme: _Programme, q: Floats, tau: float) -> tuple[Floats, Floats, float]:
    """(q after a Newton step down the barrier function, the multipliers, the decrement before it).

    In units of √q the Hessian is diag(1 + τ start/q) less √q √qᵀ/q(α, β) within each pair. Its
    smallest eigenvalues are of size τ, along (α, β): only the sums hold these, so that both are
    solved for together.
    """
    n, root, weight = len(q), np.sqrt(q), tau * programme.start / q
    gradient = root * (np.log(programme.conditional(q)) - weight)
    same = programme.pair[:, None] == programme.pair
    hessian = np.diag(1 + weight) - same * np.outer(programme.conditional(q) / root, root)
    scale = np.sqrt(programme.wanted)
    A = programme.sums * root / scale[:, None]
    system = np.block([[hessian, A.T], [A, np.zeros((len(A), len(A)))]])
    right = np.concatenate([-gradient, (programme.wanted - programme.sums @ q) / scale])
    solved = np.linalg.solve(system, right).astype(np.float64)
    move, dual = solved[:n] / root, -solved[n:] / scale
    length = _length(programme, q, move, tau)
    return q * (1 + length * move), dual, float(solved[:n] @ hessian @ solved[:n])


def _length(programme: _Programme, q: Floats, move: Floats, tau: float) -> float:
    """How far to go along q · move: inside, and not up the barrier function."""
    length, here = min(1.0, 0.95 / max(float(-move.min()), 1e-9)), programme.barrier(q, tau)
    while length > 1e-6 and programme.barrier(q * (1 + length * move), tau) > here + 1e-13:
        length /= 2
    return length
