"""A record says of a run what happened, whether its labels are classes, maps or questions."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch

from mke_theory.data.pool import UNKNOWN
from mke_theory.data.problem import Truth
from mke_theory.method.algorithm import account_of, pseudo_label
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.models import count_parameters
from mke_theory.study.arms import ARMS, differences
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.recording import config_of, environment_of, key_of, record_of
from mke_theory.study.records import Record
from mke_theory.study.result import Failure, Result, Run
from mke_theory.study.runner import run
from mke_theory.study.semi_supervised.contestants import comparable, contestants
from mke_theory.study.task import Recipe, Task
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import LOOK_EVERY
from mke_theory.training.predict import predict
from tests.study.toys import (
    ALONE,
    LONGER,
    SHORT,
    Branches,
    Maps,
    Questions,
    Toy,
    carried_out,
    noisy,
    outcomes,
    same,
)

STUDENT = ARMS["mm_student"]
OF_ONE_NETWORK = [name for name, arm in ARMS.items() if not arm.adds_evidence]
"""Arms that answer any number of questions a sample; `study.feasible` leaves the others out."""


def recorded(arm: str = "mm_student", task: Task | None = None, seed: int = 0) -> Record:
    return record_of(carried_out(arm, task, seed), ALONE)


def timeless(record: Record) -> dict[str, Any]:
    """A record without the time and the files that the run took."""
    apart = ("seconds", "training", "artifacts")
    return {name: value for name, value in record.to_dict().items() if name not in apart}


# --- keys ----------------------------------------------------------------------------------------


def test_every_part_of_a_run_is_in_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    shorter = replace(toy.recipe, student=replace(SHORT, steps=7))
    runs = [
        Run(toy, STUDENT, 0),
        Run(toy, STUDENT, 1),
        Run(toy, ARMS["mm_student_noreg"], 0),
        Run(Toy(hidden=6), STUDENT, 0),
        Run(Toy(recipe=shorter), STUDENT, 0),
        Run(toy, replace(STUDENT, perturbed=False), 0),  # an arm of the same name
    ]
    elsewhere = [
        RunConfiguration(trainer="vectorised"),
        RunConfiguration(trainer="vectorised", draws="shared"),
        RunConfiguration(hardware=Hardware("cuda"), trainer="one by one"),
        RunConfiguration(hardware=Hardware(precision="bf16-mixed")),
    ]
    keys = [key_of(one, ALONE) for one in runs] + [key_of(runs[0], one) for one in elsewhere]
    keys.append(key_of(runs[0], ALONE, 2))  # a student of a later round
    with monkeypatch.context() as patch:
        patch.setattr(Toy, "libraries", lambda self: ("scipy",))
        keys.append(key_of(runs[0], ALONE))
    monkeypatch.setattr(Toy, "data_hash", lambda self: "other files")
    keys.append(key_of(runs[0], ALONE))
    assert len(set(keys)) == len(keys) == 13


def test_who_carries_a_run_out_is_no_part_of_its_key(tmp_path: Path) -> None:
    one = Run(Toy(), STUDENT, 0)
    key = key_of(one, ALONE)
    for other in (
        RunConfiguration(tmp_path, trainer="one by one", workers=3, threads=2, checkpoint_every=9),
        RunConfiguration(hardware=Hardware(workers=2), trainer="one by one"),
    ):
        assert key_of(one, other) == key
    assert key_of(Run(Toy().at(tmp_path), STUDENT, 0), ALONE) == key
    assert recorded().key == key and set(config_of(one)) == {"task", "arm"}


def test_the_environment_says_how_jobs_are_trained() -> None:
    assert "trainer" not in environment_of(Toy(), ALONE)
    for draws in ("own", "shared"):
        vectorised = RunConfiguration(trainer="vectorised", draws=draws)
        assert environment_of(Toy(), vectorised)["trainer"] == f"vectorised, {draws} draws"
    automatic = RunConfiguration()
    assert environment_of(Toy(), automatic) == environment_of(
        Toy(), RunConfiguration(trainer="vectorised")
    )
    exact = RunConfiguration(hardware=Hardware(precision="64-true"))  # never vectorised
    assert "trainer" not in environment_of(Toy(), exact)


# --- a record by hand ----------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ARMS)
def test_a_record_by_hand(arm: str) -> None:
    result = carried_out(arm)
    record, problem = record_of(result, ALONE), result.problem
    assert Record.of(json.loads(json.dumps(record.to_dict(), allow_nan=False))) == record
    assert (record.task, record.arm, record.seed) == ("toy", arm, 0)
    assert (record.arm_title, record.varies) == (ARMS[arm].title, "everything")
    assert record.differences == {k: list(v) for k, v in differences(ARMS[arm]).items()}
    parameters = count_parameters(result.model)
    assert record.counts == {"labelled": 9, "unlabelled": 21, "test": 12, "parameters": parameters}
    assert record.split_hash == problem.split_hash
    truths = {"test": problem.test.labels, "unlabelled": problem.truth.labels}
    confusion = torch.zeros(3, 3, dtype=torch.long)
    for part, pool in (("test", problem.test), ("unlabelled", problem.unlabelled)):
        predicted = predict(result.model, pool).argmax(dim=1)
        right = (predicted == truths[part]).double().mean().item()
        assert record.metrics[part] == right == record.scores[part]["accuracy"]
        of_teacher = pseudo_label(result.teacher, pool, Objective())
        account = account_of(Truth(truths[part]), of_teacher, predicted)
        assert record.account[part] == account.to_dict()
        before = "" if part == "unlabelled" else "test_"
        assert record.metrics[f"{before}corrected"] == account.overall.corrected_share
        assert record.metrics[f"{before}damaged"] == account.overall.damaged_share
        assert record.metrics[f"{before}agreement"] == account.agreement
        if part == "test":
            for truth, guess in zip(truths[part].tolist(), predicted.tolist(), strict=True):
                confusion[truth, guess] += 1
    assert record.confusion == confusion.tolist()
    labels = pseudo_label(result.teacher, problem.unlabelled, Objective()).hard
    of_labels = (labels == problem.truth.labels).double().mean().item()
    assert record.metrics["pseudo_labels"] == of_labels


def test_the_teachers_own_record_neither_corrects_nor_damages() -> None:
    metrics = recorded("um_teacher").metrics
    assert (metrics["corrected"], metrics["damaged"], metrics["agreement"]) == (0.0, 0.0, 1.0)
    assert metrics["pseudo_labels"] == metrics["unlabelled"]
    for arm in ("um_student", "mm_student", "mm_student_sup"):
        assert recorded(arm).metrics["pseudo_labels"] == metrics["unlabelled"]


def test_test_rows_move_the_account_on_test_alone() -> None:
    problem = Toy().problem(0)
    other = replace(problem, test=problem.test.with_labels((problem.test.labels + 1) % 3))
    here, there = (record_of(carried_out(problem=one), ALONE) for one in (problem, other))
    assert here.account["unlabelled"] == there.account["unlabelled"]
    assert here.account["test"] != there.account["test"]
    assert here.confusion != there.confusion and here.split_hash != there.split_hash
    assert here.key == there.key  # the problem follows from the seed


def test_a_student_is_looked_at_on_the_way_and_at_the_end() -> None:
    longer = replace(SHORT, steps=LOOK_EVERY + 4)
    record = recorded(task=Toy(recipe=Recipe(SHORT, longer)))
    assert [step for step, _ in record.history] == [LOOK_EVERY, LOOK_EVERY + 4]
    assert all(loss > 0 for _, loss in record.history)


# --- what tells an arm from the method arm -------------------------------------------------------


def test_what_cannot_act_on_a_unimodal_student_is_declared() -> None:
    objective = Objective(transform=(InputNoise(0.5), ModalityDropout(0.5, only=("a",))))
    task = Toy(recipe=Recipe(SHORT, SHORT, objective))
    assert "T acts by" not in recorded("mm_student", task).differences
    found = recorded("noisy_student", task).differences
    assert found["T acts by"] == ["InputNoise, ModalityDropout", "InputNoise"]
    assert "T acts by" not in recorded("um_student", task).differences


class Wide(Toy):
    """A task whose unimodal models are twice as wide."""

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.hidden * (2 if len(modalities) == 1 else 1)


def test_another_width_is_declared_where_no_size_was_asked_for() -> None:
    assert recorded("um_student", Wide()).differences["width"] == [8, 16]
    assert "width" not in recorded("um_student_matched", Wide()).differences
    assert "width" not in recorded("mm_student_noreg", Wide()).differences


def test_an_arm_that_cannot_begin_as_the_teacher_says_so() -> None:
    """The student of matched size is wider: it begins anew, and that is no part of its size."""
    arms = ("um_teacher", "um_student", "um_student_matched")
    found = {arm: recorded(arm, Branches()).differences for arm in arms}
    assert found["um_student_matched"]["begins as"] == ["the teacher", "new"]
    assert all("begins as" not in found[arm] for arm in arms[:2])


# --- costs ---------------------------------------------------------------------------------------


def test_the_cost_of_a_teacher_is_that_of_its_training(tmp_path: Path) -> None:
    """Once trained it is only loaded, and then nothing was paid."""
    stored = replace(ALONE, folder=tmp_path)
    for paid in (True, False):
        record = record_of(carried_out("um_teacher", configuration=stored), stored)
        assert (record.training["seconds"] is not None) is paid
        assert (record.seconds is not None) is paid


def test_a_folder_changes_nothing_but_time(tmp_path: Path) -> None:
    stored = replace(ALONE, folder=tmp_path, checkpoint_every=4)
    for arm in ("um_teacher", "mm_student"):
        direct = carried_out(arm)
        for _ in range(2):  # trained, then loaded
            kept = carried_out(arm, configuration=stored)
            record = record_of(kept, stored)
            assert list(record.artifacts) == (["answers"] if arm == "mm_student" else [])
            assert timeless(record) == timeless(record_of(direct, ALONE))
            assert same(direct.model, kept.model)
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 2


# --- maps of pixels ------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", OF_ONE_NETWORK)
def test_maps_of_pixels_in_every_arm(arm: str) -> None:
    task = Maps()
    result = carried_out(arm, task)
    record, test = record_of(result, ALONE), result.problem.test
    assert Record.of(json.loads(json.dumps(record.to_dict(), allow_nan=False))) == record
    predicted = predict(result.model, test).argmax(dim=1)
    assert record.metrics["test"] == task.scores(predicted, test.labels)["recall"]
    assert record.metric == "recall" and record.skipped == ["one.png: no picture"]
    account = record.account["test"]
    assert account["overall"]["n"] == 10 * 19 and account["unknown"] == 10
    assert record.scores["test"]["accuracy"] == account["overall"]["student_accuracy"]
    assert record.metrics["test"] > 0.5  # chance is a third


@pytest.mark.parametrize("arm", ["mm_student", "mm_student_sup", "mm_student_flips"])
def test_soft_maps_are_learned_from(arm: str) -> None:
    assert recorded(arm, Maps(noisy("soft"))).metrics["test"] > 0.5


def test_no_truth_on_the_unlabelled_maps_leaves_no_number() -> None:
    problem = Maps().problem(0)
    problem = replace(problem, truth=Truth(torch.full_like(problem.truth.labels, UNKNOWN)))
    record = record_of(carried_out(task=Maps(), problem=problem), ALONE)
    assert record.metrics["unlabelled"] is None and record.metrics["pseudo_labels"] is None
    assert record.metrics["corrected"] is None and record.metrics["agreement"] is not None
    assert record.metrics["test"] is not None and record.scores["unlabelled"] == {}


# --- questions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize("arm", [name for name in OF_ONE_NETWORK if name != "mm_student_flips"])
def test_several_questions_in_every_arm(arm: str, labels: Literal["hard", "soft"]) -> None:
    task = Questions(noisy(labels, multilabel=True))
    result = carried_out(arm, task, seed=1)
    record, test = record_of(result, ALONE), result.problem.test
    assert Record.of(json.loads(json.dumps(record.to_dict(), allow_nan=False))) == record
    logits = predict(result.model, test)
    expected = task.scores(torch.sigmoid(logits.double()), test.labels.double())["correlation"]
    assert record.metrics["test"] == pytest.approx(expected, abs=1e-12)
    right = ((logits >= 0).float() == test.labels).double().mean().item()
    assert record.account["test"]["overall"]["student_accuracy"] == pytest.approx(right)
    assert record.metrics["test"] > 0.3 and record.confusion is None


def test_the_teachers_labels_of_questions_are_scored_by_their_probabilities() -> None:
    student, teacher = recorded("um_student", Questions()), recorded("um_teacher", Questions())
    assert student.metrics["pseudo_labels"] == pytest.approx(teacher.metrics["unlabelled"])


# --- contestants, and bounds ---------------------------------------------------------------------


def contested(name: str) -> Result:
    entered = {one.name: one for one in contestants()}
    (done,) = run([Run(comparable(Toy(), LONGER), entered[name], 0)], ALONE)
    assert not isinstance(done, Failure)
    return done


def test_records_of_contestants_hold_what_their_models_predict() -> None:
    for name in ("um_teacher", "uda_both", "self_training_both"):
        result = contested(name)
        record = record_of(result, ALONE)
        assert record.key == key_of(result.run, ALONE)
        assert record.metrics["test"] == result.test_accuracy
        assert (record.arm, record.extra, record.differences) == (
            name,
            {"sees": "α" if name == "um_teacher" else "α and β"},
            {},
        )
        assert ("parameters" in record.counts) is (name != "self_training_both")
        assert record.artifacts == {} and record.seconds is not None


def test_a_method_that_leaves_samples_without_a_class_has_scores_and_no_account() -> None:
    result = contested("self_training_alpha")
    whole = record_of(result, ALONE)
    silent = {part: x.clone() for part, x in result.predictions.items()}
    for x in silent.values():
        x[0] = UNKNOWN
    record = record_of(replace(result, predictions=silent, account=None), ALONE)
    assert set(record.metrics) == {"test", "unlabelled", "pseudo_labels"}
    assert record.account == {} and record.confusion is None
    assert whole.confusion is not None and set(whole.account) == {"unlabelled", "test"}
    right = (silent["test"] == result.problem.test.labels).double().mean().item()
    assert record.metrics["test"] == right


@dataclass(frozen=True)
class Lacking(Toy):
    """A task that lacks as many test samples as it has."""

    name: ClassVar[str] = "lacking"

    def bounds(
        self, predictions: torch.Tensor, truth: torch.Tensor
    ) -> dict[str, tuple[float, float]]:
        here = self.scores(predictions, truth)["accuracy"]
        return {"accuracy": (here / 2, (1 + here) / 2)}


def test_bounds_over_missing_samples_are_recorded() -> None:
    (done,) = outcomes([Run(Lacking(), STUDENT, 0)])
    assert isinstance(done, Result)
    record = record_of(done, ALONE)
    accuracy = record.metrics["test"]
    assert record.bounds == {"accuracy": [accuracy / 2, (1 + accuracy) / 2]}
    assert "bounds" not in recorded().to_dict()
