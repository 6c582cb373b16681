"""The job of an arm: models that start alike, the labels it learns, and the parts of T that act."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mke_theory.data.pool import UNKNOWN
from mke_theory.data.rng import seed_for
from mke_theory.method.algorithm import ExpansionJob, fit_teacher, pseudo_label
from mke_theory.method.augmentation import CropFlip
from mke_theory.method.job import TrainingJob, one_by_one
from mke_theory.method.objective import Anchor, Consistency, Objective, PseudoLabelTerm
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.models import count_parameters
from mke_theory.study.arm_setup import (
    build_student,
    labels_to_learn,
    objective_of,
    student_of,
    teacher_itself,
    teacher_of,
    unperturbed,
)
from mke_theory.study.arms import ARMS
from mke_theory.study.placebos import shuffle_pairs
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.registry import TASKS
from mke_theory.tasks.toy.arrays import Arrays
from mke_theory.training.loop import Fit
from mke_theory.training.predict import predict
from tests.study.toys import SHORT, STUDENTS, Branches, Maps, Toy, noisy, same

TOY = Toy()
PROBLEM = TOY.problem(0)


@pytest.fixture(scope="module")
def teacher() -> torch.nn.Module:
    return train(teacher_of(TOY, 0, PROBLEM)).model


def train(job: TrainingJob) -> Fit:
    (outcome,) = one_by_one([job])
    assert isinstance(outcome, Fit)
    return outcome


def prepared(arm: str, teacher: torch.nn.Module, seed: int = 0, task: Task = TOY) -> ExpansionJob:
    return student_of(task, ARMS[arm], seed, PROBLEM, teacher)


# --- models --------------------------------------------------------------------------------------


def test_the_teacher_is_that_of_step_1(teacher: torch.nn.Module) -> None:
    start = teacher_of(TOY, 0, PROBLEM).model
    alone = fit_teacher(start, PROBLEM.labelled, SHORT, seed=seed_for(0, "teacher")).model
    assert same(teacher, alone)
    assert not same(teacher_of(TOY, 0, PROBLEM).model, teacher_of(TOY, 1, PROBLEM).model)


def test_students_start_alike_and_arms_differ_in_what_they_declare() -> None:
    starts = {
        name: build_student(
            TOY,
            ARMS[name],
            PROBLEM,
            ("a",) if ARMS[name].modalities == "teacher's" else ("a", "b"),
            0,
        )
        for name in STUDENTS
    }
    multi = [name for name in STUDENTS if ARMS[name].modalities == "all"]
    assert len(multi) == 5 and all(same(starts["mm_student"], starts[name]) for name in multi)
    assert same(starts["um_student"], starts["noisy_student"])
    moved = build_student(TOY, ARMS["mm_student"], PROBLEM, ("a", "b"), 1)
    assert not same(starts["mm_student"], moved)


def test_a_student_begins_as_its_teacher_or_not_at_all(teacher: torch.nn.Module) -> None:
    task = Toy(recipe=replace(TOY.recipe, from_teacher=True))
    alone = build_student(task, ARMS["um_student"], PROBLEM, ("a",), 0, teacher)
    assert same(alone, teacher)
    for weight, source in zip(alone.parameters(), teacher.parameters(), strict=True):
        assert weight.data_ptr() != source.data_ptr()  # learning must not reach the teacher
    # The head of two modalities has no place for that of one: nothing is taken, not even a bias.
    begun = build_student(task, ARMS["mm_student"], PROBLEM, ("a", "b"), 0, teacher)
    assert same(begun, build_student(TOY, ARMS["mm_student"], PROBLEM, ("a", "b"), 0, teacher))


def test_the_teachers_branch_begins_as_the_teacher() -> None:
    task = Branches()
    problem = task.problem(0)
    teacher = train(teacher_of(task, 0, problem)).model
    both = ("image", "depth")
    student = build_student(task, ARMS["mm_student"], problem, both, 0, teacher)
    test = problem.test.only(["image"])  # depth is missing: the sum has one term
    assert torch.allclose(predict(student, test), predict(teacher, test), atol=1e-6)
    fresh = build_student(Branches(noisy("soft")), ARMS["mm_student"], problem, both, 0, teacher)
    assert not torch.allclose(predict(fresh, test), predict(teacher, test), atol=1e-2)


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
    for name in ("twomoon", "twomoon_fair", "digits"):
        assert_sizes_match(TASKS[name])


@pytest.mark.data("av_digits")
@pytest.mark.parametrize("name", [name for name in TASKS if name.startswith("av_digits")])
def test_the_sizes_match_on_av_digits(name: str, data_root: Path) -> None:
    task = TASKS[name].at(data_root)
    if found := task.missing():
        pytest.skip(found)
    assert_sizes_match(task)


# --- samples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_what_each_arm_learns_and_is_measured_against(
    labels: Any, teacher: torch.nn.Module
) -> None:
    own, truth = (
        pseudo_label(
            teacher, PROBLEM.unlabelled, Objective(pseudo_labels=PseudoLabelTerm(kind=labels))
        ),
        PROBLEM.truth.labels,
    )
    errors = int((own.hard != truth).sum())
    assert 0 < errors < len(truth)
    assert labels_to_learn(ARMS["mm_student"], PROBLEM, own, 0) is own
    shown = labels_to_learn(ARMS["mm_student_sup"], PROBLEM, own, 0)
    certain = truth if labels == "hard" else torch.eye(3)[truth]
    assert torch.equal(shown.target, certain) and bool((shown.confidence == 1).all())
    flipped = labels_to_learn(ARMS["mm_student_flips"], PROBLEM, own, 0)
    assert int((flipped.hard != truth).sum()) == errors and not torch.equal(flipped.hard, own.hard)
    elsewhere = labels_to_learn(ARMS["mm_student_flips"], PROBLEM, own, 1)
    assert not torch.equal(flipped.hard, elsewhere.hard)
    assert (flipped.target.shape, flipped.target.dtype) == (own.target.shape, own.target.dtype)


@pytest.mark.parametrize("arm", STUDENTS)
def test_the_account_of_every_arm_speaks_of_the_teachers_labels(
    arm: str, teacher: torch.nn.Module
) -> None:
    job = prepared(arm, teacher)
    of_teacher = pseudo_label(teacher, PROBLEM.unlabelled, TOY.recipe.objective)
    assert torch.equal(job.pseudo.hard, of_teacher.hard)
    assert job.unlabelled is PROBLEM.unlabelled and job.truth is PROBLEM.truth


def test_samples_of_every_arm_by_hand(teacher: torch.nn.Module) -> None:
    of_teacher = pseudo_label(teacher, PROBLEM.unlabelled).hard
    for arm in STUDENTS:
        samples = prepared(arm, teacher).training.samples
        own = samples.rows(range(len(samples) - 21, len(samples)))  # D_l, if any, comes first
        assert samples.modalities == (("a",) if ARMS[arm].modalities == "teacher's" else ("a", "b"))
        assert torch.equal(own.inputs["a"], PROBLEM.unlabelled.inputs["a"])
        if arm == "noisy_student":
            assert torch.equal(samples.labels[:9], PROBLEM.labelled.labels)
            assert torch.equal(samples.inputs["a"][:9], PROBLEM.labelled.inputs["a"])
        assert len(samples) == (30 if arm == "noisy_student" else 21)
        from_truth = ARMS[arm].needs_truth
        assert torch.equal(own.labels, of_teacher) is not from_truth
    shuffled = prepared("mm_student_shuffled", teacher).training.samples
    expected = shuffle_pairs(PROBLEM.unlabelled, ("a",), seed_for(0, "shuffle"))
    assert torch.equal(shuffled.inputs["b"], expected.inputs["b"])
    assert not torch.equal(shuffled.inputs["b"], PROBLEM.unlabelled.inputs["b"])


@pytest.mark.parametrize("arm", ["mm_student", "mm_student_sup", "mm_student_flips"])
def test_soft_maps_are_kept_in_half_precision(arm: str) -> None:
    task = Maps(noisy("soft"))
    problem = task.problem(0)
    teacher = train(teacher_of(task, 0, problem)).model
    job = student_of(task, ARMS[arm], 0, problem, teacher)
    pseudo, samples = job.pseudo, job.training.samples
    assert pseudo.target.dtype == torch.float16 and pseudo.hard.dtype == torch.int8
    assert samples[slice(0, 2)].target.dtype == torch.float32
    void = samples.labels[:, :, 0, 0].float().sum(dim=1)
    if arm == "mm_student":
        assert torch.allclose(void, torch.ones(16), atol=2e-3)
        return
    # Labels made from the truth are certain, and none where it is void.
    assert torch.equal(void, torch.zeros(16))
    known, truth = samples.labels.sum(dim=1) == 1, problem.truth.labels
    assert torch.equal(known, truth != UNKNOWN)
    wrong = int((samples.labels.argmax(dim=1) != truth)[known].sum())
    errors = int((pseudo.hard != truth)[known].sum())
    assert errors > 0 and wrong == (errors if arm == "mm_student_flips" else 0)


# --- objectives ----------------------------------------------------------------------------------


def test_an_arm_without_perturbation_keeps_labels_and_threshold() -> None:
    objective = Objective(
        pseudo_labels=PseudoLabelTerm(kind="soft", threshold=0.4),
        transform=(InputNoise(0.5),),
        consistency=Consistency(gamma=0.5),
    )
    assert unperturbed(objective) == replace(
        objective, transform=(), consistency=replace(objective.consistency, gamma=0.0)
    )
    task = Toy(recipe=replace(TOY.recipe, objective=objective))
    assert objective_of(task, ARMS["um_student"], PROBLEM) == unperturbed(objective)
    assert objective_of(task, ARMS["mm_student"], PROBLEM) == objective


def test_parts_of_t_that_cannot_act_on_a_unimodal_student_are_left_out() -> None:
    steps = (InputNoise(0.5), ModalityDropout(0.5, only=("a",)))
    objective = Objective(
        transform=steps, anchor=Anchor(transform=steps), consistency=Consistency(gamma=0.5)
    )
    task = Toy(recipe=replace(TOY.recipe, objective=objective))
    assert objective_of(task, ARMS["mm_student"], PROBLEM) == objective
    alone = objective_of(task, ARMS["noisy_student"], PROBLEM)
    assert alone == replace(
        objective, transform=steps[:1], anchor=replace(objective.anchor, transform=steps[:1])
    )


def test_a_transform_or_augmentation_that_names_a_strange_modality_is_refused() -> None:
    for objective, message in (
        (
            Objective(transform=(InputNoise(0.5, only=("b", "sound")),)),
            r"InputNoise acts on \['sound'\]; there are a, b",
        ),
        (Objective(augment=(CropFlip(only=("picture",)),)), "picture"),
    ):
        task = Toy(recipe=replace(TOY.recipe, objective=objective))
        with pytest.raises(ValueError, match=message):
            objective_of(task, ARMS["mm_student"], PROBLEM)


# --- arms that train nothing more ----------------------------------------------------------------


def test_the_adjusted_teacher_is_the_teacher_less_the_classes_frequency() -> None:
    """By hand: π is its mean prediction on D_u, and τ log π comes off its logits."""
    objective = Objective(pseudo_labels=PseudoLabelTerm(kind="soft"), adjustment=2.0)
    task = Branches(Recipe(SHORT, SHORT, objective))
    problem = task.problem(0)
    fit = train(teacher_of(task, 0, problem))
    plain = teacher_itself(task, ARMS["um_teacher"], problem, fit)
    adjusted = teacher_itself(task, ARMS["um_teacher_adjusted"], problem, fit)
    assert plain.student is fit.model and plain.fit.history == adjusted.fit.history
    own = predict(fit.model, problem.unlabelled)
    shares = torch.softmax(own, dim=1).half().double().mean(dim=[0, 2, 3])
    shares = shares / shares.sum()  # halves do not add up to 1 by themselves
    expected = own - 2.0 * shares.log().reshape(1, -1, 1, 1)
    found = predict(adjusted.student, problem.unlabelled)
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert torch.equal(adjusted.predictions, found.argmax(dim=1).to(adjusted.predictions.dtype))
    assert torch.equal(adjusted.pseudo.hard, plain.pseudo.hard)  # its labels stay its own
    assert 0.0 < adjusted.account.agreement < 1.0 == plain.account.agreement
