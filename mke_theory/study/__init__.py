"""Comparisons: arms, tasks, placebos, the one runner, and the records of what came out."""

from mke_theory.study.arms import ARMS, REFERENCE, Arm
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.records import Record, Records
from mke_theory.study.result import Cell, Failure, Result, Run
from mke_theory.study.runner import run
from mke_theory.study.study import execute, feasible, plan
from mke_theory.study.task import Recipe, Task

__all__ = [
    "ARMS",
    "REFERENCE",
    "Arm",
    "Cell",
    "Failure",
    "Recipe",
    "Record",
    "Records",
    "Result",
    "Run",
    "RunConfiguration",
    "Task",
    "execute",
    "feasible",
    "plan",
    "run",
]
