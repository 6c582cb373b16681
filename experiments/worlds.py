"""The simulated tasks that studies start from, and their settings by path.

Every teacher reads the first modality, and T is noise on that modality alone: it keeps a student
from copying its teacher, and is all that the closed forms of `theory.gaussian` know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro

from mke_theory.method.objective import Objective
from mke_theory.method.transforms import GaussianNoise
from mke_theory.study.overrides import changed
from mke_theory.study.processes import available_cores
from mke_theory.study.task import Recipe
from mke_theory.synthetic.decisive import Decisive
from mke_theory.synthetic.discrete import exclusive
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.moons.moons import Moons
from mke_theory.synthetic.observed import Bumps, Lifted, Observed
from mke_theory.synthetic.simulated import Simulated
from mke_theory.training.loop import TrainConfig


@dataclass(frozen=True)
class StudyOptions:
    """Options that every study in simulated worlds has."""

    quick: bool = False
    """A small version of the study, in well under a minute; its sizes are its own, whatever else
    is asked for."""
    workers: int = field(default_factory=available_cores)
    """Parts of the study carried out at the same time, each in a process of its own."""
    cluster: Annotated[str | None, tyro.conf.arg(metavar="local|ADDRESS")] = None
    """Spread runs with dask: over processes of this machine, or over the cluster at tcp://…"""


def trained(steps: int, rate: float) -> TrainConfig:
    """Adam on all samples at once, its rate along half a cosine."""
    return TrainConfig(steps=steps, learning_rate=rate, schedule="cosine")


def recipe(modality: str, noise: float, *, steps: int = 400, rate: float = 0.02) -> Recipe:
    """Teacher and students trained alike; T is Gaussian noise on one modality."""
    noisy = Objective(transform=(GaussianNoise(noise, only=(modality,)),))
    return Recipe(trained(steps, rate), trained(steps, rate), noisy)


LINEAR = Simulated(
    recipe=recipe("x1", 1.0, steps=200, rate=0.05),
    world=Gaussian((1.0, 1.0), dims=(2, 2)),
    labelled=400,
    unlabelled=2000,
    test=4000,
    hidden=(),
)
"""Linear models in the Gaussian world: what the closed forms are about, with finite samples."""

WORLDS: dict[str, Simulated] = {
    "gaussian": LINEAR,
    "moons": Simulated(recipe=recipe("x1", 0.25), world=Moons(sd=0.1), unlabelled=500, test=1000),
    "decisive": Simulated(
        recipe=recipe("x1", 0.25),
        world=Decisive(dims=(4, 4), shared_dims=4),
        labelled=200,
        unlabelled=1000,
        test=1000,
    ),
    "xor": Simulated(
        recipe=recipe("alpha", 1.0), world=exclusive(noise=0.05), unlabelled=500, test=1000
    ),
    "observed": Simulated(
        recipe=recipe("x1", 1.0),
        world=Observed(Moons(sd=0.1), (Lifted("x1", size=16), Bumps("x2", side=8))),
        unlabelled=500,
        test=1000,
    ),
}
"""A task a kind of world, by name.

Their noise is the best of 0.25, 0.5 and 1 for the student's gain at seeds 100 to 105 (for decisive
with β deciding 40%), seeds that no study reports; XOR has no gain to choose by.
"""


def chosen(name: str, settings: Sequence[str]) -> Simulated:
    """The task of that name with settings changed, for instance world.sd=0.2.

    Raises ValueError for a name or a path that does not exist, or a value out of range.
    """
    if name not in WORLDS:
        raise ValueError(f"there is no world {name!r}; there are {', '.join(WORLDS)}")
    try:
        return changed(WORLDS[name], *settings)
    except ValueError as problem:
        raise ValueError(f"--set {' '.join(settings)}: {problem}") from None


KNOBS = {
    "m_alpha": "world.signal.0",
    "m_beta": "world.signal.1",
    "rho": "world.correlation",
    "sigma": "recipe.objective.transform.0.sigma",
}
"""Short names; any other knob is a path from the task, or a field of its world."""


def moved(task: Simulated, knob: str, value: float) -> Simulated:
    """The task with a number of it replaced; a path may end in the place of a number in a tuple.

    >>> moved(LINEAR, "m_beta", 0.5).world.signal
    (1.0, 0.5)

    Raises ValueError where there is no such number, or the task does not allow the value.
    """
    path = KNOBS.get(knob, knob)
    if "." not in path and hasattr(task.world, path):
        path = f"world.{path}"
    head, _, last = path.rpartition(".")
    numbers = _at(task, head) if last.isdecimal() else None
    text = f"{value!r}" if isinstance(_at(task, path), float) else f"{value:g}"
    if isinstance(numbers, tuple) and int(last) < len(numbers):
        parts = [text if at == int(last) else repr(x) for at, x in enumerate(numbers)]
        path, text = head, ",".join(parts)
    try:
        return changed(task, f"{path}={text}")
    except ValueError as problem:
        raise ValueError(f"knob {knob} at {value:g}: {problem}") from None


def _at(task: Simulated, path: str) -> Any:
    """The value at a path, or None."""
    here: Any = task
    for part in path.split("."):
        if isinstance(here, tuple) and part.isdecimal():
            here = here[int(part)] if int(part) < len(here) else None
        else:
            here = getattr(here, part, None)
    return here
