"""L_pl + γ L_reg by hand, with a perturbation that is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.objective import (
    Objective,
    PseudoLabels,
    as_classes,
    as_target,
    decide,
    label,
    student_loss,
)
from mke_theory.rng import Stream
from mke_theory.transforms import Compose, Dropout, InputNoise, Transform
from mke_theory.types import UNKNOWN, Batch, Pool

LN3 = math.log(3.0)
ln = math.log


@dataclass(frozen=True)
class Shift(Transform):
    """x + by: a perturbation without chance."""

    by: float = LN3

    def inputs(self, inputs: Mapping[str, Tensor], stream: Stream) -> dict[str, Tensor]:
        return {name: x + self.by for name, x in inputs.items()}


class Odds(nn.Module):
    """Logits (0, x): class 1 has probability 1/(1 + e^−x), so 1/2 at 0 and 3/4 at ln 3."""

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        x = inputs["x"]
        return torch.stack([torch.zeros_like(x), x], dim=1)


class Itself(nn.Module):
    """The logits are the input."""

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return inputs["x"]


def batch(x: Any, target: Any) -> Batch:
    return Batch({"x": torch.as_tensor(x, dtype=torch.float64)}, torch.as_tensor(target))


def values(objective: Objective, model: nn.Module, given: Batch, by: float = LN3) -> list[float]:
    return student_loss(objective, Shift(by))(model, given, Stream(0)).tolist()


# --- one question with k answers -----------------------------------------------------------------


def test_clean_and_without_regulariser_it_is_cross_entropy() -> None:
    logits, target = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 1, 1])
    expected = nn.functional.cross_entropy(logits, target, reduction="none")
    found = values(Objective(view="clean"), Itself(), batch(logits, target))
    assert found == pytest.approx(expected.tolist())


def test_the_perturbed_view_by_hand() -> None:
    # At x = 0 the student says 1/2; moved by ln 3 it says 3/4 for class 1.
    both = batch([0.0, 0.0], [0, 1])
    assert values(Objective(), Odds(), both) == pytest.approx([ln(4), ln(4 / 3)])
    assert values(Objective(view="clean"), Odds(), both) == pytest.approx([ln(2), ln(2)])


APART = {
    "squared_l2": 2 * 0.25**2,
    "kl": 0.5 * ln(0.5 / 0.25) + 0.5 * ln(0.5 / 0.75),
    "cross_entropy": -0.5 * ln(0.25) - 0.5 * ln(0.75),
}


@pytest.mark.parametrize("consistency", list(APART))
@pytest.mark.parametrize(("view", "taught"), [("perturbed", ln(4 / 3)), ("clean", ln(2))])
@pytest.mark.parametrize("gamma", [0.5, 3.0])
def test_the_regulariser_by_hand(consistency: Any, view: Any, taught: float, gamma: float) -> None:
    objective = Objective(view=view, gamma=gamma, consistency=consistency)
    found = values(objective, Odds(), batch([0.0], [1]))
    assert found == pytest.approx([taught + gamma * APART[consistency]])


def test_soft_labels_at_a_temperature_by_hand() -> None:
    # x/τ = ln 3, so the student says (1/4, 3/4) at temperature 2; the teacher says (1/5, 4/5).
    objective = Objective(labels="soft", temperature=2.0, view="clean")
    given = batch([2 * LN3], torch.tensor([[0.2, 0.8]], dtype=torch.float64))
    expected = 4 * (0.2 * ln(0.2 / 0.25) + 0.8 * ln(0.8 / 0.75))
    assert values(objective, Odds(), given) == pytest.approx([expected])


def test_what_is_left_out_costs_nothing_and_still_counts_in_the_mean() -> None:
    hard = batch([0.0, 0.0, 0.0, 0.0], [1, UNKNOWN, UNKNOWN, 1])
    assert values(Objective(), Odds(), hard) == pytest.approx([ln(4 / 3), 0.0, 0.0, ln(4 / 3)])
    soft = batch([0.0, 0.0], torch.tensor([[0.5, 0.5], [0.0, 0.0]], dtype=torch.float64))
    objective = Objective(labels="soft", view="clean", gamma=1.0)
    # L_reg does not ask for a label: it is there for the sample that was left out, too.
    expected = [0.0 + APART["squared_l2"], APART["squared_l2"]]
    assert values(objective, Odds(), soft) == pytest.approx(expected)


def test_dense_predictions_average_over_pixels() -> None:
    x = torch.zeros(2, 2, 3, dtype=torch.float64)
    target = torch.tensor([[[0, 1, 1], [1, 1, 1]], [[0, 0, UNKNOWN], [UNKNOWN] * 3]])
    found = values(Objective(gamma=2.0), Odds(), batch(x, target))
    regular = 2 * APART["squared_l2"]
    by_hand = [(ln(4) + 5 * ln(4 / 3)) / 6 + regular, 2 * ln(4) / 6 + regular]
    assert found == pytest.approx(by_hand)


@pytest.mark.parametrize("k", [2, 3, 40])
@pytest.mark.parametrize("spatial", [(), (2,), (2, 3)])
def test_a_hard_label_is_a_soft_one_that_is_certain(k: int, spatial: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(k)
    logits = torch.randn(5, k, *spatial, generator=draw, dtype=torch.float64)
    hard = torch.randint(0, k, (5, *spatial), generator=draw)
    soft = nn.functional.one_hot(hard, k).movedim(-1, 1).double()
    objective = Objective(gamma=0.7)
    found = [values(objective, Itself(), batch(logits, target)) for target in (hard, soft)]
    assert found[0] == pytest.approx(found[1])


# --- k yes/no questions --------------------------------------------------------------------------


def test_multi_label_by_hand() -> None:
    # Three questions at logits (0, ln 3, −ln 3): present with probability 1/2, 3/4, 1/4.
    logits = [[0.0, LN3, -LN3]]
    objective = Objective(multilabel=True, view="clean")
    hard = values(objective, Itself(), batch(logits, [[1, 0, UNKNOWN]]))
    assert hard == pytest.approx([(ln(2) + ln(4) + 0) / 3])
    soft = replace(objective, labels="soft")
    target = torch.tensor([[0.2, 0.75, math.nan]], dtype=torch.float64)
    first = 0.2 * ln(0.2 / 0.5) + 0.8 * ln(0.8 / 0.5)
    assert values(soft, Itself(), batch(logits, target)) == pytest.approx([(first + 0 + 0) / 3])
    unknown = torch.tensor([[0.2, 0.75, -1.0]], dtype=torch.float64)
    assert values(soft, Itself(), batch(logits, unknown)) == pytest.approx([first / 3])


def test_multi_label_certain_targets_give_binary_cross_entropy() -> None:
    logits = torch.randn(4, 3, dtype=torch.float64)
    target = torch.randint(0, 2, (4, 3))
    expected = nn.functional.binary_cross_entropy_with_logits(
        logits, target.double(), reduction="none"
    ).mean(dim=1)
    for given in (target, target.double()):
        found = values(Objective(multilabel=True, view="clean"), Itself(), batch(logits, given))
        assert found == pytest.approx(expected.tolist())


def test_multi_label_consistency_by_hand() -> None:
    # From logit 0 to ln 3 a question moves from 1/2 to 3/4: (1/4)² twice, the mean over questions.
    objective = Objective(multilabel=True, view="clean", gamma=3.0)
    found = values(objective, Itself(), batch([[0.0, 0.0]], [[1, 1]]))
    assert found == pytest.approx([ln(2) + 3 * APART["squared_l2"]])


# --- how the model is called ---------------------------------------------------------------------


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def forward(self, inputs: Mapping[str, Tensor], *more: Any) -> Tensor:
        self.calls.append(more)
        return Odds()(inputs)


@pytest.mark.parametrize(
    ("objective", "calls"),
    [
        (Objective(), 1),
        (Objective(view="clean"), 1),
        (Objective(gamma=0.1), 2),
        (Objective(gamma=0.1, view="clean"), 2),
    ],
)
def test_no_view_is_computed_in_vain(objective: Objective, calls: int) -> None:
    model = Counting()
    values(objective, model, batch([0.0], [1]))
    assert model.calls == [()] * calls  # a T of inputs hands no second argument


def test_a_perturbation_of_features_is_handed_to_the_model() -> None:
    class Featured(nn.Module):
        def forward(
            self, inputs: Mapping[str, Tensor], hidden: Callable[[Any], Any] | None = None
        ) -> Tensor:
            features = {"x": inputs["x"].unsqueeze(1)}
            features = features if hidden is None else hidden(features)
            return Odds()({"x": features["x"][:, 0]})

    many = batch([LN3] * 4000, [1] * 4000)
    loss = student_loss(Objective(), Compose((Compose((Dropout(0.25),)),)))
    found = loss(Featured(), many, Stream(0))
    # A feature is 0 (loss ln 2) or ln 3 · 4/3. The share of zeros is 1/4 ± 0.0068; it leaves the
    # interval of ± 5 sd for one seed in 1.7 million.
    kept = torch.isclose(found, torch.tensor(ln(1 + 3 ** (-4 / 3)), dtype=torch.float64))
    dropped = torch.isclose(found, torch.tensor(ln(2), dtype=torch.float64))
    assert bool((kept | dropped).all())
    assert abs(dropped.double().mean().item() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 4000)
    again = loss(Featured(), many, Stream(0))
    assert torch.equal(found, again)
    assert not torch.equal(found, loss(Featured(), many, Stream(1)))


def test_noise_comes_from_the_stream_alone() -> None:
    pool = Pool({"x": torch.ones(8)}, torch.ones(8, dtype=torch.long))
    loss = student_loss(Objective(gamma=1.0), InputNoise(0.5).calibrated(pool))
    first = loss(Odds(), pool[:], Stream(3))
    torch.manual_seed(123)
    assert torch.equal(first, loss(Odds(), pool[:], Stream(3)))


# --- what the teacher says -----------------------------------------------------------------------

# Class 1 with probability 3/4, and with 1/2 (a tie, which the first class wins).
TEACHER = torch.tensor([[0.0, LN3], [0.0, 0.0]], dtype=torch.float64)


def test_pseudo_labels_by_hand() -> None:
    hard = label(TEACHER, Objective())
    assert (hard.hard.tolist(), hard.target.tolist(), hard.classes) == ([1, 0], [1, 0], 2)
    assert hard.confidence.tolist() == pytest.approx([0.75, 0.5])
    soft = label(TEACHER, Objective(labels="soft"))
    assert soft.target.flatten().tolist() == pytest.approx([0.25, 0.75, 0.5, 0.5])
    warm = label(2 * TEACHER, Objective(labels="soft", temperature=2.0))
    assert warm.target.flatten().tolist() == pytest.approx([0.25, 0.75, 0.5, 0.5])
    assert warm.confidence.tolist() == pytest.approx([0.75, 0.5])


def test_a_threshold_leaves_out_what_is_less_sure() -> None:
    hard = label(TEACHER, Objective(threshold=0.6))
    assert hard.target.tolist() == [1, UNKNOWN]
    assert hard.hard.tolist() == [1, 0]  # the account still hears what the teacher said
    soft = label(TEACHER, Objective(labels="soft", threshold=0.6))
    assert soft.target.flatten().tolist() == pytest.approx([0.25, 0.75, 0.0, 0.0])
    # A confidence that equals the threshold is enough.
    assert label(TEACHER[1:], Objective(threshold=0.5)).target.tolist() == [0]


def test_multi_label_pseudo_labels_by_hand() -> None:
    logits = torch.tensor([[LN3, -LN3, 0.0]], dtype=torch.float64)
    hard = label(logits, Objective(multilabel=True, threshold=0.6))
    assert (hard.hard.tolist(), hard.target.tolist()) == ([[1, 0, 1]], [[1, 0, UNKNOWN]])
    assert hard.confidence.flatten().tolist() == pytest.approx([0.75, 0.75, 0.5])
    assert hard.classes == 2
    soft = label(logits, Objective(multilabel=True, labels="soft", threshold=0.6))
    assert soft.target[0, :2].tolist() == pytest.approx([0.75, 0.25])
    assert math.isnan(soft.target[0, 2])


def test_dense_pseudo_labels_by_hand() -> None:
    logits = TEACHER.T[None, :, None, :]  # one image of 1 × 2 pixels
    found = label(logits, Objective(threshold=0.6))
    assert (found.hard.tolist(), found.target.tolist()) == ([[[1, 0]]], [[[1, UNKNOWN]]])
    soft = label(logits, Objective(labels="soft", threshold=0.6))
    assert soft.target.flatten().tolist() == pytest.approx([0.25, 0.0, 0.75, 0.0])


def test_decisions_by_hand() -> None:
    assert decide(torch.tensor([[0.1, 0.3, 0.2], [5.0, 1.0, 1.0]])).tolist() == [1, 0]
    assert decide(torch.tensor([[0.0, -0.1, 2.0]]), multilabel=True).tolist() == [[1, 0, 1]]
    assert decide(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5)


# --- true labels beside pseudo labels ------------------------------------------------------------


def pseudo(target: Tensor, hard: Tensor, classes: int) -> PseudoLabels:
    return PseudoLabels(target, hard, torch.ones(hard.shape), classes)


def known(labels: Any) -> Pool:
    labels = torch.as_tensor(labels)
    return Pool({"x": torch.zeros(len(labels))}, labels)


def test_truth_in_the_form_of_hard_labels() -> None:
    like = pseudo(torch.tensor([2]), torch.tensor([2]), 3)
    assert as_target(known([0, 2, UNKNOWN]), like).labels.tolist() == [0, 2, UNKNOWN]


def test_truth_in_the_form_of_soft_labels() -> None:
    like = pseudo(torch.ones(1, 3) / 3, torch.tensor([2]), 3)
    found = as_target(known([2, 0, UNKNOWN]), like).labels
    assert found.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert found.dtype == torch.float32
    sure = known([[0.5, 0.25, 0.25]])
    assert torch.equal(as_target(sure, like).labels, sure.labels)
    dense = pseudo(torch.ones(1, 3, 1, 2) / 3, torch.zeros(1, 1, 2, dtype=torch.long), 3)
    assert as_target(known([[[1, UNKNOWN]]]), dense).labels.tolist() == [
        [[[0, 0]], [[1, 0]], [[0, 0]]]
    ]


@pytest.mark.parametrize("truth", [[[1, 0, -1]], [[1.0, 0.0, -1.0]]])
def test_truth_in_the_form_of_multi_label_targets(truth: Any) -> None:
    hard = torch.tensor([[0, 1, 1]])
    found = as_target(known(truth), pseudo(hard, hard, 2)).labels
    assert found.tolist() == [[1, 0, UNKNOWN]] and not found.is_floating_point()
    soft = as_target(known(truth), pseudo(hard.float(), hard, 2)).labels
    assert soft[0, :2].tolist() == [1.0, 0.0] and math.isnan(soft[0, 2])


def test_classes_of_targets() -> None:
    single = pseudo(torch.tensor([0]), torch.tensor([0]), 3)
    assert as_classes(torch.tensor([2, UNKNOWN]), single).tolist() == [2, UNKNOWN]
    assert as_classes(torch.tensor([[0.2, 0.5, 0.3]]), single).tolist() == [1]
    many = pseudo(torch.tensor([[0, 1]]), torch.tensor([[0, 1]]), 2)
    assert as_classes(torch.tensor([[0.5, -1.0]]), many).tolist() == [[1, UNKNOWN]]


# --- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0.0),
        ("temperature", math.inf),
        ("temperature", math.nan),
        ("threshold", -0.1),
        ("threshold", 1.1),
        ("gamma", -1.0),
        ("gamma", math.nan),
        ("gamma", math.inf),
        ("labels", "firm"),
        ("view", "both"),
        ("consistency", "l2"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field} is {value!r}"):
        replace(Objective(), **{field: value})
