"""Methods side by side: one problem, one model, one number of updates, one pair of perturbations.

The setting is that of multimodal knowledge expansion: D_l carries α alone, so no labelled pair
exists, and β is missing (NaN) in every sample of D_l. A method of `ssl` is entered twice: its
student reads α alone, or α and β. All students of a task have the model, the initial weights (of
their modalities), the optimiser, the number of updates and the rule for batches in common; a method
of several rounds shares the updates out among them. Nothing is selected: settings of a method are
those of its file, and no validation sample is looked at.

T is the strong and T' the weak perturbation, the same for all methods. A student of both modalities
sees `ModalityDropout` in either too, or the labels of α might never reach the samples that have β.
Pseudo-Label and entropy minimisation, whose papers have dropout or nothing, see T' in their one
view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from mke_theory import ssl
from mke_theory.objective import Objective
from mke_theory.ssl.method import STRONG, WEAK, Method, Steps
from mke_theory.tables import BASE
from mke_theory.task import Recipe, Task
from mke_theory.train import TrainConfig
from mke_theory.transforms import ModalityDropout
from mke_theory.types import Problem

Sees = Literal["α", "α and β"]
Classic = Literal["teacher", "self_training", "label_spreading", "co_training"]

DROPPED: Steps = (ModalityDropout(0.5),)
"""Further perturbation, weak or strong, of a student that reads both modalities."""


@dataclass(frozen=True)
class Entrant:
    """One line of the comparison: a method, or what is no setting of the objective, and its eyes.

    `how` is a `Method`, whose student is trained by its objective; or the name of a classic: the
    "teacher" (supervised on D_l), or a baseline of `ssl.baselines`.
    """

    how: Method | Classic
    sees: Sees

    def __post_init__(self) -> None:
        if self.sees not in get_args(Sees):
            raise ValueError(f"sees is {self.sees!r}; choose one of {get_args(Sees)}")
        if not isinstance(self.how, Method) and self.how not in get_args(Classic):
            raise ValueError(f"how is {self.how!r}; give a Method or one of {get_args(Classic)}")

    @property
    def name(self) -> str:
        """What records call it: "fixmatch_alpha", "fixmatch_both", …; "um_teacher" for the teacher.

        The teacher has the name of its arm, because it is what gains refer to.
        """
        if self.how == "teacher":
            return BASE
        name = self.how.name if isinstance(self.how, Method) else self.how
        return f"{name}_{'alpha' if self.sees == 'α' else 'both'}"

    @property
    def title(self) -> str:
        """The method in words, without its modalities."""
        if isinstance(self.how, Method):
            return self.how.title
        return _TITLES[self.how]

    def modalities(self, problem: Problem) -> tuple[str, ...]:
        """The names of the modalities that it reads."""
        return problem.teacher_modalities if self.sees == "α" else problem.modalities


_TITLES: dict[Classic, str] = {
    "teacher": "UM teacher",
    "self_training": "Self-training (logistic)",
    "label_spreading": "Label spreading",
    "co_training": "Co-training",
}


def entrants(weak: Steps = WEAK, strong: Steps = STRONG) -> tuple[Entrant, ...]:
    """The teacher, every method with either sight, and the classics."""
    alone, together = _methods(weak, strong), _methods(weak + DROPPED, strong + DROPPED)
    return (
        Entrant("teacher", "α"),
        *(Entrant(method, "α") for method in alone),
        *(Entrant(method, "α and β") for method in together),
        *(Entrant(how, sees) for how in ("self_training", "label_spreading") for sees in _BOTH),
        Entrant("co_training", "α and β"),
    )


_BOTH: tuple[Sees, Sees] = ("α", "α and β")


def _methods(weak: Steps, strong: Steps) -> tuple[Method, ...]:
    one_view = {
        method.name: method
        for method in (ssl.pseudo_label.method(weak), ssl.entropy_minimisation.method(weak))
    }
    return tuple(one_view.get(method.name, method) for method in ssl.methods(weak, strong))


def comparable(task: Task, budget: TrainConfig) -> Task:
    """The task with one budget for the teacher, for every student and for every round of them.

    Its own T and γ are set aside: they were chosen for multimodal knowledge expansion.
    """
    if budget.select != "last":
        raise ValueError(f"select is {budget.select!r}; the comparison takes the last step of all")
    return replace(task, recipe=Recipe(teacher=budget, student=budget, objective=Objective()))
