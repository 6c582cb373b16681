"""The verdict on every modality beside α: trusted, weak or redundant.

An expert that learns on and on fits the noise of its labels. Within a class the spread of its
evidence then grows by what nobody can foretell, and the share that the others foretell falls,
whatever they share. So whether a modality repeats the others is also asked of experts that were
trained briefly, and the pair likelihood, on samples that neither was trained on, says whose
evidence is heard.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from torch import Tensor, nn

from mke_theory.data.rng import seed_for
from mke_theory.method.evidence.arithmetic import pair_likelihood
from mke_theory.method.evidence.experts import FromClassifier, Unmixed, has_all
from mke_theory.method.evidence.guards import USEFUL, Redundancy, redundancy, usefulness
from mke_theory.method.evidence.learning import train
from mke_theory.method.evidence.rounds import forget_temperature_by_pairs, learn_the_answers
from mke_theory.method.evidence.settings import Group, Verdict
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.job import TrainingJob
from mke_theory.training.loop import Fit, TrainConfig

LEAST, PART = 50, 12
"""A brief training has a twelfth of the updates of an expert's, and at least 50. An expert that has
fewer than twice those is brief itself. Chosen on worlds and tasks at seeds 100 to 115."""


def judge(state: EvidenceState) -> Generator[list[TrainingJob], list[Fit], None]:
    """Give every modality its verdict; models that read all others foretell its evidence."""
    alpha = state.present[state.job.alpha]
    brief = brief_training(state.job.config)
    briefly = yield from likelier_brief_experts(state, brief)
    for beta in state.betas:
        here = state.sites.repeated(alpha & state.present[beta])
        own = state.evidence(beta).values
        state.usefulness[beta] = usefulness(state.answers[here], own[here], state.sites.each)
        if beta in briefly:
            with state.instead(beta, briefly[beta]):
                state.redundancy[beta] = yield from _redundancy_of(state, beta, brief)
        else:
            state.redundancy[beta] = yield from _redundancy_of(state, beta)
    for beta in state.betas:
        found = verdict(state.usefulness[beta], state.redundancy[beta])
        state.verdicts[beta] = found if state.settings.guards else "trusted"
    if state.all_weak:
        forget_temperature_by_pairs(state)


def brief_training(config: TrainConfig) -> TrainConfig:
    """A training of a twelfth of the updates, at least 50, with as large a part for warm-up."""
    steps = max(LEAST, config.steps // PART)
    return replace(config, steps=steps, warmup_steps=config.warmup_steps * steps // config.steps)


def likelier_brief_experts(
    state: EvidenceState, brief: TrainConfig
) -> Generator[list[TrainingJob], list[Fit], dict[Group, list[nn.Module]]]:
    """Experts beside α that were trained briefly, where the pair likelihood prefers them.

    There are none where those at hand are classifiers of scikit-learn, which count no updates, and
    where they had fewer than twice as many updates.
    """
    betas = [
        beta
        for beta in state.betas
        if not any(isinstance(one, FromClassifier | Unmixed) for one in state.models[beta])
    ]
    if state.job.config.steps < 2 * brief.steps or not betas:
        return {}
    trained = yield from learn_the_answers(state, betas, "briefly", brief)
    found = {}
    for beta, models in trained.items():
        likelihood = _likelihood(state, beta)
        with state.instead(beta, models):
            if _likelihood(state, beta) > likelihood:
                found[beta] = models
    return found


def _likelihood(state: EvidenceState, beta: Group) -> float:
    """The mean pair likelihood of a modality's log evidence beside all the others'."""
    parts = [state.evidence(beta).values, *state.others(beta)]
    return float(pair_likelihood(parts, state.log_prior).mean())


def verdict(usefulness: float, redundancy: Redundancy) -> Verdict:
    """The verdict that both guards together come to."""
    if redundancy.refuted:
        return "redundant"
    return "trusted" if usefulness >= USEFUL else "weak"


def _others(state: EvidenceState, beta: Group) -> tuple[Group, Tensor]:
    """All modalities but one, and the samples [n] that have them and it; α where those are few."""
    pool = state.job.unlabelled
    rows = has_all(pool, pool.modalities)
    if int(rows.sum()) >= 2 * state.classes * state.fold_count:
        return tuple(name for name in pool.modalities if name not in beta), rows
    return state.job.alpha, state.present[state.job.alpha] & state.present[beta]


def _redundancy_of(
    state: EvidenceState, beta: Group, config: TrainConfig | None = None
) -> Generator[list[TrainingJob], list[Fit], Redundancy]:
    """The redundancy of a modality; models of all others learn what its expert says."""
    others, rows = _others(state, beta)
    trained = yield from train(
        state,
        [(others, rows, state.target([beta]))],
        f"foretell {beta[0]}",
        learn_on=False,
        constant=True,
        config=config,
    )
    return _redundancy(state, beta, state.predictions(trained[others], others), rows)


def _redundancy(state: EvidenceState, beta: Group, foretold: Tensor, rows: Tensor) -> Redundancy:
    """The redundancy on samples [n]; over several questions that of their mean share."""
    rows, rest = state.sites.repeated(rows), state.others(beta)
    own, others = state.evidence(beta).values[rows], sum(rest[1:], rest[0])[rows]
    likelihood = float(pair_likelihood([own, others], state.log_prior).mean())
    tables = [own, others, state.teacher_log_p[rows], state.sites.of(foretold)[rows]]
    folds, seed = state.site_folds[rows], seed_for(state.job.seed, "shuffle", *beta)

    def of(own: Tensor, others: Tensor, *read: Tensor, prior: Tensor) -> Redundancy:
        return redundancy(own, others, read, prior, folds, likelihood=likelihood, seed=seed)

    if not state.job.multilabel:
        return of(*tables, prior=state.log_prior)
    by_question = [
        of(*parts, prior=prior)
        for *parts, prior in zip(*(x.unbind(1) for x in tables), state.log_prior, strict=True)
    ]
    return Redundancy.of(sum(one.shared for one in by_question) / len(by_question), likelihood)
