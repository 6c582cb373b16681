"""The settings of evidence students, the job of one, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Truth
from mke_theory.method.algorithm import Expansion
from mke_theory.method.answers import Answers
from mke_theory.method.augmentation import Augmentation
from mke_theory.method.evidence.arithmetic import temperature_of
from mke_theory.method.evidence.guards import Redundancy
from mke_theory.method.job import TrainingJob
from mke_theory.training.loop import TrainConfig

Build = Callable[[tuple[str, ...]], Any]
"""From modalities to a fresh model: a module from a dictionary of inputs to logits [n, k, ...], or
a classifier of scikit-learn."""

Retrain = Callable[[Pool, int], TrainingJob]
"""From some samples of D_l, in α, and a number to the job of a teacher that learns from them."""

Verdict = Literal["trusted", "weak", "redundant"]
Group = tuple[str, ...]

EXPERTS = TrainConfig(steps=300, batch_size=128, learning_rate=3e-3, weight_decay=1e-2)
"""The training of an expert, once a fold and round, where nothing else is said."""


@dataclass(frozen=True)
class Honest:
    """A teacher's answers on D_l by models that were not trained on the sample they answer.

    logits: [n_l, k]. labels: [n_l]. The error of `logits` is an honest one. Rows are pixels drawn
    from every sample where each has a class, and questions, with k = 2, where there are several.
    on_unlabelled: the mean probabilities [n, k] of the same models on the samples of D_u that the
    teacher can read; None where a sample has no single class.
    """

    logits: Tensor
    labels: Tensor
    on_unlabelled: Tensor | None = None

    @cached_property
    def temperature(self) -> float:
        """The temperature under which the labels are likeliest."""
        return temperature_of(self.logits, self.labels)

    @property
    def accuracy(self) -> float:
        """The share of D_l that is answered right."""
        return float((self.logits.argmax(1) == self.labels).double().mean())


@dataclass(frozen=True)
class EvidenceSettings:
    """The settings of evidence students; none has to be tuned.

    folds: models of an expert, each kept from one part of D_u; 1 answers its own samples, and
    guards are then blind. rounds: trainings of an expert, one after the other, each from where the
    last one ended. teacher_folds: of D_l, for the teacher's calibration. noise: on an expert's
    inputs in training, in units of mean|x|, or of the spread where that is less. corrected: in the
    first round experts learn the class behind the teacher's answers, through its confusion; else
    the answers as they are, not calibrated either. calibrated: the sum counts the teacher at its
    temperature; else as it is.
    All were fixed on worlds and on tasks at seeds 100 to 115, but for those of pixels.

    guards: False trusts every modality, whatever its verdict would be. It is there to measure what
    the guards are worth (`experiments/evidence_guards.py`), and for no other use.
    """

    folds: int = 2
    rounds: int = 3
    teacher_folds: int = 5
    noise: float = 1.0
    corrected: bool = True
    calibrated: bool = True
    guards: bool = True

    def __post_init__(self) -> None:
        for name, least in (("folds", 1), ("rounds", 1), ("teacher_folds", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be at least {least}")
        if not 0.0 <= self.noise < float("inf"):
            raise ValueError(f"noise is {self.noise}; it has to be finite and not negative")

    @property
    def trainings(self) -> int:
        """Times that an expert is trained: one budget shared out has 1/trainings for each."""
        return self.folds * self.rounds


PIXELS = EvidenceSettings(rounds=1, teacher_folds=3, noise=0.0, corrected=False, calibrated=False)
"""The settings where every pixel has a class. Chosen on NYU Depth V2 at seeds 100 and 101, by D_u,
with test beside it at seed 100 (`paper/nyu_depth_path.md`): there a confusion of 13 classes is too
flat to be undone, and further rounds bring nothing. As experts learn the teacher's answers as they
are, the sum counts them as they are. One fold is a little better there, but guards are blind on
samples that experts were trained on."""


def settings_for(unlabelled: Pool) -> EvidenceSettings:
    """The settings for samples with labels [n, ...] of this form, where no others are given."""
    return PIXELS if unlabelled.labels.ndim > 2 else EvidenceSettings()


@dataclass(frozen=True)
class EvidenceJob:
    """All that decides an evidence student, and the truth for its account.

    teacher: a module, a fitted classifier as `FromClassifier`, or `Answers`. alpha: its modalities.
    labelled: D_l, in α at least. retrain: the job of a teacher on a part of D_l, for calibration.
    prior: the classes' shares [k] where they are known; else they are those of D_l, or without D_l
    of the teacher's mean answer. config: of one training of one expert. multilabel: labels are
    answers to several questions [n, q]. augment: changes of a sample and its label together.
    """

    teacher: nn.Module | Answers
    unlabelled: Pool
    truth: Truth
    alpha: Group
    build: Build
    config: TrainConfig = EXPERTS
    seed: int = 0
    labelled: Pool | None = None
    retrain: Retrain | None = None
    settings: EvidenceSettings = EvidenceSettings()
    prior: Tensor | None = None
    multilabel: bool = False
    augment: tuple[Augmentation, ...] = ()


@dataclass(frozen=True)
class Round:
    """One round: the exponents by expert, and the sum on D_u after it.

    information: the mean pair likelihood, in nats. changed: the share of D_u whose class differs
    from the teacher's. named: the number of classes that the posterior names at all.
    """

    number: int
    exponents: Mapping[str, float]
    information: float
    changed: float
    named: int


@dataclass(frozen=True)
class EvidenceExpansion(Expansion):
    """An evidence student, its account, and how it came about.

    verdicts, usefulness, redundancy: by modality. temperature: of the teacher. honest: its answers
    on D_l by models that did not train on them, or None. prior [k]: π, and where it is from; of
    several questions [q, 2]. posterior: log p(k | x) on D_u [n, k, ...] by models that were not
    trained on the sample; of several questions the log odds [n, q]; of pixels in half precision.
    readable: True [n] where the teacher has its modalities. messages: what a reader should know, in
    words.
    """

    rounds: tuple[Round, ...]
    verdicts: Mapping[str, Verdict]
    usefulness: Mapping[str, float]
    redundancy: Mapping[str, Redundancy]
    temperature: float
    honest: Honest | None
    prior: Tensor
    prior_from: str
    posterior: Tensor
    readable: Tensor
    messages: tuple[str, ...]

    @property
    def multilabel(self) -> bool:
        """True for several questions a sample."""
        return self.prior.ndim == 2
