"""The student that a state has arrived at, and its result."""

from __future__ import annotations

from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.data.rng import seed_for
from mke_theory.method.algorithm import account_of, predictions_of
from mke_theory.method.evidence.expert_sum import Expert, ExpertSum, Tempered
from mke_theory.method.evidence.messages import messages
from mke_theory.method.evidence.settings import EvidenceExpansion
from mke_theory.method.evidence.state import State
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.pseudo_labels import label
from mke_theory.method.transforms import InputNoise
from mke_theory.training.loop import Fit, TrainConfig


def student_of(state: State) -> ExpertSum:
    """The sum of the experts, as a model."""
    job, experts = state.job, []
    if state.teacher_share > 0:
        assert isinstance(job.teacher, nn.Module)
        teacher = Tempered(job.teacher, state.temperature)
        experts.append(
            Expert(
                [teacher],
                job.alpha,
                state.log_prior,
                share=state.teacher_share,
            )
        )
    for group, models in state.models.items():
        redundant = state.verdicts.get(group) == "redundant"
        experts.append(
            Expert(
                models,
                group,
                state.log_prior,
                exponent=state.exponents[group],
                offsets=state.evidence(group).offsets,
                confusion=state.confusion if redundant else None,
                share=1 - state.teacher_share if group == job.alpha else 1.0,
            )
        )
    return ExpertSum(experts, state.log_prior)


def distilling_job(
    found: EvidenceExpansion,
    unlabelled: Pool,
    network: nn.Module,
    config: TrainConfig,
    seed: int,
    *,
    noise: float = 1.0,
) -> TrainingJob:
    """The job of one network of all modalities that learns the sum's answers on D_u.

    Its labels are the probabilities of models that were not trained on the sample.
    """
    samples = unlabelled.with_labels(found.posterior.exp().float())
    objective = Objective(
        pseudo_labels=PseudoLabelTerm(kind="soft"),
        transform=(InputNoise(noise),) if noise > 0 else (),
    )
    return TrainingJob(network, samples, objective, config, seed_for(seed, "distilled"))


def result_of(state: State) -> EvidenceExpansion:
    """The student with its account on D_u."""
    student = student_of(state).eval()
    pseudo = label(state.logits, Objective())
    predictions = predictions_of(student, state.job.unlabelled)
    found = account_of(state.job.truth, pseudo, predictions)
    seconds = [fit.seconds for fit in state.fits]
    whole = None if None in seconds else sum(s for s in seconds if s is not None)
    fit = Fit(student, sum(fit.steps for fit in state.fits), (), whole)
    by_name = {"+".join(beta): beta for beta in state.betas}
    return EvidenceExpansion(
        student,
        pseudo,
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
        state.posterior(),
        tuple(messages(state)),
    )
