"""The gain that a teacher's probabilities and cells of β imply, if they are independent given y.

With a calibrated teacher p, P(y | α) = p(y), and α ⟂ β | y, a cell b of β has

    P(b | α) = Σ_y p(y) T[y, b],   T[y, b] = P(b | y),

which no label is needed for. T is the regression of the cells on p, with A = E p pᵀ

    T = A⁻¹ E p 1_b,

and, kept to be distributions, the likeliest one, found by expectation and maximisation. The sum of
evidence decides by d(p, b) = argmax_y p(y) T[y, b], and is right with probability

    E Σ_b Σ_y M[y, b] T[y, b] = E (pᵀ A⁻¹ M)[b],   M[y, b] = E p(y) 1(d(p, b) = y):

a mean over samples, the standard error of which is known. Each sample is judged by decisions that
it had no part in. An entry of the regression that is below 0 by more than chance contradicts the
hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from mke_theory.audit.betting import Floats

Ints = NDArray[np.int64]

_STEPS, _SETTLED = 500, 1e-5
_FOLDS = 10
_PRIOR = 1.0
"""Samples of each class that are spread over the cells like all of them: no chance is 0."""
_DRAWS = 99


@dataclass(frozen=True, eq=False)
class Implied:
    """T of the cells and what follows from it.

    confusion: T [classes, cells], the likeliest. gain: expected accuracy of the sum of evidence
    minus the teacher's. error: the standard error of that. teacher, beta: expected accuracies of
    the teacher and of β's cells alone. condition: of A scaled to the classes' shares; the root of
    it multiplies noise. p_value: of entries of the regression as low as the lowest, if the
    hypothesis is true.
    """

    confusion: Floats
    gain: float
    error: float
    teacher: float
    beta: float
    condition: float
    p_value: float


def tempered(logs: Floats, temperature: float) -> Floats:
    """Probabilities [n, classes] of logarithms that are divided by the temperature."""
    return np.asarray(softmax(logs / temperature, axis=1))


def temperature_of(logs: Floats, labels: Ints) -> tuple[float, float]:
    """The temperature in [0.2, 5] that makes labels [m] likeliest, and its logarithm's error.

    logs: [m, classes]. The standard error is that of the likelihood's curvature, at most 1.
    """
    every = np.arange(len(labels))

    def loss(log_t: float) -> float:
        p = tempered(logs, float(np.exp(log_t)))[every, labels]
        return float(-np.log(np.maximum(p, 1e-12)).sum())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    at, step = float(found.x), 0.05
    curvature = (loss(at + step) - 2 * loss(at) + loss(at - step)) / step**2
    return float(np.exp(at)), 1 / float(np.sqrt(max(curvature, 1.0)))


def implied(p: Floats, cells: Ints, count: int, seed: int) -> Implied:
    """All that p [n, classes] and the cells [n], `count` of them, imply.

    Each sample is judged by decisions that were found on the other nine tenths.
    """
    random = np.random.default_rng(seed)
    folds = random.permutation(np.arange(len(p)) % _FOLDS)
    whole = likeliest_cells(p, cells, count)
    weights = p @ np.linalg.pinv(p.T @ p / len(p))
    right, alone = np.empty(len(p)), np.empty(len(p))
    for fold in range(_FOLDS):
        out, inside = folds != fold, folds == fold
        T = likeliest_cells(p[out], cells[out], count, whole)
        sums, beta = _right_by_cell(p, T, p[out].mean(axis=0))
        right[inside] = (weights @ sums)[inside, cells[inside]]
        alone[inside] = (weights @ beta)[inside, cells[inside]]
    difference = right - p.max(axis=1)
    value, condition = _regression(p, cells, count)
    return Implied(
        whole,
        float(difference.mean()),
        float(difference.std(ddof=1) / np.sqrt(len(p))),
        float(p.max(axis=1).mean()),
        float(alone.mean()),
        condition,
        _p_value(p, whole, value, random),
    )


def likeliest_cells(p: Floats, cells: Ints, count: int, start: Floats | None = None) -> Floats:
    """T [classes, count]: the likeliest chances of the cells given the class.

    p: [n, classes], the teacher's probabilities. cells: [n] in 0..count − 1. A class takes part of
    its chances from the cells of all samples, as if one sample of it were spread so. start: T of
    nearly the same samples, to go on from.
    """
    overall = np.bincount(cells, minlength=count) + 1 / count
    overall = overall / overall.sum()
    member = sparse.csr_array((np.ones(len(p)), (cells, np.arange(len(p)))), (count, len(p)))
    taken = p if start is None else decided(p, cells, start)[1]
    T = np.zeros((p.shape[1], count))
    for _ in range(_STEPS):
        before, T = T, (member @ taken).T + _PRIOR * overall
        T /= T.sum(axis=1, keepdims=True)
        if np.abs(T - before).max() < _SETTLED:
            break
        taken = decided(p, cells, T)[1]
    return np.asarray(T)


def decided(p: Floats, cells: Ints, confusion: Floats) -> tuple[Ints, Floats]:
    """The class [n] of each pair by the sum of evidence, and its posterior [n, classes]."""
    q = p * confusion.T[cells]
    q /= q.sum(axis=1, keepdims=True)
    return q.argmax(axis=1), q


def _right_by_cell(p: Floats, T: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """M [classes, cells] of the decisions by T: of the sum of evidence, and of β alone."""
    classes, count = T.shape
    each = np.arange(len(p))
    sums, alone = np.zeros((classes, count)), np.zeros((classes, count))
    for b in range(count):
        chosen = (p * T[:, b]).argmax(axis=1)
        sums[:, b] = np.bincount(chosen, p[each, chosen], minlength=classes) / len(p)
        k = int((shares * T[:, b]).argmax())
        alone[k, b] = p[:, k].mean()
    return sums, alone


def _regression(p: Floats, cells: Ints, count: int) -> tuple[float, float]:
    """The lowest entry of the regression of cells on p, over its standard error; the condition."""
    square = p.T @ p / len(p)
    inverse = np.linalg.pinv(square)
    one = np.eye(count)[cells]
    T = inverse @ (p.T @ one / len(p))
    expected = np.clip(p @ T, 1 / len(p), 1)
    errors = np.sqrt(((p @ inverse) ** 2).T @ (expected * (1 - np.minimum(expected, 0.999))))
    scale = 1 / np.sqrt(p.mean(axis=0))
    condition = float(np.linalg.cond(square * np.outer(scale, scale)))
    return float((T / (errors / len(p))).min()), condition


def _p_value(p: Floats, T: Floats, value: float, random: np.random.Generator) -> float:
    """The share of cells drawn from the hypothesis whose lowest entry is as low as `value`."""
    steps = np.cumsum(p @ T, axis=1)
    steps /= steps[:, -1:]
    lower = 0
    for _ in range(_DRAWS):
        cells = (random.random((len(p), 1)) > steps).sum(axis=1)
        lower += _regression(p, cells, T.shape[1])[0] <= value
    return (1 + lower) / (1 + _DRAWS)
