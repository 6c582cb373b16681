"""L_pl + γ L_reg by hand, with a perturbation that is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import UNKNOWN, Batch, Pool
from mke_theory.data.rng import Stream
from mke_theory.method.objective import (
    Anchor,
    Consistency,
    Distance,
    Objective,
    PseudoLabelTerm,
    Source,
)
from mke_theory.method.student_loss import loss_on, shares_of, student_loss
from mke_theory.method.transforms import Compose, Dropout, GaussianNoise, InputNoise, Transform
from mke_theory.training.loop import Moment, TrainConfig, fit

LN3 = math.log(3.0)
ln = math.log
CLEAN = PseudoLabelTerm(view="clean")
OTHER = PseudoLabelTerm(view="other")


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
    return student_loss(objective, Shift(by))(model, given, Stream(0), Moment()).tolist()


# --- one question with k answers -----------------------------------------------------------------


def test_clean_and_without_regulariser_it_is_cross_entropy() -> None:
    logits, target = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 1, 1])
    expected = nn.functional.cross_entropy(logits, target, reduction="none")
    found = values(Objective(pseudo_labels=CLEAN), Itself(), batch(logits, target))
    assert found == pytest.approx(expected.tolist())


def test_the_perturbed_view_by_hand() -> None:
    # At x = 0 the student says 1/2; moved by ln 3 it says 3/4 for class 1.
    both = batch([0.0, 0.0], [0, 1])
    assert values(Objective(), Odds(), both) == pytest.approx([ln(4), ln(4 / 3)])
    assert values(Objective(pseudo_labels=CLEAN), Odds(), both) == pytest.approx([ln(2), ln(2)])


APART = {
    "squared_l2": 2 * 0.25**2,
    "kl": 0.5 * ln(0.5 / 0.25) + 0.5 * ln(0.5 / 0.75),
    "cross_entropy": -0.5 * ln(0.25) - 0.5 * ln(0.75),
    "hard": ln(4),  # at 1/2 the classes tie, and the first counts
}


@pytest.mark.parametrize("distance", list(APART))
@pytest.mark.parametrize(("view", "taught"), [("perturbed", ln(4 / 3)), ("clean", ln(2))])
@pytest.mark.parametrize("gamma", [0.5, 3.0])
def test_the_regulariser_by_hand(distance: Any, view: Any, taught: float, gamma: float) -> None:
    objective = Objective(
        pseudo_labels=PseudoLabelTerm(view=view),
        consistency=Consistency(gamma=gamma, distance=distance),
    )
    found = values(objective, Odds(), batch([0.0], [1]))
    assert found == pytest.approx([taught + gamma * APART[distance]])


def test_soft_labels_at_a_temperature_by_hand() -> None:
    # x/τ = ln 3, so the student says (1/4, 3/4) at temperature 2; the teacher says (1/5, 4/5).
    objective = Objective(pseudo_labels=PseudoLabelTerm(kind="soft", temperature=2.0, view="clean"))
    given = batch([2 * LN3], torch.tensor([[0.2, 0.8]], dtype=torch.float64))
    expected = 4 * (0.2 * ln(0.2 / 0.25) + 0.8 * ln(0.8 / 0.75))
    assert values(objective, Odds(), given) == pytest.approx([expected])


def test_what_is_left_out_costs_nothing_and_still_counts_in_the_mean() -> None:
    hard = batch([0.0, 0.0, 0.0, 0.0], [1, UNKNOWN, UNKNOWN, 1])
    assert values(Objective(), Odds(), hard) == pytest.approx([ln(4 / 3), 0.0, 0.0, ln(4 / 3)])
    soft = batch([0.0, 0.0], torch.tensor([[0.5, 0.5], [0.0, 0.0]], dtype=torch.float64))
    objective = Objective(
        pseudo_labels=PseudoLabelTerm(kind="soft", view="clean"), consistency=Consistency(gamma=1.0)
    )
    # L_reg does not ask for a label: it is there for the sample that was left out, too.
    expected = [0.0 + APART["squared_l2"], APART["squared_l2"]]
    assert values(objective, Odds(), soft) == pytest.approx(expected)


def test_dense_predictions_average_over_pixels() -> None:
    x = torch.zeros(2, 2, 3, dtype=torch.float64)
    target = torch.tensor([[[0, 1, 1], [1, 1, 1]], [[0, 0, UNKNOWN], [UNKNOWN] * 3]])
    found = values(Objective(consistency=Consistency(gamma=2.0)), Odds(), batch(x, target))
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
    objective = Objective(consistency=Consistency(gamma=0.7))
    found = [values(objective, Itself(), batch(logits, target)) for target in (hard, soft)]
    assert found[0] == pytest.approx(found[1])


# --- k yes/no questions --------------------------------------------------------------------------


def test_multi_label_by_hand() -> None:
    # Three questions at logits (0, ln 3, −ln 3): present with probability 1/2, 3/4, 1/4.
    logits = [[0.0, LN3, -LN3]]
    objective = Objective(multilabel=True, pseudo_labels=CLEAN)
    hard = values(objective, Itself(), batch(logits, [[1, 0, UNKNOWN]]))
    assert hard == pytest.approx([(ln(2) + ln(4) + 0) / 3])
    soft = replace(objective, pseudo_labels=replace(objective.pseudo_labels, kind="soft"))
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
        objective = Objective(multilabel=True, pseudo_labels=CLEAN)
        found = values(objective, Itself(), batch(logits, given))
        assert found == pytest.approx(expected.tolist())


def test_multi_label_consistency_by_hand() -> None:
    # From logit 0 to ln 3 a question moves from 1/2 to 3/4: (1/4)² twice, the mean over questions.
    objective = Objective(multilabel=True, pseudo_labels=CLEAN, consistency=Consistency(gamma=3.0))
    found = values(objective, Itself(), batch([[0.0, 0.0]], [[1, 1]]))
    assert found == pytest.approx([ln(2) + 3 * APART["squared_l2"]])


# --- the other view ------------------------------------------------------------------------------

# The student says 1/2 of class 1 at x, 3/4 at T(x) and 1/4 at T'(x).
TWISTED = Objective(consistency=Consistency(gamma=2.0), anchor=Anchor(transform=(Shift(-LN3),)))


@pytest.mark.parametrize(
    ("view", "taught"), [("perturbed", ln(4 / 3)), ("clean", ln(2)), ("other", ln(4))]
)
def test_three_views_by_hand(view: Any, taught: float) -> None:
    objective = replace(TWISTED, pseudo_labels=PseudoLabelTerm(view=view))
    found = values(objective, Odds(), batch([0.0], [1]))
    assert found == pytest.approx([taught + 2 * (2 * 0.5**2)])


def test_the_same_view_by_hand() -> None:
    objective = Objective(
        consistency=Consistency(gamma=2.0, distance="cross_entropy"),
        anchor=Anchor(transform="same"),
    )
    entropy = -0.25 * ln(0.25) - 0.75 * ln(0.75)
    assert values(objective, Odds(), batch([0.0], [1])) == pytest.approx([ln(4 / 3) + 2 * entropy])


def test_the_same_view_is_one_draw_also_where_a_model_drops_out_itself() -> None:
    class Leaky(nn.Module):
        def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
            return Odds()({"x": nn.functional.dropout(inputs["x"], 0.5)})

    many = batch([LN3] * 50, [UNKNOWN] * 50)
    apart = Objective(consistency=Consistency(gamma=1.0))
    assert max(values(apart, Leaky(), many, by=0.0)) > 0.01
    same = replace(apart, anchor=Anchor(transform="same"))
    assert values(same, Leaky(), many, by=0.0) == [0.0] * 50


class Steep(nn.Module):
    """Logits (0, w x), w = 1 at first."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return Odds()({"x": self.weight * inputs["x"]})


@pytest.mark.parametrize("distance", ["squared_l2", "kl", "cross_entropy"])
def test_a_stopped_anchor_has_the_value_and_not_the_gradient(distance: Any) -> None:
    unlabelled = batch([0.7, -0.3], [UNKNOWN, UNKNOWN])
    sources: tuple[Source, ...] = ("student", "stopped", "average")
    pulls = {}
    for source in sources:
        objective = replace(
            TWISTED,
            consistency=replace(TWISTED.consistency, distance=distance),
            anchor=replace(TWISTED.anchor, source=source),
        )
        model, frozen = Steep(), Steep()
        loss = student_loss(objective, Shift())(
            model, unlabelled, Stream(0), Moment(average=frozen)
        )
        loss.sum().backward()
        assert model.weight.grad is not None and frozen.weight.grad is None
        pulls[source] = (loss.tolist(), model.weight.grad.item())
    assert pulls["student"][0] == pulls["stopped"][0] == pulls["average"][0]
    assert pulls["stopped"][1] == pulls["average"][1] != pulls["student"][1]


def test_the_average_is_asked_in_place_of_the_student() -> None:
    # At T'(0) = −ln 3 an average of weight −1 says 3/4, as the student does at T(0).
    objective = replace(TWISTED, anchor=replace(TWISTED.anchor, source="average"))
    loss = student_loss(objective, Shift())
    given = batch([0.0], [UNKNOWN])
    for weight, expected in ((-1.0, 0.0), (1.0, 2 * (2 * 0.5**2))):
        found = loss(Steep(), given, Stream(0), Moment(average=Steep(weight)))
        assert found.item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="no running average is kept"):
        loss(Steep(), given, Stream(0), Moment())


def test_what_is_less_certain_costs_nothing_and_still_counts_in_the_mean() -> None:
    # The anchor, the clean view, is 3/4 sure at ln 3 and 1/2 at 0.
    given = batch([LN3, 0.0], [UNKNOWN, UNKNOWN])
    for distance in get_args(Distance):
        objective = Objective(consistency=Consistency(gamma=1.0, distance=distance))
        every = values(objective, Odds(), given)
        assert min(every) > 0
        sure = values(
            replace(objective, consistency=replace(objective.consistency, certainty=0.75 - 1e-9)),
            Odds(),
            given,
        )
        assert sure == [every[0], 0.0]


def test_a_sharpened_anchor_by_hand() -> None:
    # Logits (0, ln 3) over 1/2 are (0, ln 9), and so are those of the view moved by ln 3.
    objective = Objective(
        consistency=Consistency(gamma=1.0, distance="kl"), anchor=Anchor(temperature=0.5)
    )
    given = batch([LN3], [UNKNOWN])
    assert values(objective, Odds(), given) == pytest.approx([0.0], abs=1e-12)
    # How sure the anchor is, is asked before it is sharpened: 3/4, not 9/10.
    unsure = replace(
        objective, consistency=replace(objective.consistency, distance="hard", certainty=0.8)
    )
    assert values(unsure, Odds(), given) == [0.0]


def test_the_weight_of_labels_leaves_the_regulariser_alone() -> None:
    objective = Objective(
        consistency=Consistency(gamma=0.5), pseudo_labels=PseudoLabelTerm(weight=3.0)
    )
    regular = 0.5 * APART["squared_l2"]
    found = values(objective, Odds(), batch([0.0, 0.0], [1, UNKNOWN]))
    assert found == pytest.approx([3 * ln(4 / 3) + regular, regular])


STACKED = [
    Objective(pseudo_labels=CLEAN),
    Objective(consistency=Consistency(gamma=0.5)),
    Objective(
        consistency=Consistency(gamma=0.5, distance="hard"),
        anchor=Anchor(transform=(GaussianNoise(0.2),)),
        pseudo_labels=OTHER,
    ),
    Objective(
        consistency=Consistency(gamma=0.5, distance="cross_entropy"),
        anchor=Anchor(transform="same"),
        pseudo_labels=PseudoLabelTerm(weight=2.0),
    ),
    Objective(
        consistency=Consistency(gamma=0.5, distance="kl", certainty=0.5),
        anchor=Anchor(source="stopped", temperature=0.5),
    ),
    Objective(
        consistency=Consistency(gamma=0.5, ramp=0.5, distance="kl", certainty=0.5),
        anchor=Anchor(source="average"),
    ),
    Objective(consistency=Consistency(gamma=0.5), pseudo_labels=PseudoLabelTerm(kind="soft")),
]


@pytest.mark.parametrize("objective", STACKED)
def test_stacked_students_by_vmap(objective: Objective) -> None:
    # The loss looks at no value, so many students and their gradients are computed as one.
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, generator=draw, dtype=torch.float64)
    target = torch.tensor([0, 1, UNKNOWN, 2, UNKNOWN, 1])
    if objective.pseudo_labels.kind == "soft":
        target = torch.rand(6, 4, generator=draw, dtype=torch.float64).softmax(dim=1)
    given = batch(x, target)
    stack = torch.randn(5, 4, 3, generator=draw, dtype=torch.float64)
    means = torch.randn(5, 4, 3, generator=draw, dtype=torch.float64)
    progress = torch.tensor(0.3, dtype=torch.float64)
    loss = student_loss(objective, GaussianNoise(0.5))

    class Linear(nn.Module):
        def __init__(self, weight: Tensor) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
            return inputs["x"] @ self.weight.T

    # Noise is drawn outside the stack: every student of one seed meets the same.
    noise = torch.randn(2, 6, 3, generator=draw, dtype=torch.float64)

    class Drawn(Stream):
        def __init__(self) -> None:
            super().__init__(0)
            self.left = list(noise)

        def normal(self, like: Tensor) -> Tensor:
            return self.left.pop()

    def mean(weight: Tensor, average: Tensor) -> Tensor:
        moment = Moment(progress, Linear(average))
        return loss(Linear(weight), given, Drawn(), moment).mean()

    found = torch.func.vmap(torch.func.grad_and_value(mean))(stack, means)
    for i in range(5):
        weight = stack[i].clone().requires_grad_()
        alone = mean(weight, means[i])
        alone.backward()
        torch.testing.assert_close(found[1][i], alone.detach())
        torch.testing.assert_close(found[0][i], weight.grad)


def test_transforms_are_calibrated_on_the_samples() -> None:
    # |x| is 1 on average, so InputNoise moves by its strength and not at all without a scale.
    pool = Pool({"x": torch.tensor([-2.0, 0.0])}, torch.tensor([1, 0]))
    objective = Objective(
        consistency=Consistency(gamma=1.0),
        transform=(InputNoise(1.0),),
        anchor=Anchor(transform=(InputNoise(2.0),)),
    )
    scaled = student_loss(
        objective,
        InputNoise(1.0, scale=(("x", 1.0),)),
        InputNoise(2.0, scale=(("x", 1.0),)),
    )
    found = loss_on(objective, pool)(Odds(), pool[:], Stream(4), Moment())
    assert torch.equal(found, scaled(Odds(), pool[:], Stream(4), Moment()))
    bare = student_loss(objective, InputNoise(1.0, scale=(("x", 1.0),)))
    with pytest.raises(ValueError, match="no scale for modality"):
        bare(Odds(), pool[:], Stream(4), Moment())


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
        (Objective(pseudo_labels=CLEAN), 1),
        (Objective(consistency=Consistency(gamma=0.1)), 2),
        (
            Objective(consistency=Consistency(gamma=0.1), pseudo_labels=CLEAN),
            2,
        ),
        (Objective(pseudo_labels=OTHER), 1),
        (
            Objective(consistency=Consistency(gamma=0.1), pseudo_labels=OTHER),
            2,
        ),
        (Objective(consistency=Consistency(gamma=0.1), anchor=Anchor(transform="same")), 1),
        (
            Objective(
                consistency=Consistency(gamma=0.1),
                anchor=Anchor(transform="same"),
                pseudo_labels=CLEAN,
            ),
            2,
        ),
        (Objective(consistency=Consistency(gamma=0.1), anchor=Anchor(transform=(Shift(),))), 2),
        (
            Objective(
                consistency=Consistency(gamma=0.1),
                anchor=Anchor(transform=(Shift(),)),
                pseudo_labels=CLEAN,
            ),
            3,
        ),
        (
            Objective(
                consistency=Consistency(gamma=0.1),
                anchor=Anchor(transform=(Shift(),)),
                pseudo_labels=OTHER,
            ),
            2,
        ),
        (Objective(consistency=Consistency(gamma=0.1), anchor=Anchor(source="average")), 1),
        (
            Objective(
                consistency=Consistency(gamma=0.1),
                anchor=Anchor(source="average"),
                pseudo_labels=OTHER,
            ),
            2,
        ),
    ],
)
def test_no_view_is_computed_in_vain(objective: Objective, calls: int) -> None:
    model = Counting()
    moment = Moment(average=Odds())
    student_loss(objective, Shift())(model, batch([0.0], [1]), Stream(0), moment)
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
    found = loss(Featured(), many, Stream(0), Moment())
    # A feature is 0 (loss ln 2) or ln 3 · 4/3. The share of zeros is 1/4 ± 0.0068; it leaves the
    # interval of ± 5 sd for one seed in 1.7 million.
    kept = torch.isclose(found, torch.tensor(ln(1 + 3 ** (-4 / 3)), dtype=torch.float64))
    dropped = torch.isclose(found, torch.tensor(ln(2), dtype=torch.float64))
    assert bool((kept | dropped).all())
    assert abs(dropped.double().mean().item() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 4000)
    again = loss(Featured(), many, Stream(0), Moment())
    assert torch.equal(found, again)
    assert not torch.equal(found, loss(Featured(), many, Stream(1), Moment()))


def test_noise_comes_from_the_stream_alone() -> None:
    pool = Pool({"x": torch.ones(8)}, torch.ones(8, dtype=torch.long))
    loss = student_loss(
        Objective(consistency=Consistency(gamma=1.0)), InputNoise(0.5).calibrated(pool)
    )
    first = loss(Odds(), pool[:], Stream(3), Moment())
    torch.manual_seed(123)
    assert torch.equal(first, loss(Odds(), pool[:], Stream(3), Moment()))


# --- logit adjustment ----------------------------------------------------------------------------


def test_shares_of_classes_by_hand() -> None:
    x = torch.zeros(4, 1)
    numbers = Pool({"x": x}, torch.tensor([2, 0, UNKNOWN, 2]))
    assert shares_of(numbers).tolist() == pytest.approx([1 / 3, 0, 2 / 3])
    soft = Pool({"x": x}, torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.0, 0.0], [0.5, 0.5]]))
    assert shares_of(soft).tolist() == pytest.approx([2 / 3, 1 / 3])
    unsure = Pool({"x": x[:3]}, torch.tensor([[0.5, 0.5], [-1.0, -1.0], [1.0, 0.0]]))
    assert shares_of(unsure).tolist() == pytest.approx([0.75, 0.25])
    maps = Pool({"x": x[:1]}, torch.tensor([[[0, 1], [1, UNKNOWN]]], dtype=torch.int8))
    assert shares_of(maps).tolist() == pytest.approx([1 / 3, 2 / 3])
    many = torch.arange(600) % 3  # more than are looked at together
    assert shares_of(Pool({"x": torch.zeros(600, 1)}, many)).tolist() == pytest.approx([1 / 3] * 3)


def test_classes_that_nothing_teaches_have_no_shares() -> None:
    for nothing in (torch.zeros(4, 3), torch.full((4,), UNKNOWN)):  # soft, hard
        samples = Pool({"x": torch.zeros(4, 1)}, nothing)
        with pytest.raises(ValueError, match="no sample has a label"):
            loss_on(Objective(adjustment=0.5), samples)


def test_an_adjusted_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, -1.0]])
    pool = Pool({"x": torch.zeros(4, 1)}, torch.tensor([0, 0, 0, 1]))
    loss = loss_on(Objective(adjustment=0.5), pool)
    batch = Batch({"x": torch.zeros(1, 1)}, torch.tensor([1]))
    found = loss(lambda inputs: logits, batch, Stream(0), Moment())  # type: ignore[arg-type]
    a, b = 1.0 + 0.5 * math.log(0.75), -1.0 + 0.5 * math.log(0.25)
    assert found.item() == pytest.approx(math.log(math.exp(a) + math.exp(b)) - b)


def test_a_class_never_taught_counts_as_a_thousandth() -> None:
    pool = Pool({"x": torch.zeros(2, 1)}, torch.tensor([0, 0]))
    loss = loss_on(Objective(adjustment=1.0), pool)
    batch = Batch({"x": torch.zeros(1, 1)}, torch.tensor([0]))
    found = loss(lambda inputs: torch.zeros(1, 3).double(), batch, Stream(0), Moment())  # type: ignore
    assert found.item() == pytest.approx(math.log(1.0 + 2e-3))


def test_with_the_shares_as_prior_an_adjusted_student_aims_at_equal_recall() -> None:
    # On one constant input the best f is 0 for all classes at τ = 1, and log π at τ = 0.
    labels = torch.tensor([0] * 6 + [1] * 2)
    pool = Pool({"x": torch.ones(8, 1)}, labels)
    for adjustment, expected in ((0.0, math.log(3.0)), (0.5, 0.5 * math.log(3.0)), (1.0, 0.0)):
        model = Bias()
        config = TrainConfig(steps=300, optimizer="sgd", learning_rate=0.5)
        fit(model, pool, loss_on(Objective(adjustment=adjustment), pool), config, seed=0)
        assert (model.bias[0] - model.bias[1]).item() == pytest.approx(expected, abs=1e-3)


def test_an_adjustment_without_shares_is_refused() -> None:
    with pytest.raises(ValueError, match="needed"):
        student_loss(Objective(adjustment=0.5), Compose())
    with pytest.raises(ValueError, match="of no use"):
        student_loss(Objective(), Compose(), shares=torch.ones(2) / 2)


class Bias(nn.Module):
    """The same logits for every sample."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, inputs: Any) -> Tensor:
        return self.bias.expand(len(inputs["x"]), 2)
