"""The refusals before any work, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch import nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Truth, hide
from mke_theory.method.evidence import Answers, EvidenceJob, EvidenceSettings, expand_by_evidence
from mke_theory.method.evidence.checks import (
    classes_with,
    given_prior,
    refuse,
    refuse_expert,
    teachers_logits,
)
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.job import TrainingJob
from tests.method.evidence.small import Reads

N = 12


def pool(n: int = N, names: str = "ab") -> Pool:
    draw = torch.Generator().manual_seed(0)
    return Pool({name: torch.randn(n, 2, generator=draw) for name in names}, torch.arange(n) % 2)


def job(**changes: Any) -> EvidenceJob:
    unlabelled, truth = hide(pool())
    given = EvidenceJob(Reads("a"), unlabelled, truth, ("a",), lambda names: Reads(names[0]))
    return replace(given, **changes)


def never(samples: Pool, number: int) -> TrainingJob:
    raise AssertionError("nothing was to be trained")


ONE_LESS = torch.zeros(N - 1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": ()}, r"alpha is \(\); D_u has the modalities \['a', 'b'\]"),
        ({"alpha": ("z",)}, r"alpha is \('z',\)"),
        ({"alpha": ("a", "b")}, "every modality of D_u is the teacher's"),
        ({"unlabelled": pool().with_labels(torch.zeros(N, 3).long())}, r"those of D_u are"),
        ({"unlabelled": pool().with_labels(torch.zeros(N, 2))}, "have to be class numbers"),
        ({"labelled": pool().with_labels(torch.rand(N, 2))}, r"those of D_l are torch.float32"),
        ({"labelled": pool().with_labels(torch.zeros(N, 4).long())}, "those of D_l are"),
        ({"labelled": pool(names="b")}, r"D_l lacks the teacher's \['a'\]; it has \['b'\]"),
        (
            {"labelled": pool(), "teacher": Answers(torch.zeros(N, 2), ONE_LESS)},
            "there are 11 answers for 12 samples of D_l",
        ),
    ],
)
def test_data_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        refuse(job(**changes))


def test_a_teacher_that_is_no_model() -> None:
    for teacher in (LogisticRegression(), "teacher", None):
        with pytest.raises(TypeError, match="give a module, Answers or"):
            refuse(job(teacher=teacher))
    refuse(job())
    refuse(job(teacher=Answers(torch.zeros(N, 2)), labelled=pool(names="a")))


class Wrong(nn.Module):
    def __init__(self, shape: tuple[int, ...], value: float = 0.0) -> None:
        super().__init__()
        self.shape, self.value = shape, value

    def forward(self, inputs: Any) -> torch.Tensor:
        return torch.full((len(inputs["a"]), *self.shape), self.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": Wrong((2, 4, 4))}, r"labels are .* and the teacher answers by \(8, 2, 4"),
        ({"teacher": Wrong((1,))}, "the teacher has one output"),
        ({"teacher": Wrong((2,), torch.nan)}, "the teacher's logits are not all finite"),
        ({"teacher": Wrong((2,), torch.inf)}, "not all finite"),
        ({"teacher": Answers(ONE_LESS)}, "there are 11 answers for 12 samples of D_u"),
        (
            {"labelled": pool().with_labels(torch.arange(N) % 3)},
            "D_l has class 2; the teacher has outputs for 0 to 1 alone",
        ),
    ],
)
def test_teachers_answers_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        teachers_logits(job(**changes), torch.ones(N, dtype=torch.bool))


def test_a_teacher_that_can_read_nothing() -> None:
    given = pool()
    given.inputs["a"][:] = torch.nan
    with pytest.raises(ValueError, match=r"no sample of D_u has the teacher's modalities \('a',\)"):
        expand_by_evidence(Reads("a"), given, lambda names: Reads(names[0]), alpha="a")


def test_the_teacher_is_asked_with_its_own_modalities_alone() -> None:
    class Strict(Reads):
        def forward(self, inputs: Any) -> torch.Tensor:
            assert set(inputs) == {"a"}
            return super().forward(inputs)

    given = pool()
    present = torch.arange(N) % 3 > 0
    logits = teachers_logits(job(teacher=Strict("a")), present)
    torch.testing.assert_close(logits[present], given.inputs["a"][present].double())
    assert not bool(logits[~present].any())


def test_a_prior_is_a_share_above_0_for_each_class() -> None:
    assert given_prior(torch.tensor([3.0, 1.0]), 2).tolist() == [0.75, 0.25]
    assert given_prior([1, 1, 2], 3).tolist() == [0.25, 0.25, 0.5]
    nan, inf = torch.nan, torch.inf
    for bad in ([0.5, 0.3, 0.2], [1.0], [1.0, 0.0], [1.0, -1.0], [nan, 1.0], [inf, 1.0], 0.5):
        with pytest.raises(ValueError, match="give 2 shares above 0"):
            given_prior(torch.tensor(bad), 2)
    with pytest.raises(ValueError, match="give 2 shares above 0"):
        EvidenceState(job(prior=torch.ones(3)), None)


def test_the_number_of_classes_of_a_classifier() -> None:
    model = LogisticRegression().fit(np.arange(8.0)[:, None], np.arange(8) % 2)
    assert classes_with(model, None, None) == 2
    known = pool().with_labels(torch.tensor([0, 1, 3] * 4))
    assert classes_with(model, known, None) == 4
    assert classes_with(model, known, torch.ones(6)) == 6
    assert classes_with(model, pool().with_labels(torch.full((N,), UNKNOWN)), None) == 2


def test_a_classifier_without_probabilities_is_refused() -> None:
    with pytest.raises(TypeError, match="a LinearSVC, has no predict_proba"):
        refuse(job(teacher=LinearSVC()))


def test_experts_that_are_refused() -> None:
    one = pool(1).only("b")
    refuse_expert(Reads("b"), ("b",), one, (2,))
    refuse_expert(Reads("b"), ("b",), one, (2,), multilabel=True)
    refuse_expert(LogisticRegression(), ("b",), one, (2,))
    with pytest.raises(ValueError, match=r"of b has outputs \(2,\); the teacher has \(3,\)"):
        refuse_expert(Reads("b"), ("b",), one, (3,))
    with pytest.raises(TypeError, match="made a NoneType; it has to make a module or"):
        refuse_expert(None, ("b",), one, (2,))
    for shape, multilabel in (((2,), True), ((2, 4, 5), False)):
        with pytest.raises(ValueError, match="pixels and several questions need a network"):
            refuse_expert(LogisticRegression(), ("b",), one, shape, multilabel=multilabel)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"truth": Truth(torch.zeros(3).long())}, ValueError, "truth"),
        ({"truth": torch.zeros(N)}, TypeError, "truth is a Tensor"),
        ({"prior": torch.ones(3)}, ValueError, "give 2 shares"),
        ({"alpha": "z"}, ValueError, "alpha is"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    def build(names: tuple[str, ...]) -> nn.Module:
        raise AssertionError("nothing was to be built")

    given = {"alpha": "a", **changes}
    with pytest.raises(error, match=message):
        expand_by_evidence(Reads("a"), hide(pool())[0], build, **given)


def test_truth_and_labels_together_are_refused() -> None:
    truth = Truth(pool().labels)
    with pytest.raises(ValueError, match="the truth is given, and the unlabelled pool has labels"):
        expand_by_evidence(Reads("a"), pool(), lambda n: Reads(n[0]), alpha="a", truth=truth)


def test_a_d_u_that_cannot_be_cross_fitted() -> None:
    one = hide(pool(1))[0]
    with pytest.raises(ValueError, match="D_u has 1 sample"):
        EvidenceState(job(unlabelled=one, truth=Truth(one.labels)), None)
    alone = EvidenceSettings(folds=1)
    assert (
        EvidenceState(job(unlabelled=one, truth=Truth(one.labels), settings=alone), None).fold_count
        == 1
    )
