"""Self-training, label spreading, co-training and a mean of logits on problems of known answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from mke_theory.data.pool import Pool, join
from mke_theory.data.problem import Problem, Truth
from mke_theory.data.rng import seed_for
from mke_theory.method.algorithm import fit_teacher, pseudo_label
from mke_theory.method.evidence import carry_out
from mke_theory.models import MLP, multimodal
from mke_theory.study.semi_supervised.baselines import (
    CoTraining,
    Predictions,
    co_training,
    co_training_plan,
    label_spreading,
    late_average,
    self_training,
    with_the_surest,
)
from mke_theory.training.loop import TrainConfig
from mke_theory.training.predict import predict
from mke_theory.training.vectorised.engine import side_by_side

ALPHA, BETA = ("a",), ("b",)
CONFIG = TrainConfig(steps=60, learning_rate=0.05)


def moons(n: int, seed: int, noise: float = 0.4) -> Pool:
    """Two classes at ∓1 in α, blurred, and at ∓2 in β, clear."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    side = 2.0 * y[:, None] - 1.0
    a = side + noise * torch.randn(n, 1, generator=draw)
    b = 2 * side + 0.1 * torch.randn(n, 2, generator=draw)
    return Pool({"a": a, "b": b}, y)


def problem(noise: float = 0.4) -> Problem:
    return Problem.of(moons(6, 0, noise), moons(60, 1, noise), moons(40, 2, noise), ALPHA, 2)


def build(view: tuple[str, ...]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        encoders = {name: MLP([{"a": 1, "b": 2}[name], 4]) for name in view}
        return multimodal(encoders, 2)


# --- scikit-learn's ------------------------------------------------------------------------------


def test_self_training_with_a_certainty_that_nobody_has_is_logistic_regression() -> None:
    here = problem(1.0)
    x = torch.cat([here.labelled.inputs["a"], here.unlabelled.inputs["a"]]).double().numpy()
    scaler = StandardScaler().fit(x)
    known = scaler.transform(here.labelled.inputs["a"].double().numpy())
    direct = LogisticRegression(max_iter=2000).fit(known, here.labelled.labels.numpy())
    found = self_training(here, ALPHA, certainty=0.999999)
    for pool, predicted in ((here.unlabelled, found.unlabelled), (here.test, found.test)):
        expected = direct.predict(scaler.transform(pool.inputs["a"].double().numpy()))
        assert predicted.tolist() == expected.tolist()


@pytest.mark.parametrize("modalities", [ALPHA, ("a", "b")])
def test_both_solve_what_is_easy(modalities: tuple[str, ...]) -> None:
    here = problem(0.1)
    for found in (self_training(here, modalities), label_spreading(here, modalities)):
        assert torch.equal(found.unlabelled, here.truth.labels)
        assert torch.equal(found.test, here.test.labels)


def test_self_training_learns_beta_from_its_own_answers() -> None:
    # On β alone all samples of D_l are alike (they have none): what is learned came from D_u.
    here = problem(1.0)
    wrong = [
        int((self_training(here, modalities).test != here.test.labels).sum())
        for modalities in (ALPHA, ("a", "b"))
    ]
    assert wrong[0] > 0 and wrong[1] < wrong[0]


@pytest.mark.parametrize("baseline", [self_training, label_spreading])
def test_neither_the_truth_nor_beta_of_the_labelled_is_read(baseline: Any) -> None:
    here = problem()
    blind = replace(
        here,
        labelled=here.labelled.only(ALPHA),
        truth=Truth(1 - here.truth.labels),
    )
    first, second = baseline(here), baseline(blind)
    assert torch.equal(first.unlabelled, second.unlabelled)
    assert torch.equal(first.test, second.test)


def test_where_no_label_arrives_there_is_no_answer() -> None:
    # Four far clusters of five samples; labels in two of them, and three neighbours each.
    at = torch.tensor([0.0, 100.0, 200.0, 300.0]).repeat_interleave(5)
    x = (at + 0.1 * torch.arange(20) % 1)[:, None]
    known = Pool({"a": torch.tensor([[0.05], [100.05]])}, torch.tensor([0, 1]))
    rest = Pool({"a": x}, torch.full((20,), -1))
    test = Pool({"a": torch.tensor([[0.0], [100.0], [300.0]])}, torch.tensor([0, 1, 1]))
    found = label_spreading(Problem.of(known, rest, test, ALPHA, 2), neighbours=3)
    assert found.unlabelled.tolist() == [0] * 5 + [1] * 5 + [-1] * 10
    assert found.test.tolist() == [0, 1, -1]


# --- co-training ---------------------------------------------------------------------------------


def test_co_training_by_its_definition() -> None:
    here = problem(1.0)
    found = co_training(here, build, rounds=2, per_class=4, config=CONFIG, seed=7)

    def trained(view: tuple[str, ...], samples: Pool, number: int) -> nn.Module:
        at = seed_for(7, "co-training", number, *view)
        return fit_teacher(build(view), samples, CONFIG, seed=at).model

    def surest(view: tuple[str, ...], model: nn.Module, taken: set[int]) -> dict[int, Any]:
        pseudo = pseudo_label(model, here.unlabelled.only(view))
        named: dict[int, Any] = {}
        for k in range(2):
            rows = [i for i in range(60) if i not in taken and int(pseudo.hard[i]) == k]
            rows.sort(key=lambda i: -float(pseudo.confidence[i]))
            named |= {i: (float(pseudo.confidence[i]), k) for i in rows[:4]}
        return named

    own = here.labelled.only(ALPHA)
    labels = {i: k for i, (_, k) in surest(ALPHA, trained(ALPHA, own, 0), set()).items()}

    def pool(view: tuple[str, ...]) -> Pool:
        rows = sorted(labels)
        named = here.unlabelled.only(view).rows(rows)
        return named.with_labels(torch.tensor([labels[i] for i in rows]))

    votes = [
        surest(ALPHA, trained(ALPHA, join(own, pool(ALPHA)), 1), set(labels)),
        surest(BETA, trained(BETA, pool(BETA), 1), set(labels)),
    ]
    for i in votes[0].keys() | votes[1].keys():
        labels[i] = max((vote[i] for vote in votes if i in vote), key=lambda v: v[0])[1]
    assert {i: int(k) for i, k in enumerate(found.labels) if k >= 0} == labels
    assert 8 < len(labels) <= 24

    models = trained(ALPHA, join(own, pool(ALPHA)), 2), trained(BETA, pool(BETA), 2)
    p = [torch.softmax(predict(model, here.test), dim=1) for model in models]
    assert torch.equal(found.predictions.test, (p[0] * p[1]).argmax(dim=1))


def test_co_training_side_by_side_is_that_one_by_one() -> None:
    given: dict[str, Any] = {"rounds": 2, "per_class": 4, "config": CONFIG, "seed": 7}
    other = Problem.of(moons(6, 3), moons(60, 4), moons(40, 5), ALPHA, 2)
    problems = [problem(1.0), other]
    alone = [co_training(here, build, **given) for here in problems]
    plans = [co_training_plan(here, build, **given) for here in problems]
    for found, expected in zip(carry_out(plans, side_by_side), alone, strict=True):
        assert isinstance(found, CoTraining)
        assert torch.equal(found.labels, expected.labels)
        assert torch.equal(found.predictions.test, expected.predictions.test)
    assert not torch.equal(alone[0].labels, alone[1].labels)


class Odds(nn.Module):
    """Two classes with logits (0, x)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, inputs: Any) -> torch.Tensor:
        x = inputs[self.name][:, 0]
        return torch.stack([torch.zeros_like(x), x], dim=1)


class Quiet(nn.Module):
    """Even logits of two classes."""

    def forward(self, inputs: Any) -> torch.Tensor:
        return torch.zeros(len(inputs["a"]), 2)


def test_of_two_views_the_surer_one_counts() -> None:
    # Each view names its two surest of every class; sample 4 has a label already.
    a = [4.0, 3.0, -1.0, 2.0, 9.0, -2.0]
    b = [-1.0, -5.0, 2.0, 1.0, -9.0, -3.0]
    labels = torch.tensor([-1, -1, -1, -1, 1, -1])
    given = Pool({"a": torch.tensor(a)[:, None], "b": torch.tensor(b)[:, None]}, labels)
    here = Problem.of(problem().labelled, given, given, ALPHA, 2)
    models: list[nn.Module] = [Odds("a"), Odds("b")]
    found = with_the_surest(here, labels, [ALPHA, BETA], models, 2)
    # a names 0, 1 (class 1) and 5, 2 (class 0); b names 2, 3 (class 1) and 1, 5 (class 0). On 1
    # and on 2, where they differ, b is the surer one.
    assert found.tolist() == [1, 0, 1, 1, 1, 0]
    # Whoever comes second, the surer one counts.
    swapped = with_the_surest(here, labels, [BETA, ALPHA], models[::-1], 2)
    assert swapped.tolist() == found.tolist()
    assert labels.tolist() == [-1, -1, -1, -1, 1, -1]


def test_the_second_view_ends_better_than_the_first() -> None:
    here = problem(0.8)
    found = co_training(here, build, rounds=20, per_class=3, config=CONFIG)
    wrong = [
        int((predict(model, here.test).argmax(dim=1) != here.test.labels).sum())
        for model in (found.first, found.second)
    ]
    assert wrong[1] == 0 < wrong[0]
    assert not bool((found.labels == -1).any())  # all of D_u, so it ended before 20 rounds


def test_co_training_reads_neither_the_truth_nor_beta_of_the_labelled() -> None:
    here = problem()
    blind = replace(
        here,
        labelled=here.labelled.only(ALPHA),
        truth=Truth(1 - here.truth.labels),
    )
    first, second = (co_training(each, build, rounds=2, config=CONFIG) for each in (here, blind))
    assert torch.equal(first.labels, second.labels)
    assert torch.equal(first.predictions.test, second.predictions.test)


# --- the mean of logits --------------------------------------------------------------------------


def test_the_mean_of_logits_by_its_definition() -> None:
    here, teacher = problem(1.0), Odds("a")
    named = (here.unlabelled.inputs["a"][:, 0] > 0).long()
    beta = here.unlabelled.only(BETA).with_labels(named)
    at = seed_for(7, "late average")
    second = fit_teacher(build(BETA), beta, CONFIG, seed=at).model
    found = late_average(here, teacher, build, config=CONFIG, seed=7)
    for pool, predicted in ((here.unlabelled, found.unlabelled), (here.test, found.test)):
        logits = predict(teacher, pool).double() + predict(second, pool).double()
        assert torch.equal(predicted, logits.argmax(dim=1))
    assert not torch.equal(found.unlabelled, named)  # the second model has a say


def test_a_second_model_without_a_say_leaves_the_teacher_and_a_loud_one_decides() -> None:
    here = problem(1.0)
    logits = torch.tensor([[0.0, 1e-9], [0.0, 1e9]])

    class Always(nn.Module):
        """Logits of class 1, whatever it is shown; its weight is there to be trained in vain."""

        def __init__(self, row: torch.Tensor) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))
            self.row = row

        def forward(self, inputs: Any) -> torch.Tensor:
            return self.row.expand(len(inputs["b"]), 2) + 0 * self.weight

    once = TrainConfig(steps=1)
    quiet, loud = (
        late_average(here, Odds("a"), lambda _, row=row: Always(row), config=once) for row in logits
    )
    assert torch.equal(quiet.test, (here.test.inputs["a"][:, 0] > 0).long())
    assert bool((loud.test == 1).all()) and bool((loud.unlabelled == 1).all())


def test_the_mean_of_logits_is_better_than_a_poor_teacher_where_beta_is_clear() -> None:
    here, teacher = problem(1.0), Odds("a")
    wrong = [
        int((predicted != here.test.labels).sum())
        for predicted in (
            predict(teacher, here.test).argmax(dim=1),
            late_average(here, teacher, build, config=CONFIG).test,
        )
    ]
    assert wrong[1] < wrong[0]


def test_the_mean_of_logits_reads_neither_the_truth_nor_the_labelled() -> None:
    here = problem()
    blind = replace(
        here,
        labelled=here.labelled.with_labels(1 - here.labelled.labels),
        truth=Truth(1 - here.truth.labels),
    )
    first, second = (late_average(each, Odds("a"), build, config=CONFIG) for each in (here, blind))
    assert torch.equal(first.unlabelled, second.unlabelled)
    assert torch.equal(first.test, second.test)


def test_the_mean_of_logits_depends_on_its_seed_alone() -> None:
    here = problem()

    def drawn(view: tuple[str, ...]) -> nn.Module:
        return multimodal({name: MLP([2, 4]) for name in view}, 2)

    first, again, other = (
        late_average(here, Quiet(), drawn, config=TrainConfig(steps=1), seed=seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(first.test, again.test)
    assert not torch.equal(first.test, other.test)


def test_settings_out_of_range_are_refused() -> None:
    here = problem()
    with pytest.raises(ValueError, match=r"certainty is 1\.0"):
        self_training(here, certainty=1.0)
    with pytest.raises(ValueError, match=r"softness is 0\.0"):
        label_spreading(here, softness=0.0)
    with pytest.raises(ValueError, match=r"neighbours is 66; .* allowed are 1 to 65"):
        label_spreading(here, neighbours=66)
    with pytest.raises(ValueError, match="rounds is 0"):
        co_training(here, build, rounds=0)
    with pytest.raises(ValueError, match="per_class is 0"):
        co_training(here, build, per_class=0)
    parts = {name: getattr(here, name).only(ALPHA) for name in ("labelled", "unlabelled", "test")}
    with pytest.raises(ValueError, match="second view"):
        co_training(replace(here, **parts), build)
    with pytest.raises(ValueError, match="no second view; every modality is the teacher's"):
        late_average(replace(here, **parts), Odds("a"), build)
    dense = torch.zeros(6, 2, dtype=torch.long)
    dense[0] = 1
    with pytest.raises(ValueError, match="one question"):
        self_training(replace(here, labelled=here.labelled.with_labels(dense)))


def test_a_missing_number_of_the_unlabelled_is_their_mean() -> None:
    here = problem(0.1)
    holed = here.unlabelled.inputs["b"].clone()
    holed[:10] = torch.nan
    whole = holed.clone()
    whole[:10] = holed[10:].mean(dim=0)
    found = [
        self_training(replace(here, unlabelled=replace(here.unlabelled, inputs=both)))
        for both in ({**here.unlabelled.inputs, "b": b} for b in (holed, whole))
    ]
    assert torch.equal(found[0].test, found[1].test)
    assert np.isin(found[0].unlabelled.numpy(), [0, 1]).all()


@pytest.mark.parametrize("baseline", [self_training, label_spreading])
def test_strange_modalities_and_wholly_missing_numbers_are_refused(
    baseline: Callable[..., Predictions],
) -> None:
    problem = Problem.of(
        labelled=Pool({"a": torch.tensor([[0.0], [1.0]])}, torch.tensor([0, 1])),
        unlabelled=Pool(
            {"a": torch.rand(9, 1), "b": torch.full((9, 1), torch.nan)}, torch.zeros(9).long()
        ),
        test=Pool({"a": torch.rand(4, 1), "b": torch.rand(4, 1)}, torch.zeros(4).long()),
        teacher_modalities=("a",),
        classes=2,
    )
    for modalities in ((), ("c",), "bc"):
        with pytest.raises(ValueError, match="give a tuple of one or more"):
            baseline(problem, modalities)
    with pytest.raises(ValueError, match=r"missing .* in all of D_u"):
        baseline(problem)
    assert len(baseline(problem, ("a",)).test) == 4
