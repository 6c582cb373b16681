"""The paper. Start here: Algorithm 1, its objective, losses, pseudo labels and perturbations."""

from mke_theory.method.algorithm import (
    Expansion,
    ExpansionJob,
    expand,
    expand_all,
    fit_teacher,
    pseudo_label,
)
from mke_theory.method.answers import Answers
from mke_theory.method.job import Outcome, Trainer, TrainingJob, one_by_one
from mke_theory.method.objective import Objective
from mke_theory.method.pseudo_labels import PseudoLabels
from mke_theory.method.transforms import (
    Compose,
    Dropout,
    FeatureMasking,
    GaussianNoise,
    HiddenNoise,
    InputNoise,
    ModalityDropout,
    Transform,
)

__all__ = [
    "Answers",
    "Compose",
    "Dropout",
    "Expansion",
    "ExpansionJob",
    "FeatureMasking",
    "GaussianNoise",
    "HiddenNoise",
    "InputNoise",
    "ModalityDropout",
    "Objective",
    "Outcome",
    "PseudoLabels",
    "Trainer",
    "TrainingJob",
    "Transform",
    "expand",
    "expand_all",
    "fit_teacher",
    "one_by_one",
    "pseudo_label",
]
