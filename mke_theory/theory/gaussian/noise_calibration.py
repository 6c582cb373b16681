"""From σ̂* to a perturbation: the strength of input noise that blurs the teacher's statistic by it.

The law of `perturbation_law` speaks of one number t. Where α is one number, t is that number and
σ̂* is the noise. Else t is the teacher's log-odds of a class against the rest, b its cross-fitted
regression on β, and the strength of input noise is the one at which the teacher's log-odds are
blurred by σ̂* (`response_to_noise`). With k classes there are k such laws and one noise: the median
is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mke_theory.data.rng import Stream, seed32_for, seed_for
from mke_theory.theory.gaussian.noise_estimate import NoiseEstimate, estimate_noise
from mke_theory.theory.gaussian.perturbation_law import FEWEST_PAIRS, Loss
from mke_theory.theory.gaussian.teacher_strength import strength_from_confusion
from mke_theory.theory.graph import Floats

if TYPE_CHECKING:
    from torch import Tensor

    from mke_theory.data.pool import Pool

STRENGTHS = tuple(2.0**power for power in range(-4, 7))
"""Strengths of `InputNoise` at which a teacher's response is measured."""
_NO_SLOPE = 1e-12
"""A slope, which is 1 without noise, that is no more than this is rounding."""


def log_odds(logits: ArrayLike) -> Floats:
    """One statistic a class, log p_k/(1 − p_k), [n, k], from logits [n, k]."""
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] < 2:
        raise ValueError(f"logits has shape {z.shape}; give [n, k] with at least 2 classes")
    rest = [logsumexp(np.delete(z, k, axis=1), axis=1) for k in range(z.shape[1])]
    return z - np.stack(rest, axis=1)


def second_statistic(
    t: ArrayLike, beta: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 0
) -> Floats:
    """The regression b [n] of t [n] on β [n, ...], or [n, k] of k statistics, by five-fold ridge.

    Every b_i comes from a regression that did not see pair i (nor its group), so b holds no trace
    of t_i and corr(t, b) is not flattered. If β | y is normal with one covariance and independent
    of t given y, the regression points along Fisher's direction W⁻¹μ, the best that is linear, and
    needs no label for it. Where the classes differ in β otherwise than by their means, m_b is that
    of the part which a linear student can use.

    Raises ValueError where there are fewer than 50 pairs or a value is not finite.
    """
    y, x = np.asarray(t, dtype=np.float64), np.asarray(beta, dtype=np.float64)
    if len(x) != len(y) or len(x) < FEWEST_PAIRS:
        raise ValueError(
            f"t has {len(y)} rows, beta {len(x)}; give the same number of each, at least "
            f"{FEWEST_PAIRS}"
        )
    x = x.reshape(len(x), -1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("t or beta is not finite somewhere; leave out pairs that lack a modality")
    ridge = RidgeCV(np.logspace(-1, 5, 7), alpha_per_target=y.ndim > 1)
    folds = KFold(5, shuffle=True, random_state=seed32_for(seed, "folds"))
    parts = folds if groups is None else GroupKFold(5)
    found = cross_val_predict(make_pipeline(StandardScaler(), ridge), x, y, cv=parts, groups=groups)
    return np.asarray(found, dtype=np.float64)


def estimate_by_class(
    statistics: ArrayLike,
    second: ArrayLike,
    confusion: ArrayLike,
    loss: Loss = "squared",
    level: float = 0.975,
) -> tuple[NoiseEstimate | str, ...]:
    """For each class against the rest, σ̂*, or the reason in words where there is none.

    `statistics` [n, k] are the teacher's log-odds, `second` [n, k] their regressions on
    β (`second_statistic`), `confusion` [k, k] the counts on labelled samples, truth by rows. Least
    squares on one-hot labels is k separate students, one a class, so the law speaks of each. The
    odds are those of the labelled samples and the threshold is off the middle: it allows for both.
    """
    x, z, counts = (np.asarray(a) for a in (statistics, second, confusion))
    k = x.shape[-1]
    if x.ndim != 2 or z.shape != x.shape or counts.shape != (k, k):
        raise ValueError(
            f"statistics {x.shape}, second {z.shape} and confusion {counts.shape} do not fit; give "
            "[n, k], [n, k] and [k, k]"
        )
    found: list[NoiseEstimate | str] = []
    for c in range(k):
        row, column, right = int(counts[c].sum()), int(counts[:, c].sum()), int(counts[c, c])
        rest = int(counts.sum()) - row
        try:
            teacher = strength_from_confusion(row - right, row, column - right, rest, level)
            found.append(estimate_noise(x[:, c], z[:, c], teacher, loss))
        except ValueError as problem:
            found.append(f"class {c}: {problem}")
    return tuple(found)


def response_to_noise(
    statistic: Callable[[Mapping[str, Tensor]], ArrayLike],
    samples: Pool,
    modality: str,
    strengths: Sequence[float] = STRENGTHS,
    *,
    seed: int = 0,
) -> Floats:
    """The noise on each of k statistics that `InputNoise(strength)` on α amounts to, [s, k].

    `statistic` maps inputs to [n, k], for instance the teacher's log-odds. t(x + noise) is
    regressed on t(x), and the noise is the residual's spread over the slope, in units of t: a
    student does not mind that t shrinks, only that it is blurred. Infinite where no slope is left.

    Raises ValueError where strengths do not rise from above 0, or a statistic is not [n, k], not
    finite or constant.
    """
    from mke_theory.method.transforms import InputNoise

    if not (np.diff([0.0, *strengths]) > 0).all():
        raise ValueError(f"strengths are {tuple(strengths)}; they have to rise from above 0")
    clean = np.asarray(statistic(samples.inputs), dtype=np.float64)
    if clean.ndim != 2 or len(clean) != len(samples):
        raise ValueError(f"the statistic has shape {clean.shape}; give [{len(samples)}, k]")
    if not np.isfinite(clean).all() or not (np.ptp(clean, axis=0) > 0).all():
        raise ValueError("a statistic is constant or not finite on these samples; leave it out")
    centred = clean - clean.mean(axis=0)
    rows = []
    for strength in strengths:
        noise = InputNoise(strength, only=(modality,)).calibrated(samples)
        moved = noise.inputs(samples.inputs, Stream(seed_for(seed, "response")))
        x = np.asarray(statistic(moved), dtype=np.float64)
        x = x - x.mean(axis=0)
        slope = (x * centred).mean(axis=0) / (centred**2).mean(axis=0)
        left = (x - slope * centred).std(axis=0)
        rows.append(np.where(slope > _NO_SLOPE, left / np.maximum(slope, _NO_SLOPE), np.inf))
    return np.maximum.accumulate(np.array(rows), axis=0)


def median_strength(
    noise: Sequence[float], response: Floats, strengths: Sequence[float] = STRENGTHS
) -> float:
    """The median over k statistics of the strength at which the response [s, k] equals `noise` [k].

    `noise` is in units of each statistic, infinite where there is no estimate.

    Raises ValueError where shapes do not fit, or the median is beyond the strengths measured.
    """
    if response.shape != (len(strengths), len(noise)):
        raise ValueError(
            f"response has shape {response.shape}; {len(strengths)} strengths and {len(noise)} "
            f"statistics ask for {(len(strengths), len(noise))}"
        )
    found = [
        _crossing(np.asarray(strengths), response[:, k], target) for k, target in enumerate(noise)
    ]
    strength = float(np.median(found))
    if not np.isfinite(strength):
        missing = sum(not np.isfinite(target) for target in noise)
        raise ValueError(
            f"half of the {len(noise)} statistics ask for more noise than strength "
            f"{max(strengths)} makes; {missing} of them have no estimate"
        )
    return strength


def _crossing(strengths: Floats, response: Floats, target: float) -> float:
    """The strength at which the response reaches the target, on logarithmic axes.

    In proportion below the first strength, infinite where it never does.
    """
    if target <= response[0]:
        return float(strengths[0] * target / response[0])
    beyond = np.flatnonzero(response >= target)
    if not (np.isfinite(target) and len(beyond)):
        return float("inf")
    at = int(beyond[0])
    if not np.isfinite(response[at]):
        return float(strengths[at])
    ends = slice(at - 1, at + 1)  # two responses whose logarithms may be one number
    return float(np.exp(np.interp(np.log(target), np.log(response[ends]), np.log(strengths[ends]))))
