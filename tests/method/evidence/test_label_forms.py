"""Forms of labels: tables of samples, pixels and questions, the sites, and what a round learns."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.data.pool import UNKNOWN
from mke_theory.method.evidence.label_forms import (
    SITES,
    Sites,
    beside,
    classified,
    known_samples,
    logits_of,
    probabilities_of,
    scores_of,
    shares_among,
    table_of,
    targets_of,
)

MAPS = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
"""Logits of 3 pictures, 4 classes, 5 × 6 pixels."""


def test_tables_by_hand() -> None:
    two = torch.tensor([[0.2, 0.8]]).log()
    torch.testing.assert_close(table_of(two + 3, multilabel=False), two)
    odds = torch.tensor([[0.8 / 0.2, 1.0]]).log()
    expected = torch.tensor([[[0.2, 0.8], [0.5, 0.5]]]).log()
    torch.testing.assert_close(table_of(odds, multilabel=True), expected)
    assert scores_of(odds, multilabel=True)[0, 0].tolist() == [0.0, float(odds[0, 0])]
    table = table_of(MAPS, multilabel=False)
    assert table.shape == (3, 5, 6, 4)
    torch.testing.assert_close(table[1, 2, 3].exp(), torch.softmax(MAPS[1, :, 2, 3], 0))


@pytest.mark.parametrize("multilabel", [False, True])
def test_logits_come_back_from_a_table(multilabel: bool) -> None:
    logits = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    again = logits_of(table_of(logits, multilabel=multilabel), multilabel=multilabel)
    expected = logits if multilabel else torch.log_softmax(logits, 1)
    torch.testing.assert_close(again, expected)
    assert logits_of(table_of(MAPS, multilabel=False), multilabel=False).shape == MAPS.shape


def test_probabilities_to_learn() -> None:
    log_p = torch.tensor([[0.25, 0.75]], dtype=torch.float64).log()
    assert probabilities_of(log_p, multilabel=False).tolist() == [[0.25, 0.75]]
    found = probabilities_of(log_p.unsqueeze(1), multilabel=True)
    assert found.tolist() == [[0.75]] and found.dtype == torch.float32
    maps = probabilities_of(table_of(MAPS, multilabel=False).half(), multilabel=False)
    assert maps.dtype == torch.float16
    torch.testing.assert_close(maps.float(), torch.softmax(MAPS, 1), atol=2e-3, rtol=0)


def test_values_of_samples_beside_a_table() -> None:
    table = torch.zeros(2, 5, 6, 4)
    assert beside(torch.ones(2), table).shape == (2, 1, 1, 1)
    assert beside(torch.ones(2, 4), table).shape == (2, 1, 1, 4)
    assert beside(torch.ones(2, 4), torch.zeros(2, 4)).shape == (2, 4)


def test_shares_of_classes_and_of_questions() -> None:
    labels = torch.tensor([[[0, 1], [1, UNKNOWN]]])
    assert shares_among(labels, 2, multilabel=False).tolist() == pytest.approx([2 / 5, 3 / 5])
    answers = torch.tensor([[1.0, 0.0], [1.0, UNKNOWN], [0.5, torch.nan]])
    # Two and a half of three yes, none of one; each answer counted once more than it occurs.
    found = shares_among(answers, 2, multilabel=True)
    assert found[:, 1].tolist() == pytest.approx([3.5 / 5, 1 / 3])
    assert found.sum(1).tolist() == pytest.approx([1.0, 1.0])
    nobody = torch.full((3,), UNKNOWN)
    assert shares_among(nobody, 2, multilabel=False).tolist() == [0.5, 0.5]


def test_a_sample_is_known_by_one_label() -> None:
    labels = torch.tensor([[UNKNOWN, 1.0], [UNKNOWN, torch.nan]])
    assert known_samples(labels).tolist() == [True, False]
    assert known_samples(torch.tensor([0, UNKNOWN])).tolist() == [True, False]


def test_samples_are_their_own_sites() -> None:
    sites = Sites.drawn(torch.Size([3, 4]), 0)
    table, labels = torch.zeros(3, 4), torch.arange(3)
    assert sites == Sites() and sites.each == 1
    assert sites.of(table) is table and sites.labels(labels) is labels
    assert sites.repeated(labels) is labels


def test_sites_are_pixels_of_every_picture_each_once() -> None:
    table = torch.arange(2 * 9 * 10.0).reshape(2, 9, 10, 1)
    sites = Sites.drawn(table.shape, 0)
    assert sites.each == SITES
    found = sites.of(table)[:, 0].reshape(2, SITES)
    assert [len(one.unique()) for one in found] == [SITES, SITES]
    assert float(found[0].max()) < 90 <= float(found[1].min())
    labels = sites.labels(table[..., 0])
    assert torch.equal(labels.double(), sites.of(table)[:, 0])
    assert sites.repeated(torch.tensor([7, 8])).tolist() == [7] * SITES + [8] * SITES
    again, other = (Sites.drawn(table.shape, seed) for seed in (0, 1))
    assert torch.equal(sites.of(table), again.of(table))
    assert not torch.equal(sites.of(table), other.of(table))


def test_few_pixels_are_all_sites() -> None:
    table = table_of(MAPS, multilabel=False)
    sites = Sites.drawn(table.shape, 0)
    assert sites.each == 30
    ordered = sites.of(table).sort(dim=0).values
    torch.testing.assert_close(ordered, table.reshape(-1, 4).double().sort(dim=0).values)


def test_classified_keeps_what_is_known() -> None:
    labels = torch.full((3, 5, 6), UNKNOWN)
    labels[1, 2, 3] = 2
    scores, classes = classified(MAPS, labels)
    assert classes.tolist() == [2]
    torch.testing.assert_close(scores[0], MAPS[1, :, 2, 3].double())
    odds = torch.tensor([[1.0, -2.0], [3.0, 4.0]])
    scores, classes = classified(odds, torch.tensor([[1.0, UNKNOWN], [0.2, 0.5]]), multilabel=True)
    assert scores.tolist() == [[0.0, 1.0], [0.0, 3.0], [0.0, 4.0]]
    assert classes.tolist() == [1, 0, 1]


def test_targets_by_hand() -> None:
    log_p = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.4, 0.6]]).log()
    assert targets_of(log_p, 0.5, multilabel=False).tolist() == [0, UNKNOWN, 1, UNKNOWN]
    assert targets_of(log_p, 1.0, multilabel=False).tolist() == [0, 0, 1, 1]
    pixels = log_p.reshape(1, 2, 2, 2)
    assert targets_of(pixels, 0.5, multilabel=False).tolist() == [[[0, UNKNOWN], [1, UNKNOWN]]]
    # Two questions: the answers of the first as above, those of the second turned round.
    questions = torch.stack([log_p, log_p.flip(1)], dim=1)
    found = targets_of(questions, 0.5, multilabel=True)
    assert found[[0, 2]].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert bool(found[[1, 3]].isnan().all())


@given(seed=st.integers(0, 1000), share=st.floats(0.05, 1.0))
def test_every_class_that_is_named_has_its_share(seed: int, share: float) -> None:
    table = torch.randn(2, 4, 5, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    named, found = table.argmax(-1), targets_of(table, share, multilabel=False)
    kept = found != UNKNOWN
    assert torch.equal(found[kept], named[kept])
    for k in named.unique():
        own = int((named == k).sum())
        assert int((found == k).sum()) == max(1, round(share * own))
