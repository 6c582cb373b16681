"""Algorithm 1 on toys whose answer is known before anything is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool, join
from mke_theory.data.problem import Truth, hide
from mke_theory.evaluation.account import Tally
from mke_theory.method.algorithm import (
    Expansion,
    ExpansionJob,
    account_of,
    expand,
    expand_all,
    fit_teacher,
    pseudo_label,
    student_job,
)
from mke_theory.method.job import Outcome, Trainer, TrainingJob, one_by_one
from mke_theory.method.objective import Consistency, Objective, PseudoLabelTerm
from mke_theory.method.pseudo_labels import PseudoLabels, as_classes, label
from mke_theory.method.student_loss import loss_on
from mke_theory.method.transforms import (
    Dropout,
    GaussianNoise,
    InputNoise,
    ModalityDropout,
)
from mke_theory.models import MLP, multimodal
from mke_theory.training.loop import Fit, TrainConfig, fit
from mke_theory.training.predict import predict

FEW = TrainConfig(steps=12, batch_size=5, learning_rate=0.05)
STILL = TrainConfig(steps=1, learning_rate=1e-12)
"""A rate at which the student stays what it was: its decisions are then known by hand."""


class Sign(nn.Module):
    """A teacher without weights: class 1 where "a" is positive."""

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        a = inputs["a"][:, 0]
        return torch.stack([-a, a], dim=1)


class Mute(nn.Module):
    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        raise AssertionError("this teacher was not to be asked")


class Slope(nn.Module):
    """A student of one weight, 1 at first: class 1 where w · "b" is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        b = self.weight * inputs["b"][:, 0]
        return torch.stack([torch.zeros_like(b), b], dim=1)


def linear(*names: str, seed: int = 0) -> nn.Module:
    return student(names, hidden=(), seed=seed)


def student(names: tuple[str, ...], hidden: tuple[int, ...] = (6,), seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoders = {name: MLP([1, 4], activate=bool(hidden)) for name in names}
        return multimodal(encoders, 2, hidden=hidden, missing="zero")


def pool(**columns: Sequence[float]) -> Pool:
    labels = torch.tensor(columns.pop("labels"), dtype=torch.long)
    return Pool({name: torch.tensor(x)[:, None] for name, x in columns.items()}, labels)


def crowd(n: int = 13, names: str = "ab", seed: int = 0) -> Pool:
    draw = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(n, 1, generator=draw) for name in names}
    return Pool(inputs, torch.randint(0, 2, (n,), generator=draw))


def same(first: nn.Module, second: nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


# --- the toy that the method is for --------------------------------------------------------------


def two_clusters() -> Pool:
    """β is ±3 by the true class; α is ±1 and wrong for 3 of the 12 samples of each class."""
    labels = [0] * 12 + [1] * 12
    b = [3.0 if y else -3.0 for y in labels]
    a = [(1.0 if y else -1.0) * (-1.0 if i % 4 == 0 else 1.0) for i, y in enumerate(labels)]
    return pool(a=a, b=b, labels=labels)


LONG = TrainConfig(steps=250, learning_rate=0.05)


def test_a_student_of_the_other_modality_corrects_every_error() -> None:
    # In each β cluster 3 of 4 pseudo labels are right, and β has nothing else to say.
    found = expand(Sign(), two_clusters(), linear("b"), config=LONG)
    assert found.account.overall == Tally(corrected=6, kept=18, damaged=0, inherited=0, copied=0)
    probability = torch.softmax(predict(found.student, two_clusters()), dim=1).max(dim=1).values
    assert probability.tolist() == pytest.approx([0.75] * 24, abs=0.01)


def test_without_perturbation_the_student_copies_and_with_it_it_corrects() -> None:
    # α separates the pseudo labels, so a linear student that sees it as it is learns to copy.
    plain = expand(Sign(), two_clusters(), linear("a", "b"), config=LONG)
    assert plain.account.overall == Tally(corrected=0, kept=18, damaged=0, inherited=6, copied=6)
    assert plain.account.agreement == 1.0
    # Noise of ten times its size leaves α worthless and β as it was.
    objective = Objective(transform=(GaussianNoise(10.0, only=("a",)),))
    noisy = expand(Sign(), two_clusters(), linear("a", "b"), objective=objective, config=LONG)
    assert noisy.account.overall == Tally(corrected=6, kept=18, damaged=0, inherited=0, copied=0)


def test_the_account_by_hand() -> None:
    # The teacher reads the sign of a, the student that of b; the last truth is not known.
    given = pool(
        a=[-1.0, 1.0, 1.0, -2.0, -1.0],
        b=[1.0, 1.0, -1.0, -1.0, 1.0],
        labels=[1, 1, 1, 1, UNKNOWN],
    )
    found = expand(Sign(), given, Slope(), config=STILL)
    assert found.pseudo.hard.tolist() == [0, 1, 1, 0, 0]
    assert found.account.overall == Tally(corrected=1, kept=1, damaged=1, inherited=1, copied=1)
    assert (found.account.unknown, found.account.agreement) == (1, 2 / 5)
    sure = torch.sigmoid(torch.tensor([2.0, 4.0])).tolist()
    assert found.pseudo.confidence.tolist() == pytest.approx([*[sure[0]] * 3, sure[1], sure[0]])
    assert [part.tally.n for part in found.account.by_confidence] == [3, 1]
    always = account_of(Truth(given.labels), found.pseudo, torch.ones(5, dtype=torch.long))
    assert always.overall == Tally(corrected=2, kept=2, damaged=0, inherited=0, copied=0)


# --- who may influence what ----------------------------------------------------------------------


def expanded(given: Pool | None = None, **changes: Any) -> Expansion:
    settings: dict[str, Any] = {
        "objective": Objective(transform=(InputNoise(0.5),), consistency=Consistency(gamma=0.5)),
        "config": FEW,
        "seed": 1,
    }
    given = crowd() if given is None else given
    return expand(Sign(), given, student(("a", "b")), **(settings | changes))


def test_twice_the_same_is_the_same() -> None:
    first, second = expanded(), expanded()
    assert same(first.student, second.student)
    assert first.account == second.account
    assert first.fit.history == second.fit.history
    assert not same(first.student, expanded(seed=2).student)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_the_truth_on_unlabelled_samples_does_not_reach_the_student(labels: Any) -> None:
    objective = Objective(
        pseudo_labels=PseudoLabelTerm(kind=labels),
        transform=(InputNoise(0.5),),
        consistency=Consistency(gamma=0.5),
    )
    truth = crowd().labels
    found = [
        expanded(crowd().with_labels(there), objective=objective)
        for there in (truth, 1 - truth, torch.full_like(truth, UNKNOWN))
    ]
    assert same(found[0].student, found[1].student) and same(found[0].student, found[2].student)
    assert found[0].fit.history == found[1].fit.history == found[2].fit.history
    assert found[0].account.overall != found[1].account.overall
    assert found[2].account.overall.n == 0 and found[2].account.agreement == (
        found[0].account.agreement
    )


def test_the_teacher_is_not_changed() -> None:
    teacher = student(("a",))
    teacher.train()
    before = copy.deepcopy(teacher)
    given = crowd()
    expand(teacher, given, student(("a", "b")), config=FEW)
    assert same(teacher, before) and teacher.training
    assert torch.equal(given.labels, crowd().labels)


def test_step_2_is_the_teachers_labels() -> None:
    for objective in (
        Objective(),
        Objective(pseudo_labels=PseudoLabelTerm(kind="soft", temperature=2.0, threshold=0.7)),
    ):
        found = expanded(objective=objective).pseudo
        direct = label(Sign()(crowd().inputs), objective)
        for part in ("hard", "target", "confidence"):
            assert torch.equal(getattr(found, part), getattr(direct, part))
            assert torch.equal(
                getattr(found, part), getattr(pseudo_label(Sign(), crowd(), objective), part)
            )


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_labelled_samples_join_what_is_learned(labels: Any) -> None:
    objective = Objective(pseudo_labels=PseudoLabelTerm(kind=labels), transform=(InputNoise(0.5),))
    known = crowd(4, seed=9)
    found = expanded(objective=objective, labelled=known)

    target = pseudo_label(Sign(), crowd(), objective).target
    sure = known.labels if labels == "hard" else torch.eye(2)[known.labels]
    samples = join(known.with_labels(sure), crowd().with_labels(target))
    other = student(("a", "b"))
    fit(other, samples, loss_on(objective, samples), FEW, seed=1)
    assert same(found.student, other)
    assert found.account.samples == 13
    assert not same(found.student, expanded(objective=objective).student)


# --- jobs ----------------------------------------------------------------------------------------


def job(pseudo: PseudoLabels, learned: PseudoLabels | None = None) -> ExpansionJob:
    """A job of `expanded`, whose student learns the labels `learned`, by default `pseudo`."""
    unlabelled, truth = hide(crowd())
    training = student_job(
        Mute(),
        unlabelled,
        student(("a", "b")),
        learned or pseudo,
        objective=Objective(transform=(InputNoise(0.5),), consistency=Consistency(gamma=0.5)),
        config=FEW,
        seed=1,
    )
    return ExpansionJob(unlabelled, truth, pseudo, training)


def done(jobs: Sequence[ExpansionJob], trainer: Trainer = one_by_one) -> list[Expansion]:
    found = expand_all(jobs, trainer)
    assert not [one for one in found if isinstance(one, Exception)]
    return [one for one in found if isinstance(one, Expansion)]


def test_expand_is_a_call_of_the_runner() -> None:
    direct = expanded()
    (found,) = done([job(pseudo_label(Sign(), crowd()))])
    assert same(found.student, direct.student)
    assert (found.account, found.fit.history) == (direct.account, direct.fit.history)
    assert torch.equal(found.predictions, direct.predictions)
    assert torch.equal(found.predictions, predict(found.student, crowd()).argmax(dim=1))


def test_a_job_may_learn_other_labels_than_those_of_its_account() -> None:
    own = pseudo_label(Sign(), crowd())
    flipped = PseudoLabels(1 - own.target, 1 - own.hard, own.confidence, 2)
    plain, placebo = done([job(own), job(own, flipped)])
    assert placebo.pseudo is own and not same(plain.student, placebo.student)
    errors = int((own.hard != crowd().labels).sum())
    assert placebo.account.overall.teacher_errors == plain.account.overall.teacher_errors == errors
    assert placebo.account.agreement < plain.account.agreement


def test_a_job_that_fails_ends_no_other_and_keeps_its_place() -> None:
    own = pseudo_label(Sign(), crowd())
    wild = job(own)
    wild = replace(wild, training=replace(wild.training, config=replace(FEW, learning_rate=1e30)))
    found = expand_all([wild, job(own)])
    assert isinstance(found[0], FloatingPointError)
    assert isinstance(found[1], Expansion) and same(found[1].student, expanded().student)


class Mislaid(nn.Module):
    """A model that cannot be asked after training."""

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        raise MemoryError("too large to ask")


def test_a_student_that_cannot_be_asked_ends_no_other() -> None:
    def lost_first(jobs: Sequence[TrainingJob]) -> list[Outcome]:
        fits = one_by_one(jobs)
        assert isinstance(fits[0], Fit)
        return [replace(fits[0], model=Mislaid()), *fits[1:]]

    own = pseudo_label(Sign(), crowd())
    found = expand_all([job(own), job(own)], lost_first)
    assert isinstance(found[0], MemoryError) and isinstance(found[1], Expansion)


def test_the_trainer_is_given_the_jobs_and_no_truth() -> None:
    given: list[TrainingJob] = []

    def watched(jobs: Sequence[TrainingJob]) -> list[Outcome]:
        given.extend(jobs)
        return one_by_one(jobs)

    own = pseudo_label(Sign(), crowd())
    assert (own.hard != crowd().labels).any()
    done([job(own)], watched)
    assert [one.samples.labels.tolist() for one in given] == [own.hard.tolist()]


# --- modalities and forms ------------------------------------------------------------------------


def test_a_unimodal_student_needs_alpha_alone() -> None:
    found = expand(Sign(), crowd().only(["a"]), student(("a",)), config=FEW)
    assert found.account.samples == 13
    assert predict(found.student, crowd()).shape == (13, 2)


def test_three_modalities() -> None:
    objective = Objective(
        transform=(InputNoise(0.5), ModalityDropout(0.3), Dropout(0.2, only=("c",))),
        consistency=Consistency(gamma=1.0),
    )
    found = [
        expand(
            Sign(),
            crowd(names="abc"),
            student(("a", "b", "c")),
            objective=objective,
            config=FEW,
        )
        for _ in range(2)
    ]
    assert same(found[0].student, found[1].student)
    fresh = student(("a", "b", "c")).state_dict()
    for name in "abc":
        key = f"encoders.{name}.layers.1.weight"
        assert not torch.equal(found[0].student.state_dict()[key], fresh[key])


class Pair(nn.Module):
    """Two yes/no questions: is "a" positive, is "b"?"""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.weight * torch.cat([inputs["a"], inputs["b"]], dim=1)


@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize("dtype", [torch.long, torch.float32])
def test_multi_label_from_end_to_end(labels: Any, dtype: torch.dtype) -> None:
    truth = torch.tensor([[1, 1], [0, 0], [1, -1]]).to(dtype)
    given = pool(a=[1.0, 1.0, -1.0], b=[2.0, -2.0, 1.0], labels=[0, 0, 0]).with_labels(truth)
    objective = Objective(pseudo_labels=PseudoLabelTerm(kind=labels), multilabel=True)
    sure = given.with_labels(given.labels.clamp(min=0))
    found = expand(Pair(), given, Pair(), objective=objective, config=STILL, labelled=sure)
    assert found.pseudo.hard.tolist() == [[1, 1], [1, 0], [0, 1]]
    assert found.account.overall == Tally(corrected=0, kept=3, damaged=0, inherited=2, copied=2)
    assert found.account.unknown == 1
    shown = torch.sigmoid(torch.tensor([[1.0, 2.0], [1.0, -2.0], [-1.0, 1.0]]).double())
    torch.testing.assert_close(found.predictions, shown, rtol=0, atol=1e-9)
    teacher = fit_teacher(Pair(), given, STILL, multilabel=True)
    # −ln of the probability of the truth, 0 where it is unknown, over 2 questions and 3 samples.
    p, q = torch.sigmoid(torch.tensor([1.0, 2.0])).tolist()
    by_hand = torch.tensor([p, q, 1 - p, q, 1 - p]).log().sum().item() / -6
    assert teacher.history[0][1] == pytest.approx(by_hand, rel=1e-5)


def test_fit_teacher_is_cross_entropy_without_perturbation() -> None:
    first, second = student(("a",)), student(("a",))
    given = crowd().only(["a"])
    fit_teacher(first, given, FEW, seed=4)
    fit(
        second,
        given,
        lambda model, batch, *_: nn.functional.cross_entropy(
            model(batch.inputs), batch.target, reduction="none"
        ),
        FEW,
        seed=4,
    )
    torch.testing.assert_close(predict(first, given), predict(second, given))
    learned = fit_teacher(linear("b"), two_clusters(), LONG)
    predicted = predict(learned.model, two_clusters()).argmax(dim=1)
    assert torch.equal(predicted, two_clusters().labels)


# --- what is refused -----------------------------------------------------------------------------


def test_what_makes_no_sense_is_refused_before_the_work() -> None:
    other = student(("a", "b"))

    def refused(given: Pool, **changes: Any) -> None:
        expand(Sign(), given, other, config=FEW, **changes)

    with pytest.raises(ValueError, match="truth holds 2; allowed are 0 to 1"):
        refused(crowd().with_labels(torch.full((13,), 2)))
    with pytest.raises(ValueError, match=r"labels are torch.float32 .* whole numbers"):
        refused(crowd().with_labels(torch.zeros(13)))
    with pytest.raises(ValueError, match="cannot join"):
        refused(crowd(), labelled=crowd().only(["a"]))
    with pytest.raises(ValueError, match="shape"):
        replace(job(pseudo_label(Sign(), crowd())), truth=Truth(crowd(5).labels))
    assert same(other, student(("a", "b")))


def two_columns(labels: list[int]) -> Pool:
    x = torch.arange(float(len(labels))).unsqueeze(1)
    return Pool({"a": x, "b": -x}, torch.tensor(labels))


class Outputs(nn.Module):
    """A model with a given number of outputs that reads modality a."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(1, outputs)

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.layer(inputs["a"])


def test_a_teacher_with_too_few_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match="2 outputs, but the labels have 4 classes"):
        fit_teacher(Outputs(2), two_columns([0, 1, 3]), TrainConfig(steps=1))


def test_a_student_with_too_few_outputs_is_refused() -> None:
    with pytest.raises(ValueError, match="the student has 2 outputs"):
        expand(Outputs(3), two_columns([0, 1, 2]), Outputs(2), config=TrainConfig(steps=1))


def test_a_teacher_without_a_known_label_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample of D_l has a known label"):
        fit_teacher(Outputs(2), two_columns([-1, -1]), TrainConfig(steps=1))


def test_a_threshold_that_nothing_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold 1\.0; the highest confidence is 0\.\d+"):
        expand(
            Outputs(2),
            two_columns([0, 1]),
            Outputs(2),
            objective=Objective(pseudo_labels=PseudoLabelTerm(threshold=1.0)),
            config=TrainConfig(steps=1),
        )


def test_a_transform_that_names_no_modality_of_the_pool_is_refused() -> None:
    objective = Objective(transform=(InputNoise(1.0, only=("audoi",)),))
    with pytest.raises(ValueError, match=r"acts on \['audoi'\]; there are a, b"):
        expand(Outputs(2), two_columns([0, 1]), Outputs(2), objective=objective)


def test_a_bare_transform_in_place_of_a_tuple_is_refused() -> None:
    with pytest.raises(TypeError, match="tuple of transforms"):
        Objective(transform=InputNoise(1.0))  # type: ignore[arg-type]


def test_soft_truth_without_weight_is_unknown() -> None:
    like = PseudoLabels(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long), torch.ones(3), 2)
    soft = torch.tensor([[0.2, 0.8], [0.0, 0.0], [float("nan"), float("nan")]])
    assert as_classes(soft, like).tolist() == [1, -1, -1]


def test_a_teacher_that_cannot_answer_is_refused_with_the_row() -> None:
    pool = two_columns([0, 1, 0])
    pool.inputs["a"][1] = float("nan")
    with pytest.raises(ValueError, match="not finite for sample 1 of 3"):
        pseudo_label(Outputs(2), pool)


def test_a_teacher_cannot_be_its_own_student() -> None:
    model = Outputs(2)
    with pytest.raises(ValueError, match="one module"):
        expand(model, two_columns([0, 1]), model)


def test_the_truth_may_be_given_by_name() -> None:
    blind, truth = hide(crowd())
    by_name, inside = expanded(blind, truth=truth), expanded(crowd())
    assert same(by_name.student, inside.student) and by_name.account == inside.account
    assert expanded(blind).account.unknown == len(blind)


def test_a_truth_that_is_none_or_given_twice_is_refused() -> None:
    blind, truth = hide(crowd())
    with pytest.raises(TypeError, match=r"truth is a Tensor; wrap the labels: Truth\(labels\)"):
        expanded(blind, truth=truth.labels)
    with pytest.raises(ValueError, match="the truth is given, and the unlabelled pool has labels"):
        expanded(crowd(), truth=truth)
