"""The evidence student of a task: its job, its placebos, its account and its notes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from mke_theory.data.pool import UNKNOWN
from mke_theory.data.rng import seed_for, torch_seed
from mke_theory.method.algorithm import (
    account_of,
    predictions_of,
    pseudo_label,
    teacher_job,
)
from mke_theory.method.evidence import (
    Answers,
    EvidenceExpansion,
    EvidenceJob,
    EvidenceSettings,
    carry_out,
    expand_by_evidence,
)
from mke_theory.method.pseudo_labels import PseudoLabels
from mke_theory.models import MultimodalModel
from mke_theory.study import evidence_setup
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.evidence_setup import (
    AGAIN,
    RATE,
    WithCopy,
    build_expert,
    job_of,
    labels_of,
    notes_of,
    plan_of,
    training_of,
)
from mke_theory.study.keys import canonical
from mke_theory.study.placebos import random_errors, shuffle_pairs
from mke_theory.study.recording import record_of
from mke_theory.study.result import Cell, Result
from mke_theory.study.runner import train_teachers
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.training.loop import Fit, TrainConfig
from mke_theory.training.predict import predict
from tests.study.toys import (
    ALONE,
    SHORT,
    Maps,
    Questions,
    Toy,
    carried_out,
    close,
    same,
)

EVIDENCE = "mm_student_evidence"
TOY = Toy()
PROBLEM = TOY.problem(0)


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    fit = train_teachers([Cell(TOY, 0)], ALONE)[Cell(TOY, 0)]
    assert isinstance(fit, Fit)
    return fit.model


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {name: carried_out(name) for name, arm in ARMS.items() if arm.adds_evidence}


def job(arm: str, teacher: nn.Module, monkeypatch: pytest.MonkeyPatch) -> EvidenceJob:
    """The job that an arm's plan hands to the method."""
    seen: list[EvidenceJob] = []

    def nothing(given: EvidenceJob) -> Iterator[Any]:
        seen.append(given)
        yield []

    monkeypatch.setattr(evidence_setup, "evidence_plan", nothing)
    next(plan_of(TOY, ARMS[arm], 0, PROBLEM, teacher))
    return seen[0]


# --- the job -------------------------------------------------------------------------------------


def test_the_arm_is_the_student_of_expand_by_evidence(results: dict[str, Result]) -> None:
    found = results[EVIDENCE]

    def retrain(samples: Any, number: int) -> Any:
        with torch_seed(TOY.init_seed(f"teacher {number}", 0)):
            model = TOY.model(PROBLEM, ("a",))
        return teacher_job(model, samples, SHORT, seed=seed_for(0, "teacher", number))

    by_hand = expand_by_evidence(
        found.teacher,
        PROBLEM.unlabelled.with_labels(PROBLEM.truth.labels),
        lambda group: TOY.model(PROBLEM, group),
        alpha="a",
        labelled=PROBLEM.labelled,
        retrain=retrain,
        config=training_of(TOY.recipe),
        seed=seed_for(0, "evidence"),
    )
    assert same(found.model, by_hand.student) and found.account is not None
    # The runner has the teacher's confidence in single precision; nothing else may differ.
    assert replace(found.account, by_confidence=()) == replace(by_hand.account, by_confidence=())
    assert torch.equal(found.predictions["unlabelled"], by_hand.predictions)
    assert found.notes == notes_of(by_hand)
    assert same(found.teacher, carried_out("um_teacher").model)


def test_what_the_method_is_given_has_no_label_of_d_u(
    teacher: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job(EVIDENCE, teacher, monkeypatch)
    assert bool((given.unlabelled.labels == UNKNOWN).all()) and given.alpha == ("a",)
    assert bool((given.truth.labels == UNKNOWN).all())
    assert given.teacher is teacher and given.settings == EvidenceSettings()
    assert given.labelled is not None and given.labelled.modalities == ("a",)
    assert torch.equal(given.labelled.labels, PROBLEM.labelled.labels)
    for name, x in PROBLEM.unlabelled.inputs.items():
        assert torch.equal(given.unlabelled.inputs[name], x)


def test_teachers_for_calibration_have_the_teachers_recipe_and_starts_of_their_own(
    teacher: nn.Module,
) -> None:
    retrain = job_of(TOY, 0, PROBLEM, teacher).retrain
    assert retrain is not None
    part = PROBLEM.labelled.rows([0, 1, 2, 4])
    first, second, again = (retrain(part, number) for number in (0, 1, 0))
    assert first.config == TOY.recipe.teacher and torch.equal(first.samples.labels, part.labels)
    assert first.seed != second.seed and not same(first.model, second.model)
    assert first.seed == again.seed and same(first.model, again.model)
    assert first.samples.modalities == ("a",)


def test_an_expert_is_trained_as_the_recipe_says_or_by_adamw_at_a_rate_of_its_own() -> None:
    own = TrainConfig(steps=7, batch_size=3, learning_rate=0.2)
    assert own.optimizer == "adamw" and training_of(Recipe(student=own)) is own
    plain = replace(own, optimizer="sgd", momentum=0.9, weight_decay=0.3)
    changed = training_of(Recipe(student=plain))
    assert changed == replace(own, learning_rate=RATE, momentum=0.0, weight_decay=1e-2)


def test_an_expert_reads_its_modalities_alone_and_zeros_where_they_are_missing() -> None:
    task = TwoMoon()
    problem = task.problem(0)
    made = task.model(problem, ("x2",))
    assert isinstance(made, MultimodalModel) and made.missing == "refuse"
    expert = build_expert(task, problem, ("x2",))
    missing = expert({"x2": torch.full((2, 1), torch.nan)})
    assert torch.equal(missing, expert({"x2": torch.zeros(2, 1)}))
    with torch_seed(0):
        plain = build_expert(TOY, PROBLEM, ("a",))
    with torch_seed(0):
        again = build_expert(TOY, PROBLEM, (AGAIN,))
    x = PROBLEM.test.inputs["a"]
    assert torch.equal(again({AGAIN: x}), plain({"a": x}))


# --- placebos ------------------------------------------------------------------------------------


def test_shuffled_pairs_change_beta_alone(
    teacher: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, shuffled = (
        job(name, teacher, monkeypatch) for name in (EVIDENCE, f"{EVIDENCE}_shuffled")
    )
    expected = shuffle_pairs(PROBLEM.unlabelled, ("a",), seed_for(0, "shuffle"))
    assert torch.equal(shuffled.unlabelled.inputs["b"], expected.inputs["b"])
    assert not torch.equal(shuffled.unlabelled.inputs["b"], plain.unlabelled.inputs["b"])
    assert torch.equal(shuffled.unlabelled.inputs["a"], plain.unlabelled.inputs["a"])
    assert (shuffled.teacher, shuffled.seed, shuffled.config, shuffled.settings) == (
        plain.teacher,
        plain.seed,
        plain.config,
        plain.settings,
    )


def test_the_placebo_of_shuffled_pairs_is_the_arm_on_them(results: dict[str, Result]) -> None:
    pool = shuffle_pairs(PROBLEM.unlabelled, ("a",), seed_for(0, "shuffle"))
    elsewhere = carried_out(EVIDENCE, problem=replace(PROBLEM, unlabelled=pool))
    assert same(results[f"{EVIDENCE}_shuffled"].model, elsewhere.model)
    assert not same(results[f"{EVIDENCE}_shuffled"].model, results[EVIDENCE].model)


def test_alpha_again_is_read_twice_and_beta_not_at_all(
    teacher: nn.Module, monkeypatch: pytest.MonkeyPatch, results: dict[str, Result]
) -> None:
    given = job(f"{EVIDENCE}_again", teacher, monkeypatch)
    assert given.unlabelled.modalities == ("a", AGAIN) and given.alpha == ("a",)
    assert torch.equal(given.unlabelled.inputs[AGAIN], PROBLEM.unlabelled.inputs["a"])
    found = results[f"{EVIDENCE}_again"]
    assert isinstance(found.model, WithCopy)
    assert list(found.notes["evidence"]["verdicts"]) == [AGAIN]
    x = PROBLEM.test.inputs
    twice = found.model.model({"a": x["a"], AGAIN: x["a"]})
    assert torch.equal(found.model({"a": x["a"], "b": 100 - x["b"]}), twice)
    monkeypatch.undo()
    moved = {**PROBLEM.unlabelled.inputs, "b": 100 - PROBLEM.unlabelled.inputs["b"]}
    other = replace(PROBLEM, unlabelled=replace(PROBLEM.unlabelled, inputs=moved))
    assert same(found.model, carried_out(f"{EVIDENCE}_again", problem=other).model)


def test_random_errors_are_as_many_as_the_teachers_and_elsewhere(
    teacher: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job(f"{EVIDENCE}_flips", teacher, monkeypatch)
    pseudo = pseudo_label(teacher, PROBLEM.unlabelled)
    truth = PROBLEM.truth.labels
    errors = int((pseudo.hard != truth).sum())
    assert isinstance(given.teacher, Answers) and given.teacher.labelled is None
    answers = given.teacher.unlabelled.exp()
    expected = random_errors(PROBLEM.truth, pseudo, seed_for(0, "flips"))
    assert torch.equal(answers.argmax(1), expected)
    assert int((expected != truth).sum()) == errors > 0
    # Every answer is as sure as the teacher is right, and evenly unsure of the other classes.
    right = 1 - errors / len(truth)
    torch.testing.assert_close(answers.max(1).values, torch.full((21,), right).double())
    torch.testing.assert_close(answers.min(1).values, torch.full((21,), (1 - right) / 2).double())


@pytest.mark.parametrize("arm", [name for name, arm in ARMS.items() if arm.adds_evidence])
def test_every_arm_is_judged_on_the_problem_as_recorded(
    arm: str, results: dict[str, Result]
) -> None:
    found = results[arm]
    pseudo = pseudo_label(found.teacher, PROBLEM.unlabelled)
    for part, pool in (("unlabelled", PROBLEM.unlabelled), ("test", PROBLEM.test)):
        assert torch.equal(found.predictions[part], predict(found.model, pool).argmax(1))
    assert torch.equal(found.pseudo.hard, pseudo.hard)
    assert found.account == account_of(PROBLEM.truth, pseudo, found.predictions["unlabelled"])
    assert found.fit is not None and found.fit.model is found.model


# --- notes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", [name for name, arm in ARMS.items() if arm.adds_evidence])
def test_notes_are_plain_values(arm: str, results: dict[str, Result]) -> None:
    notes = results[arm].notes
    assert json.loads(json.dumps(notes, allow_nan=False)) == notes == canonical(notes)
    own = notes["evidence"]
    assert set(own["labels"]) == {
        "unit",
        "n",
        "changed",
        "by_class",
        "confidence_kept",
        "confidence_changed",
    }
    assert set(own["verdicts"].values()) <= {"trusted", "weak", "redundant"}
    assert own["verdicts"].keys() == own["usefulness"].keys() == own["redundancy"].keys()
    assert (own["honest_accuracy"] is None) is (arm == f"{EVIDENCE}_flips")
    assert own["temperature"] > 0 and sum(own["prior"]) == pytest.approx(1)
    trusted = "trusted" in own["verdicts"].values()
    assert len(own["rounds"]) == (EvidenceSettings().rounds if trusted else 1)


def test_labels_that_changed_agree_with_the_account(results: dict[str, Result]) -> None:
    for found in results.values():
        labels, account = found.notes["evidence"]["labels"], found.account
        assert account is not None and labels["n"] == 21
        assert labels["changed"] / 21 == pytest.approx(1 - account.agreement)
        counts = torch.tensor(labels["by_class"])
        assert counts.sum(0).tolist() == [21, labels["changed"]]


def test_labels_by_hand(teacher: nn.Module) -> None:
    (found,) = carry_out([plan_of(TOY, ARMS[EVIDENCE], 0, PROBLEM, teacher)])
    assert isinstance(found, EvidenceExpansion)
    hard = torch.tensor([0, 0, 0, 2, 1])  # the last one the teacher cannot read
    posterior = torch.tensor([[8, 1, 1], [3, 6, 1], [2, 7, 1], [1, 1, 8], [8, 1, 1]]).double() / 10
    made = replace(
        found,
        pseudo=PseudoLabels(hard, hard, torch.ones(5), 3),
        predictions=torch.tensor([0, 1, 0, 2, 0]),  # the third is not what the posterior has
        posterior=posterior.log(),
        readable=torch.tensor([True, True, True, True, False]),
    )
    assert close(
        labels_of(made),
        {
            "unit": "samples",
            "n": 4,
            "changed": 1,
            "by_class": [[3, 1], [0, 0], [1, 0]],
            "confidence_kept": (0.8 + 0.2 + 0.8) / 3,
            "confidence_changed": 0.6,
        },
    )
    copied = labels_of(replace(made, predictions=hard))
    assert copied["changed"] == 0 and copied["confidence_changed"] is None


# --- pixels and questions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "unit", "numbers"),
    [(Maps(), "pixels", 16 * 20), (Questions(), "answers", 28 * 2)],
    ids=["maps", "questions"],
)
def test_sums_of_experts_run_where_a_sample_has_no_single_class(
    task: Task, unit: str, numbers: int
) -> None:
    for arm in (name for name, arm in ARMS.items() if arm.adds_evidence):
        if arm == f"{EVIDENCE}_flips" and isinstance(task, Questions):
            continue  # random errors are those of single classes
        found = carried_out(arm, task)
        multilabel = isinstance(task, Questions)
        for part, pool in (("unlabelled", found.problem.unlabelled), ("test", found.problem.test)):
            expected = predictions_of(found.model, pool, multilabel=multilabel)
            assert torch.equal(found.predictions[part], expected)
        labels, account = found.notes["evidence"]["labels"], found.account
        assert account is not None and (labels["unit"], labels["n"]) == (unit, numbers)
        assert labels["changed"] / numbers == pytest.approx(1 - account.agreement)
        assert torch.tensor(labels["by_class"]).sum(0).tolist() == [numbers, labels["changed"]]
        record = record_of(found, ALONE)
        assert json.loads(json.dumps(record.to_dict()))["extra"] == canonical(found.notes)


def test_random_errors_of_pixels_are_as_many_as_the_teachers() -> None:
    task, arm = Maps(), ARMS[f"{EVIDENCE}_flips"]
    teacher = carried_out("um_teacher", task).model
    problem = task.problem(0)
    pseudo = pseudo_label(teacher, problem.unlabelled)
    given = evidence_setup._teacher_of(arm, problem, pseudo, teacher, 0)
    assert isinstance(given, Answers)
    answers, truth = given.unlabelled.exp(), problem.truth.labels
    known = truth != UNKNOWN
    errors = int((pseudo.hard != truth)[known].sum())
    assert int((answers.argmax(1) != truth)[known].sum()) == errors > 0
    assert torch.equal(answers.argmax(1)[~known], pseudo.hard[~known].long())
    right = 1 - errors / int(known.sum())
    assert answers.max(1).values.unique().tolist() == [pytest.approx(right)]


# --- two trainers --------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", [name for name, arm in ARMS.items() if arm.adds_evidence])
def test_experts_side_by_side_are_those_trained_one_by_one(
    arm: str, results: dict[str, Result]
) -> None:
    together = RunConfiguration(trainer="vectorised", draws="own")
    one, other = results[arm], carried_out(arm, configuration=together)
    again = other.model.state_dict()
    for name, weight in one.model.state_dict().items():
        # Wider than for one network: experts learn on, so that rounding grows from round to round.
        torch.testing.assert_close(weight, again[name], rtol=0, atol=2e-4)
    assert torch.equal(one.predictions["unlabelled"], other.predictions["unlabelled"])
    own, theirs = (found.notes["evidence"] for found in (one, other))
    assert own["verdicts"] == theirs["verdicts"] and len(own["rounds"]) == len(theirs["rounds"])
    assert own["usefulness"] == pytest.approx(theirs["usefulness"], abs=1e-4)
