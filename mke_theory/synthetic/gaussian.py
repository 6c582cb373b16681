"""A world of Gaussian classes with the knobs of theory: signal, redundancy, dependence, nuisance.

With K classes and r = K − 1, modality i holds three blocks of independent numbers given y = k:

    t_i = m_i μ_k + ε_i        its own statistic [r],  ε_i ~ N(0, I),  Cov(ε_i, ε_j) = ρ I
    u   = s μ_k + η            a shared statistic [r], the very same numbers in every modality
    e_i ~ N(0, a² I)           nuisance, all coordinates that are left

turned by an orthogonal matrix of its own. The μ_k are the corners of a simplex with edges of length
2, so m_i is half the distance of two classes in units of the spread within a class; for two classes
μ = ∓1 and (t_1, t_2) is the world of `theory.gaussian.GaussianPair`.

`shared` (s) is one piece of information seen twice: two modalities that hold only u are copies.
`correlation` (ρ) breaks conditional independence without copying: noise in common, not signal.

All that a set of modalities holds of y is z = Σ (R⁻¹m)_i t_i + s u, with R the correlation matrix
of the t_i seen and q = mᵀR⁻¹m + s². Given y = k, z ~ N(q μ_k, q I): posterior and Bayes error
follow from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, helmert
from scipy.special import log_ndtr, logit, ndtr, softmax

from mke_theory.data.rng import seed_for
from mke_theory.synthetic.checks import (
    checked_count,
    checked_inputs,
    checked_priors,
    chosen,
    numbered,
    refuse_infinite,
    refuse_no_numbers,
    refuse_unequal_copies,
)
from mke_theory.synthetic.world import Draw, Exact, Floats
from mke_theory.theory.gaussian.closed_form import GaussianPair

MOST_CLASSES = 40

NODES = np.linspace(-10.0, 10.0, 801)
NODE_WEIGHTS = np.exp(-(NODES**2) / 2) * (NODES[1] - NODES[0]) / np.sqrt(2 * np.pi)
NODE_TOLERANCE = 1e-12
"""Of the trapezoidal rule on φ(z)·(1 − Π Φ(z + b_j)), which is entire. Truncation loses less than
2Φ(−10) < 1e-22; discretisation less than 2M/(exp(2π/h) − 1) with h = 1/40 and M the integral over
the line Im z = 1, where |φ| ≤ 1.7φ and |Φ| ≤ 1.7: M < 1.7⁴⁰ + 2, so less than 1e-99. What is left
is rounding."""


@dataclass(frozen=True)
class Gaussian:
    """The world: `signal[i]` = m_i ≥ 0, `shared` = s ≥ 0, `correlation` = ρ, one `dims` a modality.

    `dims[i]` counts all coordinates of modality i: K − 1 for t_i, K − 1 for u where s > 0, the
    rest nuisance with sd `anisotropy` = a > 0. `priors_given` is P(y = k) (None: all equal). The
    rotations are drawn from `mixing_seed` (None: no rotation).

    Raises ValueError where a number is out of range. ρ has to lie in (−1/(m − 1), 1) for m
    modalities: elsewhere there is no such covariance.
    """

    signal: tuple[float, ...] = (1.0, 1.0)
    shared: float = 0.0
    correlation: float = 0.0
    dims: tuple[int, ...] = (8, 8)
    classes: int = 2
    priors_given: tuple[float, ...] | None = None
    anisotropy: float = 1.0
    mixing_seed: int | None = 0

    def __post_init__(self) -> None:
        checked_count("classes", self.classes, 2, MOST_CLASSES)
        refuse_no_numbers("signal", self.signal)
        count = len(self.signal)
        if count < 2:
            raise ValueError(f"signal is {self.signal}; give one number for at least 2 modalities")
        for name in ("shared", "correlation", "anisotropy"):
            refuse_infinite(name, getattr(self, name))
        if min(*self.signal, self.shared) < 0:
            raise ValueError(
                f"signal is {self.signal} and shared {self.shared}; each has to be at least 0"
            )
        if not -1 / (count - 1) < self.correlation < 1:
            raise ValueError(
                f"correlation is {self.correlation}; {count} modalities allow values inside "
                f"({-1 / (count - 1):.6g}, 1): elsewhere the covariance is not positive definite"
            )
        if self.anisotropy <= 0:
            raise ValueError(f"anisotropy is {self.anisotropy}; a ratio of sds is above 0")
        refuse_no_numbers("dims", self.dims)
        if len(self.dims) != count:
            raise ValueError(f"dims is {self.dims}; {count} modalities need one number each")
        for size in self.dims:
            checked_count("dims", size, self._informative)
        if self.mixing_seed is not None:
            checked_count("mixing_seed", self.mixing_seed, 0)
        if self.priors_given is not None:
            checked_priors(self.priors_given, self.classes)

    @property
    def _informative(self) -> int:
        """Coordinates of a modality that depend on y."""
        return (self.classes - 1) * (2 if self.shared > 0 else 1)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names x1 (the teacher's), x2 and so on."""
        return numbered(len(self.signal))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The coordinates of each modality, all mixed."""
        return {name: (size,) for name, size in zip(self.modalities, self.dims, strict=True)}

    @property
    def priors(self) -> Floats:
        """P(y = k), [classes]."""
        if self.priors_given is None:
            return np.full(self.classes, 1 / self.classes)
        return checked_priors(self.priors_given, self.classes)

    @property
    def corners(self) -> Floats:
        """μ_k, [classes, classes − 1]: any two are 2 apart; (−1, 1) for two classes."""
        return -np.sqrt(2) * helmert(self.classes).T

    def sample(self, n: int, rng: np.random.Generator) -> Draw:
        """Independent draws, n of them. Raises ValueError for n < 1."""
        checked_count("n", n, 1)
        r, count = self.classes - 1, len(self.signal)
        labels = rng.choice(self.classes, size=n, p=self.priors / self.priors.sum())
        mean = self.corners[labels]
        root = np.linalg.cholesky(self._correlations(count))
        own = np.einsum("ij,njr->nir", root, rng.normal(size=(n, count, r)))
        shared = self.shared * mean + rng.normal(size=(n, r))
        inputs = {}
        for at, (name, size) in enumerate(zip(self.modalities, self.dims, strict=True)):
            blocks = [self.signal[at] * mean + own[:, at]]
            blocks += [shared] if self.shared > 0 else []
            blocks += [self.anisotropy * rng.normal(size=(n, size - self._informative))]
            inputs[name] = np.concatenate(blocks, axis=1) @ self.mixing(name).T
        return Draw(inputs, labels.astype(np.int64))

    def mixing(self, modality: str) -> Floats:
        """The orthogonal matrix Q [d, d] of a modality, x = Q (t, u, e); Haar distributed."""
        (size,) = self.shapes[chosen((modality,), self.modalities)[0]]
        if self.mixing_seed is None:
            return np.eye(size)
        rng = np.random.default_rng(seed_for(self.mixing_seed, "mixing", modality))
        q, triangle = np.linalg.qr(rng.normal(size=(size, size)))
        return q * np.sign(np.diag(triangle))

    def statistics(self, inputs: Mapping[str, Floats]) -> tuple[dict[str, Floats], Floats | None]:
        """(t_i by modality, u), each [n, classes − 1]: what the given modalities hold about y.

        u is None where `shared` is 0. Raises ValueError as `checks.checked_inputs` does, and where
        modalities disagree about u.
        """
        found = checked_inputs(inputs, self.shapes)
        plain = {name: x @ self.mixing(name) for name, x in found.items()}
        r = self.classes - 1
        own = {name: x[:, :r] for name, x in plain.items()}
        if self.shared == 0:
            return own, None
        copies = {name: x[:, r : 2 * r] for name, x in plain.items()}
        largest = np.max([np.linalg.norm(x, axis=1) for x in found.values()], axis=0)
        refuse_unequal_copies(copies, largest)
        return own, next(iter(copies.values()))

    def posterior(self, inputs: Mapping[str, Floats]) -> Floats:
        """P(y = k) ∝ π_k exp(z·μ_k), [n, classes], with z as in the module.

        Raises ValueError as `statistics` does.
        """
        own, shared = self.statistics(inputs)
        weights, _ = self._weights(tuple(own))
        z = np.einsum("i,inr->nr", weights, np.stack(list(own.values())))
        if shared is not None:
            z = z + self.shared * shared
        # −q‖μ_k‖²/2 is the same for every class, so it cancels.
        return softmax(z @ self.corners.T + np.log(self.priors), axis=1)

    def separation(self, modalities: tuple[str, ...] | None = None) -> float:
        """The squared half distance of two classes in the named modalities, q = mᵀR⁻¹m + s²."""
        return self._weights(chosen(modalities, self.modalities))[1]

    def bayes_error(self, modalities: tuple[str, ...] | None = None) -> Exact:
        """The error of the largest posterior, from q and the priors alone.

        K = 2: Σ_k π_k Φ(−√q ∓ logit(π_1)/(2√q)), closed form. Else add to z/√q a direction without
        signal, so that the corners become √(2q) e_k in R^K: coordinates are then independent and
        P(right | k) = ∫ φ(x) Π_{j≠k} Φ(x + √(2q) + log(π_k/π_j)/√(2q)) dx, by quadrature.
        """
        q, priors = self.separation(modalities), self.priors
        if np.sqrt(q) < 1e-100:
            return Exact(float(1 - priors.max()), 0.0, "closed form")
        if self.classes == 2:
            shift = logit(priors[1]) / (2 * np.sqrt(q))
            wrong = ndtr(-np.sqrt(q) + np.array([shift, -shift]))
            return Exact(float(priors @ wrong), 0.0, "closed form")
        return Exact(simplex_error(float(np.sqrt(2 * q)), priors), NODE_TOLERANCE, "quadrature")

    def pair(self, threshold: float | None = None) -> GaussianPair:
        """The pair (t_1, t_2): all that two modalities hold of two classes.

        `threshold` is the teacher's on t_1; None takes the best, −logit(P(y = 1))/(2 m_1).

        Raises ValueError for other than two classes and two modalities, and for shared > 0 (three
        statistics then matter, and two numbers cannot hold them).
        """
        if self.classes != 2 or len(self.signal) != 2 or self.shared > 0:
            raise ValueError(
                f"a pair needs 2 classes, 2 modalities and shared 0; this world has {self.classes},"
                f" {len(self.signal)} and {self.shared}"
            )
        pair = GaussianPair(*self.signal, self.correlation, float(self.priors[1]))
        best = float(-logit(pair.prior) / (2 * pair.m_t))
        at = best if threshold is None else threshold
        return GaussianPair(pair.m_t, pair.m_b, pair.rho, pair.prior, at)

    def _correlations(self, count: int) -> Floats:
        return (1 - self.correlation) * np.eye(count) + self.correlation

    def _weights(self, seen: tuple[str, ...]) -> tuple[Floats, float]:
        """(R⁻¹m, mᵀR⁻¹m + s²) of the modalities seen."""
        m = np.array([self.signal[self.modalities.index(name)] for name in seen])
        weights = cho_solve(cho_factor(self._correlations(len(seen))), m)
        return weights, float(m @ weights + self.shared**2)


def simplex_error(apart: float, priors: Floats) -> float:
    """Σ_k π_k ∫ φ(x) (1 − Π_{j≠k} Φ(x + apart + log(π_k/π_j)/apart)) dx.

    The Bayes error of classes N(apart · e_k, I) in R^K, within NODE_TOLERANCE; apart > 0.
    """
    odds = np.log(priors)
    wrong = np.zeros(len(priors))
    for k in range(len(priors)):
        reach = NODES[:, None] + apart + (odds[k] - np.delete(odds, k)) / apart
        wrong[k] = NODE_WEIGHTS @ -np.expm1(log_ndtr(reach).sum(axis=1))
    return float(priors @ wrong)


__all__ = ["MOST_CLASSES", "NODE_TOLERANCE", "Gaussian", "simplex_error"]
