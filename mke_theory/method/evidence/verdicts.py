"""The verdict on every modality beside α: trusted, weak or redundant."""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from mke_theory.data.rng import seed_for
from mke_theory.method.evidence import arithmetic
from mke_theory.method.evidence.arithmetic import pair_likelihood
from mke_theory.method.evidence.experts import has_all
from mke_theory.method.evidence.guards import USEFUL, Redundancy, redundancy, usefulness
from mke_theory.method.evidence.settings import Group, Verdict
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.job import TrainingJob
from mke_theory.training.loop import Fit


def judge(state: EvidenceState) -> Generator[list[TrainingJob], list[Fit], None]:
    """Give every modality its verdict; models that read all others foretell its evidence."""
    alpha = state.present[state.job.alpha]
    for beta in state.betas:
        own, here = state.evidence(beta).values, alpha & state.present[beta]
        state.usefulness[beta] = usefulness(state.answers[here], own[here])
        others, rows = _others(state, beta)
        target = arithmetic.posterior([own], state.log_prior).exp().float()
        trained = yield from state.train(
            [(others, rows, target)], f"foretell {beta[0]}", learn_on=False, constant=True
        )
        foretold = state.predictions(trained[others], others)
        state.redundancy[beta] = _redundancy(state, beta, foretold, rows)
    for beta in state.betas:
        found = verdict(state.usefulness[beta], state.redundancy[beta])
        state.verdicts[beta] = found if state.settings.guards else "trusted"
    if state.all_weak:
        state.forget_temperature_by_pairs()


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


def _redundancy(state: EvidenceState, beta: Group, foretold: Tensor, rows: Tensor) -> Redundancy:
    own, rest = state.evidence(beta).values, state.others(beta)
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
