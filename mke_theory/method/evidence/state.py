"""The state of an evidence student on its way: experts, what they say of D_u, and verdicts."""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import account_of
from mke_theory.method.evidence import arithmetic
from mke_theory.method.evidence.arithmetic import best_exponent, evidence_of, pair_likelihood
from mke_theory.method.evidence.calibration import folds_of
from mke_theory.method.evidence.checks import given_prior, refuse_expert, teachers_logits
from mke_theory.method.evidence.experts import (
    Answers,
    FromClassifier,
    Through,
    Unmixed,
    decided,
    has_all,
    is_classifier,
)
from mke_theory.method.evidence.guards import Redundancy
from mke_theory.method.evidence.learning import (
    fitted_or_constant,
    objective_on,
    refuse_again,
    samples_for,
)
from mke_theory.method.evidence.settings import (
    EvidenceJob,
    Group,
    Honest,
    Round,
    Verdict,
)
from mke_theory.method.job import TrainingJob
from mke_theory.method.objective import Objective
from mke_theory.method.pseudo_labels import label
from mke_theory.training.loop import Fit, TrainConfig
from mke_theory.training.predict import predict

FIRST_SHARE, GROWTH = 0.4, 0.3
"""After round r the surest 0.4 + 0.3 (r − 1) of each class are labels of the next."""
LEAST_SHARE = 1e-9
"""A class that the teacher never answers at all counts as this much."""
TEACHER_SHARE = 0.5
"""α's evidence is half the teacher's own and half that of the expert that learned on."""


class EvidenceState:
    """The state of a plan: experts, their predictions on D_u, exponents and verdicts.

    The experts' predictions of a sample are of the model that was kept from the sample's fold.
    """

    def __init__(self, job: EvidenceJob, honest: Honest | None) -> None:
        self.job, self.honest, self.settings = job, honest, job.settings
        pool = job.unlabelled
        self.betas: list[Group] = [(m,) for m in pool.modalities if m not in job.alpha]
        groups = [job.alpha, *self.betas]
        self.present = {group: has_all(pool, group) for group in groups}
        self.folds = folds_of(pool, job.settings.folds, seed_for(job.seed, "folds"))
        self.fold_count = int(self.folds.max()) + 1
        if self.fold_count < min(2, job.settings.folds):
            raise ValueError(
                f"D_u has {len(pool)} sample, which cannot be kept from a model that learns the "
                "others; give more samples, or set folds to 1"
            )
        self.logits = teachers_logits(job, self.present[job.alpha])
        self.classes = self.logits.shape[1]
        self.prior, self.prior_from = self._class_shares()
        self.log_prior = self.prior.log()
        here = self.present[job.alpha].unsqueeze(1)  # elsewhere the teacher knows the shares alone
        self.pseudo = label(torch.where(here, self.logits, self.log_prior), Objective())
        account_of(job.truth, self.pseudo, self.pseudo.hard)  # refuses a strange truth before work
        self.temperature = 1.0
        if honest is not None:
            self.temperature = arithmetic.temperature_of(honest.logits, honest.labels)
        self.models: dict[Group, list[nn.Module]] = {}
        self.log_p: dict[Group, Tensor] = {}
        self.exponents: dict[Group, float] = {}
        self.verdicts: dict[Group, Verdict] = {}
        self.usefulness: dict[Group, float] = {}
        self.redundancy: dict[Group, Redundancy] = {}
        self.rounds: list[Round] = []
        self.fits: list[Fit] = []
        self.calibrate(self.temperature)

    def _class_shares(self) -> tuple[Tensor, str]:
        given, labelled = self.job.prior, self.job.labelled
        if given is not None:
            return given_prior(given, self.classes), "given"
        if labelled is not None:
            labels = labelled.labels[labelled.labels != UNKNOWN]
            if len(labels):
                return arithmetic.prior_of(labels, self.classes), "labels of D_l"
        here = self.present[self.job.alpha]
        shares = torch.softmax(self.logits[here], 1).mean(0).clamp(min=LEAST_SHARE)
        return shares / shares.sum(), "mean answer of the teacher"

    def calibrate(self, temperature: float) -> None:
        """The teacher's evidence, answers [n, k] and soft confusion at this temperature."""
        here = self.present[self.job.alpha]
        self.temperature = temperature
        self.teacher_log_p = torch.log_softmax(self.logits / temperature, 1)
        # Not brought to mean 1: alone it has to give the teacher's own answers.
        self.teacher = torch.where(here[:, None], self.teacher_log_p - self.log_prior, 0.0)
        self.answers = arithmetic.posterior([self.teacher], self.log_prior).exp()
        self.confusion = arithmetic.soft_confusion(self.answers[here])

    # Training

    def train(
        self,
        wanted: Sequence[tuple[Group, Tensor, Tensor]],
        name: str,
        *,
        corrected: bool = False,
        learn_on: bool = True,
        constant: bool = False,
        config: TrainConfig | None = None,
    ) -> Generator[list[TrainingJob], list[Fit], dict[Group, list[nn.Module]]]:
        """A model for each fold of every (modalities, rows, targets), trained outside its fold.

        `rows` [n] says which samples take part; targets are classes [n] or probabilities [n, k].
        α's expert learns D_l too. With `corrected` targets are the teacher's answers, and models
        learn the class behind them. With `learn_on` experts begin as they are, where they are. With
        `constant` a classifier that meets one class is a constant, elsewhere an error (ValueError).
        `config` is another training than the job's.
        """
        jobs: list[TrainingJob] = []
        models: dict[Group, list[Any]] = {}
        for group, rows, targets in wanted:
            models[group] = []
            for fold in range(self.fold_count):
                seed = seed_for(self.job.seed, name, *group, fold)
                samples = samples_for(self.job, group, rows & self._outside(fold), targets)
                model = self._begun(group, fold, seed, learn_on=learn_on)
                if is_classifier(model):
                    samples, place = decided(samples), f"{name}, expert of {', '.join(group)}"
                    own = fitted_or_constant(
                        model, samples, self.classes, seed=seed, name=place, constant=constant
                    )
                    models[group].append(Unmixed(own, self._called()) if corrected else own)
                    continue
                made = [*models.values(), *self.models.values()]
                refuse_again(model, [self.job.teacher, *(other for some in made for other in some)])
                models[group].append(model)
                objective = objective_on(samples, self.settings.noise)
                learner = Through(model, self.confusion) if corrected else model
                training = config or self.job.config
                jobs.append(TrainingJob(learner, samples, objective, training, seed))
        self.fits += yield jobs
        return models

    def _begun(self, group: Group, fold: int, seed: int, *, learn_on: bool) -> Any:
        """The expert as it is so far, or a new one."""
        before = self.models[group][fold] if learn_on and group in self.models else None
        if before is not None and not isinstance(before, FromClassifier | Unmixed):
            return copy.deepcopy(before)
        with torch_seed(seed):
            model = self.job.build(group)
        one = has_all(self.job.unlabelled, group).nonzero()[:1, 0]
        refuse_expert(model, group, self.job.unlabelled.only(group).rows(one), self.classes)
        return model

    def _outside(self, fold: int) -> Tensor:
        return self.folds != fold if self.fold_count > 1 else torch.ones_like(self.folds).bool()

    def _called(self) -> Tensor:
        """The share of each class that the teacher calls each class [k, k]."""
        return arithmetic.hard_confusion(self.answers[self.present[self.job.alpha]])

    def predictions(self, models: Sequence[nn.Module], group: Group) -> Tensor:
        """Log p [n, k] of a group of modalities on D_u, each sample by the model kept from it."""
        result = torch.zeros(len(self.folds), self.classes, dtype=torch.float64)
        here = has_all(self.job.unlabelled, group)
        for fold, model in enumerate(models):
            inside = here & (self.folds == fold)
            rows = inside.nonzero()[:, 0]
            if len(rows) == 0:
                continue
            logits = predict(model, self.job.unlabelled.only(group).rows(rows)).double()
            result[rows] = torch.log_softmax(logits, 1)
        return result

    # The experts' evidence

    def evidence(self, group: Group, exponent: float | None = None) -> arithmetic.Evidence:
        """The evidence of an expert on D_u."""
        w = self.exponents.get(group, 1.0) if exponent is None else exponent
        return evidence_of(self.log_p[group], self.log_prior, w, self.folds, self.present[group])

    def alpha(self, exponent: float | None = None) -> Tensor:
        """The log evidence of α [n, k]: the teacher's, and half of it that of α's expert."""
        group = self.job.alpha
        if group not in self.log_p:
            return self.teacher
        share = self.teacher_share
        return share * self.teacher + (1 - share) * self.evidence(group, exponent).values

    @property
    def teacher_share(self) -> float:
        """The share of the teacher itself in the evidence of α."""
        if self.job.alpha not in self.log_p:
            return 1.0
        return 0.0 if isinstance(self.job.teacher, Answers) else TEACHER_SHARE

    def values(self, group: Group) -> Tensor:
        """The log evidence that the sum counts for a modality beside α [n, k]; 0 if it is weak."""
        found = self.evidence(group).values
        if self.verdicts.get(group) == "weak":
            return torch.zeros_like(found)
        if self.verdicts.get(group) == "redundant":
            found = arithmetic.as_answered(found, self.log_prior, self.confusion)
            found[~self.present[group]] = 0.0
        return found

    def others(self, group: Group) -> list[Tensor]:
        """The log evidence of all but one modality."""
        parts = [] if group == self.job.alpha else [self.alpha()]
        return parts + [
            self.values(beta) for beta in self.betas if beta != group and beta in self.log_p
        ]

    def fit_exponents(self, groups: Sequence[Group]) -> None:
        """The exponents of the greatest pair likelihood, one after the other, twice over."""
        for group in [*groups, *groups]:
            rest = self.others(group)

            def likelihood(w: float, group: Group = group, rest: list[Tensor] = rest) -> float:
                own = self.alpha(w) if group == self.job.alpha else self.evidence(group, w).values
                return float(pair_likelihood([own, *rest], self.log_prior).mean())

            self.exponents[group] = best_exponent(likelihood)

    def parts(self) -> list[Tensor]:
        """The log evidence of every modality."""
        return [self.alpha(), *(self.values(beta) for beta in self.betas)]

    def posterior(self) -> Tensor:
        """Log p(k | x) on D_u [n, k], by models that were not trained on the sample."""
        return arithmetic.posterior(self.parts(), self.log_prior)

    # The steps

    def first_round(self) -> Generator[list[TrainingJob], list[Fit], None]:
        """Experts of the other modalities learn the teacher's answers."""
        self._take((yield from self.learn_the_answers(self.betas, "round 1")))
        if self.honest is None:
            self._temperature_by_pairs()
        self.fit_exponents(self.betas)
        self._note(1)

    def learn_the_answers(
        self, betas: Sequence[Group], name: str, config: TrainConfig | None = None
    ) -> Generator[list[TrainingJob], list[Fit], dict[Group, list[nn.Module]]]:
        """Fresh experts of modalities beside α, which learn the teacher's answers."""
        alpha, answers = self.present[self.job.alpha], self.answers.float()
        wanted = [(beta, alpha & self.present[beta], answers) for beta in betas]
        corrected = self.settings.corrected
        return (
            yield from self.train(wanted, name, corrected=corrected, learn_on=False, config=config)
        )

    def _temperature_by_pairs(self) -> None:
        """Without honest answers: the temperature of the greatest pair likelihood."""

        def likelihood(t: float) -> float:
            self.calibrate(t)
            self.fit_exponents(self.betas)
            return float(pair_likelihood(self.parts(), self.log_prior).mean())

        self.calibrate(max((1.0, 1.5, 2.0, 3.0, 5.0, 8.0), key=likelihood))

    def forget_temperature_by_pairs(self) -> None:
        """The teacher as it is, where its temperature was chosen by pairs that tell nothing."""
        if self.honest is None:
            self.calibrate(1.0)
            self.fit_exponents(self.betas)
            self.rounds.pop()
            self._note(1)

    def _take(self, trained: Mapping[Group, list[nn.Module]]) -> None:
        for group, models in trained.items():
            self.models[group] = models
            self.log_p[group] = self.predictions(models, group)

    @property
    def trusted(self) -> list[Group]:
        """The modalities beside α that take part in rounds."""
        return [beta for beta in self.betas if self.verdicts.get(beta) == "trusted"]

    @property
    def all_weak(self) -> bool:
        """True where no modality beside α says anything of the teacher's answers."""
        return all(self.verdicts.get(beta) == "weak" for beta in self.betas)

    @property
    def goes_on(self) -> bool:
        """True where there is a further round."""
        return bool(self.trusted) and len(self.rounds) < self.settings.rounds

    def next_round(self) -> Generator[list[TrainingJob], list[Fit], None]:
        """All experts that are trusted learn on from the posterior's surest labels."""
        number = len(self.rounds)
        log_p = self.posterior()
        chosen = arithmetic.surest(log_p, min(1.0, FIRST_SHARE + GROWTH * (number - 1)))
        classes = log_p.argmax(1)
        groups = [self.job.alpha, *self.trusted]
        wanted = [(group, chosen & self.present[group], classes) for group in groups]
        self._take((yield from self.train(wanted, f"round {number + 1}")))
        self.fit_exponents([*self.trusted, self.job.alpha])
        self._note(number + 1)

    def expert_in_the_teachers_place(self) -> Generator[list[TrainingJob], list[Fit], None]:
        """An expert of α where the teacher is known by answers alone and no round made one.

        Its exponent is that under which its answers are likeliest to be the teacher's.
        """
        if self.job.alpha in self.models:
            return
        classes = self.posterior().argmax(1)
        rows = self.present[self.job.alpha]
        self._take((yield from self.train([(self.job.alpha, rows, classes)], "in its place")))

        # By pairs α's evidence would vanish beside modalities that say nothing; it is to say what
        # the calibrated teacher says.
        def likelihood(w: float) -> float:
            own = self.evidence(self.job.alpha, w).values
            log_p = arithmetic.posterior([own], self.log_prior)
            return float((self.answers * log_p)[rows].sum())

        self.exponents[self.job.alpha] = best_exponent(likelihood)

    def _note(self, number: int) -> None:
        parts = self.parts()
        named = arithmetic.posterior(parts, self.log_prior).argmax(1)
        known = self.present[self.job.alpha]
        self.rounds.append(
            Round(
                number,
                {"+".join(group): w for group, w in self.exponents.items()},
                float(pair_likelihood(parts, self.log_prior).mean()),
                float((named != self.logits.argmax(1))[known].double().mean()),
                len(named.unique()),
            )
        )
