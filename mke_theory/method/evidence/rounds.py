"""The rounds of an evidence student: what its experts learn, one round after the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from torch import Tensor, nn

from mke_theory.method.evidence import arithmetic
from mke_theory.method.evidence.arithmetic import best_exponent, pair_likelihood
from mke_theory.method.evidence.label_forms import (
    known_samples,
    probabilities_of,
    table_of,
    targets_of,
)
from mke_theory.method.evidence.learning import train
from mke_theory.method.evidence.settings import Group
from mke_theory.method.evidence.state import EvidenceState
from mke_theory.method.job import TrainingJob
from mke_theory.training.loop import Fit, TrainConfig

FIRST_SHARE, GROWTH = 0.4, 0.3
"""After round r the surest 0.4 + 0.3 (r − 1) of each class are labels of the next."""
TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
"""The teacher's temperatures that are tried where no honest answers say which."""


def first_round(state: EvidenceState) -> Generator[list[TrainingJob], list[Fit], None]:
    """Experts of the other modalities learn the teacher's answers."""
    state.take((yield from learn_the_answers(state, state.betas, "round 1")))
    if state.honest is None and state.settings.calibrated:
        _temperature_by_pairs(state)
    state.fit_exponents(state.betas)
    state.note(1)


def learn_the_answers(
    state: EvidenceState, betas: Sequence[Group], name: str, config: TrainConfig | None = None
) -> Generator[list[TrainingJob], list[Fit], dict[Group, list[nn.Module]]]:
    """Fresh experts of modalities beside α, which learn the teacher's answers."""
    alpha, answers = state.present[state.job.alpha], _answers_to_learn(state)
    wanted = [(beta, alpha & state.present[beta], answers) for beta in betas]
    corrected = state.settings.corrected
    return (
        yield from train(state, wanted, name, corrected=corrected, learn_on=False, config=config)
    )


def _answers_to_learn(state: EvidenceState) -> Tensor:
    """The teacher's answers: calibrated, where they are learned through S; else as they are."""
    if state.settings.corrected:
        return state.target([state.job.alpha])
    table = table_of(state.logits_or_shares(), multilabel=state.job.multilabel)
    return probabilities_of(table, multilabel=state.job.multilabel)


def _temperature_by_pairs(state: EvidenceState) -> None:
    """Without honest answers: the temperature of the greatest pair likelihood."""

    def likelihood(t: float) -> float:
        state.calibrate(t)
        state.fit_exponents(state.betas)
        return float(pair_likelihood(state.parts(), state.log_prior).mean())

    state.calibrate(max(TEMPERATURES, key=likelihood))


def forget_temperature_by_pairs(state: EvidenceState) -> None:
    """The teacher as it is, where its temperature was chosen by pairs that tell nothing."""
    if state.honest is None and state.settings.calibrated:
        state.calibrate(1.0)
        state.fit_exponents(state.betas)
        state.rounds.pop()
        state.note(1)


def next_round(state: EvidenceState) -> Generator[list[TrainingJob], list[Fit], None]:
    """All experts that are trusted learn on from the posterior's surest labels."""
    number = len(state.rounds)
    targets = _named(state, min(1.0, FIRST_SHARE + GROWTH * (number - 1)))
    chosen = known_samples(targets)
    groups = [state.job.alpha, *state.trusted]
    wanted = [(group, chosen & state.present[group], targets) for group in groups]
    state.take((yield from train(state, wanted, f"round {number + 1}", labels=True)))
    state.fit_exponents([*state.trusted, state.job.alpha])
    state.note(number + 1)


def _named(state: EvidenceState, share: float) -> Tensor:
    """The classes that the posterior names, for the surest `share` of each."""
    table = state.everywhere([state.job.alpha, *state.betas])
    targets = targets_of(table, share, multilabel=state.job.multilabel)
    return targets if targets.is_floating_point() else targets.to(state.pseudo.hard.dtype)


def expert_in_the_teachers_place(
    state: EvidenceState,
) -> Generator[list[TrainingJob], list[Fit], None]:
    """An expert of α where the teacher is known by answers alone and no round made one.

    Its exponent is that under which its answers are likeliest to be the teacher's.
    """
    alpha = state.job.alpha
    if alpha in state.models:
        return
    rows = state.present[alpha]
    wanted = [(alpha, rows, _named(state, 1.0))]
    state.take((yield from train(state, wanted, "in its place", labels=True)))
    sites = state.sites.repeated(rows)

    # By pairs α's evidence would vanish beside modalities that say nothing; it is to say what the
    # calibrated teacher says.
    def likelihood(w: float) -> float:
        log_p = arithmetic.posterior([state.evidence(alpha, w).values], state.log_prior)
        return float((state.answers * log_p)[sites].sum())

    state.exponents[alpha] = best_exponent(likelihood)
