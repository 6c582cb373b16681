"""A world as a task, so that the arms, the study and the training of the real tasks run on it.

D_l are labelled samples of the teacher's modalities, D_u unlabelled samples of all of them, and
test samples judge. The three are drawn independently; pairs of D_u may be mismatched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.models import MLP, ConvEncoder, coordinates, multimodal
from mke_theory.models.multimodal import Missing
from mke_theory.study.keys import config_hash
from mke_theory.study.task import Recipe, Task
from mke_theory.synthetic.checks import checked_count, chosen
from mke_theory.synthetic.corruptions import mismatch, refuse_no_share
from mke_theory.synthetic.world import Draw, Exact, World

_ATTEMPTS = 100
"""After this many draws of D_l with one class alone, the world is refused."""


@dataclass(frozen=True)
class Simulated(Task):
    """`labelled`, `unlabelled` and `test` samples of a world.

    `mismatched` is the share of D_u in which β comes from another sample of D_u, and
    `teacher_modalities` None means the world's first. `hidden` are the sizes of the hidden layers;
    none make the model linear. `network`: an MLP on all numbers side by side ("coordinates"), or
    one encoder a modality, convolutional for shapes [c, h, w], and a hidden layer on all features
    ("encoders"). `if_missing` is how a model reads a modality that is NaN. Worlds come scaled, so
    nothing is standardised. `called` replaces the name that is made from the world.

    Raises ValueError where a size is too small, a modality is none of the world's, or pairs are to
    be mismatched although the teacher reads every modality.
    """

    varies: ClassVar[str] = "data, weights, noise; the world is the same"

    recipe: Recipe
    world: World
    mismatched: float = 0.0
    labelled: int = 100
    unlabelled: int = 1000
    test: int = 1000
    teacher_modalities: tuple[str, ...] | None = None
    hidden: tuple[int, ...] = (32,)
    network: Literal["coordinates", "encoders"] = "coordinates"
    if_missing: Missing = "refuse"
    called: str = ""

    def __post_init__(self) -> None:
        for name, least in (("labelled", 2), ("unlabelled", 1), ("test", 1)):
            checked_count(name, getattr(self, name), least)
        if not isinstance(self.hidden, tuple):
            raise TypeError(f"hidden is {self.hidden!r}; it has to be a tuple of layer sizes")
        if min((checked_count("a layer of hidden", x, 0) for x in self.hidden), default=1) < 1:
            raise ValueError(f"hidden is {self.hidden}; every layer needs at least one unit")
        if self.if_missing not in get_args(Missing):
            raise ValueError(f"if_missing is {self.if_missing!r}; choose of {get_args(Missing)}")
        if self.network not in ("coordinates", "encoders"):
            raise ValueError(f"network is {self.network!r}; choose coordinates or encoders")
        refuse_no_share(self.mismatched)
        if set(self.alpha) == set(self.world.modalities) and self.mismatched > 0:
            raise ValueError("the teacher reads every modality; there is none left to mismatch")

    # The world is part of the name, so that two worlds in one study do not share their rows.
    @property
    def name(self) -> str:
        """`called`, or the kind of world and eight digits that change with any setting."""
        kind = type(self.world).__name__.lower()
        return self.called or f"{kind}_{config_hash(self)[:8]}"

    @property
    def title(self) -> str:
        """The heading in tables: the kind of world, and the name of this one."""
        return f"simulated: {self.name}"

    @property
    def alpha(self) -> tuple[str, ...]:
        """The teacher's modalities."""
        if self.teacher_modalities is None:
            return self.world.modalities[:1]
        return chosen(self.teacher_modalities, self.world.modalities)

    @property
    def teacher_bayes(self) -> Exact:
        """The error of the best classifier on the teacher's modalities, in the world itself."""
        return self.world.bayes_error(self.alpha)

    @property
    def student_bayes(self) -> Exact:
        """The error of the best classifier on all modalities, in the world itself."""
        return self.world.bayes_error()

    def problem(self, seed: int) -> Problem:
        """Three independent draws; each part, and the mismatch, has random numbers of its own.

        Raises ValueError where D_l has one class alone 100 times in a row (it is drawn again until
        it has two, because a teacher of one class learns nothing).
        """
        own = seed_for(seed, "data", "unlabelled")
        pairs = self.world.sample(self.unlabelled, np.random.default_rng(own))
        unlabelled = mismatch(pairs, self.mismatched, self.alpha, seed_for(own, "mismatched"))
        rng = np.random.default_rng(seed_for(seed, "data", "test"))
        test = self.world.sample(self.test, rng)
        return Problem.of(
            labelled=pool_of(self._labelled(seed)).only(self.alpha),
            unlabelled=pool_of(unlabelled),
            test=pool_of(test),
            teacher_modalities=self.alpha,
            classes=self.world.classes,
        )

    def _labelled(self, seed: int) -> Draw:
        rng = np.random.default_rng(seed_for(seed, "data", "labelled"))
        for _ in range(_ATTEMPTS):
            draw = self.world.sample(self.labelled, rng)
            if len(np.unique(draw.labels)) > 1:
                return draw
        raise ValueError(
            f"{self.labelled} labelled samples had one class alone in {_ATTEMPTS} draws; label "
            f"more, or choose a world with priors less extreme than {self.world.priors.tolist()}"
        )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """A fresh model; `width` replaces the first hidden size and scales the others with it.

        Raises ValueError for a width where the model is linear.
        """
        hidden = self._hidden(width)
        shapes = {name: self.world.shapes[name] for name in modalities}
        if self.network == "coordinates" or not hidden:
            return coordinates(shapes, problem.classes, hidden=hidden, missing=self.if_missing)
        encoders = {name: _encoder(shape, hidden) for name, shape in shapes.items()}
        return multimodal(encoders, problem.classes, hidden=hidden[-1:], missing=self.if_missing)

    def width(self, modalities: tuple[str, ...]) -> int:
        """The first hidden size; 1 where the model is linear and has none."""
        return self.hidden[0] if self.hidden else 1

    def _hidden(self, width: int | None) -> tuple[int, ...]:
        if width is None:
            return self.hidden
        if not self.hidden:
            raise ValueError(f"width is {width}; a linear model has no width: set hidden sizes")
        return tuple(max(1, round(width * size / self.hidden[0])) for size in self.hidden)


def pool_of(draw: Draw) -> Pool:
    """The samples as float32 tensors, with their true labels."""
    inputs = {name: torch.tensor(x, dtype=torch.float32) for name, x in draw.inputs.items()}
    return Pool(inputs, torch.tensor(draw.labels))


def _encoder(shape: tuple[int, ...], hidden: tuple[int, ...]) -> nn.Module:
    if len(shape) == 3:
        channels, height, width = shape
        return ConvEncoder((channels, height, width), features=hidden[-1])
    return MLP([math.prod(shape), *hidden], activate=True)
