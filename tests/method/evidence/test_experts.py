"""Teachers and experts of every kind as modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from mke_theory.data.pool import Pool
from mke_theory.method.evidence.experts import (
    Constant,
    FromClassifier,
    Through,
    Unmixed,
    classes_of,
    decided,
    fitted,
    has_all,
    is_classifier,
    side_by_side_numbers,
)
from mke_theory.training.predict import predict
from tests.method.evidence.small import Reads

TABLE = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]], dtype=torch.float64)


def some(n: int, classes: int = 2, seed: int = 0, **more: Any) -> Pool:
    """Samples of two numbers, x about the label."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    x = torch.randn(n, 2, generator=draw) + 3.0 * labels[:, None]
    return Pool({"x": x}, labels, **more)


# --- classifiers ---------------------------------------------------------------------------------


def test_what_counts_as_a_classifier() -> None:
    assert is_classifier(LogisticRegression())
    assert is_classifier(make_pipeline(StandardScaler(), LogisticRegression()))
    assert not is_classifier(nn.Linear(2, 2)) and not is_classifier(StandardScaler())


def test_a_classifier_as_a_module() -> None:
    given = some(40)
    model = fitted(LogisticRegression(), given, 2)
    expected = model.classifier.predict_proba(given.inputs["x"].double().numpy())
    torch.testing.assert_close(predict(model, given).exp(), torch.from_numpy(expected))
    batches = predict(model, given, batch_size=7)
    torch.testing.assert_close(batches, predict(model, given))
    for kind in (torch.float16, torch.float64):
        other = Pool({"x": given.inputs["x"].to(kind)}, given.labels)
        torch.testing.assert_close(predict(model, other), batches, atol=0.02, rtol=0)


def test_classes_that_were_not_met_have_a_place_of_their_own() -> None:
    # It met 1 and 3 of 0 to 4.
    labels = torch.tensor([1, 3] * 10)
    given = some(20).with_labels(labels)
    model = fitted(LogisticRegression(), given, 5)
    assert classes_of(model.classifier).tolist() == [1, 3]
    p = predict(model, given).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(20, dtype=torch.float64))
    assert p.argmax(1).tolist() == labels.tolist()
    assert float(p[:, [0, 2, 4]].max()) < 1.1e-6 and float(p.min()) > 0


@pytest.mark.parametrize("labels", [["cat", "dog"], [-1, 1], [0.5, 1.5]])
def test_classes_that_are_no_numbers_from_0_on_are_refused(labels: list[Any]) -> None:
    classifier = LogisticRegression()
    classifier.fit(np.arange(8.0)[:, None], np.array(["a", "b"] * 4))
    classifier.classes_ = np.array(labels)
    with pytest.raises(ValueError, match="fit it to numbers 0 to k - 1"):
        FromClassifier(classifier, ("x",), 2)


def test_classes_may_be_of_any_type_of_number() -> None:
    for kind in (np.float64, np.uint8, bool):
        classifier = LogisticRegression().fit(np.arange(8.0)[:, None], np.arange(8) % 2)
        classifier.classes_ = np.array([0, 1]).astype(kind)
        assert classes_of(classifier).tolist() == [0, 1]


def test_a_classifier_that_is_not_fitted_or_knows_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="LogisticRegression is not fitted"):
        FromClassifier(LogisticRegression(), ("x",), 2)
    model = fitted(LogisticRegression(), some(30, 3), 3)
    with pytest.raises(ValueError, match="knows class 2; with 2"):
        FromClassifier(model.classifier, ("x",), 2)


def test_labels_of_one_class_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="D_l: every label is of class 1, and a classifier needs"):
        fitted(LogisticRegression(), some(4).with_labels(torch.ones(4).long()), 2, name="D_l")


def test_a_fresh_copy_is_fitted_and_its_draws_follow_from_the_seed() -> None:
    given = some(60, seed=1)
    x = given.inputs["x"] + 2 * torch.randn(60, 2, generator=torch.Generator().manual_seed(2))
    given = Pool({"x": x}, given.labels)
    forest = RandomForestClassifier(n_estimators=3)
    first, again, other = (predict(fitted(forest, given, 2, seed=s), given) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not hasattr(forest, "classes_") and forest.random_state is None
    # A state that is given stays; one inside a pipeline is found.
    chosen = RandomForestClassifier(n_estimators=3, random_state=7)
    assert fitted(chosen, given, 2, seed=1).classifier.random_state == 7
    inside = fitted(make_pipeline(StandardScaler(), forest), given, 2, seed=1).classifier
    assert inside[-1].random_state is not None


def test_numbers_of_modalities_side_by_side() -> None:
    inputs = {"a": torch.tensor([1.0, 2.0]), "b": torch.arange(8.0).reshape(2, 2, 2)}
    found = side_by_side_numbers(inputs, ("b", "a"))
    assert found.tolist() == [[0, 1, 2, 3, 1], [4, 5, 6, 7, 2]]


def test_a_constant_says_nothing() -> None:
    found = predict(Constant(("x",), 3), some(4))
    assert found.shape == (4, 3) and not bool(found.any())


# --- the teacher's confusion ----------------------------------------------------------------------


def test_through_predicts_the_teachers_answer() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    model = Through(Reads("x"), TABLE)
    found = model({"x": logits}).exp()
    torch.testing.assert_close(found, torch.softmax(logits, 1) @ TABLE.float())


def test_unmixed_inverts_a_known_confusion() -> None:
    draw = torch.Generator().manual_seed(0)
    p = torch.softmax(torch.randn(30, 3, generator=draw, dtype=torch.float64), 1)
    seen = (p @ TABLE).log()
    found = Unmixed(Reads("x"), TABLE, steps=2000)({"x": seen}).exp()
    torch.testing.assert_close(found, p, atol=1e-3, rtol=0)
    few = Unmixed(Reads("x"), TABLE)({"x": seen}).exp()  # the steps that are taken by default
    torch.testing.assert_close(few, p, atol=0.1, rtol=0)
    torch.testing.assert_close(few.sum(1), torch.ones(30, dtype=torch.float64))


def test_unmixed_of_the_identity_changes_nothing() -> None:
    logits = torch.tensor([[1.0, 0.0, -2.0]], dtype=torch.float64)
    found = Unmixed(Reads("x"), torch.eye(3))({"x": logits})
    torch.testing.assert_close(found, torch.log_softmax(logits, 1))


def test_unmixed_never_names_a_class_without_mass() -> None:
    table = TABLE.clone()
    table[2] = 0.0
    found = Unmixed(Reads("x"), table)({"x": torch.tensor([[0.0, 0.0, 5.0]]).double()})
    assert bool(torch.isfinite(found).all()) and int(found.argmax(1)) != 2


def test_a_network_learns_the_class_through_the_confusion() -> None:
    # A table of logits that is trained on the teacher's answers learns what lies behind them.
    target = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64) @ TABLE
    model = nn.Linear(1, 3).double()

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, inputs: Any) -> Tensor:
            return self.inner(inputs["x"])

    through, ones = Through(One(), TABLE), torch.ones(1, 1, dtype=torch.float64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        loss = -(target * through({"x": ones})).sum()
        loss.backward()
        optimizer.step()
    assert float(torch.softmax(model(ones), 1)[0, 0].detach()) > 0.97


# --- pools ---------------------------------------------------------------------------------------


def test_probabilities_become_classes() -> None:
    soft = some(2).with_labels(torch.tensor([[0.2, 0.8], [0.9, 0.1]]))
    assert decided(soft).labels.tolist() == [1, 0]
    hard = some(2)
    assert decided(hard) is hard


def test_samples_that_have_all_modalities() -> None:
    nan = torch.nan
    inputs = {"a": torch.tensor([[1.0], [nan], [1.0]]), "b": torch.tensor([[nan], [1.0], [1.0]])}
    pool = Pool(inputs, torch.zeros(3).long())
    assert has_all(pool, ("a",)).tolist() == [True, False, True]
    assert has_all(pool, ("a", "b")).tolist() == [False, False, True]
