"""The Gaussian pair: a world of two numbers in which the student's error is a formula.

    y = ±1, P(y = 1) = π;   (t, b) | y ~ N(y m, R),  m = (m_t, m_b),  R = [[1, ρ], [ρ, 1]]

The teacher sees t (from α) and predicts ỹ = sign(t − θ). The student sees (t + σξ, b), ξ ~ N(0, 1):
noise on the teacher's modality alone. With equal odds, θ = 0 and ρ = 0 this is the world in which
perturbation can be seen to turn a copy of the teacher into the best classifier and beyond.

Derivation. Given y, Stein's lemma gives Cov((t, b), sign(t − θ)) = 2φ(θ − y m_t) R e₁, so

    c = Cov((t, b), ỹ) = C m + κ R e₁,   C = Cov(y, ỹ),   κ = E[2φ(θ − y m_t)]
    S = Cov((t + σξ, b)) = R + 4π(1 − π) m mᵀ + σ² e₁e₁ᵀ

and least squares on hard labels has w = S⁻¹ c. For equal odds and θ = 0 that reads κ = √(2/π)
exp(−m_t²/2), C = 1 − 2ε, c = (E|t|, m_b(1 − 2ε) + ρκ). Cross-entropy instead solves
E[x̃ tanh(w·x̃/2)] = c. `perturbation_law.best_noise` has the σ at which either is Bayes optimal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import logit, ndtr

from mke_theory.theory.graph import Floats, Ints

Knob = Literal["m_t", "m_b", "rho", "prior", "threshold", "sigma"]
MOST_CELLS = 1_000_000
"""A phase diagram with more cells is refused."""
_ROUNDING = 1e-12
"""More than the rounding error of a product of two numbers, or of a quantile."""

NODES = np.linspace(-9.0, 9.0, 721)
NODE_WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
"""E f(z) for z ~ N(0, 1) is NODE_WEIGHTS @ f(NODES); exact to rounding for smooth f."""


@dataclass(frozen=True)
class GaussianPair:
    """The world: m_t > 0 and m_b ≥ 0 in units of the spread within a class, |ρ| < 1, 0 < π < 1.

    `rho` is Cov(t, b | y), `prior` is π = P(y = 1), `threshold` the teacher's θ on t. (A negative
    m_b is the same world with b turned round, and ρ with it.)

    Raises ValueError where a number is outside its range.
    """

    m_t: float
    m_b: float
    rho: float = 0.0
    prior: float = 0.5
    threshold: float = 0.0

    def __post_init__(self) -> None:
        for name in ("m_t", "m_b", "rho", "prior", "threshold"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be finite")
        if not self.m_t > 0:
            raise ValueError(f"m_t is {self.m_t}; a teacher better than a coin has m_t > 0")
        if self.m_b < 0:
            raise ValueError(f"m_b is {self.m_b}; it has to be at least 0: turn b (and rho) round")
        if not abs(self.rho) < 1:
            raise ValueError(f"rho is {self.rho}; a correlation given y lies inside (-1, 1)")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior is {self.prior}; both classes have to occur: inside (0, 1)")

    @property
    def missed(self) -> float:
        """P(ỹ = −1 | y = 1) = Φ(θ − m_t)."""
        return float(ndtr(self.threshold - self.m_t))

    @property
    def false_alarms(self) -> float:
        """P(ỹ = 1 | y = −1) = Φ(−θ − m_t)."""
        return float(ndtr(-self.threshold - self.m_t))

    @property
    def teacher_error(self) -> float:
        """P(ỹ ≠ y); Φ(−m_t) for equal odds and θ = 0."""
        return self.prior * self.missed + (1 - self.prior) * self.false_alarms

    @property
    def variance(self) -> float:
        """Var y = 4π(1 − π)."""
        return 4 * self.prior * (1 - self.prior)

    @property
    def agreement(self) -> float:
        """C = Cov(y, ỹ) = Var y · (1 − missed − false alarms); 1 − 2ε for equal odds and θ = 0."""
        return self.variance * (1 - self.missed - self.false_alarms)

    @property
    def mean_label(self) -> float:
        """E ỹ, 0 for equal odds and θ = 0."""
        return 2 * (self.prior * (1 - self.missed) + (1 - self.prior) * self.false_alarms) - 1

    @property
    def density(self) -> float:
        """κ = 2 E[φ(θ − y m_t)]: twice the density of t at the teacher's threshold."""
        at = np.array([self.threshold - self.m_t, self.threshold + self.m_t])
        odds = np.array([self.prior, 1 - self.prior])
        return float(odds @ np.exp(-(at**2) / 2) * np.sqrt(2 / np.pi))

    @property
    def bayes_weights(self) -> tuple[float, float]:
        """R⁻¹m = (m_t − ρ m_b, m_b − ρ m_t)/(1 − ρ²): the direction of the best classifier."""
        rest = 1 - self.rho**2
        t, b = difference(self.m_t, self.rho * self.m_b), difference(self.m_b, self.rho * self.m_t)
        return t / rest, b / rest

    @property
    def separation(self) -> float:
        """The squared half distance of the classes, q = mᵀR⁻¹m; Bayes is Φ(−√q) for equal odds."""
        u, v = self.bayes_weights
        return u * self.m_t + v * self.m_b

    @property
    def bayes_error(self) -> float:
        """The error of the best classifier on (t, b)."""
        u, v = self.bayes_weights
        return LinearStudent(u, v, float(logit(self.prior)) / 2).error(self)


@dataclass(frozen=True)
class LinearStudent:
    """The classifier sign(w_t t + w_b b + intercept)."""

    w_t: float
    w_b: float
    intercept: float = 0.0

    def error(self, pair: GaussianPair) -> float:
        """P(f ≠ y) on clean input, Σ_y P(y) Φ(−(w·m + y·intercept)/√(wᵀRw)).

        Raises ValueError where all weights are 0: that is no classifier.
        """
        along = self.w_t * pair.m_t + self.w_b * pair.m_b
        spread = self.w_t**2 + self.w_b**2 + 2 * pair.rho * self.w_t * self.w_b
        if not spread > 0:
            raise ValueError("both weights are 0; a student that reads nothing has no threshold")
        wrong = ndtr(-np.array([along + self.intercept, along - self.intercept]) / np.sqrt(spread))
        return float(pair.prior * wrong[0] + (1 - pair.prior) * wrong[1])


def least_squares_student(pair: GaussianPair, sigma: float) -> LinearStudent:
    """The population minimiser of E(ỹ − w·(t + σξ, b) − w₀)², w = S⁻¹c (see the module).

    σ = 0 is no perturbation; as σ grows the student leaves t aside. Note that without noise least
    squares is already a little better than its teacher: it cannot copy a step exactly.

    Raises ValueError where sigma is negative or not finite.
    """
    _checked_sigma(sigma)
    m, r = np.array([pair.m_t, pair.m_b]), _covariance(pair, 0.0)
    c = pair.agreement * m + pair.density * r[0]
    w = np.linalg.solve(_covariance(pair, sigma) + pair.variance * np.outer(m, m), c)
    intercept = pair.mean_label - (2 * pair.prior - 1) * (w @ m)
    return LinearStudent(float(w[0]), float(w[1]), float(intercept))


def logistic_student(pair: GaussianPair, sigma: float) -> LinearStudent:
    """The population minimiser of cross-entropy on hard labels.

    With s = w·x̃ + w₀, s | y ~ N(y w·m + w₀, wᵀPw) and P = R + σ²e₁e₁ᵀ, it minimises
    E log 2cosh(s/2) − (w·E[x̃ỹ] + w₀ E ỹ)/2; expectations are by quadrature.

    Raises ValueError for sigma below 0.05: without noise the labels are separable and the weights
    grow without bound along t, an exact copy of the teacher. ArithmeticError without a minimum.
    """
    _checked_sigma(sigma)
    if sigma < 0.05:
        raise ValueError(
            f"sigma is {sigma}; below 0.05 cross-entropy copies the teacher and its weights grow "
            "without bound: read pair.teacher_error"
        )
    odds, sign = np.array([pair.prior, 1 - pair.prior]), np.array([1.0, -1.0])
    m, p = np.array([pair.m_t, pair.m_b]), _covariance(pair, sigma)
    c = pair.agreement * m + pair.density * _covariance(pair, 0.0)[0]
    wanted = np.append(c + (odds @ sign) * pair.mean_label * m, pair.mean_label)

    def loss(v: Floats) -> tuple[float, Floats]:
        w, reach = v[:2], np.sqrt(v[:2] @ p @ v[:2])
        s = (sign * (w @ m) + v[2])[:, None] + reach * NODES
        bent = np.tanh(s / 2)
        response, slope = bent @ NODE_WEIGHTS, (1 - bent**2) @ NODE_WEIGHTS / 2
        value = odds @ (np.logaddexp(s / 2, -s / 2) @ NODE_WEIGHTS) - v @ wanted / 2
        towards = np.append(m * (odds * sign @ response) + p @ w * (odds @ slope), odds @ response)
        return float(value), (towards - wanted) / 2

    start = least_squares_student(pair, sigma)
    first = 2 * np.array([start.w_t, start.w_b, start.intercept])
    found = minimize(loss, first, jac=True, method="BFGS", options={"gtol": 1e-9})
    if not np.abs(found.jac).max() < 1e-6:
        raise ArithmeticError(f"no minimum was found at sigma {sigma} for {pair}")
    return LinearStudent(*(float(x) for x in found.x))


def gain(pair: GaussianPair, sigma: float) -> float:
    """Teacher's error minus that of the least-squares student under noise σ; below 0 is a loss."""
    return pair.teacher_error - least_squares_student(pair, sigma).error(pair)


def phase_diagram(
    knobs: Mapping[Knob, ArrayLike], pair: GaussianPair, sigma: float = 0.0
) -> pd.DataFrame:
    """One row a cell of the grid over the knobs; all else is as in `pair` and `sigma`.

    Columns: every knob, then teacher_error, student_error (least squares), bayes_error and gain.
    The last knob named varies fastest.

    Raises ValueError for a knob that does not exist or has no values, and where a cell is no world;
    MemoryError beyond a million cells.
    """
    base = {name: getattr(pair, name) for name in ("m_t", "m_b", "rho", "prior", "threshold")}
    base["sigma"] = sigma
    grids = {str(name): np.asarray(grid, dtype=np.float64) for name, grid in knobs.items()}
    for name, grid in grids.items():
        if name not in base:
            raise ValueError(f"there is no knob {name!r}; there are {', '.join(base)}")
        if grid.ndim != 1 or grid.size == 0:
            raise ValueError(f"{name} has shape {grid.shape}; give a sequence of at least one")
    cells = int(np.prod([len(grid) for grid in grids.values()]))
    if cells > MOST_CELLS:
        raise MemoryError(f"the diagram has {cells:,} cells; the limit is {MOST_CELLS:,}: coarsen")
    rows = []
    for values in product(*grids.values()):
        cell = base | {name: float(x) for name, x in zip(grids, values, strict=True)}
        world = GaussianPair(**{name: x for name, x in cell.items() if name != "sigma"})
        error = least_squares_student(world, cell["sigma"]).error(world)
        found = {"teacher_error": world.teacher_error, "student_error": error}
        gained = {"bayes_error": world.bayes_error, "gain": world.teacher_error - error}
        rows.append(cell | found | gained)
    return pd.DataFrame(rows)


def sample(pair: GaussianPair, n: int, rng: np.random.Generator) -> tuple[Ints, Floats, Floats]:
    """(y in {−1, 1}, t, b), each [n], drawn from the world; the teacher's label is sign(t − θ)."""
    if n < 1:
        raise ValueError(f"n is {n}; at least 1 is needed")
    y = np.where(rng.random(n) < pair.prior, 1, -1).astype(np.int64)
    first, second = rng.normal(size=(2, n))
    b = pair.rho * first + np.sqrt(1 - pair.rho**2) * second
    return y, y * pair.m_t + first, y * pair.m_b + b


def fit_least_squares(t: ArrayLike, b: ArrayLike, labels: ArrayLike, sigma: float) -> LinearStudent:
    """The least-squares student on samples [n], the mean over all noise taken exactly.

    Minimises the mean of E_ξ(ỹ − w·(t + σξ, b) − w₀)²: infinitely many draws of the noise add σ² to
    the variance of t, nothing else.

    Raises ValueError where lengths differ, labels are not ±1, or the samples do not determine w.
    """
    _checked_sigma(sigma)
    x = np.stack([np.asarray(t, dtype=np.float64), np.asarray(b, dtype=np.float64)], axis=1)
    hard = np.asarray(labels, dtype=np.float64)
    if x.ndim != 2 or hard.shape != x.shape[:1] or len(x) < 3:
        raise ValueError(
            f"t and b have shape {x.shape[:1]}, labels {hard.shape}; give at least 3 of each"
        )
    if not np.isin(hard, (-1.0, 1.0)).all():
        raise ValueError("labels have to be -1 or 1")
    mean, centre = x.mean(axis=0), hard.mean()
    gram = (x - mean).T @ (x - mean) / len(x)
    gram[0, 0] += sigma**2
    if not np.linalg.det(gram) > 1e-12 * gram[0, 0] * gram[1, 1]:
        raise ValueError("t and b are constant or multiples of each other; w is not determined")
    w = np.linalg.solve(gram, (x - mean).T @ (hard - centre) / len(x))
    return LinearStudent(float(w[0]), float(w[1]), float(centre - w @ mean))


def difference(x: float, y: float) -> float:
    """The difference x − y, 0 where rounding alone could tell them apart: a tie has no sign."""
    return 0.0 if math.isclose(x, y, rel_tol=_ROUNDING) else x - y


def _covariance(pair: GaussianPair, sigma: float) -> Floats:
    """R + σ² e₁e₁ᵀ: the covariance of (t + σξ, b) within a class."""
    return np.array([[1 + sigma**2, pair.rho], [pair.rho, 1.0]])


def _checked_sigma(sigma: float) -> None:
    if not 0 <= sigma < np.inf:
        raise ValueError(f"sigma is {sigma}; it has to be finite and at least 0")
