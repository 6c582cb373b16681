"""The one runner: pure in settings and seed, blind to the truth, and the same by either trainer."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mke_theory
from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem, Truth
from mke_theory.data.rng import seed_for
from mke_theory.method import algorithm
from mke_theory.method.algorithm import expand
from mke_theory.method.job import one_by_one
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.transforms import GaussianNoise
from mke_theory.study import result, runner, trainers
from mke_theory.study.arm_setup import build_student
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.placebos import shuffle_pairs
from mke_theory.study.recording import record_of
from mke_theory.study.result import Cell, Failure, Result, Run
from mke_theory.study.runner import run, train_teachers
from mke_theory.study.semi_supervised.contestants import comparable, contestants
from mke_theory.study.task import Recipe
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.simulated import Simulated
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.training.loop import Fit, TrainConfig
from tests.study.toys import ALONE, SHORT, STUDENTS, Broken, Toy, carried_out, close, outcomes, same

PACKAGE = Path(mke_theory.__file__).parent
FEW = TrainConfig(steps=30, learning_rate=0.02)
MOON = TwoMoon(Recipe(FEW, FEW, Objective(transform=(GaussianNoise(0.5),))), points=100)
WORLD = Simulated(MOON.recipe, Gaussian(), labelled=20, unlabelled=60, test=40, hidden=(8,))


def well(found: Sequence[Result | Failure]) -> list[Result]:
    """The results, where no run failed."""
    assert [one.error for one in found if isinstance(one, Failure)] == []
    return [one for one in found if isinstance(one, Result)]


# --- pure in settings and seed -------------------------------------------------------------------


@pytest.mark.parametrize("arm", ARMS)
def test_a_run_is_pure_in_its_settings_and_its_seed(arm: str) -> None:
    first = carried_out(arm)
    torch.manual_seed(99)
    np.random.seed(99)
    carried_out("mm_student", seed=3)  # what ran before does not matter
    second = carried_out(arm)
    assert same(first.model, second.model) and same(first.teacher, second.teacher)
    assert first.account == second.account and first.fit == replace(
        second.fit or pytest.fail("no fit"), model=first.model
    )
    for part in ("unlabelled", "test"):
        assert torch.equal(first.predictions[part], second.predictions[part])


def test_another_seed_or_setting_gives_another_student() -> None:
    base = carried_out().model
    assert not same(base, carried_out(seed=1, problem=Toy().problem(0)).model)
    recipe = replace(Toy().recipe, student=replace(SHORT, learning_rate=0.031))
    assert not same(base, carried_out(task=Toy(recipe=recipe)).model)


def test_a_run_does_not_depend_on_its_company() -> None:
    runs = [Run(Toy(), arm, seed) for seed in (0, 1) for arm in ARMS.values()]
    together = well(run(runs, ALONE))
    assert [one.run for one in together] == runs
    for one in (together[4], together[-2]):
        assert same(one.model, carried_out(one.run.arm.name, seed=one.run.seed).model)


@pytest.mark.parametrize("arm", ARMS)
def test_test_rows_do_not_reach_what_is_trained(arm: str) -> None:
    problem = Toy().problem(0)
    moved = {name: 100.0 - 3.0 * x for name, x in problem.test.inputs.items()}
    other = replace(problem, test=Pool(moved, (problem.test.labels + 1) % 3))
    here, elsewhere = (carried_out(arm, problem=one) for one in (problem, other))
    assert same(here.model, elsewhere.model) and same(here.teacher, elsewhere.teacher)
    assert here.account == elsewhere.account
    assert not torch.equal(here.predictions["test"], elsewhere.predictions["test"])


def test_the_pairing_reaches_only_the_arm_that_loses_it() -> None:
    problem = Toy().problem(0)
    order = seed_for(0, "shuffle")
    shuffled = replace(problem, unlabelled=shuffle_pairs(problem.unlabelled, ("a",), order))
    as_placebo = carried_out("mm_student_shuffled", problem=problem)
    assert same(as_placebo.model, carried_out("mm_student", problem=shuffled).model)
    assert not same(as_placebo.model, carried_out("mm_student", problem=problem).model)
    # It is judged on the pairs as they were recorded.
    asked = algorithm.predictions_of(as_placebo.model, problem.unlabelled)
    assert torch.equal(as_placebo.predictions["unlabelled"], asked)


# --- the truth of D_u is a value apart -----------------------------------------------------------

TAUGHT_BY_THE_TRUTH = ("mm_student_sup", "mm_student_flips", "mm_student_evidence_flips")


class Watched(Truth):
    """A truth that notes the functions which read it."""

    def __init__(self, labels: Tensor) -> None:
        readers: set[tuple[str, str]] = set()
        object.__setattr__(self, "hidden", labels)
        object.__setattr__(self, "readers", readers)

    @property
    def labels(self) -> Tensor:  # type: ignore[override]
        frame = sys._getframe(1)
        module = str(frame.f_globals["__name__"]).removeprefix("mke_theory.")
        self.readers.add((module, frame.f_code.co_name))  # type: ignore[attr-defined]
        return self.hidden  # type: ignore[attr-defined,no-any-return]


def readers_of(one: Run) -> set[tuple[str, str]]:
    """The functions that read the truth of D_u while a run is carried out."""
    problem = one.task.problem(one.seed)
    watched = Watched(problem.truth.labels)
    problem = replace(problem, truth=watched)
    watched.readers.clear()  # type: ignore[attr-defined]  # what has checked the problem itself
    well(outcomes([one], problem))
    return set(watched.readers)  # type: ignore[attr-defined]


ACCOUNT = ("method.algorithm", "account_of")
READS_MORE = {
    "mm_student_sup": {("study.arm_setup", "labels_to_learn")},
    "mm_student_flips": {("study.placebos", "random_errors")},
    "mm_student_evidence_flips": {
        ("study.placebos", "random_errors"),
        ("study.evidence_setup", "_teacher_of"),
    },
}


@pytest.mark.parametrize("arm", ARMS)
def test_nothing_but_the_account_the_ceiling_and_the_placebo_reads_the_truth(arm: str) -> None:
    assert readers_of(Run(Toy(), ARMS[arm], 0)) == {ACCOUNT} | READS_MORE.get(arm, set())


@pytest.mark.parametrize("one", contestants(), ids=lambda one: one.name)
def test_the_account_alone_reads_the_truth_of_a_contestant(one: Any) -> None:
    assert readers_of(Run(comparable(Toy(), SHORT), one, 0)) == {ACCOUNT}


@dataclass(frozen=True)
class Curious(Toy):
    """A task whose models could be made after the truth of D_u."""

    name: ClassVar[str] = "curious"
    shown: ClassVar[list[Tensor]] = []

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        self.shown.append(problem.truth.labels)
        return super().model(problem, modalities, width)


def test_models_are_made_by_who_cannot_know_the_truth() -> None:
    Curious.shown.clear()
    well(run([Run(Curious(), arm, 0) for arm in ARMS.values()], ALONE))
    made = len(Curious.shown)
    well(run([Run(comparable(Curious(), SHORT), one, 0) for one in contestants()], ALONE))
    assert len(Curious.shown) > made >= len(STUDENTS)
    assert all(bool((labels == UNKNOWN).all()) for labels in Curious.shown)


@pytest.fixture(scope="module")
def under_two_truths() -> dict[str, list[Result]]:
    """The results of every arm, with the truth of D_u and with a permutation of it."""
    problem = Toy().problem(0)
    order = torch.randperm(21, generator=torch.Generator().manual_seed(0))
    permuted = replace(problem, truth=Truth(problem.truth.labels[order]))
    runs = [Run(Toy(), arm, 0) for arm in ARMS.values()]
    pairs = [well(outcomes(runs, one)) for one in (problem, permuted)]
    return {arm: [found[i] for found in pairs] for i, arm in enumerate(ARMS)}


@pytest.mark.parametrize("arm", ARMS)
def test_another_truth_changes_the_account_and_no_weight_but_of_two_arms(
    arm: str, under_two_truths: dict[str, list[Result]]
) -> None:
    here, there = under_two_truths[arm]
    assert same(here.model, there.model) is (arm not in TAUGHT_BY_THE_TRUTH)
    assert same(here.teacher, there.teacher) and torch.equal(here.pseudo.hard, there.pseudo.hard)
    assert here.account != there.account


def functions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a file with the function or class around it, the innermost."""

    def inside(node: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.FunctionDef | ast.ClassDef)
            yield name, child
            yield from inside(child, child.name if named else name)  # type: ignore[attr-defined]

    yield from inside(ast.parse(path.read_text(encoding="utf-8")), "")


def is_truth_of_d_u(node: ast.AST) -> bool:
    """`problem.truth`, `result.problem.truth`, `self.truth`, `job.truth`, by its text."""
    if not isinstance(node, ast.Attribute) or node.attr != "truth":
        return False
    return ast.unparse(node.value).split(".")[-1] in ("problem", "job", "self")


MAY_HAND_ON = {
    "data/problem.py": {"__post_init__", "_labels"},
    "method/algorithm.py": {"__post_init__", "_accounted"},
    "method/relatives/method.py": {"learn"},
    "method/evidence/result.py": {"result_of"},
    "method/evidence/state.py": {"__init__"},  # a strange truth is refused before any work
    "study/arm_setup.py": {"student_of", "teacher_itself", "labels_to_learn"},
    "study/evidence_setup.py": {"judged", "_teacher_of"},
    "study/semi_supervised/setup.py": {"student_of_round", "classic_result"},
    "study/recording.py": {"_scores", "_scores_of_teacher"},
    "study/artifacts.py": {"keep"},
    "study/theory_on_runs.py": {"_appraised", "predictions_on_disk"},
}
"""The functions that name the truth of D_u: to judge by it, or for one of the three arms."""

MAY_READ = {
    "data/problem.py": {"__len__", "__post_init__", "_labels"},
    "method/algorithm.py": {"account_of"},
    "study/arm_setup.py": {"labels_to_learn"},
    "study/evidence_setup.py": {"_teacher_of"},
    "study/placebos.py": {"random_errors"},
    "study/recording.py": {"_scores", "_scores_of_teacher"},
    "study/artifacts.py": {"keep"},
    "study/theory_on_runs.py": {"_appraised", "predictions_on_disk"},
}
"""The functions that look at its labels."""

ROOMS = ("data", "models", "evaluation", "training", "method", "study", "synthetic", "tasks")
OTHER_TRUTHS = ("tasks/vggsound/", "synthetic/discrete.py")
"""Files whose own classes have a field of that name."""


def named(wanted: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for room in ROOMS:
        for path in (PACKAGE / room).rglob("*.py"):
            name = path.relative_to(PACKAGE).as_posix()
            if name.startswith(OTHER_TRUTHS):
                continue
            inside = {function for function, node in functions(path) if wanted(node)}
            found |= {name: inside} if inside else {}
    return found


def test_the_package_names_the_truth_of_d_u_in_these_functions_alone() -> None:
    assert named(is_truth_of_d_u) == MAY_HAND_ON


def test_the_package_reads_the_truth_of_d_u_in_these_functions_alone() -> None:
    def reads(node: ast.AST) -> bool:
        if not isinstance(node, ast.Attribute) or node.attr != "labels":
            return isinstance(node, ast.Attribute) and node.attr == "labels"
        owner = node.value
        by_name = isinstance(owner, ast.Name) and owner.id == "truth"
        return by_name or is_truth_of_d_u(owner)

    found = named(reads)
    found["data/problem.py"] |= {"__len__"}  # of the truth itself, `self.labels`
    assert found == MAY_READ


# --- Algorithm 1 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arm", "used", "perturbed", "labelled"),
    [
        ("um_student", ("a",), False, False),
        ("noisy_student", ("a",), True, True),
        ("mm_student_noreg", ("a", "b"), False, False),
        ("mm_student", ("a", "b"), True, False),
    ],
)
def test_an_arm_is_algorithm_1_with_its_settings(
    arm: str, used: tuple[str, ...], perturbed: bool, labelled: bool
) -> None:
    toy, problem, found = Toy(), Toy().problem(0), carried_out(arm)
    by_hand = expand(
        found.teacher,
        problem.unlabelled.with_labels(problem.truth.labels).only(used),
        build_student(toy, ARMS[arm], problem, used, 0),
        objective=toy.recipe.objective if perturbed else Objective(),
        config=SHORT,
        seed=seed_for(0, "student"),
        labelled=problem.labelled if labelled else None,
    )
    assert same(found.model, by_hand.student)
    assert found.account == by_hand.account
    assert torch.equal(found.predictions["unlabelled"], by_hand.predictions)


def test_expand_and_the_study_go_through_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Any] = []
    once = algorithm.expand_all

    def counted(given: Any, trainer: Any = one_by_one) -> Any:
        jobs.extend(given)
        return once(given, trainer)

    monkeypatch.setattr(algorithm, "expand_all", counted)
    problem, found = Toy().problem(0), carried_out()
    assert len(jobs) == 1
    student = build_student(Toy(), ARMS["mm_student"], problem, ("a", "b"), 0)
    whole = problem.unlabelled.with_labels(problem.truth.labels)
    direct = expand(
        found.teacher,
        whole,
        student,
        objective=Toy().recipe.objective,
        config=SHORT,
        seed=seed_for(0, "student"),
    )
    assert len(jobs) == 2 and same(direct.student, found.model)
    assert jobs[0].training.samples.labels.equal(jobs[1].training.samples.labels)


def test_an_arm_that_trains_no_student_has_the_teachers_fit() -> None:
    found = carried_out("um_teacher")
    assert found.model is found.teacher
    assert found.account is not None
    overall = found.account.overall
    assert (overall.corrected, overall.damaged, found.account.agreement) == (0, 0, 1.0)
    for arm in ("um_student", "mm_student", "mm_student_sup"):
        other = carried_out(arm)
        assert same(other.teacher, found.model)
        assert torch.equal(other.pseudo.hard, found.pseudo.hard)


# --- teachers ------------------------------------------------------------------------------------


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The count of trained jobs by kind: teachers have no perturbation and a clean view."""
    count: Counter[str] = Counter()
    once = runner.trainer_called

    def counted(*given: Any, **named: Any) -> Any:
        def train(jobs: Any) -> Any:
            count.update(
                "teacher" if j.objective.pseudo_labels.view == "clean" else "student" for j in jobs
            )
            return once(*given, **named)(jobs)

        return train

    monkeypatch.setattr(runner, "trainer_called", counted)
    return count


def test_a_teacher_is_trained_once_for_all_students_of_its_cell(trained: Counter[str]) -> None:
    networks = [arm for arm in ARMS.values() if not arm.adds_evidence]
    sums = [arm for arm in ARMS.values() if arm.adds_evidence]
    found = well(run([Run(Toy(), arm, seed) for seed in (0, 1) for arm in networks], ALONE))
    assert trained == {"teacher": 2, "student": 2 * len(STUDENTS)}
    trained.clear()
    cells = {one.run.cell: one for one in found}
    found += well(run([Run(Toy(), arm, seed) for seed in (0, 1) for arm in sums], ALONE))
    # Beside the two: five for each fold of D_l, by which all but known answers are calibrated.
    assert trained["teacher"] == 2 + 2 * 5 * (len(sums) - 1)
    assert all(same(one.teacher, cells[one.run.cell].teacher) for one in found)
    trained.clear()
    found = well(run([Run(Toy(), arm, seed) for seed in (0, 1) for arm in ARMS.values()], ALONE))
    for seed in (0, 1):
        teachers = {id(one.teacher) for one in found if one.run.seed == seed}
        assert len(teachers) == 1


def test_teachers_that_are_trained_already_are_handed_over(trained: Counter[str]) -> None:
    cells = [Cell(Toy(), seed) for seed in (0, 1)]
    teachers = train_teachers(cells, ALONE)
    assert trained == {"teacher": 2}
    runs = [Run(cell.task, ARMS["mm_student"], cell.seed) for cell in cells]
    found = well(run(runs, ALONE, teachers=teachers))
    assert trained == {"teacher": 2, "student": 2}
    for cell, one in zip(cells, found, strict=True):
        fit = teachers[cell]
        assert isinstance(fit, Fit) and one.teacher is fit.model
        assert same(one.model, carried_out(seed=cell.seed).model)


def test_teaching_does_not_change_a_teacher() -> None:
    cell = Cell(Toy(), 0)
    before, after = train_teachers([cell], ALONE)[cell], train_teachers([cell], ALONE)
    well(run([Run(Toy(), arm, 0) for arm in ARMS.values()], ALONE, teachers=after))
    fit = after[cell]
    assert isinstance(before, Fit) and isinstance(fit, Fit)
    assert same(before.model, fit.model) and fit.history == before.history


# --- failures ------------------------------------------------------------------------------------

STUDENT = ARMS["mm_student"]


def errors(found: Sequence[Result | Failure]) -> list[str | None]:
    return [one.error if isinstance(one, Failure) else None for one in found]


@pytest.mark.parametrize("trainer", ["one by one", "vectorised", "auto"])
def test_a_cell_that_fails_ends_no_other(trainer: Any) -> None:
    runs = [Run(Broken(), arm, seed) for arm in (ARMS["um_teacher"], STUDENT) for seed in range(3)]
    found = run(runs, RunConfiguration(trainer=trainer))
    lost = "ValueError: no data at seed 1"
    assert errors(found) == [None, lost, None, None, lost, None]
    assert [one.run for one in found] == runs


def test_the_first_cell_may_fail_too() -> None:
    task = Broken(broken_seed=0)
    found = run([Run(task, STUDENT, seed) for seed in (0, 1)])
    assert errors(found) == ["ValueError: no data at seed 0", None]


def test_a_teacher_that_diverges_takes_its_students_along() -> None:
    wild = replace(MOON.recipe, teacher=replace(FEW, optimizer="sgd", learning_rate=1e30))
    tasks = [TwoMoon(wild, points=100), MOON]
    runs = [Run(task, arm, 0) for task in tasks for arm in (ARMS["um_teacher"], STUDENT)]
    for configuration in (ALONE, RunConfiguration(trainer="vectorised")):
        found = run(runs, configuration)
        assert [isinstance(one, Failure) for one in found] == [True, True, False, False]
        assert all("no longer finite" in str(error) for error in errors(found)[:2])


def test_a_student_that_diverges_ends_no_other() -> None:
    wild = replace(Toy().recipe, student=replace(SHORT, learning_rate=1e30))
    runs = [Run(Toy(recipe=wild), STUDENT, 0), Run(Toy(), STUDENT, 0)]
    for configuration in (ALONE, RunConfiguration(trainer="vectorised")):
        lost, done = run(runs, configuration)
        assert isinstance(lost, Failure) and isinstance(lost.cause, FloatingPointError)
        assert isinstance(done, Result)


@dataclass(frozen=True)
class Vanishing(Toy):
    """A task whose problem of seed 1 can be drawn once, for the teacher."""

    name: ClassVar[str] = "vanishing"
    drawn: ClassVar[Counter[int]] = Counter()

    def problem(self, seed: int) -> Problem:
        self.drawn[seed] += 1
        if seed == 1 and self.drawn[seed] > 1:
            raise FileNotFoundError("the file has gone")
        return super().problem(seed)


def test_a_problem_that_cannot_be_drawn_again_ends_no_other() -> None:
    Vanishing.drawn.clear()
    result._drawn.cache_clear()
    found = run([Run(Vanishing(), STUDENT, seed) for seed in range(3)], ALONE)
    assert errors(found) == [None, "FileNotFoundError: the file has gone", None]


class Timid(nn.Module):
    """A model that refuses to be asked about the twelve samples of test."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Any) -> Tensor:
        if len(next(iter(inputs.values()))) == 12:
            raise MemoryError("too many")
        found: Tensor = self.inner(inputs)
        return found


@dataclass(frozen=True)
class Shy(Toy):
    """A task whose student of both modalities cannot be judged on test."""

    name: ClassVar[str] = "shy"

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        made = super().model(problem, modalities, width)
        return Timid(made) if len(modalities) > 1 else made


def test_a_student_that_cannot_be_judged_ends_no_other() -> None:
    found = run([Run(Shy(), STUDENT, 0), Run(Toy(), STUDENT, 0)], ALONE)
    assert errors(found) == ["MemoryError: too many", None]


def test_a_threshold_that_nothing_reaches_is_a_failure_of_its_run() -> None:
    high = Toy(
        recipe=replace(
            Toy().recipe, objective=Objective(pseudo_labels=PseudoLabelTerm(threshold=1.0))
        )
    )
    found = run([Run(high, STUDENT, 0), Run(Toy(), STUDENT, 0)], ALONE)
    assert "no pseudo label reaches the threshold 1.0" in str(errors(found)[0])
    assert errors(found)[1] is None


# --- two trainers --------------------------------------------------------------------------------


def test_vectorised_runs_with_own_draws_are_those_trained_one_by_one() -> None:
    runs = [
        Run(task, arm, seed) for task in (MOON, WORLD) for arm in ARMS.values() for seed in (0, 1)
    ]
    vectorised = RunConfiguration(trainer="vectorised", draws="own")
    pairs = zip(well(run(runs, ALONE)), well(run(runs, vectorised)), strict=True)
    for one, other in pairs:
        for name, weight in one.model.state_dict().items():
            again = other.model.state_dict()[name]
            torch.testing.assert_close(weight, again, rtol=0, atol=1e-5)
        records = [record_of(one, ALONE).to_dict(), record_of(other, vectorised).to_dict()]
        assert records[0]["key"] != records[1]["key"]
        assert records[1]["environment"].pop("trainer") == "vectorised, own draws"
        for record in records:
            for name in ("key", "seconds", "training"):
                del record[name]
        # A share of almost nothing (at least 1e-3) magnifies rounding a thousand times.
        notes = [record.get("extra", {}).get("evidence", {"redundancy": {}}) for record in records]
        ratios = [[pair.pop() for pair in own["redundancy"].values()] for own in notes]
        assert ratios[0] == pytest.approx(ratios[1], rel=1e-4), str(one.run)
        assert close(*records), str(one.run)


def test_shared_draws_are_other_noise_and_no_other_teachers() -> None:
    runs = [Run(MOON, STUDENT, seed) for seed in (0, 1)]
    own, shared = (
        well(run(runs, RunConfiguration(trainer="vectorised", draws=draws)))
        for draws in ("own", "shared")
    )
    for one, other in zip(own, shared, strict=True):
        for weight, again in zip(one.teacher.parameters(), other.teacher.parameters(), strict=True):
            torch.testing.assert_close(weight, again)
        assert not same(one.model, other.model)


@dataclass(frozen=True)
class Looking(TwoMoon):
    """A task whose model looks at values where there are two modalities: it cannot be traced."""

    name: ClassVar[str] = "looking"

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        made = super().model(problem, modalities, width)
        if len(modalities) > 1:
            made.register_forward_hook(
                lambda *given: -given[2] if bool(given[2].isnan().any()) else None
            )
        return made


def test_a_job_that_the_vectorised_trainer_refuses_is_trained_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looking = Looking(MOON.recipe, points=100)
    alone: list[nn.Module] = []
    once = trainers.one_by_one

    def counted(jobs: Any, **named: Any) -> Any:
        alone.extend(job.model for job in jobs)
        return once(jobs, **named)

    monkeypatch.setattr(trainers, "one_by_one", counted)
    runs = [Run(task, STUDENT, seed) for task in (looking, MOON) for seed in (0, 1)]
    found = well(run(runs, RunConfiguration(trainer="vectorised")))
    assert len(alone) == 2 and {id(one) for one in alone} == {id(one.model) for one in found[:2]}
    for one in found[:2]:
        by_hand = well(run([one.run], ALONE))[0].model.state_dict()
        for name, weight in one.model.state_dict().items():
            torch.testing.assert_close(weight, by_hand[name], rtol=0, atol=1e-5)


# --- a run of several rounds, and one without any ------------------------------------------------


def test_seconds_are_those_of_all_rounds() -> None:
    task = comparable(Toy(), SHORT)
    entered = {one.name: one for one in contestants()}
    names = ("noisy_student_both", "um_teacher", "self_training_alpha")
    found = well(run([Run(task, entered[name], 0) for name in names], ALONE))
    rounds, teacher, classic = found
    assert rounds.fit is not None and rounds.fit.steps == SHORT.steps // 3
    assert rounds.seconds is not None and rounds.seconds == rounds.fit.seconds
    assert teacher.seconds is not None and classic.seconds is not None
    last = well(run([replace(rounds.run, arm=replace(entered[names[0]], each_round=True))], ALONE))
    assert last[0].fit is not None and last[0].fit.steps == SHORT.steps


def test_nothing_wanted_is_nothing_done() -> None:
    assert run([], ALONE) == []
