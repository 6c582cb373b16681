"""An arm differs from the method in the fields it declares, and in no other."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from mke_theory.study.arms import (
    ARMS,
    EVIDENCE,
    EVIDENCE_PLACEBOS,
    MM_STUDENT,
    PLACEBOS,
    RIVALS,
    SIX_ARMS,
    Arm,
    adapted,
    differences,
)

# Each arm by the paper and by the question behind each placebo: (in the method, in the arm).
EXPERTS = {"student": ("one network", "sum of experts")}
DECLARED: dict[str, dict[str, tuple[Any, Any]]] = {
    "um_teacher": {
        "modalities": ("all", "teacher's"),
        "learns_from": ("pseudo labels", "labels"),
        "perturbed": (True, False),
    },
    "um_student": {"modalities": ("all", "teacher's"), "perturbed": (True, False)},
    "noisy_student": {
        "modalities": ("all", "teacher's"),
        "learns_from": ("pseudo labels", "labels and pseudo labels"),
    },
    "mm_student_noreg": {"perturbed": (True, False)},
    "mm_student": {},
    "mm_student_sup": {"learns_from": ("pseudo labels", "truth")},
    "mm_student_evidence": EXPERTS,
    "mm_student_shuffled": {"pairing": ("as recorded", "shuffled")},
    "mm_student_flips": {"errors": ("teacher's", "random")},
    "um_student_matched": {
        "modalities": ("all", "teacher's"),
        "size": ("task", "as MM student"),
    },
    "mm_student_evidence_shuffled": EXPERTS | {"pairing": ("as recorded", "shuffled")},
    "mm_student_evidence_flips": EXPERTS | {"errors": ("teacher's", "random")},
    "mm_student_evidence_again": EXPERTS | {"pairing": ("as recorded", "α again")},
    "um_teacher_adjusted": {
        "modalities": ("all", "teacher's"),
        "learns_from": ("pseudo labels", "labels"),
        "perturbed": (True, False),
        "decision": ("as trained", "adjusted"),
    },
}


def test_six_arms_the_evidence_arm_placebos_and_a_rival_by_name() -> None:
    assert list(ARMS) == list(DECLARED)
    assert [arm.name for arm in SIX_ARMS] == list(DECLARED)[:6]
    assert [EVIDENCE.name] == list(DECLARED)[6:7]
    assert [arm.name for arm in PLACEBOS] == list(DECLARED)[7:10]
    assert [arm.name for arm in EVIDENCE_PLACEBOS] == list(DECLARED)[10:13]
    assert [arm.name for arm in RIVALS] == list(DECLARED)[13:]
    assert ARMS["mm_student"] is MM_STUDENT == Arm()
    assert all(arm.name == name for name, arm in ARMS.items())


def test_no_two_arms_share_a_name_a_title_or_all_settings() -> None:
    settings = {replace(arm, name="", title="") for arm in ARMS.values()}
    assert len({arm.title for arm in ARMS.values()}) == len(ARMS) == len(settings)


@pytest.mark.parametrize("name", list(DECLARED))
def test_an_arm_differs_in_its_declared_fields_only(name: str) -> None:
    assert differences(ARMS[name]) == DECLARED[name]
    undone = {field: pair[0] for field, pair in DECLARED[name].items()}
    assert replace(ARMS[name], name=MM_STUDENT.name, title=MM_STUDENT.title, **undone) == MM_STUDENT


def test_differences_can_refer_to_another_base() -> None:
    large, noisy = ARMS["um_student_matched"], ARMS["noisy_student"]
    assert differences(large, noisy) == {
        "learns_from": ("labels and pseudo labels", "pseudo labels"),
        "size": ("task", "as MM student"),
    }
    assert differences(noisy, noisy) == {}


def test_every_setting_is_used_by_some_arm_and_switches_one_thing() -> None:
    used = {field for arm in ARMS.values() for field in differences(arm)}
    assert used == {f.name for f in fields(Arm)} - {"name", "title"}
    for arm in PLACEBOS[:2]:
        assert len(differences(arm)) == 1
    for arm in EVIDENCE_PLACEBOS:
        assert len(differences(arm, EVIDENCE)) == 1


def test_a_sum_of_experts_has_rounds_of_its_own() -> None:
    adding = {name for name, arm in ARMS.items() if arm.adds_evidence}
    assert adding == {name for name in DECLARED if "evidence" in name}
    assert all(ARMS[name].rounds == 0 for name in adding)
    assert {name for name in adding if ARMS[name].needs_truth} == {"mm_student_evidence_flips"}


def test_a_task_adapts_an_arm_by_name() -> None:
    changes = {"um_student": {"perturbed": True}}
    assert adapted(ARMS["um_student"], changes) == replace(ARMS["um_student"], perturbed=True)
    assert adapted(MM_STUDENT, changes) is not None and adapted(MM_STUDENT, changes) == MM_STUDENT
    with pytest.raises(TypeError, match="perturbd"):
        adapted(MM_STUDENT, {"mm_student": {"perturbd": True}})


def test_an_arm_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        MM_STUDENT.perturbed = False  # type: ignore[misc]
