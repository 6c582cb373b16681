"""Double counting in closed form: the sum of two exact experts in the Gaussian world.

The world is `synthetic.gaussian` with two modalities: y = ±1 at equal odds, t_i | y ~ N(y m_i, 1)
with Cov(t_α, t_β | y) = ρ, and u | y ~ N(y s, 1) that both modalities hold. Half the log odds of
the two experts are z_α = m_α t_α + s u and z_β = m_β t_β + s u. Given y,

    E z_α = y A,  Var z_α = A = m_α² + s²;   E z_β = y B,  Var z_β = B = m_β² + s²;
    Cov(z_α, z_β) = C = ρ m_α m_β + s²:

all that decides is A, B and the *overlap* C. The sum z_α + w z_β errs on Φ(−√q(w)),

    q(w) = (A + wB)² / (A + 2wC + w²B),

α alone (w = 0) on Φ(−√A). The best linear combination is (A(B − C), …) up to scale:
Σ⁻¹(A, B) = (B(A − C), A(B − C))/(AB − C²), so w* = A(B − C)/(B(A − C)), and those two exponents
also make the sum calibrated, as z | y ~ N(y v, v) for them.

Three consequences. w* = 1 for experts that are equally good, whatever they share: overlap then
costs confidence, not decisions. The plain sum is worse than α alone where q(1) < A, that is where
B(A + B) < 2AC, which needs B < A: a β as good as α never harms. And q(1) ≥ (2√2 − 2)² A, as C ≤ √AB
(with x = √(B/A) the ratio is at least (1 + x²)²/(1 + x)², least at x = √2 − 1).

With K classes z has K − 1 such coordinates, so errors are those of K corners at the same q: for
equal odds `synthetic.gaussian.simplex_error(√(2q), priors)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit, ndtr

from mke_theory.theory.gaussian.closed_form import difference

KEPT = 2 * np.sqrt(2) - 2
"""0.828: the least share of α's distance √A that the plain sum keeps, whatever the overlap."""
_LARGEST = 1e50


@dataclass(frozen=True)
class EvidenceSum:
    """Two exact experts: signals m_α and m_β, shared signal s, all ≥ 0, and |ρ| < 1.

    Units are those of the spread within a class. Equal odds. Raises ValueError where a number is
    out of range, or m_α and s are both 0: the teacher is then a coin.
    """

    m_alpha: float
    m_beta: float
    shared: float = 0.0
    rho: float = 0.0

    def __post_init__(self) -> None:
        for name in ("m_alpha", "m_beta", "shared"):
            if not 0 <= getattr(self, name) < _LARGEST:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed is 0 to {_LARGEST:g}")
        if not abs(self.rho) < 1:
            raise ValueError(f"rho is {self.rho}; a correlation given y lies inside (-1, 1)")
        if not self.alpha > 0:
            raise ValueError("m_alpha and shared are 0; a teacher has signal in one of them")

    @property
    def alpha(self) -> float:
        """A = m_α² + s²: the squared half distance of the classes in α."""
        return self.m_alpha**2 + self.shared**2

    @property
    def beta(self) -> float:
        """B = m_β² + s²: the same of β."""
        return self.m_beta**2 + self.shared**2

    @property
    def overlap(self) -> float:
        """C = ρ m_α m_β + s², the covariance of the two experts' half log odds given y."""
        return self.rho * self.m_alpha * self.m_beta + self.shared**2

    def separation(self, exponent: float = 1.0) -> float:
        """q(w) = (A + wB)²/(A + 2wC + w²B), w ≥ 0 the exponent of β's evidence; B at w = ∞."""
        if not exponent >= 0:
            raise ValueError(f"exponent is {exponent}; it has to be at least 0")
        if np.isinf(exponent):
            return self.beta
        w, a, b, c = exponent, self.alpha, self.beta, self.overlap
        return (a + w * b) ** 2 / (a + 2 * w * c + w**2 * b)

    def error(self, exponent: float = 1.0, share: float = 0.5) -> float:
        """P(sign(z_α + w z_β + ½ logit π) ≠ y), Φ(−√q(w)) at equal odds; π, `share`, is P(y = 1).

        Given y the sum has mean ±(A + wB) and variance A + 2wC + w²B: the prior counts once, as a
        shift of half its log odds. Raises ValueError for a share outside (0, 1).
        """
        if not 0 < share < 1:
            raise ValueError(f"share is {share}; it has to lie strictly between 0 and 1")
        root = np.sqrt(self.separation(exponent))
        if np.isinf(exponent) or share == 0.5:
            return float(ndtr(-root))
        shift = logit(share) / 2 * root / (self.alpha + exponent * self.beta)
        return float(share * ndtr(-root - shift) + (1 - share) * ndtr(-root + shift))

    @property
    def alpha_error(self) -> float:
        """The error of α's expert alone, Φ(−√A)."""
        return float(ndtr(-np.sqrt(self.alpha)))

    @property
    def bayes_error(self) -> float:
        """The error of the best classifier of both, Φ(−√(mᵀR⁻¹m + s²))."""
        m, n, rho = self.m_alpha, self.m_beta, self.rho
        q = (m**2 + n**2 - 2 * rho * m * n) / (1 - rho**2) + self.shared**2
        return float(ndtr(-np.sqrt(q)))

    @property
    def best_exponents(self) -> tuple[float, float]:
        """The exponents ≥ 0 of (α, β) at which the sum errs least and is calibrated.

        (B(A − C), A(B − C))/(AB − C²); (1, 0) where B ≤ C, (0, 1) where A ≤ C, and (½, ½) for
        copies, A = B = C, whose exponents only have to sum to 1. (1, 1) where C = 0 < B.
        """
        own, other = (difference(x, self.overlap) for x in (self.alpha, self.beta))
        if own <= 0 and other <= 0:
            return 0.5, 0.5
        if own <= 0 or other <= 0:
            return float(other <= 0), float(own <= 0)
        rest = self.alpha * self.beta - self.overlap**2
        return self.beta * own / rest, self.alpha * other / rest

    @property
    def best_exponent(self) -> float:
        """w* = A(B − C)/(B(A − C)) on β, that of α being 1: 0 where B ≤ C, ∞ where A ≤ C."""
        first, second = self.best_exponents
        return second / first if first > 0 else float("inf")

    @property
    def confidence(self) -> float:
        """The exponent (A + B)/(A + B + 2C) that makes the plain sum calibrated, on all of it.

        Below 1 the sum is overconfident (½ for copies); above 1, where C < 0, it undercounts.
        """
        both = self.alpha + self.beta
        return both / (both + 2 * self.overlap)

    @property
    def harms(self) -> bool:
        """True where the plain sum errs more than α alone, B(A + B) < 2AC."""
        spent, won = 2 * self.alpha * self.overlap, self.beta * (self.alpha + self.beta)
        return difference(spent, won) > 0
