"""Calls of the studies in simulated worlds, in small: runs of a few steps, that learn little."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

SIBLINGS = (
    "cluster",
    "closed_form",
    "dependence",
    "evidence_tables",
    "multi_view",
    "npz_tasks",
    "phase",
    "placebo",
    "run_synthetic",
    "worlds",
)
STEPS = [f"recipe.{who}.steps=5" for who in ("teacher", "student")]
TINY = ["--set", *STEPS, "labelled=20", "unlabelled=50", "test=60", "--sides", "3"]
SMALL = [*TINY, "--halvings", "1", "--no-agreement", "--workers", "1"]


def sibling(name: str) -> Any:
    """The module of that name in experiments/."""
    assert name in SIBLINGS
    return __import__(name)


def call(*args: str) -> int:
    """The exit code; a mistake in the command line itself exits from within."""
    try:
        return int(sibling("run_synthetic").main(args))
    except SystemExit as exit_:
        assert isinstance(exit_.code, int)
        return exit_.code


def tiny(task: Any) -> Any:
    config = replace(task.recipe.student, steps=5)
    small = replace(task.recipe, teacher=config, student=config)
    return replace(task, recipe=small, labelled=20, unlabelled=40, test=50)
