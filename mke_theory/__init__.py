"""Multimodal Knowledge Expansion: a unimodal teacher, unlabelled pairs, a better student.

Names are loaded when first used, so that `import mke_theory` costs no import of torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "ARMS": "arms",
    "Account": "accounting",
    "Arm": "arms",
    "Compose": "transforms",
    "Dropout": "transforms",
    "Expansion": "mke",
    "FeatureMasking": "transforms",
    "GaussianNoise": "transforms",
    "HiddenNoise": "transforms",
    "InputNoise": "transforms",
    "MLP": "models",
    "ModalityDropout": "transforms",
    "MultimodalModel": "models",
    "Objective": "objective",
    "Pool": "types",
    "Problem": "types",
    "Simulated": "synthetic.simulated",
    "Student": "student",
    "Task": "task",
    "TrainConfig": "train",
    "account": "accounting",
    "expand": "mke",
    "fit": "train",
    "fit_alone": "student",
    "fit_many": "ensemble",
    "fit_stack": "stack",
    "fit_teacher": "mke",
    "multimodal": "models",
    "predict": "prediction",
    "pseudo_label": "mke",
}

__all__ = [
    "ARMS",
    "MLP",
    "Account",
    "Arm",
    "Compose",
    "Dropout",
    "Expansion",
    "FeatureMasking",
    "GaussianNoise",
    "HiddenNoise",
    "InputNoise",
    "ModalityDropout",
    "MultimodalModel",
    "Objective",
    "Pool",
    "Problem",
    "Simulated",
    "Student",
    "Task",
    "TrainConfig",
    "__version__",
    "account",
    "expand",
    "fit",
    "fit_alone",
    "fit_many",
    "fit_stack",
    "fit_teacher",
    "multimodal",
    "predict",
    "pseudo_label",
]

if TYPE_CHECKING:
    from mke_theory.accounting import Account, account
    from mke_theory.arms import ARMS, Arm
    from mke_theory.ensemble import fit_many
    from mke_theory.mke import Expansion, expand, fit_teacher, pseudo_label
    from mke_theory.models import MLP, MultimodalModel, multimodal
    from mke_theory.objective import Objective
    from mke_theory.prediction import predict
    from mke_theory.stack import fit_stack
    from mke_theory.student import Student, fit_alone
    from mke_theory.synthetic.simulated import Simulated
    from mke_theory.task import Task
    from mke_theory.train import TrainConfig, fit
    from mke_theory.transforms import (
        Compose,
        Dropout,
        FeatureMasking,
        GaussianNoise,
        HiddenNoise,
        InputNoise,
        ModalityDropout,
    )
    from mke_theory.types import Pool, Problem


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mke_theory' has no attribute {name!r}")
    return getattr(import_module(f"mke_theory.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
