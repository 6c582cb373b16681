"""The comparison: equal budgets and eyes for all, the answers of `learn`, identities in stacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from mke_theory.study.semi_supervised.compare import (
    Cell,
    build,
    cells_of,
    compete,
    student_to_be,
    students,
    trained,
)
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.evaluation.account import accuracy
from mke_theory.method import relatives as ssl
from mke_theory.method.job import Student
from mke_theory.method.objective import Objective
from mke_theory.method.pseudo_labels import decide
from mke_theory.method.relatives import Method
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.models import MLP, multimodal
from mke_theory.study.semi_supervised import compare
from mke_theory.study.semi_supervised.baselines import Answers
from mke_theory.study.semi_supervised.contestants import DROPPED, Entrant, comparable, entrants
from mke_theory.study.task import Recipe, Task
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.simulated import Simulated
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.training.loop import Fit, TrainConfig
from mke_theory.training.predict import predict
from mke_theory.training.vectorised.engine import fit_stack

FEW = TrainConfig(steps=12, learning_rate=0.02)
NOISE = (InputNoise(0.5),)
SEEDS = (0, 1)
LONGER = replace(FEW, steps=100)
METHODS = {entrant.name: entrant for entrant in entrants() if isinstance(entrant.how, Method)}


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


def cells(task: Task) -> tuple[Cell, ...]:
    return cells_of(task, SEEDS)[0]


# --- who is entered, and under what terms --------------------------------------------------------


def test_every_method_is_entered_with_either_sight() -> None:
    names = [entrant.name for entrant in entrants()]
    for method in ssl.methods():
        assert {f"{method.name}_alpha", f"{method.name}_both"} <= set(names)
    assert names[0] == "um_teacher"
    assert len(set(names)) == len(names) == 1 + 2 * (len(ssl.methods()) + 1) + 4 + 1 + 3


def test_perturbations_are_the_weak_the_strong_or_none_for_all() -> None:
    for entrant in METHODS.values():
        assert isinstance(entrant.how, Method)
        more = () if entrant.sees == "α" else DROPPED
        allowed = {(), ssl.method.WEAK + more, ssl.method.STRONG + more}
        objective = entrant.how.objective
        assert objective.transform in allowed - {()}
        assert objective.anchor.transform == "same" or objective.anchor.transform in allowed | {
            more
        }


def test_who_answers_for_a_pair_is_taught_or_at_times_without_beta() -> None:
    # Either D_u carries labels, or the view that answers for a pair is at times without β.
    for entrant in METHODS.values():
        assert isinstance(entrant.how, Method)
        objective = entrant.how.objective
        if entrant.sees == "α and β" and not entrant.how.needs_teacher:
            answering = (
                objective.transform
                if objective.anchor.transform == "same"
                else objective.anchor.transform
            )
            assert set(DROPPED) <= set(answering)
        assert entrant.sees == "α and β" or not set(DROPPED) & set(objective.transform)


def test_settings_are_those_of_the_files_but_for_perturbations() -> None:
    usual = {method.name: method for method in ssl.methods()}
    usual["mke_bare"] = ssl.mke.method(gamma=0.0)
    for entrant in METHODS.values():
        assert isinstance(entrant.how, Method)
        changed = ssl.differences(entrant.how, usual[entrant.how.name])
        assert set(changed) <= {"transform", "other"}


def test_budgets_are_equal_and_rounds_share_them() -> None:
    task = world()
    seen: dict[str, int] = {}
    for entrant in METHODS.values():
        assert isinstance(entrant.how, Method)
        fits = spied(task, entrant)
        assert {student.config.batch_size for student in fits} == {None}
        assert {student.config.learning_rate for student in fits} == {FEW.learning_rate}
        seen[entrant.name] = sum(student.config.steps for student in fits) // len(SEEDS)
        if entrant.each_round:
            assert entrant.rounds == 3 and seen.pop(entrant.name) == 3 * FEW.steps
    assert set(seen.values()) == {FEW.steps}


def spied(task: Task, entrant: Entrant) -> list[Student]:
    """All students that would be trained for an entrant."""
    found: list[Student] = []

    def untrained(ready: Any) -> list[Fit]:
        found.extend(ready)
        return [Fit(student.model.eval(), 0, (), "", 0, None) for student in ready]

    own = cells(task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "trained", untrained)
        assert isinstance(entrant.how, Method)
        students(task, entrant, own)
    return found


def test_students_of_one_sight_begin_with_the_same_weights() -> None:
    cell = cells(world())[0]
    for sees in ("α", "α and β"):
        starts = []
        for entrant in METHODS.values():
            if entrant.sees == sees:
                assert isinstance(entrant.how, Method)
                ready = student_to_be(world(), entrant, cell, cell.teacher)
                starts.append(list(ready.model.state_dict().values()))
        for one in starts[1:]:
            assert all(torch.equal(a, b) for a, b in zip(starts[0], one, strict=True))


def test_nobody_sees_a_labelled_pair_or_the_truth_of_the_rest() -> None:
    task = world()
    cell = cells(task)[0]
    truth = cell.problem.unlabelled.labels
    hidden = replace(
        cell.problem, unlabelled=cell.problem.unlabelled.with_labels(torch.full_like(truth, -1))
    )
    for entrant in METHODS.values():
        assert isinstance(entrant.how, Method)
        pair = [
            student_to_be(task, entrant, replace(cell, problem=p), cell.teacher).samples
            for p in (cell.problem, hidden)
        ]
        assert torch.equal(pair[0].labels, pair[1].labels)
        if entrant.sees == "α and β" and entrant.how.lessons != "pseudo labels":
            beta = pair[0].inputs["x2"][: len(cell.problem.labelled)]
            assert bool(torch.isnan(beta).all())


def test_a_model_that_refuses_missing_samples_is_made_to_take_them() -> None:
    task = TwoMoon()
    problem = task.problem(0)
    model = build(task, problem, problem.modalities, 0)
    known = {"x1": torch.randn(4, 1), "x2": torch.full((4, 1), torch.nan)}
    zeros = {"x1": known["x1"], "x2": torch.zeros(4, 1)}
    assert torch.equal(model(known), model(zeros))
    with pytest.raises(ValueError, match="missing"):
        task.model(problem, problem.modalities)(known)


def test_co_training_shares_its_updates_out_too() -> None:
    found = {entrant.name: entrant for entrant in entrants() if entrant.how == "co_training"}
    assert found["co_training_both"].budget(FEW).steps == FEW.steps // 6
    assert found["co_training_more_both"].budget(FEW) == FEW
    assert found["co_training_more_both"].title == "Co-training, 6× updates"
    with pytest.raises(ValueError, match="one round"):
        Entrant("self_training", "α", each_round=True)


def test_the_comparison_selects_nothing() -> None:
    with pytest.raises(ValueError, match="last step"):
        world(replace(FEW, select="agreement"))


@pytest.mark.parametrize(("how", "sees"), [("teacher", "β"), ("oracle", "α")])
def test_entrants_that_make_no_sense_are_refused(how: Any, sees: Any) -> None:
    with pytest.raises(ValueError, match=r"choose one of|give a Method"):
        Entrant(how, sees)


# --- the answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mke_both", "fixmatch_both", "mean_teacher_alpha"])
def test_stacked_students_are_those_of_learn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "WORTH_A_STACK", 1)
    task, entrant = world(), METHODS[name]
    assert isinstance(entrant.how, Method)
    found = students(task, entrant, cells(task))
    for cell, model in zip(cells(task), found, strict=True):
        assert isinstance(model, nn.Module)
        used = entrant.modalities(cell.problem)
        alone = ssl.learn(
            entrant.how,
            cell.problem,
            cell.teacher,
            lambda number, cell=cell, used=used: build(  # type: ignore[misc]
                task, cell.problem, used, cell.seed, number
            ),
            modalities=used,
            config=FEW,
            seed=seed_for(cell.seed, "student"),
        ).student
        torch.testing.assert_close(
            predict(model, cell.problem.test), predict(alone, cell.problem.test)
        )


def test_a_seed_does_not_depend_on_who_is_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "WORTH_A_STACK", 2)  # two in a stack, and one alone
    task, entrant = world(), METHODS["pi_model_both"]
    assert isinstance(entrant.how, Method)
    beside = students(task, entrant, cells(task))[1]
    alone = students(task, entrant, cells(task)[1:])[0]
    assert isinstance(beside, nn.Module) and isinstance(alone, nn.Module)
    for a, b in zip(beside.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_convolutions_are_trained_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def stacked(ready: Any, draws: str) -> list[Any]:
        asked.append(len(ready))
        return []

    class Convolutional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 2, 2), nn.Linear(8, 2)

        def forward(self, inputs: Any) -> Tensor:
            return self.head(self.conv(inputs["image"]).flatten(1))

    monkeypatch.setattr(compare, "fit_stack", stacked)
    pool = Pool({"image": torch.randn(6, 1, 3, 3)}, torch.tensor([0, 1, 0, 1, 0, 1]))
    ready = Student(Convolutional(), pool, Objective(), replace(FEW, steps=2), 0)
    assert all(isinstance(outcome, Fit) for outcome in trained([ready] * 5)) and asked == []
    (lost,) = trained([replace(ready, config=replace(FEW, learning_rate=1e30, optimizer="sgd"))])
    assert isinstance(lost, FloatingPointError)


def test_accuracy_by_hand() -> None:
    pool = Pool({"x": torch.zeros(5, 1)}, torch.tensor([0, 1, 2, -1, 1]))
    assert accuracy(torch.tensor([0, -1, 2, 0, 0]), pool.labels) == 0.5  # 2 of the 4 of known class


def test_records_hold_what_the_models_say() -> None:
    task = world()
    teacher, entrant = entrants()[0], METHODS["uda_both"]
    assert isinstance(entrant.how, Method)
    for chosen in (teacher, entrant):
        rows = compete(task, chosen, SEEDS)
        models: list[Any] = [cell.teacher for cell in cells(task)]
        if isinstance(chosen.how, Method):
            models = list(students(task, chosen, cells(task)))
        for row, model, cell, seed in zip(rows, models, cells(task), SEEDS, strict=True):
            assert isinstance(row, dict)
            said = decide(predict(model, cell.problem.test))
            assert row["metrics"]["test"] == float(accuracy(said, cell.problem.test.labels))
            assert (row["seed"], row["arm"], row["sees"]) == (seed, chosen.name, chosen.sees)
            assert row["key"] == compare.key_of(task, chosen, seed)
            assert row["seconds"] > 0
    assert len({compare.key_of(task, e, s) for e in entrants() for s in SEEDS}) == 54


def test_what_fails_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(problem: Problem, used: tuple[str, ...]) -> Answers:
        raise RuntimeError("no labels today")

    monkeypatch.setattr(compare, "self_training", broken)
    rows = compete(world(), Entrant("self_training", "α"), SEEDS)
    assert rows == [
        f"small self_training_alpha seed {seed}: RuntimeError: no labels today" for seed in SEEDS
    ]


@pytest.mark.parametrize("how", ["self_training", "label_spreading", "co_training"])
def test_the_classics_answer(how: Any) -> None:
    for row in compete(world(LONGER), Entrant(how, "α and β", how == "co_training"), SEEDS):
        assert isinstance(row, dict)
        assert 0.5 < row["metrics"]["unlabelled"] <= 1.0  # the classes are far apart


# --- identities, trained in stacks ---------------------------------------------------------------


def in_doubles(pool: Pool) -> Pool:
    return Pool({name: x.double() for name, x in pool.inputs.items()}, pool.labels)


def double_students(method: Method) -> list[Student]:
    """Students of both modalities at several seeds, in double precision."""
    found = []
    for seed in range(3):
        problem = world().problem(seed)
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
        lessons = ssl.lessons_of(method, problem, teacher)
        found.append(Student(model, lessons, ssl.objective_on(method, lessons), FEW, seed))
    return found


def weights(method: Method) -> list[Tensor]:
    outcomes = fit_stack(double_students(method), draws="own")
    models = [outcome.model for outcome in outcomes if isinstance(outcome, Fit)]
    assert len(models) == 3
    return [weight.detach() for model in models for weight in model.parameters()]


def test_fixmatch_without_perturbation_or_certainty_is_pseudo_label_weight_by_weight() -> None:
    fixmatch = weights(ssl.fixmatch.method((), (), certainty=0.0))
    pseudo = weights(ssl.pseudo_label.method(ramp=0.0))
    for a, b in zip(fixmatch, pseudo, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    certain = weights(ssl.fixmatch.method((), (), certainty=0.6))
    apart = [float((a - b).abs().max()) for a, b in zip(certain, pseudo, strict=True)]
    assert max(apart) > 1e-3


def test_one_round_of_noisy_student_on_pseudo_labels_alone_is_mke_weight_by_weight() -> None:
    strong = (*NOISE, ModalityDropout(0.5))
    noisy = ssl.noisy_student.method(strong, labels="hard", rounds=1)
    alone = weights(replace(noisy, lessons="pseudo labels"))
    pairs = zip(alone, weights(ssl.mke.method(strong, gamma=0.0)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    for other in (weights(noisy), weights(ssl.mke.method(strong))):  # with D_l; with L_reg
        apart = [float((a - b).abs().max()) for a, b in zip(alone, other, strict=True)]
        assert max(apart) > 1e-3
