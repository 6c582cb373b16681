"""Classes, answers and predictions: what is understood, and what is refused in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mke_theory.audit.labels import Classes, predicted

NAMED = Classes.of(["cat", "Dog", "10"])
COUNTED = Classes.of(3)


def test_names_are_read_as_people_and_spreadsheets_write_them() -> None:
    assert [NAMED.number_of(text) for text in (" cat", "CAT", "dog", "10", "10,0", "10.00")] == [
        *(0, 0, 1),
        *(2, 2, 2),
    ]
    assert [COUNTED.number_of(text) for text in ("0", "2.0", "2,0 ")] == [0, 2, 2]
    for text in ("3", "1.5", "-1", "", "cat"):
        with pytest.raises(KeyError):
            COUNTED.number_of(text)


def test_names_that_differ_by_case_alone_are_told_apart_by_it() -> None:
    classes = Classes.of(["a", "A", "b"])
    assert [classes.number_of(text) for text in ("a", "A", "B")] == [0, 1, 2]


def test_answers() -> None:
    found = [NAMED.answer(value, "label") for value in (1, np.int64(2), "cat", None, -1, "?")]
    assert found == [1, 2, 0, None, None, None]
    assert NAMED.answer("Cannot tell", "label") is None
    assert NAMED.answer(torch.tensor(1), "label") == 1


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (3, ValueError, "the label of 7 is 3; the classes are 'cat', 'Dog', '10'"),
        (-2, ValueError, "is -2"),
        ("cow", ValueError, "is 'cow'; the classes are"),
        (1.0, TypeError, "is 1.0"),
        (True, TypeError, "is True"),
    ],
)
def test_answers_that_are_no_class(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        NAMED.answer(value, "the label of 7")


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (1, ValueError, "classes is 1; at least 2"),
        (["a"], ValueError, "classes is 1; at least 2"),
        (["a", "a"], ValueError, "two classes are named 'a'"),
        (["a", " "], ValueError, "stands for no answer"),
        (["a", "?"], ValueError, "stands for no answer"),
        ("ab", TypeError, "classes is 'ab'; give their number or a list"),
        ([1, 2], TypeError, "names of classes have to be text"),
        (2.0, TypeError, "float"),
    ],
)
def test_classes_that_cannot_be(classes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Classes.of(classes)


def test_predictions_by_number_and_by_name() -> None:
    assert predicted("student", np.array([0, 2], dtype=np.uint8), COUNTED).tolist() == [0, 2]
    assert predicted("student", torch.tensor([1, 1]), COUNTED).tolist() == [1, 1]
    assert predicted("student", ["Dog", "cat"], NAMED).tolist() == [1, 0]
    assert predicted("student", np.array(["cat"], dtype=object), NAMED).tolist() == [0]
    assert predicted("student", np.zeros((2, 3, 4), int), COUNTED).shape == (2, 3, 4)


PROBABILITIES = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], ValueError, "student has no predictions"),
        ([0, 3], ValueError, r"student\[1\] is 3; allowed are 0 to 2"),
        ([0, -1], ValueError, r"student\[1\] is -1; .* every sample needs a prediction"),
        ([0.0, 1.0], TypeError, r"student is float64; .* \.astype\(int\)"),
        ([0.0, np.nan], ValueError, r"student\[1\] is NaN"),
        ([True, False], TypeError, "student is bool"),
        (["cat"], TypeError, "student holds text .* give the names of all classes"),
        (["cat", 1.5, None], TypeError, "mixes text with other things .at 1: 1.5"),
        (PROBABILITIES, ValueError, r"probabilities; .* \.argmax\(axis=1\)"),
        (PROBABILITIES * 0.9, ValueError, r"do not sum to 1 \(row 0: 0.9\)"),
        (np.log(PROBABILITIES), ValueError, "scores such as logits"),
        (PROBABILITIES * 3, ValueError, "scores such as logits"),
        (np.eye(3), ValueError, r"one-hot labels; .*argmax"),
        (np.eye(3, dtype=int), ValueError, "one-hot labels"),
        (np.ones((3, 3), int), ValueError, "several answers a sample; audit one question"),
        (np.zeros((4, 1), int), ValueError, r"a column; .* \.ravel\(\)"),
        (np.zeros((2, 2, 2, 2), int), ValueError, r"one a sample, or \[n, h, w\]"),
        (3, ValueError, "shape ()"),
    ],
)
def test_predictions_that_are_refused(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        predicted("student", values, COUNTED)


def test_a_name_that_is_no_class_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"student\[1\] is 'cow'; the classes are"):
        predicted("student", ["cat", "cow"], NAMED)


def test_many_classes_are_not_all_shown() -> None:
    classes = Classes.of([f"class {i}" for i in range(300)])
    assert classes.allowed().endswith("'class 7' and 292 more; '?' says 'cannot tell'")


def test_maps_of_labels() -> None:
    label = np.array([[0, -1], [2, 1]])
    found = COUNTED.label_map(label, (2, 2), "label")
    assert found is not None and found.tolist() == label.tolist()
    assert COUNTED.label_map(np.full((2, 2), -1), (2, 2), "label") is None
    assert COUNTED.label_map(None, (2, 2), "label") is None
    with pytest.raises(ValueError, match=r"label has shape \(2, 2\), predictions have \(3, 2\)"):
        COUNTED.label_map(label, (3, 2), "label")
    with pytest.raises(ValueError, match="label holds 3"):
        COUNTED.label_map(label + 1, (2, 2), "label")
    with pytest.raises(TypeError, match="label is float64"):
        COUNTED.label_map(label * 1.0, (2, 2), "label")
