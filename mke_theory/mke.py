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

from torch import Tensor, nn

from mke_theory.accounting import Account, account
from mke_theory.checkpoint import Checkpoint
from mke_theory.objective import (
    Objective,
    PseudoLabels,
    as_classes,
    as_target,
    decide,
    label,
    student_loss,
)
from mke_theory.train import Fit, TrainConfig, fit, predict
from mke_theory.transforms import Compose
from mke_theory.types import Pool, join

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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
    fabric: Fabric | None = None,
    select_on: Pool | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
) -> Fit:
    """Step 1: a model trained on D_l with its true labels, without perturbation."""
    return fit(
        model,
        labelled,
        student_loss(Objective(view="clean", multilabel=multilabel), Compose()),
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
    return label(predict(teacher, unlabelled), objective or Objective())


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
    heldout: Pool | None = None,
    validation: Pool | None = None,
    fabric: Fabric | None = None,
    checkpoint: Checkpoint | None = None,
    progress: str | None = None,
) -> Expansion:
    """Steps 2 and 3: a student that learned from its teacher's labels on D_u, and the account.

    The truth inside `unlabelled.labels`, where known (not −1), is read by the account alone.
    `labelled` adds D_l with its true labels to the lessons (the NOISY arm); `pseudo` replaces step
    2 by other labels (the placebos). `config.select` decides which weights count: "agreement" reads
    `heldout`, unlabelled samples outside D_u; "labelled" reads `validation`.

    Teacher and student may be any modules from a dictionary of inputs to logits [n, k, ...]. A T
    that acts on features hands the student a second argument, `hidden` (see `MultimodalModel`).
    """
    objective, config = objective or Objective(), config or TrainConfig()
    if pseudo is None:
        pseudo = pseudo_label(teacher, unlabelled, objective)
    account_of(unlabelled, pseudo, pseudo.hard)  # a truth that makes no sense is refused here

    lessons = unlabelled.with_labels(pseudo.target)
    if labelled is not None:
        lessons = join(as_target(labelled, pseudo), lessons)

    transform = Compose(objective.transform).calibrated(lessons)
    trained = fit(
        student,
        lessons,
        student_loss(objective, transform),
        config,
        seed=seed,
        fabric=fabric,
        select_on=_judges(teacher, config, objective, heldout, validation),
        checkpoint=checkpoint,
        progress=progress,
    )

    decided = decide(predict(student, unlabelled), multilabel=objective.multilabel)
    return Expansion(student, pseudo, account_of(unlabelled, pseudo, decided), trained)


def account_of(pool: Pool, pseudo: PseudoLabels, decided: Tensor) -> Account:
    """Corrected, kept, damaged, inherited on a pool that `pseudo` labels; truth −1 is unknown."""
    return account(
        as_classes(pool.labels, pseudo),
        pseudo.hard,
        decided,
        classes=pseudo.classes,
        confidence=pseudo.confidence,
    )


def _judges(
    teacher: nn.Module,
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
        return pool
    said = decide(predict(teacher, pool), multilabel=objective.multilabel)
    return pool.with_labels(said)
