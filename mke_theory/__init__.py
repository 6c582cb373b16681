"""Multimodal Knowledge Expansion: a unimodal teacher, unlabelled pairs, a better student.

Names are loaded when first used, so that `import mke_theory` costs no import of torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "ARMS": "study.arms",
    "Account": "evaluation.account",
    "Arm": "study.arms",
    "Compose": "method.transforms",
    "Dropout": "method.transforms",
    "Expansion": "method.algorithm",
    "FeatureMasking": "method.transforms",
    "GaussianNoise": "method.transforms",
    "HiddenNoise": "method.transforms",
    "InputNoise": "method.transforms",
    "MLP": "models",
    "ModalityDropout": "method.transforms",
    "MultimodalModel": "models",
    "Objective": "method.objective",
    "Pool": "data.pool",
    "Problem": "data.problem",
    "Simulated": "synthetic.simulated",
    "Student": "method.job",
    "Task": "study.task",
    "TrainConfig": "training.loop",
    "account": "evaluation.account",
    "expand": "method.algorithm",
    "fit": "training.loop",
    "fit_alone": "method.job",
    "fit_many": "study.vectorised_runs",
    "fit_stack": "training.vectorised.engine",
    "fit_teacher": "method.algorithm",
    "multimodal": "models",
    "predict": "training.predict",
    "pseudo_label": "method.algorithm",
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
    from mke_theory.data.pool import Pool
    from mke_theory.data.problem import Problem
    from mke_theory.evaluation.account import Account, account
    from mke_theory.method.algorithm import Expansion, expand, fit_teacher, pseudo_label
    from mke_theory.method.job import Student, fit_alone
    from mke_theory.method.objective import Objective
    from mke_theory.method.transforms import (
        Compose,
        Dropout,
        FeatureMasking,
        GaussianNoise,
        HiddenNoise,
        InputNoise,
        ModalityDropout,
    )
    from mke_theory.models import MLP, MultimodalModel, multimodal
    from mke_theory.study.arms import ARMS, Arm
    from mke_theory.study.task import Task
    from mke_theory.study.vectorised_runs import fit_many
    from mke_theory.synthetic.simulated import Simulated
    from mke_theory.training.loop import TrainConfig, fit
    from mke_theory.training.predict import predict
    from mke_theory.training.vectorised.engine import fit_stack


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mke_theory' has no attribute {name!r}")
    return getattr(import_module(f"mke_theory.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
