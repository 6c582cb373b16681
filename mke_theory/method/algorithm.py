"""Multimodal Knowledge Expansion, Algorithm 1 of Xue, Ren, Gao and Zhao (ICCV 2021).

    1.  θ_t* = argmin  (1/N) Σ l_cls(y_i, f_t(x_i^α))                 the teacher, on D_l
    2.  ỹ_i  = f_t(x_i^α; θ_t*)   for every x_i in D_u                the pseudo labels
    3.  θ_s* = argmin  L_pl + γ L_reg                                 the student, on D̃_u

        L_pl  = (1/M) Σ l_cls(ỹ_i, f_s(T(x_i)))
        L_reg = (1/M) Σ l_reg(f_s(x_i), f_s(T(x_i)))

The student sees α and β and never a true label. Ref: xue2021mke.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Pool, join
from mke_theory.evaluation.account import Account, account
from mke_theory.method.job import Student, fit_alone
from mke_theory.method.objective import Objective, refuse_strange_modalities, student_loss
from mke_theory.method.pseudo_labels import (
    PseudoLabels,
    as_classes,
    as_target,
    decide,
    label,
    together,
)
from mke_theory.method.transforms import Compose
from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.loop import Fit, TrainConfig, fit
from mke_theory.training.predict import logits_of, predict

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from mke_theory.method.augmentation import Augmentation


@dataclass(frozen=True)
class Expansion:
    """What `expand` returns: the student, what it learned from, and the account on D_u."""

    student: nn.Module
    pseudo: PseudoLabels
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
    fabric: Fabric | None = None,
    select_on: Pool | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
) -> Fit:
    """Step 1: a model trained on D_l with its true labels, without perturbation.

    A label of −1 (a void pixel, say) counts as 0 in the mean over its sample, so that every known
    pixel weighs the same. `augment` changes samples and labels together. Raises ValueError
    where no label is known, or one is beyond the model's outputs.
    """
    if bool((labelled.labels == UNKNOWN).all()):
        raise ValueError("no sample of D_l has a known label; there is nothing to learn")
    if not (multilabel or labelled.labels.is_floating_point()):
        _refuse_outputs("the teacher", model, labelled, int(labelled.labels.max()) + 1)
    return fit(
        model,
        labelled,
        student_loss(Objective(view="clean", multilabel=multilabel, augment=augment), Compose()),
        config or TrainConfig(),
        seed=seed,
        fabric=fabric,
        select_on=select_on,
        checkpoint=checkpoint,
        progress=progress,
    )


def pseudo_label(
    teacher: nn.Module, unlabelled: Pool, objective: Objective | None = None
) -> PseudoLabels:
    """Step 2: what the teacher says about every sample of D_u."""
    done, parts = 0, []
    for logits in logits_of(teacher, unlabelled):
        lost = ~torch.isfinite(logits.reshape(len(logits), -1)).all(dim=1)
        if bool(lost.any()):
            row = done + int(lost.nonzero()[0])
            raise ValueError(
                f"the teacher's answer is not finite for sample {row} of {len(unlabelled)}; where "
                "a modality is missing (NaN), the teacher has to handle that"
            )
        done += len(logits)
        parts.append(label(logits.cpu(), objective or Objective()))
    return together(parts)


def expand(
    teacher: nn.Module,
    unlabelled: Pool,
    student: nn.Module,
    *,
    objective: Objective | None = None,
    config: TrainConfig | None = None,
    seed: int = 0,
    labelled: Pool | None = None,
    pseudo: PseudoLabels | None = None,
    lessons: Pool | None = None,
    heldout: Pool | None = None,
    validation: Pool | None = None,
    fabric: Fabric | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
) -> Expansion:
    """Steps 2 and 3: a student that learned from its teacher's labels on D_u, and the account.

    The truth inside `unlabelled.labels`, where known (not −1), is read by the account alone.
    `labelled` adds D_l with its true labels to the lessons (the NOISY arm); `pseudo` replaces step
    2 by other labels (the placebos). `lessons` replaces all that the student learns from, and then
    pseudo labels serve the account alone (methods without a teacher). `config.select` decides which
    weights count: "agreement" reads `heldout`, unlabelled samples outside D_u; "labelled" reads
    `validation`.

    Teacher and student may be any modules from a dictionary of inputs to logits [n, k, ...]. A T
    that acts on features hands the student a second argument, `hidden` (see `MultimodalModel`).
    """
    ready, pseudo = prepare(
        teacher,
        unlabelled,
        student,
        objective=objective or Objective(),
        config=config or TrainConfig(),
        seed=seed,
        labelled=labelled,
        pseudo=pseudo,
        lessons=lessons,
        heldout=heldout,
        validation=validation,
    )
    trained = fit_alone(ready, fabric=fabric, checkpoint=checkpoint, progress=progress)
    multilabel = ready.objective.multilabel
    decided = decisions(student, unlabelled, multilabel=multilabel)
    return Expansion(student, pseudo, account_of(unlabelled, pseudo, decided), trained)


def prepare(
    teacher: nn.Module,
    unlabelled: Pool,
    student: nn.Module,
    *,
    objective: Objective,
    config: TrainConfig,
    seed: int,
    labelled: Pool | None = None,
    pseudo: PseudoLabels | None = None,
    lessons: Pool | None = None,
    heldout: Pool | None = None,
    validation: Pool | None = None,
) -> tuple[Student, PseudoLabels]:
    """Step 2, and the student of step 3 with its lessons, checked and not yet trained.

    Arguments and errors are those of `expand`, which trains the student at once; `stack.fit_stack`
    trains many side by side.
    """
    if student is teacher:
        raise ValueError("student and teacher are one module; build a student of its own")
    if pseudo is None:
        pseudo = pseudo_label(teacher, unlabelled, objective)
    refuse_strange_modalities(objective, unlabelled.modalities)
    if lessons is None:
        _refuse_nothing_taught(pseudo, objective)
    elif labelled is not None:
        raise ValueError("lessons and labelled were both given; join D_l to the lessons instead")
    if not objective.multilabel:
        _refuse_outputs("the student", student, unlabelled, pseudo.classes)
    account_of(unlabelled, pseudo, pseudo.hard)  # a truth that makes no sense is refused here

    if lessons is None:
        lessons = unlabelled.with_labels(pseudo.target)
        if labelled is not None:
            lessons = join(labelled.with_labels(as_target(labelled.labels, pseudo)), lessons)
    judges = _judges(teacher, pseudo, config, objective, heldout, validation)
    return Student(student, lessons, objective, config, seed, judges), pseudo


def decisions(model: nn.Module, pool: Pool, *, multilabel: bool = False) -> Tensor:
    """What the model decides on every sample: classes [n, ...]; multi-label 0 or 1 [n, k]."""
    return predict(model, pool, then=lambda logits: decide(logits, multilabel=multilabel))


def account_of(pool: Pool, pseudo: PseudoLabels, decided: Tensor) -> Account:
    """Corrected, kept, damaged, inherited on a pool that `pseudo` labels; truth −1 is unknown."""
    return account(
        as_classes(pool.labels, pseudo),
        pseudo.hard,
        decided,
        classes=pseudo.classes,
        confidence=pseudo.confidence,
    )


def _refuse_outputs(who: str, model: nn.Module, pool: Pool, classes: int) -> None:
    outputs = predict(model, pool.rows([0])).shape[1]
    if outputs < classes:
        raise ValueError(
            f"{who} has {outputs} outputs, but the labels have {classes} classes (0 to "
            f"{classes - 1}); build it with {classes} outputs"
        )


def _refuse_nothing_taught(pseudo: PseudoLabels, objective: Objective) -> None:
    if bool((pseudo.confidence < objective.threshold).all()):
        raise ValueError(
            f"no pseudo label reaches the threshold {objective.threshold}; the highest confidence "
            f"is {float(pseudo.confidence.max()):.3f}; lower the threshold"
        )


def _judges(
    teacher: nn.Module,
    pseudo: PseudoLabels,
    config: TrainConfig,
    objective: Objective,
    heldout: Pool | None,
    validation: Pool | None,
) -> Pool | None:
    """The samples on which the student's weights are chosen, with the targets to compare to."""
    if config.select == "last":
        return None
    part = "heldout" if config.select == "agreement" else "validation"
    pool = heldout if config.select == "agreement" else validation
    if pool is None:
        raise ValueError(f"select is {config.select!r}, which needs {part}; none was given")
    if config.select == "labelled":
        return pool.with_labels(as_classes(pool.labels, pseudo))
    return pool.with_labels(decisions(teacher, pool, multilabel=objective.multilabel))
