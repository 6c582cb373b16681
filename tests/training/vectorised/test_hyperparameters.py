"""Settings as numbers."""

from __future__ import annotations

import pytest
import torch

from mke_theory.method.transforms import Compose, FeatureMasking, GaussianNoise, InputNoise
from mke_theory.training.vectorised.hyperparameters import form_of, numbers_of, with_numbers

NOISE = InputNoise(2.0, only=("a",), pooled=True, scale=(("a", 0.5), ("b", 3)))


def test_numbers_are_read_in_the_order_of_the_fields() -> None:
    assert numbers_of(NOISE) == [2.0, 0.5, 3.0]  # pooled is a truth value, not a number
    assert numbers_of(Compose((NOISE, FeatureMasking(0.25)))) == [2.0, 0.5, 3.0, 0.25]
    assert numbers_of(("a", None, True)) == []


def test_numbers_put_back_change_nothing() -> None:
    tree = (Compose((NOISE, FeatureMasking(0.25))), Compose(()))
    back = with_numbers(tree, torch.tensor(numbers_of(tree)).unbind())
    assert form_of(back[0].steps[0].only) == ("a",)
    assert numbers_of(tree) == [float(x) for x in _leaves(back)]
    assert NOISE.strength == 2.0  # the tree itself is left alone


def _leaves(tree: tuple[Compose, Compose]) -> list[float]:
    noise, masking = tree[0].steps
    assert isinstance(noise, InputNoise) and isinstance(masking, FeatureMasking)
    return [noise.strength, *(x for _, x in noise.scale), masking.probability]


def test_a_transform_with_other_numbers_acts_by_them() -> None:
    lifted = with_numbers(GaussianNoise(1.0), [torch.tensor(3.0)])
    same = GaussianNoise(3.0)
    x = {"a": torch.zeros(4, 2)}
    from mke_theory.data.rng import Stream

    assert torch.equal(lifted.inputs(x, Stream(0))["a"], same.inputs(x, Stream(0))["a"])


def test_forms_differ_by_kind_names_and_length_and_not_by_numbers() -> None:
    assert form_of(NOISE) == form_of(InputNoise(9.0, ("a",), True, (("a", 1.0), ("b", 1.0))))
    assert form_of(NOISE) != form_of(InputNoise(2.0, ("a",), False, NOISE.scale))
    assert form_of(NOISE) != form_of(InputNoise(2.0, ("b",), True, NOISE.scale))
    assert form_of(GaussianNoise(1.0)) != form_of(FeatureMasking(1.0))
    assert form_of((NOISE,)) != form_of((NOISE, NOISE))


def test_too_few_and_too_many_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 numbers are too few"):
        with_numbers(NOISE, [torch.tensor(1.0)] * 2)
    with pytest.raises(ValueError, match="4 numbers are too many"):
        with_numbers(NOISE, [torch.tensor(1.0)] * 4)
