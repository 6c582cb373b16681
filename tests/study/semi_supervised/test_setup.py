"""Contestants by the one runner: equal starts and eyes, the students of `learn`, identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.method import relatives
from mke_theory.method.algorithm import Expansion, account_of
from mke_theory.method.evidence import EvidenceExpansion, carry_out, evidence_plan
from mke_theory.method.job import TrainingJob
from mke_theory.method.relatives import Method
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.models import MLP, multimodal
from mke_theory.study import runner
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.evidence_setup import build_expert, job_of
from mke_theory.study.result import Cell, Failure, Result, Run
from mke_theory.study.runner import run, train_teachers
from mke_theory.study.semi_supervised import setup
from mke_theory.study.semi_supervised.baselines import Predictions, late_average
from mke_theory.study.semi_supervised.contestants import (
    Contestant,
    Experts,
    comparable,
    contestants,
)
from mke_theory.study.semi_supervised.setup import build, contestant_plan, student_of_round
from mke_theory.study.task import Recipe, Task
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.simulated import Simulated
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.training.loop import Fit, TrainConfig
from mke_theory.training.predict import predict
from mke_theory.training.vectorised.engine import side_by_side
from tests.study.toys import ALONE, same

FEW = TrainConfig(steps=12, learning_rate=0.02)
LONGER = replace(FEW, steps=100)
NOISE = (InputNoise(0.5),)
SEEDS = (0, 1)
ENTERED = {one.name: one for one in contestants()}
METHODS = [name for name, one in ENTERED.items() if isinstance(one.how, Method)]
TOGETHER = RunConfiguration(trainer="vectorised")


def world(budget: TrainConfig = FEW) -> Task:
    task = Simulated(
        recipe=Recipe(),
        world=Gaussian(signal=(1.0, 2.0), dims=(3, 3)),
        labelled=12,
        unlabelled=40,
        test=50,
        hidden=(6,),
        network="encoders",
        if_missing="zero",
        called="small",
    )
    return comparable(task, budget)


WORLD = world()
PROBLEM = WORLD.problem(0)


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    cell = Cell(WORLD, 0)
    fit = train_teachers([cell], ALONE)[cell]
    assert isinstance(fit, Fit)
    return fit.model


def job(name: str, teacher: nn.Module, number: int = 1) -> TrainingJob:
    one = Run(WORLD, ENTERED[name], 0)
    return student_of_round(one, PROBLEM, teacher, teacher, number).training


def done(names: Sequence[str], configuration: RunConfiguration, task: Task = WORLD) -> list[Result]:
    found = run([Run(task, ENTERED[name], s) for name in names for s in SEEDS], configuration)
    assert [one.error for one in found if isinstance(one, Failure)] == []
    return [one for one in found if isinstance(one, Result)]


# --- the students of a task ----------------------------------------------------------------------


def test_every_student_has_its_share_of_one_budget(teacher: nn.Module) -> None:
    for name in METHODS:
        rounds = [job(name, teacher, k) for k in range(1, ENTERED[name].rounds + 1)]
        assert {(one.config.batch_size, one.config.learning_rate) for one in rounds} == {
            (None, FEW.learning_rate)
        }
        spent = sum(one.config.steps for one in rounds)
        assert spent == FEW.steps * (3 if ENTERED[name].each_round else 1)


@pytest.mark.parametrize("sees", ["α", "α and β"])
def test_students_of_one_sight_begin_with_the_same_weights(sees: str, teacher: nn.Module) -> None:
    starts = [job(name, teacher).model for name in METHODS if ENTERED[name].sees == sees]
    assert len(starts) == 10 and all(same(starts[0], one) for one in starts[1:])


def test_every_round_has_a_start_and_a_seed_of_its_own(teacher: nn.Module) -> None:
    first, second = (job("noisy_student_both", teacher, number) for number in (1, 2))
    assert not same(first.model, second.model)
    assert first.seed == seed_for(0, "student")
    assert second.seed == seed_for(first.seed, "round", 1)


def test_nobody_sees_a_labelled_pair_or_the_truth_of_the_rest(teacher: nn.Module) -> None:
    n = len(PROBLEM.labelled)
    of_teacher = predict(teacher, PROBLEM.unlabelled).argmax(dim=1)
    counted = 0
    for name in METHODS:
        one, method = ENTERED[name], ENTERED[name].how
        assert isinstance(method, Method)
        samples = job(name, teacher).samples
        rest = samples.labels[-len(PROBLEM.unlabelled) :]
        if method.learns_from == "labels and unlabelled":
            assert bool((rest == -1).all())
        elif method.objective.pseudo_labels.kind == "hard":
            assert torch.equal(rest, of_teacher)
        if one.sees == "α and β" and method.learns_from != "pseudo labels":
            assert bool(torch.isnan(samples.inputs["x2"][:n]).all())
            counted += 1
    assert counted == 8


def test_the_account_compares_with_the_first_teacher(teacher: nn.Module) -> None:
    one = Run(WORLD, ENTERED["noisy_student_both"], 0)
    other = build(WORLD, PROBLEM, PROBLEM.modalities, 7)
    ready = student_of_round(one, PROBLEM, teacher, other, 2)
    assert torch.equal(ready.pseudo.hard, predict(teacher, PROBLEM.unlabelled).argmax(dim=1))
    learned = ready.training.samples.labels[-len(PROBLEM.unlabelled) :]
    assert not torch.allclose(
        learned[:, 1], torch.softmax(predict(teacher, PROBLEM.unlabelled), 1)[:, 1]
    )
    with pytest.raises(TypeError, match="has no student of an objective; give a method"):
        student_of_round(Run(WORLD, ENTERED["um_teacher"], 0), PROBLEM, teacher, teacher, 1)


def test_a_model_that_refuses_missing_samples_is_made_to_take_them() -> None:
    task = TwoMoon()
    problem = task.problem(0)
    model = build(task, problem, problem.modalities, 0)
    known = {"x1": torch.randn(4, 1), "x2": torch.full((4, 1), torch.nan)}
    zeros = {"x1": known["x1"], "x2": torch.zeros(4, 1)}
    assert torch.equal(model(known), model(zeros))
    with pytest.raises(ValueError, match="missing"):
        task.model(problem, problem.modalities)(known)


# --- their results -------------------------------------------------------------------------------


def learned(one: Result) -> Expansion:
    """The same student by `learn`, with its teacher and the same seeds."""
    contestant, task = one.run.arm, one.run.task
    assert isinstance(contestant, Contestant) and isinstance(contestant.how, Method)
    used = contestant.modalities(one.problem)
    return relatives.learn(
        contestant.how,
        one.problem,
        one.teacher,
        lambda number: build(task, one.problem, used, one.run.seed, number + 1),
        modalities=used,
        config=contestant.budget(task.recipe.student),
        seed=seed_for(one.run.seed, "student"),
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_contestant_is_the_student_of_learn_to_the_last_bit(name: str) -> None:
    for one in done([name], ALONE):
        alone = learned(one)
        assert same(one.model, alone.student) and one.account == alone.account
        assert torch.equal(one.predictions["unlabelled"], alone.predictions)


def test_contestants_side_by_side_are_the_students_of_learn() -> None:
    names = ["mke_both", "fixmatch_both", "mean_teacher_alpha", "noisy_student_both"]
    for one in done(names, TOGETHER):
        on_test = predict(learned(one).student, one.problem.test)
        torch.testing.assert_close(predict(one.model, one.problem.test), on_test)


def test_a_seed_does_not_depend_on_who_is_beside_it() -> None:
    beside = done(["pi_model_both"], TOGETHER)[1]
    (alone,) = run([beside.run], TOGETHER)
    assert isinstance(alone, Result)
    for a, b in zip(beside.model.parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_teacher_is_a_contestant_as_it_is() -> None:
    for one in done(["um_teacher"], ALONE):
        assert one.model is one.teacher and one.account is not None
        assert one.account.agreement == 1.0 and one.seconds is not None
        assert torch.equal(one.predictions["unlabelled"], one.pseudo.hard)
        assert torch.equal(
            one.predictions["test"], predict(one.teacher, one.problem.test).argmax(dim=1)
        )


@pytest.mark.parametrize(
    "name", ["self_training_both", "label_spreading_both", "co_training_more_both"]
)
def test_the_classics_find_classes_that_are_far_apart(name: str) -> None:
    for one in done([name], ALONE, world(LONGER)):
        assert one.fit is None and one.account is not None
        by_hand = account_of(one.problem.truth, one.pseudo, one.predictions["unlabelled"])
        assert one.account == by_hand and one.seconds is not None
        accuracy = one.account.overall.student_accuracy
        assert accuracy is not None and accuracy > 0.5 and one.test_accuracy > 0.5


def test_a_classic_that_leaves_a_sample_without_a_class_has_no_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(problem: Problem, used: tuple[str, ...]) -> Predictions:
        return Predictions(torch.full((40,), -1), torch.zeros(50, dtype=torch.long))

    monkeypatch.setattr(setup, "label_spreading", silent)
    assert [one.account for one in done(["label_spreading_alpha"], ALONE)] == [None, None]


def test_a_classic_that_fails_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(problem: Problem, used: tuple[str, ...]) -> Predictions:
        raise RuntimeError("no labels today")

    monkeypatch.setattr(setup, "self_training", broken)
    names = ("self_training_alpha", "mke_alpha")
    found = run([Run(WORLD, ENTERED[name], 0) for name in names], ALONE)
    assert isinstance(found[0], Failure) and found[0].error == "RuntimeError: no labels today"
    assert isinstance(found[1], Result)


# --- sums of experts -----------------------------------------------------------------------------

EXPERTS = [name for name, one in ENTERED.items() if one.adds_evidence]


def trained_by(name: str, monkeypatch: pytest.MonkeyPatch) -> list[TrainingJob]:
    """The jobs that a contestant asks for, but for its teachers."""
    jobs: list[TrainingJob] = []
    once = runner.trainer_called

    def counted(*given: Any, **named: Any) -> Any:
        def train(wanted: Sequence[TrainingJob]) -> Any:
            jobs.extend(wanted)
            return once(*given, **named)(wanted)

        return train

    monkeypatch.setattr(runner, "trainer_called", counted)
    (found,) = run([Run(WORLD, ENTERED[name], 0)], ALONE)
    assert isinstance(found, Result)
    return [one for one in jobs if one.objective.pseudo_labels.view != "clean"]


@pytest.mark.parametrize("name", EXPERTS)
def test_every_training_of_an_expert_has_its_share_of_one_budget(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, one = trained_by(name, monkeypatch), ENTERED[name]
    assert isinstance(one.how, Experts)
    share = FEW.steps if one.each_round else FEW.steps // one.trainings
    assert {job.config for job in jobs} == {replace(FEW, steps=share)}
    # All trainings of one expert together spend no more than the budget. Those of another expert,
    # and the two by which redundancy is judged, come on top.
    of_beta = [job for job in jobs if job.samples.modalities == ("x2",)]
    assert len(of_beta) <= one.how.settings.trainings
    if not one.each_round:
        assert sum(job.config.steps for job in of_beta) <= FEW.steps
    networks = [job for job in jobs if job.samples.modalities == ("x1", "x2")]
    assert len(networks) == int(one.how.distilled)


def test_experts_are_those_of_the_method_with_their_settings() -> None:
    for name in ("experts_both", "experts_rounds_both"):
        for one in done([name], ALONE):
            contestant = one.run.arm
            assert isinstance(contestant, Contestant) and isinstance(contestant.how, Experts)
            own = job_of(
                WORLD,
                one.run.seed,
                one.problem,
                one.teacher,
                config=contestant.budget(FEW),
                settings=contestant.how.settings,
            )
            (alone,) = carry_out([evidence_plan(own)])
            assert isinstance(alone, EvidenceExpansion) and same(one.model, alone.student)
            assert torch.equal(one.predictions["unlabelled"], alone.predictions)
            labels = predict(one.teacher, one.problem.unlabelled).argmax(dim=1)
            assert torch.equal(one.pseudo.hard, labels) and one.account is not None
            assert one.account == account_of(one.problem.truth, one.pseudo, alone.predictions)
            assert len(one.notes["evidence"]["rounds"]) <= contestant.how.settings.rounds


def test_the_distilled_network_begins_as_every_student_and_learns_the_sums_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = trained_by("experts_distilled_both", monkeypatch)[-1]
    start = build(WORLD, PROBLEM, PROBLEM.modalities, 0)
    assert last.samples.modalities == PROBLEM.modalities and last.samples.labels.ndim == 2
    torch.testing.assert_close(last.samples.labels.sum(1), torch.ones(40))
    (found,) = (one for one in done(["experts_distilled_both"], ALONE) if one.run.seed == 0)
    assert same(found.model, last.model) and not same(found.model, start)
    assert [tuple(x.shape) for x in found.model.parameters()] == [
        tuple(x.shape) for x in start.parameters()
    ]
    for part, pool in (("unlabelled", PROBLEM.unlabelled), ("test", PROBLEM.test)):
        assert torch.equal(found.predictions[part], predict(found.model, pool).argmax(dim=1))


def test_experts_side_by_side_are_those_trained_one_by_one() -> None:
    names = ["experts_corrected_both", "experts_distilled_both"]
    for one, other in zip(done(names, ALONE), done(names, TOGETHER), strict=True):
        assert one.notes["evidence"]["verdicts"] == other.notes["evidence"]["verdicts"]
        logits = [predict(each.model, one.problem.test) for each in (one, other)]
        torch.testing.assert_close(*logits, rtol=1e-3, atol=1e-3)


def test_only_sums_of_experts_have_a_plan(teacher: nn.Module) -> None:
    with pytest.raises(TypeError, match="is no sum of experts; give Experts"):
        next(contestant_plan(Run(WORLD, ENTERED["mke_both"], 0), PROBLEM, teacher))


def test_the_mean_of_logits_is_that_of_the_runs_own_teacher() -> None:
    for one in done(["late_average_both"], ALONE):
        by_hand = late_average(
            one.problem,
            one.teacher,
            lambda view: build_expert(WORLD, PROBLEM, view),
            config=FEW,
            seed=one.run.seed,
        )
        assert torch.equal(one.predictions["test"], by_hand.test) and one.fit is None
        assert torch.equal(one.predictions["unlabelled"], by_hand.unlabelled)


# --- identities, trained side by side ------------------------------------------------------------


def in_doubles(pool: Pool) -> Pool:
    return Pool({name: x.double() for name, x in pool.inputs.items()}, pool.labels)


def double_jobs(method: Method) -> list[TrainingJob]:
    """Jobs of students of both modalities at several seeds, in double precision."""
    found = []
    for seed in range(3):
        problem = WORLD.problem(seed)
        problem = replace(
            problem,
            labelled=in_doubles(problem.labelled),
            unlabelled=in_doubles(problem.unlabelled),
            test=in_doubles(problem.test),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            teacher = multimodal({"x1": MLP([3, 4])}, 2).double()
            model = multimodal(
                {name: MLP([3, 5], activate=True) for name in problem.modalities},
                2,
                hidden=(6,),
                missing="zero",
            ).double()
        samples = relatives.samples_of(method, problem, teacher)
        objective = relatives.objective_on(method, samples)
        found.append(TrainingJob(model, samples, objective, FEW, seed))
    return found


def weights(method: Method) -> list[Tensor]:
    outcomes = side_by_side(double_jobs(method), draws="own")
    models = [outcome.model for outcome in outcomes if isinstance(outcome, Fit)]
    assert len(models) == 3
    return [weight.detach() for model in models for weight in model.parameters()]


def apart(first: list[Tensor], second: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


def test_fixmatch_without_perturbation_or_certainty_is_pseudo_label_weight_by_weight() -> None:
    fixmatch = weights(relatives.fixmatch.method((), (), certainty=0.0))
    pseudo = weights(relatives.pseudo_label.method(ramp=0.0))
    for a, b in zip(fixmatch, pseudo, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    assert apart(weights(relatives.fixmatch.method((), (), certainty=0.6)), pseudo) > 1e-3


def test_one_round_of_noisy_student_on_pseudo_labels_alone_is_mke_weight_by_weight() -> None:
    strong = (*NOISE, ModalityDropout(0.5))
    noisy = relatives.noisy_student.method(strong, labels="hard", rounds=1)
    alone = weights(replace(noisy, learns_from="pseudo labels"))
    pairs = zip(alone, weights(relatives.mke.method(strong, gamma=0.0)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    for other in (noisy, relatives.mke.method(strong)):  # with D_l; with L_reg
        assert apart(weights(other), alone) > 1e-3
