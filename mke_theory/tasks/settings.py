"""Checks of a task's settings, before any work starts."""

from __future__ import annotations

from collections.abc import Mapping

from mke_theory.study.task import Task


def refuse_other_choices(task: Task, allowed: Mapping[str, tuple[object, ...]]) -> None:
    """Raise ValueError where a setting is none of its choices."""
    for name, choices in allowed.items():
        value = getattr(task, name)
        if value not in choices:
            raise ValueError(f"{task.name}.{name} is {value!r}; choose one of {choices}")


def refuse_below(task: Task, least: Mapping[str, int]) -> None:
    """Raise ValueError where a setting is below its least value; None stands for no limit."""
    for name, bound in least.items():
        value = getattr(task, name)
        if value is not None and value < bound:
            raise ValueError(f"{task.name}.{name} is {value}; it has to be at least {bound}")
