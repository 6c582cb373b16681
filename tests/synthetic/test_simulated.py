from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import InputNoise
from mke_theory.models import ConvEncoder, count_parameters
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.keys import config_hash
from mke_theory.study.overrides import changed
from mke_theory.study.records import FILE, Records
from mke_theory.study.result import Result, Run
from mke_theory.study.runner import run
from mke_theory.study.study import execute, plan
from mke_theory.study.task import Recipe, Task
from mke_theory.synthetic.discrete import Discrete, gate
from mke_theory.synthetic.gaussian import Gaussian
from mke_theory.synthetic.observed import Bumps, Observed
from mke_theory.synthetic.simulated import Simulated, pool_of
from mke_theory.training.loop import TrainConfig

QUICK = Recipe(TrainConfig(steps=3), TrainConfig(steps=3), Objective(transform=(InputNoise(1.0),)))
THREE = ("alpha", "beta", "gamma")
WORLD = gate(lambda bits: bits[:, 1], 2, THREE, noise=0.26)  # β alone decides
PAIRS = Gaussian(signal=(0.7, 1.5), dims=(2, 3))


def simulated(**changes: object) -> Simulated:
    small = Simulated(QUICK, WORLD, labelled=12, unlabelled=30, test=20, hidden=(6,))
    return replace(small, **changes)  # type: ignore[arg-type]


# Parts


def test_the_parts_are_what_the_method_may_see() -> None:
    problem = simulated().problem(3)
    assert problem.labelled.modalities == problem.teacher_modalities == ("alpha",)
    assert problem.unlabelled.modalities == problem.test.modalities == problem.modalities == THREE
    assert [len(problem.labelled), len(problem.unlabelled), len(problem.test)] == [12, 30, 20]
    assert problem.classes == 2
    assert all(x.dtype == torch.float32 for x in problem.test.inputs.values())


def test_the_teachers_modalities_can_be_others_and_several() -> None:
    task = simulated(teacher_modalities=("gamma", "beta"))
    problem = task.problem(0)
    assert task.alpha == problem.teacher_modalities == ("beta", "gamma")
    assert problem.modalities == ("beta", "gamma", "alpha")
    assert task.teacher_bayes == WORLD.bayes_error(("beta", "gamma"))
    assert task.student_bayes == WORLD.bayes_error()


def test_a_problem_is_pure_in_its_seed_and_parts_do_not_move_each_other() -> None:
    one, again, other = simulated().problem(1), simulated().problem(1), simulated().problem(2)
    assert one.split_hash == again.split_hash != other.split_hash
    more = simulated(labelled=40).problem(1)
    torch.testing.assert_close(more.unlabelled.labels, one.unlabelled.labels)
    torch.testing.assert_close(more.test.inputs["beta"], one.test.inputs["beta"])


def test_mismatched_pairs_are_in_the_unlabelled_part_alone() -> None:
    clean, mixed = simulated().problem(1), simulated(mismatched=0.5).problem(1)
    torch.testing.assert_close(mixed.labelled.inputs, clean.labelled.inputs)
    torch.testing.assert_close(mixed.test.inputs, clean.test.inputs)
    torch.testing.assert_close(mixed.unlabelled.inputs["alpha"], clean.unlabelled.inputs["alpha"])
    one, other = clean.unlabelled.inputs["beta"], mixed.unlabelled.inputs["beta"]
    torch.testing.assert_close(one.sum(dim=0), other.sum(dim=0))  # the same rows, moved about
    assert not torch.equal(one, other)


def test_labelled_samples_hold_two_classes() -> None:
    # Two labelled samples share a class in half of the draws: then they are drawn again.
    for seed in range(30):
        labels = simulated(labelled=2).problem(seed).labelled.labels
        assert sorted(labels.tolist()) == [0, 1]
    rare = Discrete.of(np.array([[0.5, 0.4999995], [0.0, 5e-7]]), ("alpha",))
    with pytest.raises(ValueError, match="one class alone in 100 draws"):
        simulated(world=rare, labelled=5).problem(0)


def test_errors_of_a_problem_agree_with_the_exact_ones() -> None:
    # Of two worlds, α alone and all: intervals at 1 − 1e-5, a false alarm in 0.004% of seeds.
    for world in (WORLD, PAIRS):
        task = Simulated(QUICK, world, test=4000)
        problem = task.problem(0)
        for names, exact in ((task.alpha, task.teacher_bayes), (None, task.student_bayes)):
            inputs = {m: x.double().numpy() for m, x in problem.test.inputs.items()}
            read = inputs if names is None else {m: inputs[m] for m in names}
            guess = world.posterior(read).argmax(axis=1)
            wrong = int((guess != problem.test.labels.numpy()).sum())
            interval = clopper_pearson(wrong, 4000, level=1 - 1e-5)
            assert interval.low <= exact.value <= interval.high


# Models


def test_linear_deep_and_encoded_models() -> None:
    problem = simulated().problem(0)
    linear = simulated(hidden=())
    assert count_parameters(linear.model(problem, THREE)) == 2 * 6 + 2
    assert linear.width(THREE) == 1
    with pytest.raises(ValueError, match="linear"):
        linear.model(problem, ("alpha",), 7)
    deep = simulated(hidden=(8, 4))
    assert count_parameters(deep.model(problem, ("alpha",))) == 2 * 8 + 8 + 8 * 4 + 4 + 4 * 2 + 2
    wider = deep.model(problem, ("alpha",), 16)
    assert count_parameters(wider) == 2 * 16 + 16 + 16 * 8 + 8 + 8 * 2 + 2
    encoded = simulated(network="encoders", hidden=(5,)).model(problem, THREE)
    assert count_parameters(encoded) == 3 * (2 * 5 + 5) + 15 * 5 + 5 + 5 * 2 + 2


def test_images_have_convolutional_encoders() -> None:
    names = PAIRS.modalities
    seen = Observed(PAIRS, (Bumps(names[0]), Bumps(names[1], side=8)))
    task = Simulated(QUICK, seen, unlabelled=6, test=4, hidden=(8,), network="encoders")
    problem = task.problem(0)
    model = task.model(problem, problem.modalities)
    assert sum(isinstance(m, ConvEncoder) for m in model.modules()) == 2
    assert model(problem.test.inputs).shape == (4, 2)


def test_a_modality_may_be_missing_where_the_setting_says_so() -> None:
    problem = simulated().problem(0)
    lacking = dict(problem.unlabelled.inputs)
    lacking["beta"] = torch.full_like(lacking["beta"], float("nan"))
    model = simulated(if_missing="learned").model(problem, THREE)
    assert torch.isfinite(model(lacking)).all()


# As a task


def test_it_is_a_task_with_a_name_of_its_own() -> None:
    task: Task = simulated()
    assert task.name == simulated().name != simulated(labelled=13).name
    assert task.name.startswith("discrete_")
    assert simulated(called="mine").name == "mine"
    assert task.title.endswith(task.name)
    assert hash(task) == hash(simulated())
    assert config_hash(task) != config_hash(simulated(mismatched=0.5))
    assert changed(simulated(), "mismatched=0.25").mismatched == 0.25


def test_every_arm_runs() -> None:
    runs = [Run(simulated(), arm, 0) for arm in ARMS.values()]
    for one, result in zip(runs, run(runs), strict=True):
        assert isinstance(result, Result), result
        assert result.run == one
        right = result.predictions["test"] == result.problem.test.labels
        assert result.test_accuracy == pytest.approx(int(right.sum()) / 20)


def test_two_worlds_share_a_study_and_a_rerun_does_nothing(tmp_path: Path) -> None:
    tasks = [simulated(), simulated(world=PAIRS)]
    runs = plan(tasks, [ARMS["mm_student"]], range(2))
    with Records.open(tmp_path) as records:
        done, failures = execute(runs, records, RunConfiguration())
        assert not failures
        assert len(done) == 8
        assert {record.task for record in done} == {task.name for task in tasks}
        before = (tmp_path / FILE).read_bytes()
        execute(runs, records, RunConfiguration())
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.slow
def test_a_student_beats_its_teacher_where_beta_knows_more() -> None:
    # Bayes: teacher .242, student .049. If students were as often worse as better, 9 of 10 draws
    # or more would gain with probability 0.011.
    # An error five standard errors below Bayes (.024) would mean that the student has seen the
    # labels of test: an honest one falls that low with probability 3e-7 a draw.
    world = Gaussian(signal=(0.7, 1.5), dims=(1, 1), mixing_seed=None)
    config = TrainConfig(steps=300, learning_rate=0.01)
    recipe = Recipe(config, config, Objective(transform=(InputNoise(2.0, only=("x1",)),)))
    task = Simulated(recipe, world, labelled=50, unlabelled=1000, test=2000)
    gains = []
    for seed in range(10):
        runs = [Run(task, ARMS[name], seed) for name in ("um_teacher", "mm_student")]
        teacher, student = (result.test_accuracy for result in run(runs))
        assert 1 - student >= task.student_bayes.value - 5 * np.sqrt(0.05 / 2000)
        gains.append(student - teacher)
    assert sum(gain > 0 for gain in gains) >= 9, gains


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labelled": 1}, "labelled is 1"),
        ({"test": 0}, "test is 0"),
        ({"hidden": (4, 0)}, "at least one unit"),
        ({"network": "convolution"}, "coordinates or encoders"),
        ({"teacher_modalities": ("delta",)}, "delta"),
        ({"teacher_modalities": ()}, "at least one"),
        ({"mismatched": 0.5, "teacher_modalities": THREE}, "none left to mismatch"),
        ({"mismatched": 1.5}, r"mismatched is 1.5; it has to lie in \[0, 1\]"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulated(**changes)


def test_a_pool_keeps_values_and_labels() -> None:
    draw = WORLD.sample(9, np.random.default_rng(0))
    pool = pool_of(draw)
    np.testing.assert_array_equal(pool.labels.numpy(), draw.labels)
    np.testing.assert_array_equal(pool.inputs["beta"].numpy(), draw.inputs["beta"])
