"""The parts of an objective: their ranges, what they need, and how they are shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from mke_theory.method import objective as module
from mke_theory.method import relatives
from mke_theory.method.augmentation import CropFlip
from mke_theory.method.objective import (
    Anchor,
    Consistency,
    Objective,
    PseudoLabelTerm,
    acting_on,
    refuse_strange_modalities,
)
from mke_theory.method.transforms import InputNoise, ModalityDropout

NOISE = (InputNoise(1.0),)


# --- γ(t) ----------------------------------------------------------------------------------------


def test_the_ramp_by_hand() -> None:
    ramp = Consistency(gamma=2.0, ramp=0.5)
    assert float(ramp.gamma_at(0.0)) == pytest.approx(2 * math.exp(-5))
    assert float(ramp.gamma_at(0.25)) == pytest.approx(2 * math.exp(-5 / 4))
    assert float(ramp.gamma_at(0.5)) == float(ramp.gamma_at(1.0)) == 2.0
    assert replace(ramp, ramp=0.0).gamma_at(0.0) == 2.0
    assert float(ramp.gamma_at(torch.tensor(0.25))) == pytest.approx(2 * math.exp(-5 / 4))


# --- the running average -------------------------------------------------------------------------


def test_an_average_is_kept_where_it_is_used() -> None:
    average, regular = Anchor(source="average"), Consistency(gamma=1.0)
    assert Objective().kept_average is None
    assert Objective(consistency=regular).kept_average is None
    assert Objective(anchor=average).kept_average is None  # without L_reg nobody asks it
    assert Objective(anchor=average, consistency=regular).kept_average == 0.999
    assert Objective(answers="average", anchor=Anchor(decay=0.5)).kept_average == 0.5


# --- how an objective is shown -------------------------------------------------------------------


def test_the_objective_of_mke_has_two_parts() -> None:
    mke = relatives.mke.method(NOISE, gamma=0.5).objective
    assert repr(mke) == (
        f"Objective(transform={NOISE!r}, consistency=Consistency(gamma=0.5, "
        "distance='squared_l2', certainty=0.0, ramp=0.0))"
    )


def test_the_usual_is_not_shown() -> None:
    assert repr(Objective()) == "Objective()"
    assert repr(Objective(anchor=Anchor(), adjustment=0.5)) == "Objective(adjustment=0.5)"


CHANGED: dict[str, Any] = {
    "transform": NOISE,
    "pseudo_labels": PseudoLabelTerm(weight=2.0),
    "consistency": Consistency(ramp=0.5),
    "anchor": Anchor(decay=0.5),
    "adjustment": 0.5,
    "multilabel": True,
    "augment": (CropFlip(),),
    "answers": "average",
}


@pytest.mark.parametrize("name", [f.name for f in fields(Objective)])
def test_each_setting_is_shown_where_it_is_unusual(name: str) -> None:
    changed = replace(Objective(), **{name: CHANGED[name]})
    assert repr(changed) == f"Objective({name}={CHANGED[name]!r})"


@pytest.mark.parametrize("method", relatives.methods(), ids=lambda method: method.name)
def test_what_is_shown_can_be_typed_in(method: relatives.Method) -> None:
    names = {**vars(module), "InputNoise": InputNoise}
    assert eval(repr(method.objective), names) == method.objective


# --- the modalities of a student -----------------------------------------------------------------


def test_what_cannot_act_on_a_student_is_left_out_of_both_views() -> None:
    drop = ModalityDropout(0.5, only=("b",))
    objective = Objective(
        transform=(*NOISE, drop),
        pseudo_labels=PseudoLabelTerm(weight=2.0),
        consistency=Consistency(gamma=0.5),
        anchor=Anchor(transform=(drop,), source="average", decay=0.5),
    )
    assert acting_on(objective, ("a", "b")) == objective
    assert acting_on(objective, ("a",)) == replace(
        objective, transform=NOISE, anchor=replace(objective.anchor, transform=())
    )
    same = replace(objective, anchor=Anchor(transform="same"))
    assert acting_on(same, ("a",)) == replace(same, transform=NOISE)


def test_a_strange_modality_is_refused_in_either_view() -> None:
    steps = (InputNoise(1.0, only=("audoi",)),)
    for objective in (Objective(transform=steps), Objective(anchor=Anchor(transform=steps))):
        with pytest.raises(ValueError, match=r"InputNoise acts on \['audoi'\]; there are audio"):
            refuse_strange_modalities(objective, ("audio",))
        refuse_strange_modalities(objective, ("audio", "audoi"))
    refuse_strange_modalities(Objective(anchor=Anchor(transform="same")), ("audio",))


# --- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        (PseudoLabelTerm, "temperature", 0.0),
        (PseudoLabelTerm, "temperature", math.inf),
        (PseudoLabelTerm, "temperature", math.nan),
        (PseudoLabelTerm, "threshold", -0.1),
        (PseudoLabelTerm, "threshold", 1.1),
        (PseudoLabelTerm, "kind", "firm"),
        (PseudoLabelTerm, "view", "both"),
        (PseudoLabelTerm, "weight", -1.0),
        (Consistency, "gamma", -1.0),
        (Consistency, "gamma", math.nan),
        (Consistency, "gamma", math.inf),
        (Consistency, "distance", "l2"),
        (Consistency, "certainty", 1.5),
        (Consistency, "ramp", 1.1),
        (Anchor, "source", "teacher"),
        (Anchor, "temperature", 0.0),
        (Anchor, "decay", -0.1),
        (Anchor, "decay", math.nan),
        (Objective, "adjustment", -1.0),
        (Objective, "answers", "both"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    part: Callable[..., Any], name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}"):
        part(**{name: value})


def test_an_anchor_of_no_sense_is_refused() -> None:
    with pytest.raises(TypeError, match=r"anchor's transform is InputNoise.* tuple of transforms"):
        Anchor(transform=InputNoise(1.0))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="anchor's transform is 'clean'"):
        Anchor(transform="clean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="anchor's transform is 'same', one pass of the student"):
        Anchor(transform="same", source="average")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("transform", InputNoise(1.0), r"^transform is InputNoise.* tuple of transforms"),
        ("pseudo_labels", "soft", r"^pseudo_labels is 'soft'; it has to be a PseudoLabelTerm"),
        ("consistency", "kl", r"^consistency is 'kl'; it has to be a Consistency"),
        ("anchor", "average", r"^anchor is 'average'; it has to be an? Anchor"),
        ("augment", InputNoise(1.0), "^augment is InputNoise"),
        ("augment", NOISE, r"^augment is \(InputNoise"),
    ],
)
def test_a_value_in_the_place_of_a_part_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Objective(**{name: value})


def test_an_adjustment_of_questions_is_refused() -> None:
    with pytest.raises(ValueError, match="questions have none"):
        Objective(adjustment=0.5, multilabel=True)
