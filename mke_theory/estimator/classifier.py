"""`MKEClassifier`: fit on a few labelled rows and many that are not, with a second modality.

    X = {"audio": …, "image": …}        y = [0, 1, −1, −1, …]     −1 (or None, NaN): not known
    student = MKEClassifier(alpha="audio").fit(X, y)

The teacher learns α from the labelled rows; the student is the sum of experts of
`method.evidence`, which learns the second modality from the teacher's answers to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from mke_theory.audit import Comparison, Diagnosis, Sheet, compare, diagnose
from mke_theory.data.answers import as_logits
from mke_theory.data.pool import UNKNOWN, Pool, is_present, refuse_bad_values
from mke_theory.estimator.columns import (
    Columns,
    Floats,
    arrays_of,
    numbers_of,
    refuse_text,
)
from mke_theory.estimator.known_labels import coded, unknown
from mke_theory.estimator.networks import Networks, Teacher, scale_of
from mke_theory.estimator.summary import Changes
from mke_theory.method.answers import Answers
from mke_theory.method.evidence import EvidenceExpansion, expand_by_evidence
from mke_theory.training.predict import predict

PLAIN = {
    "one": "there is one modality: the labels alone were learned",
    "all": "every row has a label: one network of all modalities learned them, and no expert did",
}
"""The line of `account_` on a student that is a plain classifier, by the reason for it."""


class MKEClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of several modalities from few labels, by multimodal knowledge expansion.

    A row without label has −1 in y, or None or NaN where labels are no integers. The teacher
    learns modality `alpha` from the labelled rows. An expert of each further modality learns the
    teacher's answers to the unlabelled rows, and predictions add up their evidence
    (`expand_by_evidence`). Without a second modality, or without unlabelled rows, a plain
    classifier learns the labels; `account_` says so.

    X is a frame or an array [n, D] whose columns `modalities` groups, or a dictionary of arrays
    [n, …] by modality. A modality that is NaN throughout a row is missing there, which is allowed
    for all but `alpha`, and in prediction for `alpha` too.

    Parameters
    ----------
    modalities : dict of str to columns, or None
        Names or numbers of the columns of each modality, a slice of numbers, or a pattern of names
        such as "audio_*". None: a dictionary's own, or one modality of all columns.
    alpha : str or None
        The teacher's modality; None is the first.
    teacher : classifier or None
        A classifier of scikit-learn that learns the labelled rows of `alpha`, standardised; or a
        `FrozenEstimator` around one that is fitted already, which reads them as they are, knows the
        same classes, and was not trained on the rows that are labelled here: these calibrate it.
        None: a network with one hidden layer.
    expert : classifier or None
        What learns each further modality. None: such a network.
    hidden : int
        Units of a network's hidden layer, at least 1.
    steps : int
        Updates of one training of a network, at least 2.
    random_state : int, RandomState or None
        Of weights, batches and folds.

    Attributes
    ----------
    classes_ : the known classes [k], sorted.
    modalities_ : names of the modalities, `alpha` first.
    n_features_in_, feature_names_in_ : of a table.
    account_ : `Changes`, what the student changed on the unlabelled rows; str() is sentences.
    expansion_ : the `EvidenceExpansion` behind it, None for a plain classifier.

    Ref: xue2021mke; `docs/evidence.md`.
    """

    def __init__(
        self,
        modalities: Mapping[str, Columns] | None = None,
        alpha: str | None = None,
        *,
        teacher: Any = None,
        expert: Any = None,
        hidden: int = 64,
        steps: int = 500,
        random_state: Any = None,
    ) -> None:
        self.modalities = modalities
        self.alpha = alpha
        self.teacher = teacher
        self.expert = expert
        self.hidden = hidden
        self.steps = steps
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.modalities is not None
        return tags

    def fit(self, X: Any, y: Any, *, answers: Any = None) -> Self:
        """Fit teacher and student to rows X and their labels y [n].

        `answers` [n, k] are the probabilities or logits of a teacher that is elsewhere, its classes
        in sorted order; NaN in a row without one. No teacher is trained then. On labelled rows they
        have to be of models that were not trained on them, for they calibrate it.

        Raises ValueError where no two classes are known, α is missing from a row, or columns,
        settings or numbers do not fit; TypeError for what is no number.
        """
        self._refuse_settings()
        numbers = self._numbers(X, fitting=True)
        self.classes_, codes = coded(y)
        check_consistent_length(next(iter(numbers.values())), codes)
        self.modalities_ = self._ordered(tuple(numbers))
        self._refuse_rows_without_alpha(numbers[self.modalities_[0]])
        frozen = isinstance(self.teacher, FrozenEstimator)
        if frozen:
            self._refuse_other_classes()
        self._scales = {
            name: scale_of(name, numbers[name], as_it_is=frozen and name == self.modalities_[0])
            for name in self.modalities_
        }
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        pool = self._pool(numbers, codes)
        self.unlabelled_rows_ = np.flatnonzero(codes == UNKNOWN)
        known = pool.rows(np.flatnonzero(codes != UNKNOWN))
        if len(self.modalities_) == 1 or len(self.unlabelled_rows_) == 0:
            if answers is not None:
                raise ValueError("answers need unlabelled rows and a second modality to be of use")
            self._fit_plainly(known)
        else:
            given = None if answers is None else self._given(answers, codes)
            self._fit_by_evidence(known, pool.rows(self.unlabelled_rows_), given)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of the classes [n, k]."""
        check_is_fitted(self, "model_")
        numbers = self._numbers(X, fitting=False)
        rows = len(next(iter(numbers.values())))
        pool = self._pool(numbers, np.full(rows, UNKNOWN))
        return np.asarray(torch.softmax(predict(self.model_, pool).double(), dim=1).numpy())

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each row [n]."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[likeliest])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on the rows whose label is known; ValueError where none is."""
        known = ~unknown(y)
        if not known.any():
            raise ValueError("no row of y has a known label: there is nothing to score")
        right = self.predict(X)[known] == np.asarray(y)[known]
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(np.average(right, weights=weights))

    def audit(self, ask: Callable[[int], Any] | Sheet, **settings: Any) -> Comparison:
        """Look up labels until the student is shown to be better, on its unlabelled rows.

        `ask(row)` gives the class of a row of X, or None where nobody can tell; a `Sheet` lets a
        person answer in a table. `settings` are those of `mke_theory.audit.compare`. Raises
        ValueError for a plain classifier.
        """
        found = self._expansion("audit")
        here = found.readable.numpy()
        rows, names = self.unlabelled_rows_[here], [str(one) for one in self.classes_]
        by_number = np.array(names, dtype=object)

        def asked(i: int) -> str | None:
            answer = ask(int(rows[i])) if callable(ask) else None
            return None if answer is None else str(answer)

        return compare(
            by_number[found.predictions.numpy()[here]],
            by_number[found.pseudo.hard.numpy()[here]],
            ask if isinstance(ask, Sheet) else asked,
            classes=names,
            **settings,
        )

    def diagnose(self) -> Diagnosis:
        """The promise of the further modalities, without a label of the unlabelled rows.

        See `mke_theory.audit.diagnose`. Raises ValueError for a plain classifier.
        """
        found, betas = self._expansion("diagnose"), self.modalities_[1:]
        here = found.readable.clone()
        for name in betas:
            here &= is_present(self._unlabelled.inputs[name])
        beta = torch.cat([self._unlabelled.inputs[name][here] for name in betas], dim=1)
        p = torch.softmax(self._teacher_logits[here].double(), dim=1)
        known = None
        if found.honest is not None:
            known = torch.softmax(found.honest.logits, 1).numpy(), found.honest.labels.numpy()
        return diagnose(p.numpy(), beta.numpy(), labelled=known, seed=self._seed)

    # Steps of `fit`

    def _refuse_settings(self) -> None:
        for name, least in (("hidden", 1), ("steps", 2)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(
                    f"{name} is {value!r}; it has to be a whole number from {least} on"
                )

    def _refuse_other_classes(self) -> None:
        check_is_fitted(self.teacher)
        there = np.asarray(self.teacher.classes_)
        if not np.array_equal(there, self.classes_):
            raise ValueError(
                f"the frozen teacher knows the classes {there.tolist()}, and the labels are "
                f"{self.classes_.tolist()}; they have to be the same"
            )

    def _numbers(self, X: Any, *, fitting: bool) -> dict[str, Floats]:
        """The rows of numbers of each modality, finite, or NaN throughout where it is missing."""
        found = self._columns(X, fitting=fitting)
        for name, x in found.items():
            refuse_bad_values(name, torch.tensor(x))  # a copy, as x may be read-only
        return found

    def _columns(self, X: Any, *, fitting: bool) -> dict[str, Floats]:
        """The columns of each modality as they came."""
        if isinstance(X, Mapping) and not issparse(X):  # some sparse matrices are dictionaries
            if self.modalities is not None:
                raise ValueError(
                    "modalities groups the columns of a table; a dictionary has its own"
                )
            return arrays_of(X, None if fitting else self.modalities_)
        refuse_text(X)
        gaps: Any = True if self.modalities is None else "allow-nan"
        table = validate_data(self, X, dtype=np.float64, ensure_all_finite=gaps, reset=fitting)
        return numbers_of(table, self.modalities, getattr(self, "feature_names_in_", None))

    def _ordered(self, names: tuple[str, ...]) -> tuple[str, ...]:
        alpha = names[0] if self.alpha is None else self.alpha
        if alpha not in names:
            raise ValueError(f"alpha is {alpha!r}; the modalities are {', '.join(names)}")
        return (alpha, *(name for name in names if name != alpha))

    def _refuse_rows_without_alpha(self, alpha: Floats) -> None:
        without = np.flatnonzero(np.isnan(alpha).any(axis=1))
        if len(without):
            raise ValueError(
                f"{len(without)} rows have NaN in {self.modalities_[0]!r}, the teacher's modality, "
                f"the first in row {without[0]}; leave them out of fit"
            )

    def _pool(self, numbers: Mapping[str, Floats], codes: NDArray[np.int64]) -> Pool:
        """Standardised numbers; a modality that is not there is missing from every row."""
        inputs = {
            name: self._scales[name](numbers[name])
            if name in numbers
            else torch.full((len(codes), self._scales[name].width), torch.nan)
            for name in self.modalities_
        }
        return Pool(inputs, torch.from_numpy(codes))

    def _given(self, answers: Any, codes: NDArray[np.int64]) -> Answers:
        logits = as_logits("answers", np.asarray(answers))
        if logits.shape != (len(codes), len(self.classes_)):
            raise ValueError(
                f"answers are {tuple(logits.shape)}; {len(codes)} rows and "
                f"{len(self.classes_)} classes need ({len(codes)}, {len(self.classes_)})"
            )
        known = torch.from_numpy(codes != UNKNOWN)
        heard = not bool(torch.isnan(logits[known]).all())
        return Answers(logits[~known], logits[known] if heard else None)

    def _networks(self) -> Networks:
        widths = {name: scale.width for name, scale in self._scales.items()}
        return Networks(widths, len(self.classes_), self.hidden, self.steps, self._seed)

    def _fit_plainly(self, known: Pool) -> None:
        several = len(self.modalities_) > 1
        teacher = Teacher(None if several else self.teacher, self.modalities_, self._scales)
        self._keep(teacher.trained(known, self._networks()))
        self.expansion_: EvidenceExpansion | None = None
        self.account_ = Changes.none(self.classes_, PLAIN["all" if several else "one"])

    def _fit_by_evidence(self, known: Pool, unlabelled: Pool, answers: Answers | None) -> None:
        networks, alpha = self._networks(), self.modalities_[0]
        teacher = Teacher(self.teacher, (alpha,), self._scales)
        for name in self.modalities_[1:]:
            if not bool(is_present(unlabelled.inputs[name]).any()):
                raise ValueError(
                    f"modality {name!r} is NaN in every unlabelled row, and those are what its "
                    "expert learns from; leave it out, or give rows that have it"
                )
        if answers is not None:  # whom the teacher does not answer counts as without α
            silent = ~is_present(answers.unlabelled)
            unread = unlabelled.inputs[alpha].masked_fill(silent[:, None], torch.nan)
            unlabelled = replace(unlabelled, inputs={**unlabelled.inputs, alpha: unread})
        model = teacher.trained(known.only((alpha,)), networks) if answers is None else answers
        found = expand_by_evidence(
            model,
            unlabelled,
            networks.expert if self.expert is None else lambda _: self.expert,
            alpha=alpha,
            labelled=known.only((alpha,)),
            retrain=networks.retrain if teacher.is_network and answers is None else None,
            config=networks.config,
            seed=self._seed,
        )
        self.expansion_, self._unlabelled = found, unlabelled
        self._teacher_logits: Tensor = (
            model.unlabelled if isinstance(model, Answers) else predict(model, unlabelled)
        )
        self._keep(found.student)  # after the teacher's logits, whose weights it may share
        here = found.readable.numpy()
        self.account_ = Changes.between(
            found.pseudo.hard.numpy()[here],
            found.predictions.numpy()[here],
            found.posterior.exp().max(dim=1).values.numpy()[here],
            self.classes_,
            dict(found.verdicts),
            _named(found.messages, self.classes_),
        )

    def _keep(self, model: nn.Module) -> None:
        """Keep the model that predicts, in double precision: no row depends on those beside it."""
        self.model_ = model.double()

    def _expansion(self, door: str) -> EvidenceExpansion:
        check_is_fitted(self, "model_")
        if self.expansion_ is None:
            raise ValueError(f"there is nothing to {door}: {self.account_.messages[0]}")
        return self.expansion_


def _named(messages: tuple[str, ...], classes: NDArray[Any]) -> tuple[str, ...]:
    """Messages, which number the classes, and how to read that where labels are no such numbers."""
    if not messages or np.array_equal(classes, np.arange(len(classes))):
        return messages
    return (*messages, "The number of a class is its place in classes_, from 0 on.")
