"""The arms of the comparison, as data: what differs from the method, and nothing else.

The method arm is MM student (MKE). Every other arm is a copy of it with some fields changed, and
the report prints those fields. Placebos ask what the gain is made of: the content of the second
modality, the structure of the teacher's errors, or the number of parameters. The rival asks whether
a change of the teacher's decisions would have done as well as a student. The evidence arm is the
same question asked of a sum of experts, one a modality, and has placebos of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Arm:
    """One way to train.

    modalities: the teacher's (α) or all of them.
    learns_from: the true labels of D_l, pseudo labels of D_u, both, or (as the ceiling) the true
        labels of D_u.
    perturbed: whether T and L_reg are on.
    pairing: β as recorded, shuffled across D_u, or α once more in its place.
    errors: pseudo labels of the teacher, or the truth with as many errors in random places.
    size: the task's own width, or the width that gives the parameters of the MM student.
    decision: as the trained model has it, or less the share of the classes' frequency that the
        recipe's `adjustment` takes from the students (see `adjusted`).
    student: one network, or a sum of experts that each read a modality (`method.evidence`).
    """

    name: str = "mm_student"
    title: str = "MM student (MKE)"
    modalities: Literal["teacher's", "all"] = "all"
    learns_from: Literal["labels", "pseudo labels", "labels and pseudo labels", "truth"] = (
        "pseudo labels"
    )
    perturbed: bool = True
    pairing: Literal["as recorded", "shuffled", "α again"] = "as recorded"
    errors: Literal["teacher's", "random"] = "teacher's"
    size: Literal["task", "as MM student"] = "task"
    decision: Literal["as trained", "adjusted"] = "as trained"
    student: Literal["one network", "sum of experts"] = "one network"

    @property
    def rounds(self) -> int:
        """Students that the arm trains: none where it uses the teacher alone."""
        return 0 if self.learns_from == "labels" or self.adds_evidence else 1

    @property
    def adds_evidence(self) -> bool:
        """True where the student is a sum of experts, which has rounds of its own."""
        return self.student == "sum of experts"

    @property
    def needs_truth(self) -> bool:
        """True where the labels it learns from are made from the truth on D_u."""
        return self.learns_from == "truth" or self.errors == "random"


MM_STUDENT = Arm()

REFERENCE = "um_teacher"
"""The name of the arm that gains refer to."""

SIX_ARMS: tuple[Arm, ...] = (
    Arm("um_teacher", "UM teacher", modalities="teacher's", learns_from="labels", perturbed=False),
    Arm("um_student", "UM student", modalities="teacher's", perturbed=False),
    Arm(
        "noisy_student",
        "NOISY student",
        modalities="teacher's",
        learns_from="labels and pseudo labels",
    ),
    Arm("mm_student_noreg", "MM student (no reg)", perturbed=False),
    MM_STUDENT,
    Arm("mm_student_sup", "MM student (sup)", learns_from="truth"),
)

EVIDENCE = Arm("mm_student_evidence", "MM student (evidence)", student="sum of experts")

PLACEBOS: tuple[Arm, ...] = (
    Arm("mm_student_shuffled", "placebo: β shuffled", pairing="shuffled"),
    Arm("mm_student_flips", "placebo: random errors", errors="random"),
    Arm(
        "um_student_matched",
        "placebo: UM, size of MM",
        modalities="teacher's",
        size="as MM student",
    ),
)

EVIDENCE_PLACEBOS: tuple[Arm, ...] = (
    replace(
        EVIDENCE,
        name="mm_student_evidence_shuffled",
        title="placebo: evidence, β shuffled",
        pairing="shuffled",
    ),
    replace(
        EVIDENCE,
        name="mm_student_evidence_flips",
        title="placebo: evidence, random errors",
        errors="random",
    ),
    replace(
        EVIDENCE,
        name="mm_student_evidence_again",
        title="placebo: evidence, α again for β",
        pairing="α again",
    ),
)

RIVALS: tuple[Arm, ...] = (
    Arm(
        "um_teacher_adjusted",
        "rival: UM teacher, adjusted",
        modalities="teacher's",
        learns_from="labels",
        perturbed=False,
        decision="adjusted",
    ),
)

ARMS: dict[str, Arm] = {
    arm.name: arm for arm in (*SIX_ARMS, EVIDENCE, *PLACEBOS, *EVIDENCE_PLACEBOS, *RIVALS)
}
"""Every arm by name, in the order of the tables."""


def differences(arm: Arm, base: Arm = MM_STUDENT) -> dict[str, tuple[Any, Any]]:
    """Field to (value in the base, value in the arm), for every field that differs.

    >>> differences(ARMS["mm_student_noreg"])
    {'perturbed': (True, False)}
    """
    return {
        f.name: (getattr(base, f.name), getattr(arm, f.name))
        for f in fields(Arm)
        if f.name not in ("name", "title") and getattr(arm, f.name) != getattr(base, f.name)
    }


def adapted(arm: Arm, changes: dict[str, dict[str, Any]]) -> Arm:
    """The arm with the changes that a task declares for it by name, or unchanged."""
    return replace(arm, **changes.get(arm.name, {}))
