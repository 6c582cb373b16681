"""A teacher that is its answers alone: the students are those of the network that answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mke_theory.data.answer_files import file_name, load_answers, save_answers
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.models.known_answers import KnownAnswers, reads_answers
from mke_theory.study import artifacts, recording
from mke_theory.study.arm_setup import has_place_for
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.recording import key_of, record_of
from mke_theory.study.records import Records
from mke_theory.study.result import Failure, Result, Run
from mke_theory.study.runner import run
from mke_theory.study.semi_supervised.contestants import comparable, contestants
from mke_theory.study.study import execute, feasible, plan
from mke_theory.study.task import Task
from mke_theory.training.predict import predict
from tests.study.answered import Given, logits_of_the_network
from tests.study.test_runner import MOON
from tests.study.toys import ALONE, SHORT, Branches, Maps, Questions, Toy, same

ANSWERED: dict[Task, Given] = {}
TASKS: tuple[Task, ...] = (Toy(), Maps(), Questions())


def given_for(task: Task) -> Given:
    """The network's logits at seed 0, found once for all tests."""
    if task not in ANSWERED:
        ANSWERED[task] = logits_of_the_network(task, 0)
    return ANSWERED[task]


def feasible_arms(task: Task) -> list[Run]:
    return feasible([Run(task, arm, 0) for arm in ARMS.values()])[0]


@pytest.fixture(scope="module", params=TASKS, ids=lambda task: task.name)
def pairs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Any, Any]]:
    """The results of every arm by the network, and by its answers."""
    task: Task = request.param
    by_answers = given_for(task).save(tmp_path_factory.mktemp(task.name), task, 0)
    found = [run(feasible_arms(one), ALONE) for one in (task, by_answers)]
    assert len(found[0]) == len(found[1]) > 8
    return list(zip(*found, strict=True))


def test_every_arm_is_that_of_the_network_bit_for_bit(pairs: list[tuple[Result, Result]]) -> None:
    for network, answers in pairs:
        assert isinstance(network, Result) and isinstance(answers, Result), answers
        name = str(network.run)
        for part in ("unlabelled", "test"):
            assert torch.equal(network.predictions[part], answers.predictions[part]), name
        assert network.account == answers.account, name
        for field in ("target", "hard", "confidence"):
            one, other = (getattr(result.pseudo, field) for result in (network, answers))
            assert torch.equal(one, other), name
        if network.run.arm.rounds:  # a student: the same weights
            assert same(network.model, answers.model), name
        notes = [dict(result.notes.get("evidence", {})) for result in (network, answers)]
        for one in notes:
            one.pop("messages", None)  # those of a shift speak of the models that answered D_l
        assert notes[0] == notes[1], name


def test_answers_are_asked_where_the_network_was_and_only_there(
    pairs: list[tuple[Result, Result]],
) -> None:
    for _, answers in pairs:
        arm = ARMS[answers.run.arm.name]
        by_the_teacher = arm.learns_from == "labels" or (
            arm.adds_evidence and arm.errors != "random"
        )
        assert reads_answers(answers.model) is by_the_teacher, str(answers.run)
        assert answers.fit is not None
        assert (answers.fit.steps == 0) is (arm.learns_from == "labels")


def test_the_records_differ_in_the_key_and_in_what_they_say_of_the_teacher(
    pairs: list[tuple[Result, Result]],
) -> None:
    for network, answers in pairs:
        one, other = (record_of(result, ALONE) for result in (network, answers))
        assert one.key != other.key and one.config_hash != other.config_hash
        assert other.config == one.config | {"teacher": "its answers alone"}
        assert "teacher" not in one.extra
        content = recording.answers_hash(answers.run)
        assert other.extra["teacher"] == {"answers": content, "cross_fitted": True}
        assert one.metrics == other.metrics and one.scores == other.scores


# --- what decides a run, and what is in its record --------------------------------------------


def some_answers(problem: Problem, seed: int = 0) -> dict[str, np.ndarray]:
    """Logits drawn at random, in the form that the problem asks for."""
    draw = np.random.default_rng(seed)
    return {
        part: draw.normal(size=(len(getattr(problem, part)), 3)).astype(np.float32)
        for part in ("unlabelled", "test")
    }


def saved(folder: Path, task: Task, seed: int, answers_seed: int = 0, **more: Any) -> Task:
    problem = task.problem(seed)
    path = folder / file_name(task.name, seed)
    save_answers(path, problem, **some_answers(problem, answers_seed), **more)
    return task.answered_by(folder)


def test_other_answers_are_another_run_and_another_place_is_none(tmp_path: Path) -> None:
    task = saved(tmp_path / "here", Toy(), 0)
    one = key_of(Run(task, ARMS["mm_student"], 0), ALONE)
    same_elsewhere = saved(tmp_path / "there", Toy(), 0)
    assert key_of(Run(same_elsewhere, ARMS["mm_student"], 0), ALONE) == one
    assert same_elsewhere != task  # two folders in one study are two tasks
    saved(tmp_path / "here", Toy(), 0, answers_seed=1)
    others = key_of(Run(task, ARMS["mm_student"], 0), ALONE)
    trained = key_of(Run(Toy(), ARMS["mm_student"], 0), ALONE)
    assert len({one, others, trained}) == 3


def test_a_study_by_answers_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder, out = tmp_path / "answers", tmp_path / "out"
    for seed in (0, 1):
        task = saved(folder, Toy(), seed)
    arms = [ARMS[name] for name in ("um_student", "mm_student", "mm_student_evidence")]
    configuration = RunConfiguration(folder=out, trainer="one by one")

    def study(task: Task) -> tuple[list[str], int]:
        with Records.open(out) as records:
            before = len(list(records))
            done, failures = execute(plan([task], arms, (0, 1)), records, configuration)
            assert failures == []
            return [one.key for one in done], len(list(records)) - before

    first, made = study(task)
    assert made == len(first) == 8
    assert study(task) == (first, 0)
    saved(folder, Toy(), 1, answers_seed=5)
    again, made = study(task)
    assert made == 4 and again != first
    assert [a == b for a, b in zip(first, again, strict=True)].count(True) == 4


def test_without_answers_on_d_l_nobody_is_trained_in_their_place(tmp_path: Path) -> None:
    task = saved(tmp_path, Toy(), 0)
    (found,) = run([Run(task, ARMS["mm_student_evidence"], 0)], ALONE)
    assert isinstance(found, Result)
    notes = found.notes["evidence"]
    assert notes["honest_accuracy"] is None
    assert any("labels that were not trained on" in line for line in notes["messages"])
    record = record_of(found, ALONE)
    assert record.extra["teacher"]["cross_fitted"] is False


def test_students_begin_with_weights_of_their_own_and_a_line_says_so(tmp_path: Path) -> None:
    task = given_for(Branches()).save(tmp_path, Branches(), 0)
    runs, lines = feasible([Run(task, ARMS["mm_student"], 0)])
    assert [line for line in lines if "branches: students begin with new weights" in line]
    by_network, by_answers = run([Run(Branches(), ARMS["mm_student"], 0), *runs], ALONE)
    assert isinstance(by_network, Result) and isinstance(by_answers, Result)
    assert not same(by_network.model, by_answers.model)
    fresh = replace(Branches(), recipe=replace(Branches().recipe, from_teacher=False))
    (found,) = run([Run(fresh, ARMS["mm_student"], 0)], ALONE)
    assert isinstance(found, Result) and same(found.model, by_answers.model)
    assert not has_place_for(by_answers.model, by_answers.teacher)
    assert record_of(by_answers, ALONE).differences == {}


def test_a_plane_is_drawn_for_those_alone_who_can_be_asked_about_it(tmp_path: Path) -> None:
    given = logits_of_the_network(MOON, 0)
    task = given.save(tmp_path / "answers", MOON, 0)
    names = ("um_teacher", "mm_student", "mm_student_evidence")
    found = run([Run(task, ARMS[name], 0) for name in names], ALONE)
    kept = [artifacts.keep(tmp_path, str(i), one) for i, one in enumerate(found)]  # type: ignore[arg-type]
    assert [set(files) for files in kept] == [set(), {"regions", "answers"}, {"confidence"}]


def test_vectorised_students_are_those_of_the_network_too(tmp_path: Path) -> None:
    task = logits_of_the_network(MOON, 0).save(tmp_path, MOON, 0)
    names = ("um_teacher", "um_student", "mm_student", "mm_student_evidence")
    vectorised = RunConfiguration(trainer="vectorised")
    alone = run([Run(MOON, ARMS["um_teacher"], 0)], ALONE)[0]
    found = run([Run(task, ARMS[name], 0) for name in names], vectorised)
    again = run([Run(task, ARMS[name], 0) for name in names], ALONE)
    assert isinstance(alone, Result) and isinstance(found[0], Result)
    assert torch.equal(found[0].predictions["test"], alone.predictions["test"])
    for one, other in zip(found, again, strict=True):
        assert isinstance(one, Result) and isinstance(other, Result), (one, other)
        assert torch.equal(one.predictions["test"], other.predictions["test"]), str(one.run)


def test_the_rival_adjusts_answers_as_it_adjusts_a_network(tmp_path: Path) -> None:
    objective = replace(Toy().recipe.objective, adjustment=0.7)
    task = Toy(recipe=replace(Toy().recipe, objective=objective))
    by_answers = logits_of_the_network(task, 0).save(tmp_path, task, 0)
    arm = ARMS["um_teacher_adjusted"]
    one, other = run([Run(task, arm, 0), Run(by_answers, arm, 0)], ALONE)
    assert isinstance(one, Result) and isinstance(other, Result)
    assert torch.equal(one.predictions["test"], other.predictions["test"])
    assert not torch.equal(other.predictions["unlabelled"], other.pseudo.hard)


def test_contestants_have_the_answers_for_a_teacher(tmp_path: Path) -> None:
    task = comparable(Toy(), SHORT)
    network = logits_of_the_network(task, 0)
    by_answers = network.save(tmp_path, task, 0)
    for one in contestants():
        pair = run([Run(task, one, 0), Run(by_answers, one, 0)], ALONE)
        assert all(isinstance(result, Result) for result in pair), (one.name, pair)
        here, there = (result.predictions["test"] for result in pair)  # type: ignore[union-attr]
        assert torch.equal(here, there), one.name


# --- refusals ---------------------------------------------------------------------------------


def test_answers_of_another_seed_are_refused_before_any_work(tmp_path: Path) -> None:
    task = saved(tmp_path, Toy(), 0)
    (tmp_path / "toy_0.npz").rename(tmp_path / "toy_1.npz")
    runs = plan([task], [ARMS["um_student"]], (1,))
    with pytest.raises(ValueError, match=r"toy_1\.npz answers another problem: its split is"):
        feasible(runs)
    saved(tmp_path, Toy(), 0)
    with pytest.raises(FileNotFoundError, match=r"there is no .*toy_2\.npz"):
        feasible(plan([task], [ARMS["um_student"]], (0, 2)))
    (lost,) = run([Run(task, ARMS["um_student"], 2)], ALONE)
    assert isinstance(lost, Failure) and "save_answers" in lost.error


def test_answers_are_given_once(tmp_path: Path) -> None:
    task = saved(tmp_path, Toy(), 0)
    with pytest.raises(ValueError, match="already"):
        load_answers(tmp_path / "toy_0.npz", task.draw(0))


def test_who_carries_no_answers_cannot_be_asked(tmp_path: Path) -> None:
    problem = saved(tmp_path, Toy(), 0).draw(0)
    teacher = KnownAnswers.on(problem.unlabelled)
    others = Pool({"a": torch.zeros(3, 3)}, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="carry none"):
        predict(teacher, others)
    with pytest.raises(ValueError, match=r"give them as Pool\.answers"):
        KnownAnswers.on(others)
