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
    "MKEClassifier": "estimator",
    "MultimodalModel": "models",
    "Objective": "method.objective",
    "Pool": "data.pool",
    "Problem": "data.problem",
    "RunConfiguration": "study.configuration",
    "Task": "study.task",
    "TrainConfig": "training.loop",
    "account": "evaluation.account",
    "expand": "method.algorithm",
    "fit_teacher": "method.algorithm",
    "multimodal": "models",
    "plan": "study.study",
    "predict": "training.predict",
    "pseudo_label": "method.algorithm",
    "run": "study.runner",
}

__all__ = [
    "ARMS",
    "Account",
    "MKEClassifier",
    "MultimodalModel",
    "Objective",
    "Pool",
    "Problem",
    "RunConfiguration",
    "Task",
    "TrainConfig",
    "__version__",
    "account",
    "expand",
    "fit_teacher",
    "multimodal",
    "plan",
    "predict",
    "pseudo_label",
    "run",
]

if TYPE_CHECKING:
    from mke_theory.data.pool import Pool
    from mke_theory.data.problem import Problem
    from mke_theory.estimator import MKEClassifier
    from mke_theory.evaluation.account import Account, account
    from mke_theory.method.algorithm import expand, fit_teacher, pseudo_label
    from mke_theory.method.objective import Objective
    from mke_theory.models import MultimodalModel, multimodal
    from mke_theory.study.arms import ARMS
    from mke_theory.study.configuration import RunConfiguration
    from mke_theory.study.runner import run
    from mke_theory.study.study import plan
    from mke_theory.study.task import Task
    from mke_theory.training.loop import TrainConfig
    from mke_theory.training.predict import predict


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mke_theory' has no attribute {name!r}")
    return getattr(import_module(f"mke_theory.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
