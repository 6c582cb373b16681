"""Heads on feature maps: rows split by hand, logits that add up, modalities that are missing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.models.feature_maps import Enlarged, MapHead, MapHeads, MapShapes, resized

SHAPES = MapShapes(((2, 4, 6), (3, 2, 3), (1, 1, 2)))
NAN = float("nan")


def rows(n: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, SHAPES.numbers, generator=torch.Generator().manual_seed(seed))


def heads(*names: str, classes: int = 5) -> MapHeads:
    torch.manual_seed(1)
    return MapHeads(dict.fromkeys(names, SHAPES), classes, width=8).eval()


def test_a_row_holds_its_maps_one_after_the_other():
    maps = SHAPES.split(torch.arange(float(SHAPES.numbers)).reshape(1, -1))
    assert SHAPES.numbers == 2 * 4 * 6 + 3 * 2 * 3 + 1 * 1 * 2 == 68
    assert SHAPES.size == (4, 6)
    assert maps[0][0, 1, 0].tolist() == [24.0, 25.0, 26.0, 27.0, 28.0, 29.0]
    assert maps[1][0, 0, 1].tolist() == [51.0, 52.0, 53.0]
    assert maps[2][0, 0, 0].tolist() == [66.0, 67.0]


def test_resizing_by_hand():
    x = torch.arange(8.0).reshape(1, 1, 2, 4)
    assert resized(x, (1, 2)).flatten().tolist() == [2.5, 4.5]  # means of 2 × 2 pixels
    assert resized(x, (2, 4)) is x
    line = torch.tensor([0.0, 4.0]).reshape(1, 1, 1, 2)
    assert resized(line, (1, 4)).flatten().tolist() == [0.0, 1.0, 3.0, 4.0]


def test_logits_of_two_modalities_are_the_sum_of_both_alone():
    both = heads("image", "depth")
    x, y = rows(seed=1), rows(seed=2)
    apart = both({"image": x}) + both({"depth": y})
    assert torch.allclose(both({"image": x, "depth": y}), apart, atol=1e-6)
    assert both({"image": x}).shape == (3, 5, 4, 6)


def test_a_missing_modality_leaves_no_trace():
    both = heads("image", "depth")
    x, y = rows(seed=1), rows(seed=2)
    y[1] = NAN
    found = both({"image": x, "depth": y})
    assert torch.allclose(found[1], both({"image": x})[1], atol=1e-6)
    assert torch.isfinite(found).all()
    y = y.nan_to_num(0.0).requires_grad_()
    both(
        {"image": x, "depth": torch.where(torch.tensor([[False], [True], [False]]), NAN, y)}
    ).sum().backward()
    assert y.grad is not None and torch.isfinite(y.grad).all() and not y.grad[1].any()


def test_a_teacher_is_a_branch_of_its_student():
    teacher, student = heads("image"), heads("image", "depth")
    assert set(teacher.state_dict()) < set(student.state_dict())


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 5), at=st.integers(0, 4))
def test_a_sample_alone_and_in_a_batch(n, at):
    model, x = heads("image"), rows(n)
    at = at % n
    alone = model({"image": x[at : at + 1]})[0]
    assert torch.allclose(model({"image": x})[at], alone, atol=1e-5)


def test_dropout_acts_in_training_alone():
    head = MapHead(SHAPES, 3, width=16, dropout=0.5)
    x = rows()
    head.train()
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))


def test_one_map_is_enough():
    head = MapHead(MapShapes(((2, 3, 3),)), 4, width=8).eval()
    assert head(torch.zeros(2, 18)).shape == (2, 4, 3, 3)


def test_enlarged_logits_have_the_size_asked_for():
    model = heads("image")
    large = Enlarged(model, (8, 12))({"image": rows()})
    assert large.shape == (3, 5, 8, 12)
    assert torch.allclose(resized(large, (4, 6)).mean(), model({"image": rows()}).mean(), atol=1e-5)


def test_bad_settings_and_inputs_are_refused():
    with pytest.raises(ValueError, match="the first has to be the finest"):
        MapShapes(((1, 2, 2), (1, 3, 2)))
    with pytest.raises(ValueError, match="each ≥ 1"):
        MapShapes(())
    with pytest.raises(ValueError, match="one finest size"):
        MapHeads({"a": SHAPES, "b": MapShapes(((1, 2, 2),))}, 3)
    with pytest.raises(ValueError, match="classes is 1"):
        MapHeads({"a": SHAPES}, 1)
    with pytest.raises(ValueError, match="rows of 68"):
        heads("image")({"image": torch.zeros(1, 67)})
    with pytest.raises(ValueError, match=r"the model reads \('image',\); got \('sound',\)"):
        heads("image")({"sound": rows()})
