"""The twin of a task: a Gaussian world with what can be known of the task without labels of D_u.

The classes' frequency, the sizes of D_l and of both modalities, the accuracy of a teacher on labels
that it was not trained on, and that of β as a diagnosis infers it (`audit.diagnose`). In the twin α
and β are independent given the class, all classes are alike and experts are linear: what a student
gains there, and not on the task, is the price of that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from mke_theory.data.rng import seed_for
from mke_theory.synthetic.gaussian import MOST_CLASSES, Gaussian
from mke_theory.synthetic.world import Floats

MOST_SIGNAL = 8.0
"""A modality with this signal hardly ever errs."""
MOST_COORDINATES = 64
_STEPS, _DRAWS, _TEST = 12, 6, 2000
"""Halvings; draws of D_l that a teacher's accuracy is the mean of, and their test samples."""


def twin(
    priors: Floats,
    dims: tuple[int, int],
    labelled: int,
    alpha_accuracy: float,
    beta_accuracy: float,
) -> Gaussian:
    """The world whose teacher and β are as accurate as those of a task.

    priors [k]: the classes' shares. dims: coordinates of α and of β; fewer than k − 1 count as that
    many. labelled: the size of D_l. alpha_accuracy: of a teacher on labels that it was not trained
    on; in the twin logistic regressions on D_l reach it. beta_accuracy: of the best classifier on
    β. An accuracy that no signal gives, such as one below chance, gets the nearest signal.

    Raises ValueError where the classes are too many, D_l has fewer than two samples a class, or an
    accuracy is not in [0, 1].
    """
    classes = len(priors)
    if classes > MOST_CLASSES or labelled < 2 * classes:
        raise ValueError(
            f"{classes} classes and {labelled} labels; a twin has at most {MOST_CLASSES} classes "
            "and at least two labels of each"
        )
    for name, one in (("alpha_accuracy", alpha_accuracy), ("beta_accuracy", beta_accuracy)):
        if not 0 <= one <= 1:
            raise ValueError(f"{name} is {one}; it has to lie in [0, 1]")
    shares = tuple(float(p) for p in np.asarray(priors) / np.sum(priors))
    wide = (max(classes - 1, dims[0]), max(classes - 1, dims[1]))

    def world(alpha: float, beta: float) -> Gaussian:
        return Gaussian((alpha, beta), dims=wide, classes=classes, priors_given=shares)

    beta = _where(lambda m: 1 - float(world(1.0, m).bayes_error(("x2",))), beta_accuracy)
    alpha = _where(lambda m: _learned(world(m, beta), labelled), alpha_accuracy)
    return world(alpha, beta)


def coordinates(x: Floats, share: float = 0.9) -> int:
    """The number of principal components of rows [n, d] that hold this share of their spread."""
    spread = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    if spread.sum() == 0:
        return 1
    held = np.cumsum(spread) / spread.sum()
    return min(MOST_COORDINATES, int(np.searchsorted(held, share)) + 1)


def _learned(world: Gaussian, labelled: int) -> float:
    """The mean accuracy of logistic regressions of the first modality, on draws of D_l."""
    found = []
    for draw in range(_DRAWS):
        rng = np.random.default_rng(seed_for(draw, "twin"))
        known, test = world.sample(labelled, rng), world.sample(_TEST, rng)
        if len(np.unique(known.labels)) < 2:
            continue
        model = LogisticRegression().fit(known.inputs["x1"], known.labels)
        found.append(model.score(test.inputs["x1"], test.labels))
    return float(np.mean(found)) if found else float(world.priors.max())


def _where(rising: Callable[[float], float], value: float) -> float:
    """The signal at which a rising function has the value, by halving an interval."""
    low, high = 0.0, MOST_SIGNAL
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return (low + high) / 2
