"""Folds, and a teacher's answers on labels that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import hide
from mke_theory.method.evidence import Answers, EvidenceJob, EvidenceSettings, FromClassifier
from mke_theory.method.evidence.calibration import folds_of, honest_answers, known_rows
from mke_theory.method.evidence.settings import Honest, Retrain
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import Objective
from mke_theory.training.loop import Fit, TrainConfig


def numbered(n: int, groups: list[int] | None = None) -> Pool:
    """Samples whose α is their own number, and whose labels are 0, 1, 0, 1, …"""
    ids = torch.arange(n, dtype=torch.float32)[:, None]
    names = None if groups is None else np.array(groups)
    return Pool({"a": ids, "b": ids.clone()}, torch.arange(n) % 2, names)


class Memory(nn.Module):
    """A model that answers 1 for the samples it was trained on, and 0 for all others."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()
        self.inputs: set[str] = set()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        self.inputs |= set(inputs)
        known = [float(int(x) in self.seen) for x in inputs["a"][:, 0]]
        one = torch.tensor(known)
        return torch.stack([-one, one], dim=1)  # logits: rows that sum to 1 would be probabilities


class RemembersAll(BaseEstimator, ClassifierMixin):  # type: ignore[misc]
    """The same as a classifier of scikit-learn."""

    def fit(self, x: NDArray[Any], y: NDArray[Any]) -> Self:
        self.classes_ = np.unique(y)
        self.seen_ = set(x[:, 0].astype(int).tolist())
        return self

    def predict_proba(self, x: NDArray[Any]) -> NDArray[Any]:
        one = np.array([float(int(i) in self.seen_) for i in x[:, 0]])
        return np.stack([1 - one, one], axis=1)


def retrain(samples: Pool, number: int) -> TrainingJob:
    return TrainingJob(Memory(), samples, Objective(), TrainConfig(), number)


def memorised(jobs: list[TrainingJob]) -> list[Fit]:
    """The fits of models that have learned their samples by heart."""
    for job in jobs:
        assert isinstance(job.model, Memory)
        job.model.seen = set(job.samples.inputs["a"][:, 0].int().tolist())
    return [Fit(job.model, 1, ()) for job in jobs]


def job(
    labelled: Pool | None,
    teacher: Any = None,
    again: Retrain | None = retrain,
    folds: int = 5,
) -> EvidenceJob:
    unlabelled, truth = hide(numbered(4))
    return EvidenceJob(
        Memory() if teacher is None else teacher,
        unlabelled,
        truth,
        ("a",),
        lambda _: Memory(),
        labelled=labelled,
        retrain=again,
        settings=EvidenceSettings(teacher_folds=folds),
    )


def answered(
    given: EvidenceJob, train: Callable[[list[TrainingJob]], list[Fit]] = memorised
) -> Honest | None:
    plan = honest_answers(given)
    try:
        jobs = next(plan)
        plan.send(train(jobs))
    except StopIteration as end:
        return end.value
    raise AssertionError("calibration asks for jobs once")


# --- folds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "folds"), [(10, 2), (11, 3), (100, 7)])
def test_folds_are_of_nearly_equal_size(n: int, folds: int) -> None:
    sizes = torch.bincount(folds_of(numbered(n), folds, 0))
    assert len(sizes) == folds and int(sizes.max() - sizes.min()) <= 1


def test_groups_stay_together_and_folds_are_balanced() -> None:
    groups = [g for g in range(12) for _ in range(1 + g % 4)]
    place = folds_of(numbered(len(groups), groups), 3, 0)
    of_group = {g: set(place[torch.tensor(groups) == g].tolist()) for g in range(12)}
    assert all(len(folds) == 1 for folds in of_group.values())
    sizes = torch.bincount(place)  # 3 groups each of 1, 2, 3 and 4 samples: 30 in all
    assert sizes.tolist() == [10, 10, 10]


def test_fewer_groups_or_samples_than_folds() -> None:
    assert sorted(set(folds_of(numbered(6, [0, 0, 1, 1, 1, 1]), 5, 0).tolist())) == [0, 1]
    assert sorted(folds_of(numbered(3), 5, 0).tolist()) == [0, 1, 2]
    # One group alone holds all of D_l together, and is set aside.
    assert torch.bincount(folds_of(numbered(6, [4] * 6), 2, 0)).tolist() == [3, 3]


def test_folds_follow_from_the_seed() -> None:
    groups = list(range(10)) * 3
    for pool in (numbered(30), numbered(30, groups)):
        first, again, other = (folds_of(pool, 3, seed) for seed in (1, 1, 2))
        assert torch.equal(first, again) and not torch.equal(first, other)


# --- honest answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 5])
@pytest.mark.parametrize("kind", ["network", "classifier"])
def test_honest_answers_are_by_models_that_were_not_trained_on_the_sample(
    folds: int, kind: str
) -> None:
    known = numbered(20)
    teacher: Any = None
    if kind == "classifier":
        fitted = RemembersAll().fit(known.inputs["a"].numpy(), known.labels.numpy())
        teacher = FromClassifier(fitted, ("a",), 2)
    found = answered(job(known, teacher, folds=folds))
    assert found is not None
    assert found.logits.argmax(1).tolist() == [0] * 20  # "never seen"
    assert found.labels.tolist() == known.labels.tolist() and found.accuracy == 0.5
    if kind == "classifier":  # and the teacher itself is as it was
        assert teacher.classifier.seen_ == set(range(20))


def test_every_other_sample_is_seen_and_nobody_of_the_same_group() -> None:
    groups = [i // 2 for i in range(12)]
    seen: list[set[int]] = []

    def train(jobs: list[TrainingJob]) -> list[Fit]:
        fits = memorised(jobs)
        seen.extend(fit.model.seen for fit in fits if isinstance(fit.model, Memory))
        return fits

    answered(job(numbered(12, groups), folds=3), train)
    assert len(seen) == 3
    for models in seen:
        assert len(models) == 8 and all((i ^ 1) in models for i in models)
    assert sorted(i for models in seen for i in set(range(12)) - models) == list(range(12))


def test_models_see_the_teachers_modality_alone() -> None:
    pools, models = [], []

    def noted(samples: Pool, number: int) -> TrainingJob:
        pools.append(samples.modalities)
        models.append(Memory())
        return replace(retrain(samples, number), model=models[-1])

    answered(job(numbered(10), again=noted))
    assert pools == [("a",)] * 5 and all(model.inputs == {"a"} for model in models)


def test_samples_without_a_label_or_without_α_are_left_out() -> None:
    known = numbered(10)
    known.labels[2] = UNKNOWN
    known.inputs["a"][5] = torch.nan
    assert known_rows(known, ("a",)).tolist() == [0, 1, 3, 4, 6, 7, 8, 9]
    found = answered(job(known))
    assert found is not None and found.labels.tolist() == [0, 1, 1, 0, 0, 1, 0, 1]
    logits = torch.arange(20.0).reshape(10, 2)
    given = answered(job(known, Answers(torch.zeros(4, 2), logits)))
    assert given is not None
    assert given.logits[:, 0].tolist() == [0.0, 2.0, 6.0, 8.0, 12.0, 14.0, 16.0, 18.0]
    assert given.logits.dtype == torch.float64


def test_nobody_answers() -> None:
    assert answered(job(None)) is None
    assert answered(job(numbered(10), again=None)) is None
    assert answered(job(numbered(10), Answers(torch.zeros(4, 2)))) is None
    for labels in ([UNKNOWN] * 3, [UNKNOWN, 1, UNKNOWN]):
        assert answered(job(numbered(3).with_labels(torch.tensor(labels)))) is None


def test_answers_that_d_l_itself_carries_count_before_a_training_of_others() -> None:
    logits = torch.randn(10, 2, generator=torch.Generator().manual_seed(3))
    logits[[2, 5]] = torch.nan
    found = answered(job(replace(numbered(10), answers=logits)))
    by_hand = answered(job(numbered(10), Answers(torch.zeros(4, 2), logits)))
    assert found is not None and by_hand is not None
    rest = [0, 1, 3, 4, 6, 7, 8, 9]  # a row of NaN is no answer
    for one in (found, by_hand):
        assert torch.equal(one.logits, logits[rest].double())
        assert torch.equal(one.labels, numbered(10).labels[rest])
    one_left = torch.full((10, 2), torch.nan)
    one_left[4] = 0.0
    assert answered(job(replace(numbered(10), answers=one_left))) is None


def test_two_labels_are_enough() -> None:
    found = answered(job(numbered(2)))
    assert found is not None and found.logits.argmax(1).tolist() == [0, 0]


def test_a_classifier_that_is_left_with_one_class_is_an_error() -> None:
    known = numbered(2)
    fitted = RemembersAll().fit(known.inputs["a"].numpy(), known.labels.numpy())
    with pytest.raises(ValueError, match=r"D_l without fold \d of 2: every label is of class \d"):
        answered(job(known, FromClassifier(fitted, ("a",), 2)))
