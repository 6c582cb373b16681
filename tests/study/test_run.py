"""A run depends on its settings and its seed alone, and a placebo changes what it says it does."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from torch import Tensor, nn

from mke_theory.data.optional_imports import versions_of
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed_for
from mke_theory.method.algorithm import expand
from mke_theory.method.augmentation import CropFlip
from mke_theory.method.objective import Objective
from mke_theory.method.pseudo_labels import PseudoLabels
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.models import MLP, count_parameters, multimodal
from mke_theory.study.arm_setup import build_student, lessons, unperturbed
from mke_theory.study.arms import ARMS, differences
from mke_theory.study.artifacts import is_planar
from mke_theory.study.placebos import independent_errors, matching_width, shuffle_pairs
from mke_theory.study.runner import Place, config_of, fabric_of, key_of, run, train_teacher
from mke_theory.study.study import problem_of
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.registry import TASKS
from mke_theory.tasks.toy.arrays import Arrays
from mke_theory.tasks.toy.twomoon import TwoMoon
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import RULES, TrainConfig
from mke_theory.training.predict import predict

SHORT = TrainConfig(steps=6, batch_size=8, learning_rate=0.03)
ALL = list(ARMS)
STUDENTS = [arm.name for arm in ARMS.values() if arm.learns_from != "labels"]


@dataclass(frozen=True)
class Toy(Task):
    """Three classes, two modalities of three numbers; a few steps of everything."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "toy"
    varies: ClassVar[str] = "everything"

    recipe: Recipe = Recipe(
        teacher=SHORT, student=SHORT, objective=Objective(transform=(InputNoise(0.5),), gamma=0.5)
    )
    hidden: int = 5

    def problem(self, seed: int) -> Problem:
        draw = torch.Generator().manual_seed(seed_for(seed, "data") % 2**32)
        labels = torch.arange(42) % 3
        centre = torch.eye(3)[labels]
        inputs = {name: centre + torch.randn(42, 3, generator=draw) for name in ("a", "b")}
        whole = Pool(inputs, labels)
        return Problem.of(
            labelled=whole.rows(torch.arange(9)).only(["a"]),
            unlabelled=whole.rows(torch.arange(9, 30)),
            test=whole.rows(torch.arange(30, 42)),
            teacher_modalities=("a",),
            classes=3,
        )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        width = width or self.hidden
        encoders = {name: MLP([3, width], activate=True) for name in modalities}
        return multimodal(encoders, problem.classes, hidden=(width,), missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.hidden


@pytest.fixture(scope="module")
def place() -> Place:
    return Place()


def carried_out(
    place: Place,
    arm: str = "mm_student",
    seed: int = 0,
    problem: Problem | None = None,
    **changes: Any,
) -> tuple[dict[str, Any], nn.Module]:
    task = Toy(**changes)
    problem = problem or task.problem(seed)
    return run(task, ARMS[arm], seed, problem, train_teacher(task, seed, problem, place), place)


def same(first: nn.Module, second: nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("seconds", "training")}


def test_versions_are_those_of_packages() -> None:
    found = versions_of("torch.nn", "PIL.Image", "none_of_that_name")
    assert list(found) == ["torch", "pillow", "none_of_that_name"]
    assert (found["torch"], found["none_of_that_name"]) == (version("torch"), "none")


# --- pure in settings and seed -------------------------------------------------------------------


@pytest.mark.parametrize("arm", ALL)
def test_a_run_is_pure_in_its_settings_and_its_seed(arm: str, place: Place) -> None:
    first, model = carried_out(place, arm)
    torch.manual_seed(99)
    np.random.seed(99)
    carried_out(place, "mm_student", seed=3)  # what ran before does not matter
    second, again = carried_out(place, arm)
    assert timeless(first) == timeless(second)
    assert same(model, again)


def test_every_part_of_a_run_is_in_its_key(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    toy, arm = Toy(), ARMS["mm_student"]
    shorter = replace(toy.recipe, student=replace(SHORT, steps=7))
    keys = {
        key_of(toy, arm, 0, place),
        key_of(toy, arm, 1, place),
        key_of(toy, ARMS["mm_student_noreg"], 0, place),
        key_of(Toy(hidden=6), arm, 0, place),
        key_of(Toy(recipe=shorter), arm, 0, place),
        key_of(toy, arm, 0, replace(place, hardware=Hardware("cuda"))),
        key_of(toy, arm, 0, replace(place, hardware=Hardware(precision="bf16-mixed"))),
    }
    monkeypatch.setattr(Toy, "libraries", lambda self: ("scipy",))
    keys.add(key_of(toy, arm, 0, place))
    assert len(keys) == 8
    assert carried_out(place)[0]["key"] == key_of(Toy(), arm, 0, place)
    assert set(config_of(toy, arm)) == {"task", "arm"}


def test_a_transform_that_names_a_strange_modality_is_refused(place: Place) -> None:
    objective = Objective(transform=(InputNoise(0.5, only=("b", "sound")),))
    with pytest.raises(ValueError, match=r"InputNoise acts on \['sound'\]; there are a, b"):
        carried_out(place, recipe=Recipe(teacher=SHORT, student=SHORT, objective=objective))


@pytest.mark.parametrize("select", ["agreement", "labelled"])
def test_a_rule_of_selection_keeps_its_samples_out_of_training(select: Any, place: Place) -> None:
    choosing = replace(SHORT, select=select, evaluate_every=2)
    toy = Toy(recipe=Recipe(teacher=SHORT, student=choosing))
    problem = problem_of(toy, 0)
    assert len(problem.unlabelled) == 16
    record, _ = carried_out(place, problem=problem, recipe=toy.recipe)
    assert record["counts"]["unlabelled"] == 16
    assert record["rule"] == RULES[select]
    assert record["selected_step"] % 2 == 0


@pytest.mark.parametrize("arm", ["mm_student_sup", "mm_student_flips"])
def test_an_arm_taught_by_the_truth_is_not_judged_by_the_teacher(arm: str, place: Place) -> None:
    choosing = replace(SHORT, select="agreement", evaluate_every=2)
    toy = Toy(recipe=Recipe(teacher=SHORT, student=choosing))
    problem = problem_of(toy, 0)
    assert problem.heldout is not None
    record, model = carried_out(place, arm, problem=problem, recipe=toy.recipe)
    assert record["rule"] == RULES["labelled"]
    moved = replace(problem, heldout=problem.heldout.with_labels((problem.heldout.labels + 1) % 3))
    other = carried_out(place, arm, problem=moved, recipe=toy.recipe)[0]
    assert other["selected_step"] != record["selected_step"] or not same(
        model, carried_out(place, arm, problem=moved, recipe=toy.recipe)[1]
    )


def test_what_cannot_act_on_a_unimodal_student_is_declared(place: Place) -> None:
    objective = Objective(transform=(InputNoise(0.5), ModalityDropout(0.5, only=("a",))))
    recipe = Recipe(teacher=SHORT, student=SHORT, objective=objective)
    assert "T acts by" not in carried_out(place, "mm_student", recipe=recipe)[0]["differences"]
    found = carried_out(place, "noisy_student", recipe=recipe)[0]["differences"]
    assert found["T acts by"] == ["InputNoise, ModalityDropout", "InputNoise"]
    assert "T acts by" not in carried_out(place, "um_student", recipe=recipe)[0]["differences"]


def test_another_seed_or_setting_gives_another_student(place: Place) -> None:
    base = carried_out(place)[1]
    assert not same(base, carried_out(place, seed=1, problem=Toy().problem(0))[1])
    recipe = replace(Toy().recipe, student=replace(SHORT, learning_rate=0.031))
    assert not same(base, carried_out(place, recipe=recipe)[1])


@pytest.mark.parametrize("arm", ALL)
def test_test_rows_do_not_reach_what_is_trained(arm: str, place: Place) -> None:
    problem = Toy().problem(0)
    moved = {name: 100.0 - 3.0 * x for name, x in problem.test.inputs.items()}
    other = replace(problem, test=Pool(moved, (problem.test.labels + 1) % 3))
    record, model = carried_out(place, arm, problem=problem)
    elsewhere, same_model = carried_out(place, arm, problem=other)
    assert same(model, same_model)
    assert record["account"]["unlabelled"] == elsewhere["account"]["unlabelled"]
    assert record["account"]["test"] != elsewhere["account"]["test"]
    assert record["split_hash"] != elsewhere["split_hash"]


@pytest.mark.parametrize("arm", STUDENTS)
def test_truth_on_unlabelled_rows_reaches_only_the_arms_that_declare_it(
    arm: str, place: Place
) -> None:
    problem = Toy().problem(0)
    other = replace(
        problem, unlabelled=problem.unlabelled.with_labels((problem.unlabelled.labels + 1) % 3)
    )
    models = [carried_out(place, arm, problem=given)[1] for given in (problem, other)]
    assert same(*models) is (arm not in ("mm_student_sup", "mm_student_flips"))


def test_the_pairing_reaches_only_the_arm_that_loses_it(place: Place) -> None:
    # Two seeds of the permutation give two students; the arms that keep pairs know nothing of it.
    problem = Toy().problem(0)
    order = seed_for(0, "shuffle")
    shuffled = replace(problem, unlabelled=shuffle_pairs(problem.unlabelled, ("a",), order))
    as_placebo = carried_out(place, "mm_student_shuffled", problem=problem)[1]
    assert same(as_placebo, carried_out(place, "mm_student", problem=shuffled)[1])
    assert not same(as_placebo, carried_out(place, "mm_student", problem=problem)[1])


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
    arm: str, used: tuple[str, ...], perturbed: bool, labelled: bool, place: Place
) -> None:
    toy, problem = Toy(), Toy().problem(0)
    by_hand = expand(
        train_teacher(toy, 0, problem, place).model,
        problem.unlabelled.only(used),
        build_student(toy, ARMS[arm], problem, used, 0),
        objective=toy.recipe.objective if perturbed else Objective(),
        config=SHORT,
        seed=seed_for(0, "student"),
        labelled=problem.labelled if labelled else None,
        fabric=fabric_of(place.hardware),
    )
    record, model = carried_out(place, arm)
    assert same(model, by_hand.student)
    assert record["account"]["unlabelled"] == by_hand.account.to_dict()


def test_students_start_alike_and_arms_differ_in_what_they_declare() -> None:
    toy, problem = Toy(), Toy().problem(0)
    starts = {
        name: build_student(
            toy, ARMS[name], problem, ("a",) if arm.modalities == "teacher's" else ("a", "b"), 0
        )
        for name, arm in ARMS.items()
    }
    multi = [name for name in STUDENTS if ARMS[name].modalities == "all"]
    assert len(multi) == 5 and all(same(starts["mm_student"], starts[name]) for name in multi)
    assert same(starts["um_student"], starts["noisy_student"])
    moved = build_student(toy, ARMS["mm_student"], problem, ("a", "b"), 1)
    assert not same(starts["mm_student"], moved)
    objective = toy.recipe.objective
    assert unperturbed(objective) == replace(objective, transform=(), gamma=0.0)


# --- the record ----------------------------------------------------------------------------------

KEYS = {
    "task",
    "title",
    "arm",
    "arm_title",
    "seed",
    "config",
    "config_hash",
    "split_hash",
    "code",
    "environment",
    "rule",
    "selected_step",
    "metrics",
    "account",
    "differences",
    "counts",
    "key",
    "seconds",
}
METRICS = {
    "test",
    "unlabelled",
    "corrected",
    "damaged",
    "agreement",
    "pseudo_labels",
    "test_corrected",
    "test_damaged",
    "test_agreement",
}


@pytest.mark.parametrize("arm", ALL)
def test_a_record_is_complete_and_plain(arm: str, place: Place) -> None:
    record, model = carried_out(place, arm)
    assert set(record) >= KEYS and set(record["metrics"]) >= METRICS
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["task"], record["arm"], record["seed"]) == ("toy", arm, 0)
    assert record["differences"] == {k: list(v) for k, v in differences(ARMS[arm]).items()}
    assert {name: record["counts"][name] for name in ("labelled", "unlabelled", "test")} == {
        "labelled": 9,
        "unlabelled": 21,
        "test": 12,
    }
    assert record["counts"]["parameters"] == count_parameters(model)
    problem = Toy().problem(0)
    for part, pool in (("test", problem.test), ("unlabelled", problem.unlabelled)):
        right = predict(model, pool).argmax(dim=1) == pool.labels
        assert record["metrics"][part] == right.double().mean().item()


def test_the_teachers_own_record_neither_corrects_nor_damages(place: Place) -> None:
    problem = Toy().problem(0)
    teacher = train_teacher(Toy(), 0, problem, place).model
    record, model = carried_out(place, "um_teacher")
    assert same(model, teacher)
    metrics = record["metrics"]
    assert (metrics["corrected"], metrics["damaged"], metrics["agreement"]) == (0.0, 0.0, 1.0)
    assert metrics["pseudo_labels"] == metrics["unlabelled"]
    for arm in ("um_student", "mm_student", "mm_student_sup"):
        found = carried_out(place, arm)[0]["metrics"]
        assert found["pseudo_labels"] == metrics["unlabelled"]


def test_a_folder_changes_nothing_but_time(place: Place, tmp_path: Path) -> None:
    stored = replace(place, folder=tmp_path, checkpoint_every=4)
    for arm in ("um_teacher", "mm_student"):
        direct = carried_out(place, arm)
        for _ in range(2):  # trained, then loaded
            kept = carried_out(stored, arm)
            left = kept[0].pop("artifacts", {})
            assert list(left) == (["answers"] if arm == "mm_student" else [])
            assert timeless(direct[0]) == timeless(kept[0]) and same(direct[1], kept[1])
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 2


def test_decision_regions_are_kept_where_they_can_be_drawn(place: Place, tmp_path: Path) -> None:
    task = TwoMoon(recipe=Recipe(SHORT, SHORT))
    problem = task.problem(0)
    assert is_planar(problem) and not is_planar(Toy().problem(0))
    teacher = train_teacher(task, 0, problem, place)
    stored = replace(place, folder=tmp_path)
    record, model = run(task, ARMS["mm_student"], 0, problem, teacher, stored)
    with np.load(tmp_path / record["artifacts"]["regions"]) as saved:
        side = len(saved["x"])
        assert saved["prediction"].shape == (side, side)
        assert np.array_equal(saved["labels"], problem.test.labels.numpy())
        row, column = 17, 60  # `prediction[row, column]` belongs to (x[column], y[row])
        point = Pool(
            {
                "x1": torch.tensor([[saved["x"][column]]]),
                "x2": torch.tensor([[saved["y"][row]]]),
            },
            torch.tensor([0]),
        )
        for at in ((row, column), (0, 0)):
            point.inputs["x1"][0, 0] = float(saved["x"][at[1]])
            point.inputs["x2"][0, 0] = float(saved["y"][at[0]])
            assert saved["prediction"][at] == predict(model, point).argmax(dim=1).item()
        assert np.allclose(saved["points"][:, 0], problem.test.inputs["x1"][:, 0].numpy())


# --- the placebos --------------------------------------------------------------------------------


def said(hard: Tensor, classes: int) -> PseudoLabels:
    return PseudoLabels(hard, hard, torch.full(hard.shape, 0.7), classes)


@given(
    n=st.integers(1, 40),
    classes=st.integers(2, 5),
    seed=st.integers(0, 2**40),
    share=st.floats(0, 1),
)
def test_independent_errors_are_as_many_as_the_teachers(
    n: int, classes: int, seed: int, share: float
) -> None:
    draw = np.random.default_rng(seed)
    truth = torch.from_numpy(draw.integers(0, classes, n))
    wrong = torch.from_numpy(draw.random(n) < share)
    hard = torch.where(wrong, (truth + 1) % classes, truth)
    before = truth.clone(), hard.clone()
    flipped = independent_errors(truth, said(hard, classes), seed)
    assert int((flipped != truth).sum()) == int(wrong.sum())
    assert flipped.shape == truth.shape and flipped.dtype == truth.dtype
    assert int(flipped.min()) >= 0 and int(flipped.max()) < classes
    assert torch.equal(flipped, independent_errors(truth, said(hard, classes), seed))
    assert torch.equal(truth, before[0]) and torch.equal(hard, before[1])


def test_independent_errors_fall_anywhere_and_on_any_other_class() -> None:
    # The teacher errs on the first 10 of 40 samples; the placebo on 10 of 40, 500 times.
    truth = torch.arange(40) % 4
    hard = torch.where(torch.arange(40) < 10, (truth + 1) % 4, truth)
    draws = torch.stack([independent_errors(truth, said(hard, 4), seed) for seed in range(500)])
    wrong = draws != truth
    # Counts of places have variance 500 · p(1 − p) and sum to 5000, so Σ(o − e)²/var · 39/40 is χ²
    # with 39 degrees of freedom; each of the two tests rejects a true claim once in a million.
    count = wrong.sum(dim=0).double()
    places = float(((count - 125) ** 2).sum() / (500 * 0.25 * 0.75)) * 39 / 40
    assert chi2.sf(places, 39) > 1e-6
    step = ((draws - truth) % 4)[wrong]
    count = torch.bincount(step, minlength=4)[1:].double()
    assert chi2.sf(float(((count - 5000 / 3) ** 2 / (5000 / 3)).sum()), 2) > 1e-6


def test_independent_errors_on_dense_labels_and_without_truth() -> None:
    truth = torch.zeros(2, 3, 4, dtype=torch.long)
    hard = truth.clone()
    hard[0, 1] = 2
    flipped = independent_errors(truth, said(hard, 3), 0)
    assert flipped.shape == (2, 3, 4) and int((flipped != 0).sum()) == 4
    with pytest.raises(ValueError, match="needs the truth"):
        independent_errors(truth - 1, said(hard, 3), 0)


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_what_each_arm_learns_and_is_measured_against(labels: Any, place: Place) -> None:
    problem = Toy().problem(0)
    teacher = train_teacher(Toy(), 0, problem, place).model
    objective, truth = Objective(labels=labels), problem.unlabelled.labels
    own = lessons(ARMS["mm_student"], objective, problem, teacher, 0)
    errors = int((own[0].hard != truth).sum())
    assert own[0] is own[1] and 0 < errors < len(truth)
    measured, shown = lessons(ARMS["mm_student_sup"], objective, problem, teacher, 0)
    assert torch.equal(measured.hard, own[0].hard) and torch.equal(shown.hard, truth)
    certain = truth if labels == "hard" else torch.eye(3)[truth]
    assert torch.equal(shown.target, certain) and bool((shown.confidence == 1).all())
    measured, shown = lessons(ARMS["mm_student_flips"], objective, problem, teacher, 0)
    assert torch.equal(measured.hard, own[0].hard)  # the account speaks of the teacher's errors
    assert int((shown.hard != truth).sum()) == errors
    assert not torch.equal(shown.hard, own[0].hard)
    elsewhere = lessons(ARMS["mm_student_flips"], objective, problem, teacher, 1)[1]
    assert not torch.equal(shown.hard, elsewhere.hard)
    assert shown.target.shape == own[0].target.shape and shown.target.dtype == own[0].target.dtype


@given(n=st.integers(1, 30), seed=st.integers(0, 2**40))
def test_shuffling_keeps_alpha_and_moves_all_else_together(n: int, seed: int) -> None:
    row = torch.arange(float(n))
    inputs = {"a": row[:, None], "b": 100 + row[:, None], "c": (200 + row).reshape(n, 1, 1)}
    pool = Pool(inputs, torch.arange(n) % 3)
    found = shuffle_pairs(pool, ("a",), seed)
    assert torch.equal(found.inputs["a"], inputs["a"]) and torch.equal(found.labels, pool.labels)
    order = found.inputs["b"].flatten() - 100
    assert torch.equal(found.inputs["c"].flatten() - 200, order)
    assert sorted(order.tolist()) == row.tolist()
    assert found.modalities == pool.modalities and torch.equal(pool.inputs["b"], inputs["b"])


def test_every_partner_is_equally_likely() -> None:
    # 6 × 6 counts over 600 permutations, 100 each. Rows and columns have fixed sums: there are 25
    # degrees of freedom; their variances, 36 · 600 · 1/6 · 5/6 in all, are 120 in each direction.
    pool = Pool({"a": torch.zeros(6, 1), "b": torch.arange(6.0)[:, None]}, torch.zeros(6).long())
    count = Counter(
        (i, int(partner))
        for seed in range(600)
        for i, partner in enumerate(shuffle_pairs(pool, ("a",), seed).inputs["b"].flatten())
    )
    spread = sum((count[i, j] - 100) ** 2 for i in range(6) for j in range(6)) / 120
    assert chi2.sf(spread, 25) > 1e-6  # one false alarm in a million


@given(
    a=st.integers(0, 5),
    b=st.integers(1, 50),
    target=st.integers(0, 2_000),
    start=st.integers(1, 99),
)
def test_the_matching_width_is_the_nearest(a: int, b: int, target: int, start: int) -> None:
    def size(width: int) -> int:
        return a * width * width + b * width + 3

    best = min(abs(size(width) - target) for width in range(1, 2_001))
    assert abs(size(matching_width(size, target, start)) - target) == best


def assert_sizes_match(task: Task) -> None:
    problem = task.problem(0)
    large, multi = (
        count_parameters(build_student(task, ARMS[name], problem, used, seed=0))
        for name, used in (
            ("um_student_matched", problem.teacher_modalities),
            ("mm_student", problem.modalities),
        )
    )
    assert large == pytest.approx(multi, rel=0.05)


def test_the_large_unimodal_student_has_the_size_of_the_multimodal_one(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    wide, narrow = draw.normal(size=(40, 30)), draw.normal(size=(40, 2))
    part = np.repeat(["labelled", "unlabelled", "test", "test"], 10)
    np.savez(tmp_path / "own.npz", wide=wide, narrow=narrow, labels=np.arange(40) % 2, part=part)
    for alpha in ("wide", "narrow"):
        assert_sizes_match(Arrays(file=str(tmp_path / "own.npz"), alpha=alpha))
    ready = {name: task for name, task in TASKS.items() if task.missing() is None}
    assert set(ready) >= {"twomoon", "twomoon_fair", "digits"}
    for task in ready.values():
        assert_sizes_match(task)


@pytest.mark.data("av_digits")
@pytest.mark.parametrize("name", ["av_digits", "av_digits_image"])
def test_the_sizes_match_on_av_digits(name: str, data_root: Path) -> None:
    assert_sizes_match(TASKS[name].at(data_root))


def test_a_student_begins_as_its_teacher_or_not_at_all(place: Place) -> None:
    task = Toy(recipe=replace(Toy().recipe, from_teacher=True))
    problem = task.problem(0)
    teacher = train_teacher(task, 0, problem, place).model
    alone = build_student(task, ARMS["um_student"], problem, ("a",), 0, teacher)
    assert same(alone, teacher)
    for weight, source in zip(alone.parameters(), teacher.parameters(), strict=True):
        assert weight.data_ptr() != source.data_ptr()  # learning must not reach the teacher
    # The head of two modalities has no place for that of one: nothing is taken, not even a bias.
    begun = build_student(task, ARMS["mm_student"], problem, ("a", "b"), 0, teacher)
    assert same(begun, build_student(Toy(), ARMS["mm_student"], problem, ("a", "b"), 0, teacher))


def test_what_an_augmentation_is_told_to_change_has_to_be_there(place: Place) -> None:
    crop = CropFlip(only=("picture",))
    with pytest.raises(ValueError, match="picture"):
        carried_out(place, recipe=replace(Toy().recipe, objective=Objective(augment=(crop,))))
