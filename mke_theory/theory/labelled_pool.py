"""A labelled pool: the labels of teacher, student and truth on a graph, as bounds read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mke_theory.theory.graph import Floats, Graph, Ints, inconsistent, labels_of


@dataclass(frozen=True, eq=False)
class LabelledPool:
    """A pool with its graph, the teacher's labels, the student's, and the truth where known.

    `pseudo` (ỹ), `student` (f) and `truth` (y) are class numbers [n] in 0..classes−1, `truth` None
    where nobody knows. Shares below are weighted by the p_i of the graph.

    Raises ValueError where a length or a label does not fit, TypeError where labels are no
    integers.
    """

    graph: Graph
    pseudo: Ints
    student: Ints
    classes: int
    truth: Ints | None = None

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"classes is {self.classes}; at least 2 are needed")
        for name in ("pseudo", "student", "truth"):
            given = getattr(self, name)
            if given is not None:
                labels = labels_of(name, given, self.graph.n, self.classes)
                object.__setattr__(self, name, labels)

    @property
    def disagreement(self) -> float:
        """L01(f, ỹ): the share on which student and teacher differ; needs no truth."""
        return self.share(self.student != self.pseudo)

    @property
    def teacher_error(self) -> float:
        """Err(ỹ) = P(ỹ ≠ y). Raises ValueError where the truth is not known."""
        return self.share(self.pseudo != self.known_truth)

    @property
    def student_error(self) -> float:
        """Err(f) = P(f ≠ y). Raises ValueError where the truth is not known."""
        return self.share(self.student != self.known_truth)

    @property
    def known_truth(self) -> Ints:
        """The truth [n]. Raises ValueError where it is not known."""
        if self.truth is None:
            raise ValueError("the truth of this pool is not known; give truth, one class a point")
        return self.truth

    def share(self, where: ArrayLike) -> float:
        """The weight of the points where the mask [n] is true, in [0, 1]."""
        return min(1.0, float(self.graph.weights[np.asarray(where, dtype=np.bool_)].sum()))

    def class_weights(self) -> Floats:
        """P(y = i) for each class, [classes]. Raises ValueError where the truth is not known."""
        counted = np.bincount(self.known_truth, self.graph.weights, minlength=self.classes)
        return np.asarray(counted, dtype=np.float64)

    def student_inconsistent(self) -> NDArray[np.bool_]:
        """True [n] where the student is not constant on B(x)."""
        return inconsistent(self.graph, self.student)


def worst_class_error(weights: Floats, truth: Ints, predicted: Ints) -> float:
    """The largest share of a class on which `predicted` [n] is wrong, in [0, 1]; `weights` [n]."""
    of_class = np.bincount(truth, weights)
    wrong = np.bincount(truth, weights * (predicted != truth))
    return min(1.0, float((wrong[of_class > 0] / of_class[of_class > 0]).max()))
