"""Knobs reach what they name."""

from __future__ import annotations

from tests.experiments.synthetic_calls import sibling


def test_knobs_reach_what_they_name() -> None:
    worlds = sibling("worlds")
    task = worlds.LINEAR
    assert worlds.moved(task, "m_alpha", 0.3).world.signal == (0.3, 1.0)
    assert worlds.moved(task, "world.signal.1", 0.1 + 0.2).world.signal == (1.0, 0.1 + 0.2)
    assert worlds.moved(task, "rho", -0.25).world.correlation == -0.25
    assert worlds.moved(task, "correlation", -0.25) == worlds.moved(task, "rho", -0.25)
    assert worlds.moved(task, "sigma", 2).recipe.objective.transform[0].sigma == 2.0
    assert worlds.moved(task, "unlabelled", 300.0).unlabelled == 300
    assert worlds.moved(task, "recipe.student.steps", 7.0).recipe.student.steps == 7
    assert worlds.moved(worlds.WORLDS["moons"], "sd", 0.2).world.sd == 0.2


def test_every_world_s_noise_is_on_its_teacher_s_modality() -> None:
    for name, task in sibling("worlds").WORLDS.items():
        (noise,) = task.recipe.objective.transform
        assert noise.only == task.alpha, name
