"""Multimodal Knowledge Expansion, Algorithm 1 of Xue, Ren, Gao and Zhao (ICCV 2021).

    1.  θ_t* = argmin  (1/N) Σ l_cls(y_i, f_t(x_i^α))                 the teacher, on D_l
    2.  ỹ_i  = f_t(x_i^α; θ_t*)   for every x_i in D_u                the pseudo labels
    3.  θ_s* = argmin  L_pl + γ L_reg                                 the student, on D̃_u

        L_pl  = (1/M) Σ l_cls(ỹ_i, f_s(T(x_i)))
        L_reg = (1/M) Σ l_reg(f_s(x_i), f_s(T(x_i)))

The student sees α and β and, in the method itself, no true label. Step 3 of every student passes
through `expand_all`: one for `expand`, as many as a study has for its runner. Ref: xue2021mke.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool, is_present, join
from mke_theory.data.problem import Truth, hide
from mke_theory.evaluation.account import Account, account
from mke_theory.method.answers import Answers
from mke_theory.method.augmentation import Augmentation
from mke_theory.method.foreign_models import (
    outputs_of,
    refuse_batch_of_one,
    refuse_probabilities,
    refuse_shared,
    samples_for,
)
from mke_theory.method.job import Outcome, Trainer, TrainingJob, one_by_one
from mke_theory.method.objective import Objective, PseudoLabelTerm, refuse_strange_modalities
from mke_theory.method.pseudo_labels import (
    PseudoLabels,
    as_classes,
    as_target,
    decide,
    label,
    together,
    without,
)
from mke_theory.models.known_answers import reads_answers
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, TrainConfig
from mke_theory.training.predict import logits_of, predict


@dataclass(frozen=True)
class ExpansionJob:
    """Step 3 before training: D_u and its truth, the teacher's labels, and the student's job.

    The account compares the student with `pseudo`, whatever the job learns from. Raises ValueError
    or TypeError where the truth makes no sense beside `pseudo`: before any work.
    """

    unlabelled: Pool
    truth: Truth
    pseudo: PseudoLabels
    training: TrainingJob

    def __post_init__(self) -> None:
        account_of(self.truth, self.pseudo, self.pseudo.hard)


@dataclass(frozen=True)
class Expansion:
    """A student, the pseudo labels of its teacher, its predictions on D_u, and the account there.

    predictions: classes [n, ...] or, multi-label, probabilities [n, k].
    """

    student: nn.Module
    pseudo: PseudoLabels
    predictions: Tensor
    account: Account
    fit: Fit


def fit_teacher(
    model: nn.Module,
    labelled: Pool,
    config: TrainConfig | None = None,
    *,
    seed: int = 0,
    multilabel: bool = False,
    augment: tuple[Augmentation, ...] = (),
    hardware: Hardware | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
) -> Fit:
    """Step 1: a model trained on D_l with its true labels, without perturbation.

    A label of −1 (a void pixel, say) counts as 0 in the mean over its sample, so that every known
    pixel weighs the same. `augment` changes samples and labels together. Raises ValueError
    where no label is known, or one is beyond the model's outputs.
    """
    config = config or TrainConfig()
    job = teacher_job(model, labelled, config, seed=seed, multilabel=multilabel, augment=augment)
    (outcome,) = one_by_one([job], hardware=hardware, checkpoints=[checkpoint], progress=progress)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def teacher_job(
    model: nn.Module,
    labelled: Pool,
    config: TrainConfig,
    *,
    seed: int,
    multilabel: bool = False,
    augment: tuple[Augmentation, ...] = (),
) -> TrainingJob:
    """The job of step 1; arguments and errors are those of `fit_teacher`."""
    if bool((labelled.labels == UNKNOWN).all()):
        raise ValueError("no sample of D_l has a known label; there is nothing to learn")
    outputs = outputs_of("the teacher", model, labelled, multilabel=multilabel)
    if not (multilabel or labelled.labels.is_floating_point()):
        _refuse_outputs("the teacher", outputs, int(labelled.labels.max()) + 1)
    refuse_batch_of_one(model, labelled, config)
    objective = Objective(
        pseudo_labels=PseudoLabelTerm(view="clean"), multilabel=multilabel, augment=augment
    )
    return TrainingJob(model, samples_for(model, labelled), objective, config, seed)


def pseudo_label(
    teacher: nn.Module | Answers, unlabelled: Pool, objective: Objective | None = None
) -> PseudoLabels:
    """Step 2: the teacher's labels for every sample of D_u.

    The student learns nothing where the teacher is its answers alone and a sample has none: its
    label, for the account, is then that of the mean answer. Raises ValueError where a prediction is
    not finite, or there are answers for another number of samples.
    """
    if isinstance(teacher, Answers):
        teacher, unlabelled = teacher.asked_on(unlabelled)
    multilabel = objective is not None and objective.multilabel
    known = isinstance(teacher, nn.Module) and reads_answers(teacher)
    if not known:
        outputs_of("the teacher", teacher, unlabelled, multilabel=multilabel)
    done, parts, squashed = 0, [], multilabel and not known
    for logits in logits_of(teacher, unlabelled):
        lost = ~torch.isfinite(logits.reshape(len(logits), -1)).all(dim=1)
        if bool(lost.any()):
            row = done + int(lost.nonzero()[0])
            raise ValueError(
                f"the teacher's logits are not finite for sample {row} of {len(unlabelled)}; where "
                "a modality is missing (NaN), the teacher has to handle that"
            )
        done += len(logits)
        squashed = squashed and 0 <= float(logits.min()) <= float(logits.max()) <= 1
        parts.append(label(logits.cpu(), objective or Objective()))
    if squashed:  # the answers to a few samples alone would not show it
        refuse_probabilities("the teacher", logits, multilabel=True)
    found = together(parts)
    if unlabelled.answers is None or not known:
        return found
    return without(found, ~is_present(unlabelled.answers))


def expand(
    teacher: nn.Module | Answers,
    unlabelled: Pool,
    student: nn.Module,
    *,
    objective: Objective | None = None,
    config: TrainConfig | None = None,
    seed: int = 0,
    truth: Truth | None = None,
    labelled: Pool | None = None,
    hardware: Hardware | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
) -> Expansion:
    """Steps 2 and 3: a student that learned from its teacher's labels on D_u, and the account.

    `truth` is read by the account alone. Without it the labels of `unlabelled`, where known (not
    −1), serve as the truth: they are taken off before anything is trained. `labelled` adds D_l with
    its true labels to what the student learns from (the NOISY arm).

    Teacher and student may be any modules from a dictionary of inputs to logits [n, k, ...]; the
    teacher may also be `Answers` on D_u, where its network is elsewhere. A T that acts on features
    hands the student a second argument, `hidden` (see `MultimodalModel`).

    Raises ValueError where student and teacher are one module or share weights, one of them does
    not answer as `foreign_models.outputs_of` asks, the student has too few outputs, no
    pseudo label reaches the threshold, a perturbation names a modality that is not there, or the
    truth is given twice or makes no sense beside the pseudo labels; TypeError where it is no Truth.
    """
    unlabelled, own = hide(unlabelled)
    truth = own if truth is None else sole_truth(truth, own)
    objective = objective or Objective()
    pseudo = pseudo_label(teacher, unlabelled, objective)
    job = student_job(
        teacher,
        unlabelled,
        student,
        pseudo,
        objective=objective,
        config=config or TrainConfig(),
        seed=seed,
        labelled=labelled,
    )
    trainer = partial(one_by_one, hardware=hardware, checkpoints=[checkpoint], progress=progress)
    (done,) = expand_all([ExpansionJob(unlabelled, truth, pseudo, job)], trainer)
    if isinstance(done, Exception):
        raise done
    return done


def sole_truth(truth: Truth, own: Truth) -> Truth:
    """The truth; refused where it is none, or the pool had labels as well."""
    if not isinstance(truth, Truth):
        raise TypeError(f"truth is a {type(truth).__name__}; wrap the labels: Truth(labels)")
    if bool((own.labels != UNKNOWN).any()):
        raise ValueError("the truth is given, and the unlabelled pool has labels too; give one")
    return truth


def student_job(
    teacher: nn.Module | Answers,
    unlabelled: Pool,
    student: nn.Module,
    pseudo: PseudoLabels,
    *,
    objective: Objective,
    config: TrainConfig,
    seed: int,
    labelled: Pool | None = None,
) -> TrainingJob:
    """The job of step 3: the student learns `pseudo` on D_u, and D_l too where it is given.

    Errors are those of `expand`.
    """
    if student is teacher:
        raise ValueError("student and teacher are one module; build a student of its own")
    refuse_strange_modalities(objective, unlabelled.modalities)
    threshold = objective.pseudo_labels.threshold
    if bool((pseudo.confidence < threshold).all()):
        raise ValueError(
            f"no pseudo label reaches the threshold {threshold}; the highest confidence is "
            f"{float(pseudo.confidence.max()):.3f}; lower the threshold"
        )
    outputs = outputs_of("the student", student, unlabelled, multilabel=objective.multilabel)
    if not objective.multilabel:
        _refuse_outputs("the student", outputs, pseudo.classes)
    if isinstance(teacher, nn.Module):
        refuse_shared("the student", student, teacher)
    samples = unlabelled.with_labels(pseudo.target)
    if labelled is not None:
        samples = join(labelled.with_labels(as_target(labelled.labels, pseudo)), samples)
    refuse_batch_of_one(student, samples, config)
    return TrainingJob(student, samples_for(student, samples), objective, config, seed)


def expand_all(
    jobs: Sequence[ExpansionJob], trainer: Trainer = one_by_one
) -> list[Expansion | Exception]:
    """Every job trained by `trainer`, and its account; an error where a job failed, in order."""
    outcomes = trainer([job.training for job in jobs])
    return [_accounted(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]


def _accounted(job: ExpansionJob, outcome: Outcome) -> Expansion | Exception:
    if isinstance(outcome, Exception):
        return outcome
    multilabel = job.training.objective.multilabel
    try:
        predictions = predictions_of(outcome.model, job.unlabelled, multilabel=multilabel)
        found = account_of(job.truth, job.pseudo, decided(predictions, multilabel=multilabel))
    except Exception as error:  # one job that fails, for whatever reason, ends no other
        return error
    return Expansion(outcome.model, job.pseudo, predictions, found, outcome)


def predictions_of(model: nn.Module, pool: Pool, *, multilabel: bool = False) -> Tensor:
    """The model's class for every sample [n, ...]; multi-label, probabilities [n, k] in float64."""
    return predict(model, pool, then=_probability if multilabel else decide)


def _probability(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits.double())  # in single precision those above 17 or so all are 1


def decided(predictions: Tensor, *, multilabel: bool = False) -> Tensor:
    """Classes as they are; multi-label, 1 where a probability reaches 0.5 and else 0."""
    return (predictions >= 0.5).long() if multilabel else predictions


def account_of(truth: Truth, pseudo: PseudoLabels, classes: Tensor) -> Account:
    """Corrected, kept, damaged, inherited on a pool that `pseudo` labels; truth −1 is unknown."""
    return account(
        as_classes(truth.labels, pseudo),
        pseudo.hard,
        classes,
        classes=pseudo.classes,
        confidence=pseudo.confidence,
    )


def _refuse_outputs(name: str, outputs: int, classes: int) -> None:
    if outputs < classes:
        raise ValueError(
            f"{name} has {outputs} outputs, but the labels have {classes} classes (0 to "
            f"{classes - 1}); build it with {classes} outputs"
        )
