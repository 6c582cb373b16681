"""The contestants, and the same terms for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mke_theory.data.problem import Problem
from mke_theory.method import relatives
from mke_theory.method.evidence import EvidenceSettings
from mke_theory.method.objective import Objective
from mke_theory.method.relatives import Method
from mke_theory.method.relatives.method import STRONG, WEAK
from mke_theory.study.semi_supervised.contestants import (
    DROPPED,
    EXPERTS,
    Contestant,
    Experts,
    comparable,
    contestants,
)
from mke_theory.training.loop import TrainConfig
from tests.study.toys import Toy

FEW = TrainConfig(steps=12, learning_rate=0.02)
METHODS = {one.name: one.how for one in contestants() if isinstance(one.how, Method)}
SIGHT = {one.name: one.sees for one in contestants()}


def test_every_method_is_entered_with_either_sight() -> None:
    names = [one.name for one in contestants()]
    for method in relatives.methods():
        assert {f"{method.name}_alpha", f"{method.name}_both"} <= set(names)
    assert names[0] == "um_teacher"
    assert {f"{experts.name}_both" for experts in EXPERTS} <= set(names)
    methods, classics, more = 2 * (len(relatives.methods()) + 1), 4 + 1 + 1, 3 + len(EXPERTS)
    assert len(set(names)) == len(names) == 1 + methods + classics + len(EXPERTS) + more


def test_perturbations_are_the_weak_the_strong_or_none_for_all() -> None:
    for name, method in METHODS.items():
        more = () if SIGHT[name] == "α" else DROPPED
        allowed = {(), WEAK + more, STRONG + more}
        assert method.objective.transform in allowed - {()}
        assert method.objective.anchor.transform in allowed | {more, "same"}


def test_the_view_that_answers_for_a_pair_is_labelled_or_at_times_without_beta() -> None:
    of_pairs = [
        method
        for name, method in METHODS.items()
        if SIGHT[name] == "α and β" and not method.needs_teacher
    ]
    assert len(of_pairs) == 6
    for method in of_pairs:
        objective = method.objective
        same_view = objective.anchor.transform == "same"
        answering = objective.transform if same_view else objective.anchor.steps
        assert set(DROPPED) <= set(answering)
    for name, method in METHODS.items():
        assert SIGHT[name] == "α and β" or not set(DROPPED) & set(method.objective.transform)


def test_settings_are_those_of_the_files_but_for_perturbations() -> None:
    usual = {method.name: method for method in relatives.methods()}
    usual["mke_bare"] = relatives.mke.method(gamma=0.0)
    for method in METHODS.values():
        changed = relatives.differences(method, usual[method.name])
        assert set(changed) <= {"transform", "anchor.transform"}


def test_rounds_share_the_updates_out_among_them() -> None:
    for one in contestants():
        own = one.budget(FEW)
        assert replace(own, steps=FEW.steps) == FEW
        assert own.steps == (FEW.steps if one.each_round else FEW.steps // one.trainings)
        assert one.rounds == (one.how.rounds if isinstance(one.how, Method) else 0)
    rounds = {one.name: one.trainings for one in contestants() if one.trainings > 1}
    assert rounds == {
        "noisy_student_alpha": 3,
        "noisy_student_both": 3,
        "noisy_student_more_alpha": 3,
        "noisy_student_more_both": 3,
        # Two folds in a round, three rounds, and the network at the end.
        "experts_both": 2,
        "experts_more_both": 2,
        "experts_corrected_both": 2,
        "experts_corrected_more_both": 2,
        "experts_rounds_both": 6,
        "experts_rounds_more_both": 6,
        "experts_distilled_both": 7,
        "experts_distilled_more_both": 7,
        "co_training_both": 6,
        "co_training_more_both": 6,
    }


def test_co_training_shares_its_updates_out_too() -> None:
    found = {one.name: one for one in contestants() if one.how == "co_training"}
    assert found["co_training_both"].budget(FEW).steps == FEW.steps // 6
    assert found["co_training_more_both"].budget(FEW) == FEW
    assert found["co_training_more_both"].title == "Co-training, 6× updates"
    with pytest.raises(ValueError, match="one round"):
        Contestant("self_training", "α", each_round=True)


def test_experts_differ_by_one_step_at_a_time_and_add_up_modalities() -> None:
    plain, corrected, rounds, distilled = EXPERTS
    assert replace(plain.settings, corrected=True) == corrected.settings != plain.settings
    assert replace(corrected.settings, rounds=3) == rounds.settings == EvidenceSettings()
    assert distilled.settings == rounds.settings
    assert [one.distilled for one in EXPERTS] == [False, False, False, True]
    assert all(one.adds_evidence == isinstance(one.how, Experts) for one in contestants())
    with pytest.raises(ValueError, match=r"sees is 'α', but Experts add up modalities"):
        Contestant(plain, "α")


def test_the_mean_of_logits_is_entered_once_with_the_whole_budget() -> None:
    (found,) = (one for one in contestants() if one.how == "late_average")
    assert (found.name, found.sees, found.rounds) == ("late_average_both", "α and β", 0)
    assert found.budget(FEW) == FEW and not found.adds_evidence


def test_a_contestant_reads_alpha_or_everything() -> None:
    problem: Problem = Toy().problem(0)
    assert Contestant("self_training", "α").modalities(problem) == ("a",)
    assert Contestant("self_training", "α and β").modalities(problem) == ("a", "b")


def test_a_comparable_task_has_one_budget_and_no_perturbation_of_its_own() -> None:
    task = comparable(Toy(), FEW)
    assert (task.recipe.teacher, task.recipe.student) == (FEW, FEW)
    assert task.recipe.objective == Objective() != Toy().recipe.objective
    assert replace(task, recipe=Toy().recipe) == Toy()


@pytest.mark.parametrize(("how", "sees"), [("teacher", "β"), ("oracle", "α")])
def test_contestants_that_make_no_sense_are_refused(how: Any, sees: Any) -> None:
    with pytest.raises(ValueError, match=r"choose one of|give a Method"):
        Contestant(how, sees)
