"""The samples, objectives and models that an expert learns from and by."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.method.evidence.experts import Constant, FromClassifier
from mke_theory.method.evidence.learning import (
    fitted_or_constant,
    noise_on,
    objective_on,
    refuse_again,
    samples_for,
)
from mke_theory.method.transforms import InputNoise, mean_magnitude, spread
from tests.method.evidence.small import readable, reading

ROWS = torch.tensor([True, False, True, False, False, True])


def test_samples_with_their_targets() -> None:
    pool = readable(6, 0)
    found = samples_for(reading(pool), ("b",), ROWS, torch.arange(6))
    assert found.modalities == ("b",) and found.labels.tolist() == [0, 2, 5]
    assert torch.equal(found.inputs["b"], pool.inputs["b"][ROWS])


def test_α_learns_the_labels_of_d_l_where_that_is_asked_for() -> None:
    known = readable(3, 1).only(("a",)).with_labels(torch.tensor([1, UNKNOWN, 0]))
    job, ones = reading(readable(6, 0), labelled=known), torch.ones(6).long()
    found = samples_for(job, ("a",), ROWS, ones, labels=True)
    assert found.labels.tolist() == [1, 0, 1, 1, 1]
    assert len(samples_for(job, ("a",), ROWS, ones)) == 3
    assert len(samples_for(job, ("b",), ROWS, ones, labels=True)) == 3
    nobody = reading(readable(6, 0), labelled=known.with_labels(torch.full((3,), UNKNOWN)))
    assert len(samples_for(nobody, ("a",), ROWS, ones, labels=True)) == 3


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sample of D_u is left for the expert of b"):
        samples_for(reading(readable(6, 0)), ("b",), torch.zeros(6).bool(), torch.arange(6))


def test_the_objective_follows_from_the_labels() -> None:
    pool = readable(6, 0)
    hard = objective_on(pool, 1.0)
    assert hard.pseudo_labels.kind == "hard" and hard.transform == (InputNoise(1.0),)
    soft = objective_on(pool.with_labels(torch.rand(6, 2)), 0.0)
    assert soft.pseudo_labels.kind == "soft" and soft.transform == ()


def test_noise_is_no_larger_than_what_varies() -> None:
    centred = readable(200, 0)
    assert noise_on(centred, 1.0) == (InputNoise(1.0),) and noise_on(centred, 0.0) == ()
    a, b = centred.inputs["a"], centred.inputs["b"]
    far = replace(centred, inputs={"a": a, "b": b + 50})
    on_a, on_b = noise_on(far, 1.0)
    assert on_a == InputNoise(1.0, only=("a",)) and on_b.only == ("b",)
    # In units of mean|x| it is the spread: strength · mean|x| = sd.
    sd = float((b + 50).std(unbiased=False))
    assert on_b.strength * mean_magnitude(far, "b") == pytest.approx(sd, rel=1e-5)
    assert spread(far, "b") == pytest.approx(sd, rel=1e-5)
    x = torch.tensor([[1.0, 3.0], [torch.nan, torch.nan]])
    assert spread(Pool({"x": x}, torch.zeros(2)), "x") == 1.0
    assert spread(Pool({"x": x[1:]}, torch.zeros(1)), "x") == 0.0


def test_a_constant_where_that_is_allowed() -> None:
    pool = readable(6, 0).only(("a",)).with_labels(torch.zeros(6).long())
    given = (LogisticRegression(), pool, 2)
    assert isinstance(fitted_or_constant(*given, seed=0, name="x", constant=True), Constant)
    with pytest.raises(ValueError, match="x: every label is of class 0"):
        fitted_or_constant(*given, seed=0, name="x", constant=False)
    two = pool.with_labels(torch.arange(6) % 2)
    found = fitted_or_constant(LogisticRegression(), two, 2, seed=0, name="x", constant=True)
    assert isinstance(found, FromClassifier)


def test_fresh_is_another_object() -> None:
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    refuse_again(first, [second, None])
    with pytest.raises(ValueError, match="it has to make a fresh one"):
        refuse_again(first, [second, first])
