"""The verdict on every modality beside α: trusted, weak or redundant.

An expert that learns on and on fits the noise of its labels. Within a class the spread of its
evidence then grows by what nobody can foretell, and the share that the others foretell falls,
whatever they share. So whether a modality repeats the others is also asked of experts that were
trained briefly, and the pair likelihood, on samples that neither was trained on, says whose
evidence is heard.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from torch import Tensor, nn

from mke_theory.data.rng import seed_for
from mke_theory.method.evidence import arithmetic
from mke_theory.method.evidence.arithmetic import best_exponent, evidence_of, pair_likelihood
from mke_theory.method.evidence.experts import FromClassifier, Unmixed, has_all
from mke_theory.method.evidence.guards import USEFUL, Redundancy, redundancy, usefulness
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
    briefly = yield from likelier_brief_evidence(state, brief)
    for beta in state.betas:
        full, here = state.evidence(beta).values, alpha & state.present[beta]
        state.usefulness[beta] = usefulness(state.answers[here], full[here])
        own = briefly.get(beta, full)
        others, rows = _others(state, beta)
        target = arithmetic.posterior([own], state.log_prior).exp().float()
        trained = yield from state.train(
            [(others, rows, target)],
            f"foretell {beta[0]}",
            learn_on=False,
            constant=True,
            config=brief if beta in briefly else None,
        )
        foretold = state.predictions(trained[others], others)
        state.redundancy[beta] = _redundancy(state, beta, own, foretold, rows)
    for beta in state.betas:
        found = verdict(state.usefulness[beta], state.redundancy[beta])
        state.verdicts[beta] = found if state.settings.guards else "trusted"
    if state.all_weak:
        state.forget_temperature_by_pairs()


def brief_training(config: TrainConfig) -> TrainConfig:
    """A training of a twelfth of the updates, at least 50, with as large a part for warm-up."""
    steps = max(LEAST, config.steps // PART)
    return replace(config, steps=steps, warmup_steps=config.warmup_steps * steps // config.steps)


def likelier_brief_evidence(
    state: EvidenceState, brief: TrainConfig
) -> Generator[list[TrainingJob], list[Fit], dict[Group, Tensor]]:
    """Log evidence [n, k] of experts beside α that were trained briefly, where pairs prefer it.

    It is left out where the pair likelihood of the experts at hand is as great, where those are
    classifiers of scikit-learn, which count no updates, and where they had fewer than twice as many
    updates.
    """
    betas = [
        beta
        for beta in state.betas
        if not any(isinstance(one, FromClassifier | Unmixed) for one in state.models[beta])
    ]
    if state.job.config.steps < 2 * brief.steps or not betas:
        return {}
    trained = yield from state.learn_the_answers(betas, "briefly", brief)
    found = {}
    for beta, models in trained.items():
        values = _likeliest(state, beta, models)
        if _likelihood(state, beta, values) > _likelihood(state, beta, state.evidence(beta).values):
            found[beta] = values
    return found


def _likeliest(state: EvidenceState, beta: Group, models: Sequence[nn.Module]) -> Tensor:
    """The log evidence [n, k] of models by the exponent of the greatest pair likelihood."""
    log_p = state.predictions(models, beta)

    def values(w: float) -> Tensor:
        return evidence_of(log_p, state.log_prior, w, state.folds, state.present[beta]).values

    return values(best_exponent(lambda w: _likelihood(state, beta, values(w))))


def _likelihood(state: EvidenceState, beta: Group, values: Tensor) -> float:
    """The mean pair likelihood of a modality's log evidence [n, k] beside all the others'."""
    return float(pair_likelihood([values, *state.others(beta)], state.log_prior).mean())


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


def _redundancy(
    state: EvidenceState, beta: Group, own: Tensor, foretold: Tensor, rows: Tensor
) -> Redundancy:
    rest = state.others(beta)
    others = sum(rest[1:], rest[0])
    likelihood = float(pair_likelihood([own[rows], others[rows]], state.log_prior).mean())
    return redundancy(
        own[rows],
        others[rows],
        [state.teacher_log_p[rows], foretold[rows]],
        state.log_prior,
        state.folds[rows],
        likelihood=likelihood,
        seed=seed_for(state.job.seed, "shuffle", *beta),
    )
