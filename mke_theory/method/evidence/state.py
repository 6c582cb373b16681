"""The state of an evidence student on its way: experts, what they say of D_u, and verdicts."""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mke_theory.data.pool import Pool
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
from mke_theory.method.evidence.questions import (
    Sites,
    beside,
    known_samples,
    logits_of,
    prior_of,
    probabilities_of,
    scores_of,
    table_of,
    targets_of,
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
_AT_A_TIME = 8
"""Samples whose pixels are added up together."""


class EvidenceState:
    """The state of a plan: experts, their predictions on D_u, exponents and verdicts.

    The experts' predictions of a sample are of the model that was kept from the sample's fold. They
    are tables (see `questions`): `log_p` of the sites, on which all statistics rest, and `whole` of
    all pixels, in half precision, where these are more.
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
        self.sites = Sites.drawn(self._scores().shape, job.seed)
        self.site_folds = self.sites.repeated(self.folds)
        self.site_scores = self.sites.of(self._scores())
        self.prior, self.prior_from = self._class_shares()
        self.log_prior = self.prior.log()
        self.pseudo = label(self._logits_or_shares(), Objective(multilabel=job.multilabel))
        account_of(job.truth, self.pseudo, self.pseudo.hard)  # refuses a strange truth before work
        self.temperature = 1.0
        if honest is not None:
            self.temperature = arithmetic.temperature_of(honest.logits, honest.labels)
        self.models: dict[Group, list[nn.Module]] = {}
        self.log_p: dict[Group, Tensor] = {}
        self.whole: dict[Group, Tensor] = {}
        self.exponents: dict[Group, float] = {}
        self.verdicts: dict[Group, Verdict] = {}
        self.usefulness: dict[Group, float] = {}
        self.redundancy: dict[Group, Redundancy] = {}
        self.rounds: list[Round] = []
        self.fits: list[Fit] = []
        self.calibrate(self.temperature)

    def _scores(self, rows: slice = slice(None)) -> Tensor:
        return scores_of(self.logits[rows], multilabel=self.job.multilabel)

    def _class_shares(self) -> tuple[Tensor, str]:
        given, labelled, multilabel = self.job.prior, self.job.labelled, self.job.multilabel
        if given is not None:
            return given_prior(given, self.classes, multilabel=multilabel), "given"
        if labelled is not None and bool(known_samples(labelled.labels).any()):
            found = prior_of(labelled.labels, self.classes, multilabel=multilabel)
            return found, "labels of D_l"
        here = self.sites.repeated(self.present[self.job.alpha])
        shares = torch.softmax(self.site_scores[here], -1).mean(0).clamp(min=LEAST_SHARE)
        return shares / shares.sum(-1, keepdim=True), "mean answer of the teacher"

    def _logits_or_shares(self) -> Tensor:
        """The teacher's logits; it knows the classes' shares alone where it lacks its modality."""
        here = self.present[self.job.alpha]
        if bool(here.all()):
            return self.logits
        shares = logits_of(self.log_prior.unsqueeze(0), multilabel=self.job.multilabel)
        axes = [1] * (self.logits.ndim - 2)
        shares = shares.reshape(1, -1, *axes).to(self.logits)
        return torch.where(here.reshape(-1, 1, *axes), self.logits, shares)

    def calibrate(self, temperature: float) -> None:
        """The teacher's evidence, answers (a table) and soft confusion at this temperature."""
        self.temperature = temperature
        self.teacher_log_p = torch.log_softmax(self.site_scores / temperature, -1)
        here = self.sites.repeated(self.present[self.job.alpha])
        self.teacher = self._of_teacher(self.teacher_log_p, here)
        self.answers = arithmetic.posterior([self.teacher], self.log_prior).exp()
        self.confusion = arithmetic.soft_confusion(self.answers[here])

    def _of_teacher(self, log_p: Tensor, here: Tensor) -> Tensor:
        """The teacher's log evidence for its calibrated log p, 0 where it lacks its modality."""
        # Not brought to mean 1: alone it has to give the teacher's own answers.
        return torch.where(beside(here, log_p), log_p - self.log_prior, 0.0)

    # Training

    def train(
        self,
        wanted: Sequence[tuple[Group, Tensor, Tensor]],
        name: str,
        *,
        corrected: bool = False,
        learn_on: bool = True,
        constant: bool = False,
        labels: bool = False,
        config: TrainConfig | None = None,
    ) -> Generator[list[TrainingJob], list[Fit], dict[Group, list[nn.Module]]]:
        """A model for each fold of every (modalities, rows, targets), trained outside its fold.

        `rows` [n] says which samples take part; targets are classes [n, ...] or probabilities
        [n, k, ...]. With `labels` α's expert learns D_l too. With `corrected` targets are the
        teacher's answers, and models learn the class behind them. With `learn_on` experts begin as
        they are, where they are. With `constant` a classifier that meets one class is a constant,
        elsewhere an error (ValueError). `config` is another training than the job's.
        """
        jobs: list[TrainingJob] = []
        models: dict[Group, list[Any]] = {}
        for group, rows, targets in wanted:
            models[group] = []
            for fold in range(self.fold_count):
                seed = seed_for(self.job.seed, name, *group, fold)
                inside = rows & self._outside(fold)
                samples = samples_for(self.job, group, inside, targets, labels=labels)
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
                objective = self._objective(samples)
                learner = Through(model, self.confusion) if corrected else model
                training = config or self.job.config
                jobs.append(TrainingJob(learner, samples, objective, training, seed))
        self.fits += yield jobs
        return models

    def _objective(self, samples: Pool) -> Objective:
        job = self.job
        return objective_on(
            samples, self.settings.noise, multilabel=job.multilabel, augment=job.augment
        )

    def _begun(self, group: Group, fold: int, seed: int, *, learn_on: bool) -> Any:
        """The expert as it is so far, or a new one."""
        before = self.models[group][fold] if learn_on and group in self.models else None
        if before is not None and not isinstance(before, FromClassifier | Unmixed):
            return copy.deepcopy(before)
        with torch_seed(seed):
            model = self.job.build(group)
        one = has_all(self.job.unlabelled, group).nonzero()[:1, 0]
        sample, shape = self.job.unlabelled.only(group).rows(one), tuple(self.logits.shape[1:])
        refuse_expert(model, group, sample, shape, multilabel=self.job.multilabel)
        return model

    def _outside(self, fold: int) -> Tensor:
        return self.folds != fold if self.fold_count > 1 else torch.ones_like(self.folds).bool()

    def _called(self) -> Tensor:
        """The share of each class that the teacher calls each class [k, k]."""
        here = self.sites.repeated(self.present[self.job.alpha])
        return arithmetic.hard_confusion(self.answers[here])

    def predictions(self, models: Sequence[nn.Module], group: Group) -> Tensor:
        """A table of log p of a group of modalities on D_u, by models kept from the sample.

        Of pixels it is in half precision.
        """
        kind = torch.float64 if self.sites.index is None else torch.float16
        result = torch.zeros(self._scores().shape, dtype=kind)

        def table(logits: Tensor) -> Tensor:
            wide = logits.double() if self.sites.index is None else logits.float()
            return table_of(wide, multilabel=self.job.multilabel).to(kind)

        here = has_all(self.job.unlabelled, group)
        for fold, model in enumerate(models):
            inside = here & (self.folds == fold)
            rows = inside.nonzero()[:, 0]
            if len(rows) == 0:
                continue
            samples = self.job.unlabelled.only(group).rows(rows)
            result[rows] = predict(model, samples, then=table)
        return result

    # The experts' evidence

    def evidence(self, group: Group, exponent: float | None = None) -> arithmetic.Evidence:
        """The evidence of an expert on D_u."""
        w = self.exponents.get(group, 1.0) if exponent is None else exponent
        here = self.sites.repeated(self.present[group])
        return evidence_of(self.log_p[group], self.log_prior, w, self.site_folds, here)

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
        here = self.sites.repeated(self.present[group])
        return self._trusted_part(group, self.evidence(group).values, here)

    def _trusted_part(self, group: Group, found: Tensor, here: Tensor) -> Tensor:
        """The part of a modality's log evidence that its verdict leaves."""
        if self.verdicts.get(group) == "weak":
            return torch.zeros_like(found)
        if self.verdicts.get(group) == "redundant":
            found = arithmetic.as_answered(found, self.log_prior, self.confusion)
            return torch.where(beside(here, found), found, 0.0)
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
        """Log p(k | x) of the sites, by models that were not trained on the sample."""
        return arithmetic.posterior(self.parts(), self.log_prior)

    def part(self, group: Group) -> Tensor:
        """The log evidence that the sum counts for a modality, or for α."""
        return self.alpha() if group == self.job.alpha else self.values(group)

    def everywhere(self, groups: Sequence[Group]) -> Tensor:
        """The posterior of some modalities on all of D_u, as a table; of pixels in half precision.

        The same as `posterior` of the same modalities at the sites.
        """
        if self.sites.index is None:
            return arithmetic.posterior([self.part(group) for group in groups], self.log_prior)
        offsets = {group: self.evidence(group).offsets for group in groups if group in self.whole}
        tables = []
        for start in range(0, len(self.logits), _AT_A_TIME):
            rows = slice(start, start + _AT_A_TIME)
            parts = [self._of_pixels(group, rows, offsets) for group in groups]
            tables.append(arithmetic.posterior(parts, self.log_prior).half())
        return torch.cat(tables)

    def _of_pixels(self, group: Group, rows: slice, offsets: Mapping[Group, Tensor]) -> Tensor:
        """The log evidence that the sum counts for a modality at all pixels of some samples."""
        here, found = self.present[group][rows], torch.zeros((), dtype=torch.float64)
        if group in self.whole:
            log_p = self.whole[group][rows].double()
            own = self.exponents.get(group, 1.0) * (log_p - self.log_prior)
            own = own - beside(offsets[group][self.folds[rows]], own)
            found = torch.where(beside(here, own), own, 0.0)
        if group != self.job.alpha:
            return self._trusted_part(group, found, here)
        log_p = torch.log_softmax(self._scores(rows).double() / self.temperature, -1)
        share = self.teacher_share
        return share * self._of_teacher(log_p, here) + (1 - share) * found

    def target(self, groups: Sequence[Group]) -> Tensor:
        """The probabilities of some modalities on D_u, as an expert learns them."""
        return probabilities_of(self.everywhere(groups), multilabel=self.job.multilabel)

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
        alpha, answers = self.present[self.job.alpha], self._answers_to_learn()
        wanted = [(beta, alpha & self.present[beta], answers) for beta in betas]
        corrected = self.settings.corrected
        return (
            yield from self.train(wanted, name, corrected=corrected, learn_on=False, config=config)
        )

    def _answers_to_learn(self) -> Tensor:
        """The teacher's answers: calibrated, where they are learned through S; else as they are."""
        if self.settings.corrected:
            return self.target([self.job.alpha])
        table = table_of(self._logits_or_shares(), multilabel=self.job.multilabel)
        return probabilities_of(table, multilabel=self.job.multilabel)

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
            self._hear(group, models)

    def _hear(self, group: Group, models: Sequence[nn.Module]) -> None:
        table = self.predictions(models, group)
        self.log_p[group] = self.sites.of(table)
        if self.sites.index is not None:
            self.whole[group] = table

    @contextmanager
    def instead(self, group: Group, models: Sequence[nn.Module]) -> Iterator[None]:
        """The state in which other models speak for a modality, by an exponent of their own."""
        before = self.log_p[group], self.whole.get(group), self.exponents[group]
        self._hear(group, models)
        self.fit_exponents([group])
        try:
            yield
        finally:
            self.log_p[group], whole, self.exponents[group] = before
            if whole is not None:
                self.whole[group] = whole

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
        targets = self._named(min(1.0, FIRST_SHARE + GROWTH * (number - 1)))
        chosen = known_samples(targets)
        groups = [self.job.alpha, *self.trusted]
        wanted = [(group, chosen & self.present[group], targets) for group in groups]
        self._take((yield from self.train(wanted, f"round {number + 1}", labels=True)))
        self.fit_exponents([*self.trusted, self.job.alpha])
        self._note(number + 1)

    def _named(self, share: float) -> Tensor:
        """The classes that the posterior names, for the surest `share` of each."""
        table = self.everywhere([self.job.alpha, *self.betas])
        targets = targets_of(table, share, multilabel=self.job.multilabel)
        return targets if targets.is_floating_point() else targets.to(self.pseudo.hard.dtype)

    def expert_in_the_teachers_place(self) -> Generator[list[TrainingJob], list[Fit], None]:
        """An expert of α where the teacher is known by answers alone and no round made one.

        Its exponent is that under which its answers are likeliest to be the teacher's.
        """
        if self.job.alpha in self.models:
            return
        rows, name = self.present[self.job.alpha], "in its place"
        wanted = [(self.job.alpha, rows, self._named(1.0))]
        self._take((yield from self.train(wanted, name, labels=True)))
        sites = self.sites.repeated(rows)

        # By pairs α's evidence would vanish beside modalities that say nothing; it is to say what
        # the calibrated teacher says.
        def likelihood(w: float) -> float:
            own = self.evidence(self.job.alpha, w).values
            log_p = arithmetic.posterior([own], self.log_prior)
            return float((self.answers * log_p)[sites].sum())

        self.exponents[self.job.alpha] = best_exponent(likelihood)

    def _note(self, number: int) -> None:
        parts = self.parts()
        named = arithmetic.posterior(parts, self.log_prior).argmax(-1)
        known = self.sites.repeated(self.present[self.job.alpha])
        self.rounds.append(
            Round(
                number,
                {"+".join(group): w for group, w in self.exponents.items()},
                float(pair_likelihood(parts, self.log_prior).mean()),
                float((named != self.site_scores.argmax(-1))[known].double().mean()),
                len(self.classes_among(named)),
            )
        )

    def classes_among(self, named: Tensor) -> list[int]:
        """The classes in a table's argmax; of several questions those answered by yes."""
        if self.job.multilabel:
            return (named == 1).any(0).nonzero()[:, 0].tolist()
        return named.unique().tolist()
