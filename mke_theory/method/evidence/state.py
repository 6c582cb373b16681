"""The state of an evidence student on its way: experts, their predictions on D_u, and verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mke_theory.data.rng import seed_for
from mke_theory.method.algorithm import account_of
from mke_theory.method.answers import Answers
from mke_theory.method.evidence import arithmetic
from mke_theory.method.evidence.arithmetic import best_exponent, evidence_of, pair_likelihood
from mke_theory.method.evidence.calibration import class_shares, folds_of
from mke_theory.method.evidence.checks import teachers_logits
from mke_theory.method.evidence.experts import has_all
from mke_theory.method.evidence.guards import Redundancy
from mke_theory.method.evidence.label_forms import (
    Sites,
    beside,
    logits_of,
    probabilities_of,
    scores_of,
    table_of,
)
from mke_theory.method.evidence.settings import (
    EvidenceJob,
    Group,
    Honest,
    Round,
    Verdict,
)
from mke_theory.method.objective import Objective
from mke_theory.method.pseudo_labels import label
from mke_theory.training.loop import Fit
from mke_theory.training.predict import predict

TEACHER_SHARE = 0.5
"""α's evidence is half the teacher's own and half that of the expert that learned on."""
_AT_A_TIME = 8
"""Samples whose pixels are added up together."""


class EvidenceState:
    """The state of a plan: experts, their predictions on D_u, exponents and verdicts.

    The experts' predictions of a sample are of the model that was kept from the sample's fold. They
    are tables (see `label_forms`): `log_p` of the sites, on which all statistics rest, and
    `whole` of all pixels, in half precision, where these are more.
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
        here = self.sites.repeated(self.present[job.alpha])
        self.prior, self.prior_from = class_shares(job, self.classes, self.site_scores[here])
        self.log_prior = self.prior.log()
        self.pseudo = label(self.logits_or_shares(), Objective(multilabel=job.multilabel))
        account_of(job.truth, self.pseudo, self.pseudo.hard)  # refuses a strange truth before work
        self.models: dict[Group, list[nn.Module]] = {}
        self.log_p: dict[Group, Tensor] = {}
        self.whole: dict[Group, Tensor] = {}
        self.exponents: dict[Group, float] = {}
        self.verdicts: dict[Group, Verdict] = {}
        self.usefulness: dict[Group, float] = {}
        self.redundancy: dict[Group, Redundancy] = {}
        self.rounds: list[Round] = []
        self.fits: list[Fit] = []
        calibrated = honest is not None and self.settings.calibrated
        self.calibrate(honest.temperature if honest and calibrated else 1.0)

    def _scores(self, rows: slice = slice(None)) -> Tensor:
        return scores_of(self.logits[rows], multilabel=self.job.multilabel)

    def logits_or_shares(self) -> Tensor:
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

    # The experts' predictions and their evidence

    def outside(self, fold: int) -> Tensor:
        """The samples [n] that the models of a fold are trained on."""
        return self.folds != fold if self.fold_count > 1 else torch.ones_like(self.folds).bool()

    @property
    def called(self) -> Tensor:
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

    # Changes

    def take(self, trained: Mapping[Group, list[nn.Module]]) -> None:
        """Keep the models of some modalities as their experts, with their predictions on D_u."""
        for group, models in trained.items():
            self.models[group] = models
            self._use(group, models)

    def _use(self, group: Group, models: Sequence[nn.Module]) -> None:
        table = self.predictions(models, group)
        self.log_p[group] = self.sites.of(table)
        if self.sites.index is not None:
            self.whole[group] = table

    @contextmanager
    def instead(self, group: Group, models: Sequence[nn.Module]) -> Iterator[None]:
        """The state with the predictions of other models of a modality, by their own exponent."""
        before = self.log_p[group], self.whole.get(group), self.exponents[group]
        self._use(group, models)
        self.fit_exponents([group])
        try:
            yield
        finally:
            self.log_p[group], whole, self.exponents[group] = before
            if whole is not None:
                self.whole[group] = whole

    def note(self, number: int) -> None:
        """Add round 1, 2, … to the history, as it is now."""
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
