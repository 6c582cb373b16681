"""The losses by hand, against torch's own, over every layout, and where they used to go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mke_theory.method.losses import (
    confident,
    cross_entropy,
    cross_entropy_consistency,
    hard_consistency,
    kl_consistency,
    kl_divergence,
    per_sample,
    squared_l2,
    two_class,
)

LN2, LN3 = math.log(2), math.log(3)


class Loss(Protocol):
    def __call__(
        self, clean: Tensor, perturbed: Tensor, *, dim: int = 1, mask: Tensor | None = None
    ) -> Tensor: ...


def soft(clean: Tensor, perturbed: Tensor, *, dim: int = 1, mask: Tensor | None = None) -> Tensor:
    return kl_divergence(perturbed, clean.softmax(dim), dim=dim, mask=mask)


# Every loss as a function of two views [n, k], and the same from torch's own functions.
ORACLES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    hard_consistency: lambda a, b: F.cross_entropy(b, a.argmax(1), reduction="none"),
    soft: lambda a, b: F.kl_div(b.log_softmax(1), a.softmax(1), reduction="none").sum(1),
    squared_l2: lambda a, b: F.mse_loss(a.softmax(1), b.softmax(1), reduction="none").sum(1),
    kl_consistency: lambda a, b: F.kl_div(
        b.log_softmax(1), a.log_softmax(1), reduction="none", log_target=True
    ).sum(1),
    cross_entropy_consistency: lambda a, b: F.cross_entropy(b, a.softmax(1), reduction="none"),
}
BOTH_WAYS = (squared_l2, kl_consistency, cross_entropy_consistency)
"""The losses whose gradient flows into either view; the others hold the clean one fixed."""

every_loss = pytest.mark.parametrize("loss", ORACLES)
every_k = pytest.mark.parametrize("k", [2, 3, 40])


def views(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(len(shape))
    first, second = 3 * torch.randn(2, *shape, generator=draw, dtype=dtype)
    return first, second


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


# --- hand-computed -------------------------------------------------------------------------------


def test_cross_entropy_by_hand() -> None:
    # softmax [0, ln 3] = [1/4, 3/4]
    logits = torch.tensor([[0, LN3], [0, LN3]], dtype=torch.float64)
    values = cross_entropy(logits, torch.tensor([0, 1]))
    assert values.tolist() == pytest.approx([math.log(4), math.log(4 / 3)])


def test_divergences_by_hand() -> None:
    # p = [1/2, 1/2], q = [1/4, 3/4]: KL(p‖q) = ln 2 − ½ ln 3, ‖p − q‖² = 1/8,
    # cross-entropy = KL + ln 2.
    p = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    q = torch.tensor([[0.0, LN3]], dtype=torch.float64)
    apart = LN2 - LN3 / 2
    assert kl_divergence(q, p.softmax(1)).item() == pytest.approx(apart)
    assert kl_consistency(p, q).item() == pytest.approx(apart)
    assert cross_entropy_consistency(p, q).item() == pytest.approx(apart + LN2)
    assert squared_l2(p, q).item() == pytest.approx(1 / 8)
    # τ = 2 halves the logits: with logits 2 ln 3 the student is q again, and the factor is 4.
    assert kl_divergence(2 * q, p.softmax(1), temperature=2).item() == pytest.approx(4 * apart)


def test_a_zero_in_the_target_costs_nothing() -> None:
    target = torch.tensor([[0.0, 1.0]])
    assert kl_divergence(torch.zeros(1, 2), target).item() == pytest.approx(LN2)
    assert kl_divergence(torch.tensor([[-1e9, 0.0]]), target).item() == 0.0


# --- two paths agree -----------------------------------------------------------------------------


@every_loss
@every_k
def test_losses_agree_with_torch(loss: Loss, k: int) -> None:
    clean, perturbed = views(7, k)
    close(loss(clean, perturbed), ORACLES[loss](clean, perturbed))


@every_loss
@every_k
def test_every_layout_gives_the_same_numbers(loss: Loss, k: int) -> None:
    # [n, k, h, w] pixel by pixel, and stacked students [s, n, k], counted from either end.
    clean, perturbed = views(2, k, 3, 4)
    flat = [x.movedim(1, -1).reshape(-1, k) for x in (clean, perturbed)]
    close(loss(clean, perturbed).reshape(-1), loss(*flat))
    clean, perturbed = views(5, 4, k)
    apart = torch.stack([loss(a, b) for a, b in zip(clean, perturbed, strict=True)])
    close(loss(clean, perturbed, dim=2), apart)
    close(loss(clean, perturbed, dim=-1), apart)


@every_loss
@every_k
def test_stacked_students_by_vmap(loss: Loss, k: int) -> None:
    clean, perturbed = views(5, 4, k)
    mask = torch.rand(4) < 0.6
    assert 0 < mask.sum() < 4
    close(torch.func.vmap(loss)(clean, perturbed), loss(clean, perturbed, dim=2))

    def masked(a: Tensor, b: Tensor) -> Tensor:
        return per_sample(loss(a, b, mask=mask), mask)

    apart = torch.stack([masked(a, b) for a, b in zip(clean, perturbed, strict=True)])
    close(torch.func.vmap(masked)(clean, perturbed), apart)
    # One teacher's view against many students, and gradients through the stack.
    grads = torch.func.vmap(torch.func.grad(lambda b: loss(clean[0], b).sum()))(perturbed)
    for i, student in enumerate(perturbed):
        alone = student.clone().requires_grad_()
        loss(clean[0], alone).sum().backward()
        assert alone.grad is not None
        close(grads[i], alone.grad)


@every_k
def test_kl_to_one_hot_is_cross_entropy(k: int) -> None:
    logits, other = views(6, k, 2, 2)
    labels = other.argmax(1)
    one_hot = F.one_hot(labels, k).movedim(-1, 1).to(logits)
    close(kl_divergence(logits, one_hot), cross_entropy(logits, labels))


def test_kl_consistency_is_cross_entropy_less_entropy() -> None:
    clean, perturbed = views(6, 3)
    entropy = cross_entropy_consistency(clean, clean)
    close(kl_consistency(clean, perturbed), cross_entropy_consistency(clean, perturbed) - entropy)


@every_k
def test_multi_label_is_k_binary_questions(k: int) -> None:
    logits, other = views(5, k)
    truth = (other > 0).to(logits)
    binary = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    close(two_class(logits).softmax(-1)[..., 1], logits.sigmoid())
    close(cross_entropy(two_class(logits), truth.long(), dim=-1), binary)
    # Soft targets: binary cross-entropy less the target's entropy.
    share = other.sigmoid()
    target = torch.stack([1 - share, share], dim=-1)
    soft_binary = F.binary_cross_entropy_with_logits(logits, share, reduction="none")
    entropy = F.binary_cross_entropy_with_logits(other, share, reduction="none")
    close(kl_divergence(two_class(logits), target, dim=-1), soft_binary - entropy)
    apart = squared_l2(two_class(logits), two_class(other), dim=-1)
    close(apart, 2 * (logits.sigmoid() - other.sigmoid()).square())


# --- traps ---------------------------------------------------------------------------------------


@every_k
def test_the_loss_weight_does_not_change_with_the_number_of_classes(k: int) -> None:
    # Uniform against one-hot is ln k and 1 − 1/k, whatever k is; a mean over n × k would not be.
    uniform = torch.zeros(3, k, dtype=torch.float64)
    labels = torch.tensor([0, 1, k - 1])
    sure = 1e3 * F.one_hot(labels, k).to(uniform)
    expected = torch.full((3,), math.log(k), dtype=torch.float64)
    for value in (
        cross_entropy(uniform, labels),
        kl_divergence(uniform, sure.softmax(1)),
        kl_consistency(sure, uniform),
        cross_entropy_consistency(sure, uniform),
    ):
        close(value, expected)
    close(squared_l2(sure, uniform), torch.full_like(expected, 1 - 1 / k))


@every_loss
def test_classes_without_probability_change_nothing(loss: Loss) -> None:
    clean, perturbed = views(6, 3)
    impossible = torch.full((6, 37), -1e4, dtype=torch.float64)
    more = [torch.cat([x, impossible], dim=1) for x in (clean, perturbed)]
    close(loss(*more), loss(clean, perturbed))


@every_loss
def test_per_sample_loss_does_not_depend_on_the_batch_size(loss: Loss) -> None:
    clean, perturbed = views(9, 3, 2, 2)
    whole = per_sample(loss(clean, perturbed))
    assert whole.shape == (9,)
    for size in (1, 4):
        parts = zip(clean.split(size), perturbed.split(size), strict=True)
        close(torch.cat([per_sample(loss(a, b)) for a, b in parts]), whole)


@every_loss
@pytest.mark.parametrize("filler", [0.0, 1e30, float("inf"), float("nan")])
def test_padding_changes_neither_loss_nor_gradient(loss: Loss, filler: float) -> None:
    clean, perturbed = views(2, 3, 4, 5)
    mask = torch.zeros(2, 7, 6, dtype=torch.bool)
    mask[:, :4, :5] = True
    padded = [F.pad(x, (0, 1, 0, 3), value=filler).requires_grad_() for x in (clean, perturbed)]
    perturbed.requires_grad_()
    expected = per_sample(loss(clean, perturbed))
    found = per_sample(loss(*padded, mask=mask), mask)
    close(found, expected)
    expected.sum().backward()
    found.sum().backward()
    assert padded[1].grad is not None
    assert perturbed.grad is not None
    close(padded[1].grad, F.pad(perturbed.grad, (0, 1, 0, 3)))


@every_loss
def test_a_mask_is_a_slice(loss: Loss) -> None:
    clean, perturbed = views(8, 3)
    mask = torch.tensor([1, 0, 1, 1, 0, 0, 1, 0]).bool()
    values = loss(clean, perturbed, mask=mask)
    close(values[mask], loss(clean[mask], perturbed[mask]))
    assert values[~mask].tolist() == [0.0] * 4


def test_unknown_labels_are_masked_out() -> None:
    logits, _ = views(3, 4)
    labels = torch.tensor([2, -1, 0])
    values = cross_entropy(logits, labels, mask=labels >= 0)
    close(values[[0, 2]], cross_entropy(logits[[0, 2]], labels[[0, 2]]))
    assert values[1] == 0


# --- gradients -----------------------------------------------------------------------------------


@every_loss
@every_k
def test_gradients_are_those_of_finite_differences(loss: Loss, k: int) -> None:
    clean, perturbed = views(3, k)
    for x in (clean, perturbed):
        x.requires_grad_()
    assert torch.autograd.gradcheck(lambda b: loss(clean.detach(), b), [perturbed])
    if loss in BOTH_WAYS:
        assert torch.autograd.gradcheck(loss, [clean, perturbed])


@every_loss
@pytest.mark.parametrize("size", [0.0, 110.0, 1e4, 1e30])
def test_gradients_are_finite_at_extreme_logits(loss: Loss, size: float) -> None:
    pattern = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    clean = (size * pattern).requires_grad_()
    perturbed = (size * pattern.flip(0).roll(1, dims=1)).requires_grad_()
    value = loss(clean, perturbed)
    value.sum().backward()
    for x in (value, perturbed.grad, clean.grad):
        assert x is None or bool(torch.isfinite(x).all())
    assert perturbed.grad is not None


def test_the_stopped_gradient_does_not_reach_the_clean_view() -> None:
    clean, perturbed = (x.requires_grad_() for x in views(4, 3))
    hard_consistency(clean, perturbed).sum().backward()
    kl_divergence(perturbed, clean.softmax(1)).sum().backward()
    assert clean.grad is None
    assert perturbed.grad is not None
    for loss in BOTH_WAYS:
        clean.grad = None
        loss(clean, perturbed).sum().backward()
        assert clean.grad is not None
        assert bool((clean.grad.abs().sum(1) > 1e-3).all())


def test_the_temperature_scales_gradients_back() -> None:
    # d/dz τ² KL(p_τ ‖ softmax(z/τ)) = τ (softmax(z/τ) − p_τ), which for large τ is (z − v)/k for
    # centred logits z and v (Hinton et al., 2015, equation 4): τ drops out.
    teacher, student = (x - x.mean(1, keepdim=True) for x in views(4, 3))
    for temperature in (0.5, 1.0, 4.0, 1e4):
        z = student.clone().requires_grad_()
        target = (teacher / temperature).softmax(1)
        kl_divergence(z, target, temperature=temperature).sum().backward()
        assert z.grad is not None
        close(z.grad, temperature * ((student / temperature).softmax(1) - target))
    torch.testing.assert_close(z.grad, (student - teacher) / 3, rtol=2e-3, atol=1e-3)


# --- properties ----------------------------------------------------------------------------------

LOGITS = st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=2, max_size=6)


@given(LOGITS, st.floats(-50, 50))
def test_what_holds_for_all_logits(pairs: list[tuple[float, float]], shift: float) -> None:
    clean, perturbed = torch.tensor(pairs, dtype=torch.float64).T[:, None]
    for loss in ORACLES:
        value = loss(clean, perturbed)
        assert value.item() >= -1e-12
        # Logits are known up to a constant.
        moved = loss(clean, perturbed + shift)
        assert moved.item() == pytest.approx(value.item(), rel=1e-6, abs=1e-6)
    for loss in (soft, squared_l2, kl_consistency):
        assert loss(clean, clean).item() == pytest.approx(0, abs=1e-9)
    assert squared_l2(clean, perturbed).item() <= 2
    assert squared_l2(clean, perturbed).item() == squared_l2(perturbed, clean).item()
    # Pinsker: ‖p − q‖₁² ≤ 2 KL, and the squared L2 norm is smaller still.
    assert squared_l2(clean, perturbed) <= 2 * kl_consistency(clean, perturbed) + 1e-9


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_of_the_numbers_is_kept(loss: Loss, dtype: torch.dtype) -> None:
    clean, perturbed = views(3, 2, dtype=dtype)
    mask = torch.tensor([True, False, True])
    assert per_sample(loss(clean, perturbed, mask=mask), mask).dtype == dtype


# --- confident, per_sample -----------------------------------------------------------------------


def test_confident_by_hand() -> None:
    probabilities = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.25, 0.75]])
    assert confident(probabilities, 0.75).tolist() == [False, True, True]
    assert confident(probabilities.T, 0.8, dim=0).tolist() == [False, True, False]
    assert confident(probabilities, 0.0).all()
    assert not confident(probabilities, 1.0).any()
    assert confident(torch.tensor([[0.0, 1.0]]), 1.0).all()


def test_per_sample_by_hand() -> None:
    values = torch.tensor([[[1.0, 2.0], [3.0, 6.0]], [[5.0, 7.0], [0.0, 0.0]]])
    assert per_sample(values).tolist() == [3.0, 3.0]
    mask = torch.tensor([[[True, True], [False, True]], [[False, False], [False, False]]])
    assert per_sample(values, mask).tolist() == [3.0, 0.0]
    assert per_sample(torch.tensor([2.0, 4.0])).tolist() == [2.0, 4.0]
    assert per_sample(torch.tensor([2.0, 4.0]), torch.tensor([True, False])).tolist() == [2.0, 0.0]
    unread = torch.tensor([[1.0, float("nan"), float("inf")]])
    assert per_sample(unread, torch.tensor([[True, False, False]])).tolist() == [1.0]


# --- refusals ------------------------------------------------------------------------------------

Z, Y = torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # gather would answer for the first two samples and be silent about the others
        (lambda: cross_entropy(Z, Y[:2]), r"labels has shape \(2,\); .* need \(4,\)"),
        (lambda: cross_entropy(Z[..., None], Y[:, None].expand(4, 2)), r"labels .* need \(4, 1\)"),
        (lambda: cross_entropy(Z, Y, mask=Y[:1] == 0), r"mask has shape \(1,\)"),
        (lambda: squared_l2(Z, Z, mask=torch.ones(4, 3).bool()), r"mask .* need \(4,\)"),
        (lambda: squared_l2(Z, Z[:1]), r"shapes differ: \(4, 3\) and \(1, 3\)"),
        (lambda: kl_consistency(Z, Z[:1]), "shapes differ"),
        (lambda: kl_divergence(Z, Z[:1]), "shapes differ"),
        (lambda: cross_entropy_consistency(Z, Z[:, :1]), "shapes differ"),
        (lambda: hard_consistency(Z[:, :1], Z), "shapes differ"),
        (lambda: per_sample(Z, torch.ones(4, 1).bool()), "shapes differ"),
        (lambda: kl_divergence(Z, Z, temperature=0.0), "temperature is 0.0"),
        (lambda: kl_divergence(Z, Z, temperature=-1.0), "temperature is -1.0"),
        (lambda: kl_divergence(Z, Z, temperature=float("nan")), "temperature is nan"),
        (lambda: confident(Z, 1.1), "threshold is 1.1"),
        (lambda: confident(Z, -0.1), "threshold is -0.1"),
        (lambda: confident(Z, float("nan")), "threshold is nan"),
    ],
)
def test_losses_refuse(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_name_no_class_are_an_error(label: int) -> None:
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        cross_entropy(Z, torch.full((4,), label))
