"""The verdict on every modality beside α: trusted, weak or redundant."""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from mke_theory.data.rng import seed_for
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
        sites = state.sites.repeated(here)
        state.usefulness[beta] = usefulness(state.answers[sites], own[sites], state.sites.each)
        others, rows = _others(state, beta)
        target = state.target([beta])
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
