"""`MKEClassifier` as its users have it: tables, dictionaries, pipelines, teachers of their own."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mke_theory.audit import compare
from mke_theory.estimator import Changes, MKEClassifier

Table = NDArray[np.float64]


def pairs(
    n: int, seed: int, *, a: float = 1.0, b: float = 1.5, known: int = 30
) -> tuple[Table, NDArray[np.int64], NDArray[np.int64]]:
    """Rows [a, a', b, b'] of two classes, labels of the first `known`, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    sign = 2.0 * truth[:, None] - 1
    shift = np.array([a, 0.0, b, 0.0])
    x = sign * shift + rng.normal(size=(n, 4))
    return x, np.where(np.arange(n) < known, truth, -1), truth


GROUPS = {"a": [0, 1], "b": [2, 3]}


def small(**changes: Any) -> MKEClassifier:
    settings: dict[str, Any] = {"modalities": GROUPS, "steps": 100, "random_state": 0}
    return MKEClassifier(**(settings | changes))


def test_the_student_is_better_than_its_teacher_on_digits() -> None:
    x, y = load_digits(return_X_y=True)
    gains = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(y))
        train, test = order[:1200], order[1200:]
        labelled = np.concatenate([train[y[train] == k][:6] for k in range(10)])
        known = np.full(len(y), -1)
        known[labelled] = y[labelled]
        columns = np.arange(64).reshape(8, 8)
        groups = {"left": columns[:, :4].ravel(), "right": columns[:, 4:].ravel()}
        student = MKEClassifier(groups, steps=300, random_state=seed).fit(x[train], known[train])
        left = MKEClassifier(steps=300, random_state=seed).fit(
            x[labelled][:, groups["left"]], y[labelled]
        )
        teacher = left.score(x[test][:, groups["left"]], y[test])
        gains.append(student.score(x[test], y[test]) - teacher)
    assert min(gains) > 0.08


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_in_place_of_the_second_modality_leaves_the_teacher(seed: int) -> None:
    x, y, truth = pairs(1500, seed, b=0.0, known=60)
    found = small(random_state=seed).fit(x, y)
    assert found.account_.verdicts == {"b": "weak"} and found.account_.changed == 0
    alone = small(random_state=seed).fit(x, y).model_
    assert alone is not found.model_
    test, _, answers = pairs(1500, seed + 10, b=0.0)
    teacher = MKEClassifier(steps=100, random_state=seed).fit(x[:60, :2], truth[:60])
    assert abs(found.score(test, answers) - teacher.score(test[:, :2], answers)) <= 0.01


def test_a_table_a_frame_and_a_dictionary_are_the_same() -> None:
    x, y, _ = pairs(300, 0)
    frame = pd.DataFrame(x, columns=["a_1", "a_2", "b_1", "b_2"])
    array = small().fit(x, y)
    named = small(modalities={"a": ["a_1", "a_2"], "b": "b_*"}).fit(frame, y)
    parts = small(modalities=None).fit({"a": x[:, :2], "b": x[:, 2:].reshape(300, 1, 2)}, y)
    sliced = small(modalities={"a": slice(0, 2), "b": [-2, -1]}).fit(x, y)
    expected = array.predict_proba(x)
    np.testing.assert_array_equal(named.predict_proba(frame), expected)
    np.testing.assert_array_equal(sliced.predict_proba(x), expected)
    np.testing.assert_array_equal(parts.predict_proba({"b": x[:, 2:], "a": x[:, :2]}), expected)
    assert array.n_features_in_ == 4 and list(named.feature_names_in_) == list(frame.columns)


@pytest.mark.parametrize(
    "marked",
    [
        lambda y: np.where(y == -1, np.nan, y),
        lambda y: np.array([None if one == -1 else f"class {one}" for one in y], dtype=object),
        lambda y: pd.Series([np.nan if one == -1 else f"class {one}" for one in y]),
        lambda y: [str(one) for one in y],
        lambda y: pd.Series([pd.NA if one == -1 else f"class {one}" for one in y], dtype="string"),
        lambda y: pd.Series(y).astype("Int64").where(pd.Series(y) >= 0),
    ],
)
def test_unknown_labels_of_every_kind(marked: Any) -> None:
    x, y, truth = pairs(200, 0)
    found = small(steps=40).fit(x, marked(y))
    expected = small(steps=40).fit(x, y)
    np.testing.assert_array_equal(found.predict_proba(x), expected.predict_proba(x))
    assert len(found.unlabelled_rows_) == 170
    whole = marked(np.where(y == -1, truth, y))
    assert found.score(x, whole) == expected.score(x, truth)
    half = marked(np.where(np.arange(200) < 100, truth, -1))
    assert found.score(x, half) == expected.score(x[:100], truth[:100])


def test_missing_modalities() -> None:
    x, y, _ = pairs(300, 0)
    gaps = x.copy()
    gaps[:30, 2:] = np.nan  # nobody needs β where the label is known
    gaps[40:60, 2:] = np.nan
    found = small().fit(gaps, y)
    lacking = x[:5].copy()
    lacking[0, 2:], lacking[1, :2] = np.nan, np.nan
    lacking[2] = np.nan
    p = found.predict_proba(lacking)
    assert np.isfinite(p).all() and p[0].max() < 1
    shares = np.bincount(y[:30]) + 1.0
    np.testing.assert_allclose(p[2], shares / shares.sum(), atol=1e-6)
    dictionary = small(modalities=None).fit({"a": x[:, :2], "b": gaps[:, 2:]}, y)
    np.testing.assert_allclose(dictionary.predict_proba({"a": x[:1, :2]})[0], p[0], atol=1e-6)


def test_a_plain_classifier_says_that_it_is_one() -> None:
    x, _, truth = pairs(120, 0)
    one = MKEClassifier(steps=40, random_state=0).fit(x, truth)
    every = small(steps=40).fit(x, truth)
    assert "one modality" in str(one.account_) and "every row has a label" in str(every.account_)
    for plain in (one, every):
        assert plain.expansion_ is None and plain.account_.n == 0
        with pytest.raises(ValueError, match="nothing to audit"):
            plain.audit(lambda row: 0)
    assert every.score(x, truth) > 0.9


def test_the_audit_asks_for_rows_of_x() -> None:
    x, y, truth = pairs(600, 0)
    found = small().fit(x, y)
    asked: list[int] = []

    def ask(row: int) -> int:
        asked.append(row)
        return int(truth[row])

    verdict = found.audit(ask, seed=3)
    student, expansion = found.predict(x), found.expansion_
    assert expansion is not None and set(asked) <= set(found.unlabelled_rows_)
    rows = found.unlabelled_rows_
    teacher = expansion.pseudo.hard.numpy()
    assert (student[rows] != teacher).sum() == verdict.differing == found.account_.changed
    by_hand = compare(student[rows], teacher, lambda i: int(truth[rows[i]]), classes=2, seed=3)
    assert (verdict.verdict, verdict.labels) == (by_hand.verdict, by_hand.labels)


def test_a_diagnosis_of_what_it_was_fitted_to() -> None:
    x, y, _ = pairs(1200, 0, known=100)
    found = small().fit(x, y).diagnose()
    assert found.p_value < 0.05 and found.beta == pytest.approx(0.93, abs=0.1)


@pytest.mark.parametrize("expert", [None, GaussianNB()])
def test_classifiers_as_teacher_and_expert(expert: Any) -> None:
    x, y, truth = pairs(800, 0)
    found = small(teacher=LogisticRegression(), expert=expert).fit(x, y)
    test, _, answers = pairs(2000, 1)
    alone = LogisticRegression().fit(x[:30, :2], truth[:30])
    assert found.score(test, answers) > alone.score(test[:, :2], answers) + 0.05


def test_a_frozen_teacher_is_asked_about_columns_as_they_are() -> None:
    x, y, truth = pairs(800, 0)
    x[:, :2] = 100 + 7 * x[:, :2]
    own, _, known = pairs(300, 5)
    teacher = LogisticRegression().fit(100 + 7 * own[:, :2], np.array(["no", "yes"])[known])
    labels = np.where(y == -1, "-1", np.array(["no", "yes"])[truth])
    found = small(teacher=FrozenEstimator(teacher)).fit(x, labels)
    assert found.expansion_ is not None
    classes = np.array(["no", "yes"])[found.expansion_.pseudo.hard.numpy()]
    np.testing.assert_array_equal(classes, teacher.predict(x[30:, :2]))
    alone = x.copy()
    alone[:, 2:] = np.nan
    assert found.score(x, np.array(["no", "yes"])[truth]) > 0.9


def test_a_teacher_that_is_its_answers() -> None:
    x, y, truth = pairs(800, 0)
    own, _, known = pairs(300, 5)
    answers = LogisticRegression().fit(own[:, :2], known).predict_proba(x[:, :2])
    answers[40] = np.nan
    found = small().fit(x, y, answers=answers)
    assert found.account_.n == 769 and found.score(x, truth) > 0.9
    with pytest.raises(ValueError, match=r"answers are \(800, 1\)"):
        small().fit(x, y, answers=np.zeros((800, 1)) + 0.5 * np.arange(800)[:, None])
    with pytest.raises(ValueError, match="second modality"):
        MKEClassifier().fit(x, y, answers=answers)


def test_pipelines_searches_and_copies() -> None:
    x, y, _ = pairs(240, 0)
    frame = pd.DataFrame(x, columns=["a_1", "a_2", "b_1", "b_2"])
    before = make_column_transformer(
        (StandardScaler(), ["a_1", "a_2"]),
        (StandardScaler(), ["b_1", "b_2"]),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    pipeline = make_pipeline(before, small(modalities={"a": "a_*", "b": "b_*"}, steps=30))
    search = GridSearchCV(pipeline, {"mkeclassifier__hidden": [4, 8]}, cv=2).fit(frame, y)
    assert search.best_params_["mkeclassifier__hidden"] in (4, 8)
    found = search.best_estimator_
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict_proba(frame), found.predict_proba(frame))
    same = clone(found).fit(frame, y)
    np.testing.assert_array_equal(same.predict_proba(frame), found.predict_proba(frame))
    other = clone(found).set_params(mkeclassifier__random_state=1).fit(frame, y)
    assert not np.array_equal(other.predict_proba(frame), found.predict_proba(frame))


def test_a_column_that_was_constant_says_nothing_later() -> None:
    x, y, _ = pairs(300, 0)
    x[:, 3] = 0.1
    found = small().fit(x, y)
    later = x.copy()
    later[:, 3] = 1e6
    np.testing.assert_allclose(found.predict_proba(later), found.predict_proba(x), atol=1e-6)


def test_training_leaves_the_random_numbers_of_others_alone() -> None:
    x, y, _ = pairs(120, 0)
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    small(steps=10).fit(x, y)
    assert (torch.rand(1), np.random.rand()) == expected


X, Y, TRUTH = pairs(60, 0)
OTHER = GaussianNB().fit(X[:, :2], np.where(TRUTH == 1, "yes", "no"))


@pytest.mark.parametrize(
    ("changes", "x", "y", "message"),
    [
        ({"modalities": {}}, X, Y, "modalities is empty"),
        ({"modalities": {"a": [0, 9]}}, X, Y, "names column 9; there are 4"),
        ({"modalities": {"a": ["x"]}}, X, Y, "which this table has not"),
        ({"modalities": {"a": [0, 1], "b": [1, 2]}}, X, Y, "column 1 is of modality 'a' and of"),
        ({"modalities": {"a": slice(4, 9)}}, X, Y, "has no column"),
        ({"modalities": {"a": "z_*"}}, pd.DataFrame(X, columns=list("pqrs")), Y, "has no column"),
        ({"modalities": {"a": ["z"]}}, pd.DataFrame(X, columns=list("pqrs")), Y, "are p, q, r, s"),
        ({"alpha": "c"}, X, Y, "alpha is 'c'; the modalities are a, b"),
        ({"hidden": 0}, X, Y, "hidden is 0"),
        ({"steps": 1.5}, X, Y, "steps is 1.5"),
        ({}, X, np.where(Y == 1, 1, -1), "one class; two are needed"),
        ({}, X, np.full(60, -1), "no label is known"),
        ({}, X, np.where(Y == 1, np.inf, Y), "y has inf"),
        ({}, X, [*Y[:-2].tolist(), "a", "b"], "several kinds"),
        ({}, X, Y + 0.5, "continuous"),
        ({}, {"a": X[:, :2], "b": X[:, 2:]}, Y, "groups the columns of a table"),
        ({"modalities": None}, {"a": X[:, :2], "b": X[:5]}, Y, "a row a sample each"),
        ({"modalities": None}, {}, Y, "got nothing"),
        ({"modalities": None}, {"a": X, "b": X[:, 0].astype(str)}, Y, "real numbers"),
        ({"modalities": None}, {"a": X, "b": np.full((60, 2), np.nan)}, Y, "NaN in every row"),
        ({}, X, np.where(Y == -1, "", "x"), "empty text"),
        ({}, pd.DataFrame(X).assign(**{"3": "owl"}).rename(columns=str), Y, "'3' holds 'owl'"),
        ({}, np.where((Y == -1)[:, None] & (np.arange(4) > 1), np.nan, X), Y, "every unlabelled"),
        ({"teacher": 3}, X, Y, "teacher is a int"),
        ({"teacher": FrozenEstimator(OTHER)}, X, Y, "they have to be the same"),
        ({"teacher": FrozenEstimator(GaussianNB())}, X, Y, "not fitted"),
    ],
)
def test_bad_input(changes: dict[str, Any], x: Any, y: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, NotFittedError), match=message):
        small(**changes).fit(x, y)


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (3, 0, np.nan, "modality 'a' has NaN in sample 3"),
        (40, slice(0, 2), np.nan, "the first in row 40; leave them out"),
        (5, 2, np.nan, "modality 'b' has NaN in sample 5"),
        (7, 3, np.inf, "inf"),
    ],
)
def test_gaps(row: int, column: Any, value: float, message: str) -> None:
    x = X.copy()
    x[row, column] = value
    with pytest.raises(ValueError, match=message):
        small().fit(x, Y)


def test_what_was_fitted_is_what_is_asked() -> None:
    found = small(modalities=None, steps=10).fit({"a": X[:, :2], "b": X[:, 2:]}, Y)
    with pytest.raises(ValueError, match="there is a modality 'c'"):
        found.predict({"a": X[:, :2], "c": X})
    with pytest.raises(ValueError, match="has 1 columns; it was fitted to 2"):
        found.predict({"a": X[:, :1]})
    with pytest.raises(ValueError, match="nothing to score"):
        found.score({"a": X[:, :2]}, np.full(60, -1))


def test_an_account_says_how_classes_are_numbered() -> None:
    x, y, _ = pairs(120, 0, known=6)
    named = [None if one == -1 else f"class {one}" for one in y]
    assert "place in classes_" in str(small(steps=20).fit(x, named).account_)
    assert "place in classes_" not in str(small(steps=20).fit(x, y).account_)


def test_changes_by_hand() -> None:
    teacher, student = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 0, 1])
    sureness = np.array([0.9, 0.6, 0.8, 0.8, 1.0])
    found = Changes.between(teacher, student, sureness, np.array(["x", "y"]), {"b": "trusted"}, ())
    assert (found.n, found.changed) == (5, 2)
    assert found.by_class.to_dict("list") == {"rows": [2, 3], "changed": [1, 1]}
    assert found.kept_confidence == pytest.approx(0.9)
    assert found.changed_confidence == pytest.approx(0.7)
    assert "2 of 5 unlabelled rows (40.0%)" in str(found) and "b is trusted." in str(found)
