"""Knowledge expansion by evidence: an expert for each modality, added up, with nothing to tune.

    0.  The teacher is calibrated on labels of D_l that it was not trained on.
    1.  Every other modality's expert learns the teacher's answers on D_u, corrected for how the
        teacher errs; what it says of a sample comes from a model that was not trained on it.
    2.  log p(k | x) = log π_k + Σ_m log r_m(k | x), exponents by the pair likelihood.
    3.  Two guards: a modality that says nothing of the teacher's answers drops out; one that only
        repeats what the teacher reads counts for less; the experts of both learn no more.
    4.  Rounds: every expert, α's among them, learns on from the posterior's labels: at first from
        the surest of each class, then from more. α's expert keeps the true labels of D_l.

The student is the sum. `expand_by_evidence` is the door; `evidence_plan` is the algorithm, which
asks for training jobs and is sent their fits, so that folds, seeds and students train together.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from torch import Tensor

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Truth, hide
from mke_theory.method.algorithm import sole_truth
from mke_theory.method.answers import Answers
from mke_theory.method.augmentation import Augmentation
from mke_theory.method.evidence.calibration import honest_answers
from mke_theory.method.evidence.checks import classes_with, refuse
from mke_theory.method.evidence.experts import FromClassifier, is_classifier
from mke_theory.method.evidence.result import result_of
from mke_theory.method.evidence.rounds import (
    expert_in_the_teachers_place,
    first_round,
    next_round,
)
from mke_theory.method.evidence.settings import (
    EXPERTS,
    Build,
    EvidenceExpansion,
    EvidenceJob,
    EvidenceSettings,
    Group,
    Retrain,
    settings_for,
)
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.evidence.verdicts import judge
from mke_theory.method.job import Outcome, Trainer, TrainingJob, one_by_one
from mke_theory.training.loop import Fit, TrainConfig

T = TypeVar("T")
Plan = Generator[list[TrainingJob], list[Fit], EvidenceExpansion]
"""A student in the making: it asks for training jobs, is sent their fits, ends in its result."""


def expand_by_evidence(
    teacher: Any,
    unlabelled: Pool,
    build: Build,
    *,
    alpha: Group | str,
    labelled: Pool | None = None,
    retrain: Retrain | None = None,
    config: TrainConfig = EXPERTS,
    settings: EvidenceSettings | None = None,
    prior: Tensor | None = None,
    multilabel: bool = False,
    augment: tuple[Augmentation, ...] = (),
    seed: int = 0,
    truth: Truth | None = None,
    trainer: Trainer = one_by_one,
) -> EvidenceExpansion:
    """A student of all modalities from a teacher of some, on any data, with nothing to tune.

    `teacher` is a module, a fitted classifier of scikit-learn (which reads the numbers of `alpha`
    side by side), or `Answers` where there is no model at hand. `build(modalities)` makes a fresh
    expert. `labelled` is D_l; with it and `retrain` (a classifier needs none) the teacher is
    calibrated on labels that it was not trained on. As for `expand`, labels of `unlabelled` are
    taken off and serve the account alone. Labels are a class for each sample, [n], or pixel,
    [n, h, w]; with `multilabel` answers in [0, 1] to several questions, [n, q]. `augment` changes
    samples and labels together while experts learn.

    Raises ValueError where no modality is left beside `alpha`, labels have another form, D_l lacks
    `alpha` or has a class beyond the teacher's, the teacher's answers are not finite, an expert has
    other classes than the teacher or is not fresh, or no sample is left for an expert; TypeError
    where the teacher or an expert is no model.
    """
    unlabelled, own = hide(unlabelled)
    group = (alpha,) if isinstance(alpha, str) else tuple(alpha)
    if is_classifier(teacher):
        teacher = FromClassifier(teacher, group, classes_with(teacher, labelled, prior))
    job = EvidenceJob(
        teacher,
        unlabelled,
        own if truth is None else sole_truth(truth, own),
        group,
        build,
        config,
        seed,
        labelled,
        retrain,
        settings or settings_for(unlabelled),
        prior,
        multilabel,
        augment,
    )
    (done,) = carry_out([evidence_plan(job)], trainer)
    if isinstance(done, Exception):
        raise done
    return done


def carry_out(
    plans: Sequence[Generator[list[TrainingJob], list[Fit], T]], trainer: Trainer = one_by_one
) -> list[T | Exception]:
    """Every plan's result or error, in order; the jobs that they ask for are trained together.

    Raises ValueError where the trainer returns another number of outcomes than it was given jobs.
    """
    done: dict[int, T | Exception] = {}
    wanted: dict[int, list[TrainingJob]] = {}

    def go_on(i: int, fits: list[Fit] | None) -> None:
        try:
            wanted[i] = next(plans[i]) if fits is None else plans[i].send(fits)
        except StopIteration as end:
            done[i] = end.value
        except Exception as error:  # one plan that fails, for whatever reason, ends no other
            done[i] = error

    for i in range(len(plans)):
        go_on(i, None)
    while wanted:
        now, wanted = wanted, {}
        asked = [job for jobs in now.values() for job in jobs]
        outcomes = trainer(asked)
        if len(outcomes) != len(asked):
            raise ValueError(f"the trainer had {len(asked)} jobs and returned {len(outcomes)}")
        first = 0
        for i, jobs in now.items():
            own: list[Outcome] = outcomes[first : first + len(jobs)]
            first += len(jobs)
            errors = [outcome for outcome in own if isinstance(outcome, Exception)]
            if errors:
                done[i] = errors[0]
            else:
                go_on(i, [outcome for outcome in own if isinstance(outcome, Fit)])
    return [done[i] for i in range(len(plans))]


def evidence_plan(job: EvidenceJob) -> Plan:
    """The algorithm of this module, step by step; each `yield` asks for training jobs."""
    refuse(job)
    honest = yield from honest_answers(job)
    state = EvidenceState(job, honest)
    yield from first_round(state)
    yield from judge(state)
    while state.goes_on:
        yield from next_round(state)
    if isinstance(job.teacher, Answers):
        yield from expert_in_the_teachers_place(state)
    return result_of(state)
