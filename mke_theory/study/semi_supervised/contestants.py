"""Methods side by side: one problem, one model, one number of updates, one pair of perturbations.

The setting is that of multimodal knowledge expansion: D_l carries α alone, so no labelled pair
exists, and β is missing (NaN) in every sample of D_l. A method of `method.relatives` is entered
twice: its student reads α alone, or α and β. All students of a task have the model, the initial
weights (of their modalities), the optimiser, the number of updates and the rule for batches in
common. A method of several rounds shares its updates out among them; it is entered once more with
all of them in every round, which is more than the others have. Nothing is selected: settings of a
method are those of its file, and no validation sample is looked at.

Noise is strong or weak, the same for all methods; Pseudo-Label and entropy minimisation, whose
papers have dropout or nothing, see the weak one in their one view. For students of both modalities
either perturbation drops modalities too. A method that learns from D_l needs that in the view that
answers, or no label of α might reach a sample that has β. So UDA, whose answering view has no
noise, has it there as well. In Pseudo-Label and entropy minimisation a view answers to itself:
nothing but shared weights ties a sample without β to one that has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from mke_theory.data.problem import Problem
from mke_theory.method import relatives
from mke_theory.method.evidence import EvidenceSettings
from mke_theory.method.objective import Objective
from mke_theory.method.relatives.method import STRONG, WEAK, Method, Steps
from mke_theory.method.transforms import ModalityDropout
from mke_theory.study.arms import REFERENCE
from mke_theory.study.task import Recipe, Task
from mke_theory.training.loop import TrainConfig

Sees = Literal["α", "α and β"]
Classic = Literal["teacher", "self_training", "label_spreading", "late_average", "co_training"]

DROPPED: Steps = (ModalityDropout(0.5),)
"""Further perturbation, weak or strong, of a student that reads both modalities."""
CO_TRAINING_ROUNDS = 5
"""Each view labels a tenth of D_u a round, so that five rounds may label all of it."""


@dataclass(frozen=True)
class Experts:
    """A sum of experts by its settings, as it is or `distilled` into one network.

    Folds, rounds and that network share the updates out, counted a modality at a time as those of
    co-training are. In the first round α has no expert; a guard's models have its place: brief
    experts of β with models that foretell their evidence, or, where β's own expert is judged, the
    brief ones on top. Models of the teacher's calibration on D_l are further teachers, and not
    counted.
    """

    name: str
    title: str
    settings: EvidenceSettings
    distilled: bool = False

    @property
    def trainings(self) -> int:
        """Times that an expert, or the network at the end, is trained."""
        return self.settings.trainings + int(self.distilled)


EXPERTS: tuple[Experts, ...] = (
    Experts("experts", "Experts", EvidenceSettings(rounds=1, corrected=False)),
    Experts("experts_corrected", "Experts + T̂", EvidenceSettings(rounds=1)),
    Experts("experts_rounds", "Experts + T̂, rounds", EvidenceSettings()),
    Experts("experts_distilled", "Experts + T̂, rounds, distilled", EvidenceSettings(), True),
)


@dataclass(frozen=True)
class Contestant:
    """One line of the comparison: a method or a baseline, and the modalities that it reads.

    `how` is a `Method`, whose student is trained by its objective; `Experts`; or the name of a
    classic: the "teacher" (supervised on D_l), or a baseline. `each_round`: every round has the
    whole budget, instead of its share.
    """

    how: Method | Experts | Classic
    sees: Sees
    each_round: bool = False

    def __post_init__(self) -> None:
        if self.sees not in get_args(Sees):
            raise ValueError(f"sees is {self.sees!r}; choose one of {get_args(Sees)}")
        if not isinstance(self.how, Method | Experts) and self.how not in get_args(Classic):
            raise ValueError(
                f"how is {self.how!r}; give a Method, Experts or one of {get_args(Classic)}"
            )
        if isinstance(self.how, Experts) and self.sees == "α":
            raise ValueError(f"sees is 'α', but {self.title} add up modalities; give 'α and β'")
        if self.each_round and self.trainings == 1:
            raise ValueError(f"each_round is True, but {self.title} has one round; leave it out")

    @property
    def name(self) -> str:
        """The name in records: "fixmatch_alpha", "fixmatch_both", …; "um_teacher" for the teacher.

        The teacher has the name of its arm, because it is what gains refer to.
        """
        if self.how == "teacher":
            return REFERENCE
        name = self.how if isinstance(self.how, str) else self.how.name
        more = "_more" if self.each_round else ""
        return f"{name}{more}_{'alpha' if self.sees == 'α' else 'both'}"

    @property
    def title(self) -> str:
        """The method in words, without its modalities."""
        title = _TITLES[self.how] if isinstance(self.how, str) else self.how.title
        return f"{title}, {self.trainings}× updates" if self.each_round else title

    @property
    def rounds(self) -> int:
        """Students of an objective, trained one after the other; none for a classic."""
        return self.how.rounds if isinstance(self.how, Method) else 0

    @property
    def adds_evidence(self) -> bool:
        """True where the student is a sum of experts."""
        return isinstance(self.how, Experts)

    @property
    def trainings(self) -> int:
        """The times that models are trained; the last of co-training is after its rounds."""
        if isinstance(self.how, Experts):
            return self.how.trainings
        return CO_TRAINING_ROUNDS + 1 if self.how == "co_training" else max(1, self.rounds)

    def budget(self, whole: TrainConfig) -> TrainConfig:
        """The part of the whole budget that one training has."""
        if self.each_round:
            return whole
        return replace(whole, steps=max(1, whole.steps // self.trainings))

    def modalities(self, problem: Problem) -> tuple[str, ...]:
        """The names of the modalities that it reads."""
        return problem.teacher_modalities if self.sees == "α" else problem.modalities


_TITLES: dict[Classic, str] = {
    "teacher": "UM teacher",
    "self_training": "Self-training (logistic)",
    "label_spreading": "Label spreading",
    "late_average": "Mean of teacher's and β's logits",
    "co_training": "Co-training",
}


def contestants(weak: Steps = WEAK, strong: Steps = STRONG) -> tuple[Contestant, ...]:
    """The teacher, every method with either sight, and the classics."""
    together = [_tied(method) for method in _methods(weak + DROPPED, strong + DROPPED)]
    equal = (
        *(Contestant(method, "α") for method in _methods(weak, strong)),
        *(Contestant(method, "α and β") for method in together),
        *(Contestant(how, sees) for how in ("self_training", "label_spreading") for sees in _BOTH),
        *(Contestant(experts, "α and β") for experts in EXPERTS),
        Contestant("late_average", "α and β"),
        Contestant("co_training", "α and β"),
    )
    more = (
        replace(contestant, each_round=True) for contestant in equal if contestant.trainings > 1
    )
    return (Contestant("teacher", "α"), *equal, *more)


_BOTH: tuple[Sees, Sees] = ("α", "α and β")


def _methods(weak: Steps, strong: Steps) -> tuple[Method, ...]:
    """The relatives, and MKE as its authors' published code for TwoMoon has it, without L_reg."""
    one_view = {
        method.name: method
        for method in (
            relatives.pseudo_label.method(weak),
            relatives.entropy_minimisation.method(weak),
        )
    }
    first, *others = relatives.methods(weak, strong)
    bare = replace(
        relatives.mke.method(strong, gamma=0.0), name="mke_bare", title="MKE, L_pl alone"
    )
    return (first, bare, *(one_view.get(method.name, method) for method in others))


def _tied(method: Method) -> Method:
    """With modalities dropped in the answering view, where no label reaches a pair otherwise."""
    objective = method.objective
    if method.needs_teacher or objective.anchor.transform != ():
        return method
    anchor = replace(objective.anchor, transform=DROPPED)
    return replace(method, objective=replace(objective, anchor=anchor))


def comparable(task: Task, budget: TrainConfig) -> Task:
    """The task with one budget for the teacher, for every student and for every round of them.

    Its own T and γ are set aside: they were chosen for multimodal knowledge expansion.
    """
    return replace(task, recipe=Recipe(teacher=budget, student=budget, objective=Objective()))
