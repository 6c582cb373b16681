"""Folds of a Gaussian expand as the Gaussian does: the frontier as a theorem.

Let x = F(z), z ~ N(0, σ² I) in any dimension, and F change no distance by more than the factor L.
Write V_s for the points within s of V. Then for every set V with P(x ∈ V) = a and every s > 0

    P(x ∈ V_s) ≥ Φ(Φ⁻¹(a) + s/(Lσ)).

Proof. Let W = F⁻¹(V), of Gaussian measure a. A z within s/L of some w ∈ W has |F(z) − F(w)| ≤ s, so
F(z) ∈ V_s: the set W_{s/L} lies in F⁻¹(V_s). By the isoperimetric inequality of Gauss space it has
measure Φ(Φ⁻¹(a) + s/(Lσ)) at least. ∎  F needs no inverse: it may fold, bend, project and squeeze.

Two consequences, with balls B of radius r and the neighbourhood N of radius 2r.
Set expansion: every V of P(V) = a reaches c(a) P(V), c(a) = Φ(Φ⁻¹(a) + 2r/(Lσ))/a.
Separation: let a labelling give a set A of measure a to some of its classes and the rest to others.
It is inconsistent on A_r − A and on (Aᶜ)_r − Aᶜ, which are disjoint, so with t = Φ⁻¹(a)

    R_B ≥ Φ(t + r/(Lσ)) − Φ(t − r/(Lσ)).

So inside one fold expansion and separation are tied: no labelling that cuts a fold is consistent,
and a world whose classes are folds apart has all of the expansion and none of the inconsistency.
Ref: borell1975brunn for the inequality of Gauss space; the rest is derived here.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri


def fold_reach(a: float, distance: float, sigma: float = 1.0, lipschitz: float = 1.0) -> float:
    """At least P(V_s) for every set of P(V) = a, in (0, 1): Φ(Φ⁻¹(a) + s/(Lσ)), s = `distance`.

    Raises ValueError for a outside (0, 1), a negative distance, and a sigma or a Lipschitz
    constant that is not positive.
    """
    return float(ndtr(ndtri(_share(a)) + _steps(distance, sigma, lipschitz)))


def fold_separation(a: float, radius: float, sigma: float = 1.0, lipschitz: float = 1.0) -> float:
    """At least R_B of every labelling that parts a fold at the share a, by balls of the radius r.

    Φ(t + r/(Lσ)) − Φ(t − r/(Lσ)), t = Φ⁻¹(a), in [0, 1). Half-spaces of an unfolded Gaussian attain
    it. Raises ValueError as `fold_reach`.
    """
    t, step = ndtri(_share(a)), _steps(radius, sigma, lipschitz)
    return float(ndtr(t + step) - ndtr(t - step))


def _share(a: float) -> float:
    if not 0 < a < 1:
        raise ValueError(f"a is {a}; it has to lie inside (0, 1), a share of the fold")
    return float(a)


def _steps(distance: float, sigma: float, lipschitz: float) -> float:
    if not 0 <= distance < np.inf:
        raise ValueError(f"the distance is {distance}; it has to be finite and at least 0")
    for name, value in (("sigma", sigma), ("lipschitz", lipschitz)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value}; it has to be positive and finite")
    return distance / (lipschitz * sigma)
