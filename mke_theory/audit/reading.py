"""The part of the teacher's answers that β can foretell, from classifiers that never saw a sample.

The information I(ỹ; β) that they show is H(ỹ) − CE(ỹ | β): a lower bound, in expectation, of what
the best classifier would show. Its null distribution is that of the same number after the answers
are shuffled among the samples that a classifier predicts: all orders are as likely where ỹ and β
are independent, so that the p-value is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mke_theory.audit.betting import Floats
from mke_theory.data.rng import seed32_for, seed_for

Ints = NDArray[np.int64]

DIRECTIONS = 64
"""The largest number of principal directions of β that a classifier reads."""
FOLDS = 4
SHUFFLES = 999
_LEAST = 1e-3
"""A classifier never gives a class less than this part of its share: no evidence is infinite."""


@dataclass(frozen=True, eq=False)
class Reading:
    """P(ỹ | β) of every sample by a classifier that was not trained on it.

    probabilities: [n, classes]. information: I(ỹ; β) in nats, below 0 where the classifiers learned
    noise. null: the same number over shuffles, [shuffles]. entropy: H(ỹ). p_value: of independence.
    learner: the kind of classifier that foretold better.
    """

    probabilities: Floats
    information: float
    null: Floats
    entropy: float
    learner: str

    @property
    def p_value(self) -> float:
        """The chance, if ỹ and β are independent, of as much information as this."""
        return float((1 + (self.null >= self.information).sum()) / (1 + len(self.null)))


def read(beta: Floats, answers: Ints, classes: int, seed: int) -> Reading:
    """Cross-fit a linear and a nonlinear classifier of `answers` [n] on `beta` [n, d].

    The better one by cross-entropy is kept. That choice, made on the samples themselves, would make
    the p-value a little too small, so the shuffles make it too.
    """
    shares = np.bincount(answers, minlength=classes) / len(answers)
    entropy = float(-rel_entr(shares, np.ones(classes)).sum())
    beta = beta[:, np.ptp(beta, axis=0) > 0]
    if not beta.shape[1] or shares.max() == 1:  # nothing to read, or nothing to foretell
        told = np.tile(shares, (len(answers), 1))
        return Reading(told, 0.0, np.zeros(SHUFFLES), entropy, "none")
    random = np.random.default_rng(seed_for(seed, "diagnosis", "folds"))
    place = random.permutation(np.arange(len(beta)) % FOLDS)
    found = {}
    for name, learner in _learners(seed).items():
        p = np.empty((len(beta), classes))
        for fold in range(FOLDS):
            out, inside = place != fold, place == fold
            p[inside] = _foretold(learner, beta[out], answers[out], beta[inside], classes)
        found[name] = p
    logs = {name: np.log(p) for name, p in found.items()}
    every = np.arange(len(answers))
    gains = {name: entropy + float(log[every, answers].mean()) for name, log in logs.items()}
    null = np.empty(SHUFFLES)
    for i in range(SHUFFLES):
        order = _shuffled_within(place, random)
        null[i] = max(entropy + log[order, answers].mean() for log in logs.values())
    best = max(gains, key=lambda name: gains[name])
    return Reading(found[best], gains[best], null, entropy, best)


def cells_of(probabilities: Floats, levels: int) -> Ints:
    """The cell of each sample [n]: its most probable class, and how sure that is, in steps.

    Cell = class · levels + step, 0 to levels − 1; steps of a class hold equal numbers, ties apart.
    """
    top, sureness = probabilities.argmax(axis=1), probabilities.max(axis=1)
    cells = np.empty(len(top), dtype=np.int64)
    for k in range(probabilities.shape[1]):
        here = np.flatnonzero(top == k)
        rank = np.searchsorted(np.sort(sureness[here]), sureness[here], side="left")
        cells[here] = k * levels + rank * levels // max(1, len(here))
    return cells


def _learners(seed: int) -> dict[str, Any]:
    small = seed32_for(seed, "diagnosis", "weights")
    return {
        "linear": LogisticRegression(C=0.1, max_iter=300),
        "network": MLPClassifier(
            (64,),
            alpha=1e-2,
            batch_size=128,
            max_iter=200,
            early_stopping=True,
            n_iter_no_change=8,
            random_state=small,
        ),
    }


def _foretold(learner: Any, x: Floats, answers: Ints, others: Floats, classes: int) -> Floats:
    """Probabilities of a classifier trained on x, for other samples; none of them is 0."""
    shares = (np.bincount(answers, minlength=classes) + 0.5) / (len(answers) + 0.5 * classes)
    if len(np.unique(answers)) < 2:
        return np.tile(shares, (len(others), 1))
    most = min(DIRECTIONS, x.shape[1], len(x) - 1)
    pipe = make_pipeline(StandardScaler(), PCA(most, svd_solver="full"), StandardScaler(), learner)
    pipe.fit(x, answers)
    p = np.zeros((len(others), classes))
    p[:, pipe.classes_] = pipe.predict_proba(others)
    return (1 - _LEAST) * p + _LEAST * shares


def _shuffled_within(place: Ints, random: np.random.Generator) -> Ints:
    """A random order of the samples that moves none out of its fold."""
    order = np.arange(len(place))
    for fold in range(FOLDS):
        here = np.flatnonzero(place == fold)
        order[here] = random.permutation(here)
    return order
