"""The student that a state has arrived at, and its result."""

from __future__ import annotations

import copy

from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.data.rng import seed_for
from mke_theory.method.algorithm import account_of, decided, predictions_of
from mke_theory.method.augmentation import Augmentation
from mke_theory.method.evidence.expert_sum import Expert, ExpertSum, Tempered
from mke_theory.method.evidence.label_forms import logits_of, probabilities_of, table_of
from mke_theory.method.evidence.learning import objective_on
from mke_theory.method.evidence.messages import messages
from mke_theory.method.evidence.settings import EvidenceExpansion
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.job import TrainingJob
from mke_theory.models.known_answers import ANSWERS, reads_answers
from mke_theory.training.loop import Fit, TrainConfig


def student_of(state: EvidenceState) -> ExpertSum:
    """The sum of the experts as a model, with a copy of the teacher and where the experts are."""
    job, experts, pixels = state.job, [], state.sites.index is not None
    if state.teacher_share > 0:
        assert isinstance(job.teacher, nn.Module)
        # A copy, so that whoever moves, trains or halves the student leaves the teacher alone.
        teacher = Tempered(copy.deepcopy(job.teacher), state.temperature)
        reads = (ANSWERS,) if reads_answers(job.teacher) else job.alpha
        experts.append(
            Expert(
                [teacher],
                reads,
                state.log_prior,
                share=state.teacher_share,
                pixels=pixels,
            )
        )
    for group, models in state.models.items():
        verdict = state.verdicts.get(group)
        experts.append(
            Expert(
                models,
                group,
                state.log_prior,
                exponent=state.exponents[group],
                offsets=state.evidence(group).offsets,
                confusion=state.confusion if verdict == "redundant" else None,
                share=1 - state.teacher_share if group == job.alpha else float(verdict != "weak"),
                pixels=pixels,
            )
        )
    weights = [p for models in state.models.values() for m in models for p in m.parameters()]
    return ExpertSum(experts, state.log_prior).to(weights[0].device if weights else "cpu")


def distilling_job(
    found: EvidenceExpansion,
    unlabelled: Pool,
    network: nn.Module,
    config: TrainConfig,
    seed: int,
    *,
    noise: float = 1.0,
    augment: tuple[Augmentation, ...] = (),
) -> TrainingJob:
    """The job of one network of all modalities that learns the sum's answers on D_u.

    Its labels are the probabilities of models that were not trained on the sample.
    """
    multilabel = found.multilabel
    table = table_of(found.posterior, multilabel=multilabel)
    samples = unlabelled.with_labels(probabilities_of(table, multilabel=multilabel))
    objective = objective_on(samples, noise, multilabel=multilabel, augment=augment)
    return TrainingJob(network, samples, objective, config, seed_for(seed, "distilled"))


def result_of(state: EvidenceState) -> EvidenceExpansion:
    """The student with its account on D_u."""
    student = student_of(state).eval()
    multilabel = state.job.multilabel
    predictions = predictions_of(student, state.job.unlabelled, multilabel=multilabel)
    classes = decided(predictions, multilabel=multilabel)
    found = account_of(state.job.truth, state.pseudo, classes)
    posterior = logits_of(state.everywhere([state.job.alpha, *state.betas]), multilabel=multilabel)
    seconds = [fit.seconds for fit in state.fits]
    whole = None if None in seconds else sum(s for s in seconds if s is not None)
    fit = Fit(student, sum(fit.steps for fit in state.fits), (), whole)
    by_name = {"+".join(beta): beta for beta in state.betas}
    return EvidenceExpansion(
        student,
        state.pseudo,
        predictions,
        found,
        fit,
        tuple(state.rounds),
        {name: state.verdicts[beta] for name, beta in by_name.items()},
        {name: state.usefulness[beta] for name, beta in by_name.items()},
        {name: state.redundancy[beta] for name, beta in by_name.items()},
        state.temperature,
        state.honest,
        state.prior,
        state.prior_from,
        posterior,
        state.present[state.job.alpha],
        tuple(messages(state)),
    )
