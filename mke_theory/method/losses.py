"""The losses of Algorithm 1, each a pure function that returns one value a prediction.

Logits are [n, k] or [n, k, h, w] or any other shape; `dim` is the class axis, which the result
lacks. Nothing is averaged here: `per_sample` averages over what is left of a sample, and whoever
averages over samples says so. `mask` is True where a prediction counts; elsewhere the loss and its
gradient are 0, whatever stands there. Nothing is broadcast: shapes that differ raise ValueError.

Multi-label tasks have k separate yes/no questions instead of one question with k answers:
`two_class(logits)` turns each into a two-class problem, and every loss here then works on it with
`dim=-1`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_NO_CLASS = torch.iinfo(torch.int64).min
"""The label that torch is to ignore: one that no label has, for it would pass without an error."""


def cross_entropy(
    logits: Tensor, labels: Tensor, *, dim: int = 1, mask: Tensor | None = None
) -> Tensor:
    """−log softmax(logits)[label]: l_cls for hard pseudo labels.

    A label outside 0..k−1 is an error (IndexError or RuntimeError of `gather`) unless masked out.
    Ref: xue2021mke, Algorithm 1.
    """
    _refuse_misfit("labels", labels, logits, dim)  # gather would take fewer labels in silence
    if mask is None and logits.dim() == 2 and dim == 1:  # torch has this case in one piece
        return F.cross_entropy(logits, labels, ignore_index=_NO_CLASS, reduction="none")
    index = labels if mask is None else torch.where(mask, labels, 0)
    log_student = torch.log_softmax(_kept(logits, mask, dim), dim)
    return _masked(-log_student.gather(dim, index.unsqueeze(dim)).squeeze(dim), mask)


def kl_divergence(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    dim: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """τ² KL(target ‖ softmax(logits/τ)): l_cls for soft pseudo labels.

    `target` holds probabilities along `dim`, themselves taken at temperature τ > 0, and is held
    fixed (detached). The factor τ² keeps the size of the gradient independent of τ. With a one-hot
    target and τ = 1 this is `cross_entropy`.
    Ref: xue2021mke, Algorithm 1; hinton2015distilling, section 2.
    """
    if not 0.0 < temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}; it has to be positive")
    _refuse_shape(logits, target)
    target = _kept(target.detach(), mask, dim)
    log_student = torch.log_softmax(_kept(logits, mask, dim) / temperature, dim)
    value = (torch.xlogy(target, target) - target * log_student).sum(dim) * temperature**2
    return _masked(value, mask)


def squared_l2(
    clean: Tensor, perturbed: Tensor, *, dim: int = 1, mask: Tensor | None = None
) -> Tensor:
    """‖softmax(clean) − softmax(perturbed)‖², in [0, 2]: l_reg of the paper, symmetric.

    Gradients flow into both views. Ref: xue2021mke, equation of L_reg; laine2017temporal.
    """
    _refuse_shape(clean, perturbed)
    clean, perturbed = _kept(clean, mask, dim), _kept(perturbed, mask, dim)
    difference = torch.softmax(clean, dim) - torch.softmax(perturbed, dim)
    return _masked(difference.square().sum(dim), mask)


def kl_consistency(
    clean: Tensor, perturbed: Tensor, *, dim: int = 1, mask: Tensor | None = None
) -> Tensor:
    """KL(softmax(clean) ‖ softmax(perturbed)), with gradients into both views.

    Ref: xie2020uda.
    """
    _refuse_shape(clean, perturbed)
    # From logarithms: the derivative of p log p at a p that rounds to 0 would be NaN.
    log_clean = torch.log_softmax(_kept(clean, mask, dim), dim)
    log_perturbed = torch.log_softmax(_kept(perturbed, mask, dim), dim)
    return _masked((log_clean.exp() * (log_clean - log_perturbed)).sum(dim), mask)


def cross_entropy_consistency(
    clean: Tensor, perturbed: Tensor, *, dim: int = 1, mask: Tensor | None = None
) -> Tensor:
    """Cross-entropy of the perturbed view to the clean one, with gradients into both views.

    It is `kl_consistency` plus the entropy of the clean view, so that a view's cross-entropy to
    itself is its entropy. Ref: grandvalet2005entropy.
    """
    _refuse_shape(clean, perturbed)
    target = torch.softmax(_kept(clean, mask, dim), dim)
    log_perturbed = torch.log_softmax(_kept(perturbed, mask, dim), dim)
    return _masked(-(target * log_perturbed).sum(dim), mask)


def hard_consistency(
    clean: Tensor, perturbed: Tensor, *, dim: int = 1, mask: Tensor | None = None
) -> Tensor:
    """Cross-entropy of the perturbed view to the likeliest class of the clean one.

    No gradient reaches the clean view; of classes that tie, the first counts.
    Ref: lee2013pseudo; sohn2020fixmatch, equation 4.
    """
    _refuse_shape(clean, perturbed)
    return cross_entropy(perturbed, _kept(clean, mask, dim).argmax(dim), dim=dim, mask=mask)


def confident(probabilities: Tensor, threshold: float, *, dim: int = 1) -> Tensor:
    """True where the largest probability reaches `threshold` in [0, 1]: a mask for the losses.

    Ref: sohn2020fixmatch.
    """
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold is {threshold}; it has to lie in [0, 1]")
    return probabilities.amax(dim) >= threshold


def two_class(logits: Tensor) -> Tensor:
    """Logits of the pair (absent, present), in a new last axis: [..., k] becomes [..., k, 2].

    softmax over that axis gives sigmoid(logits) for `present`.
    """
    return torch.stack([torch.zeros_like(logits), logits], dim=-1)


def per_sample(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over all axes but the first, counting only what `mask` keeps; 0 where it keeps nothing.

    Padding that the mask excludes therefore changes nothing.
    """
    if mask is None and values.dim() == 1:
        return values
    flat = values.reshape(len(values), -1)
    if mask is None:
        return flat.mean(dim=1)
    _refuse_shape(values, mask)
    kept = mask.reshape(len(values), -1)
    return torch.where(kept, flat, 0.0).sum(dim=1) / kept.sum(dim=1).clamp(min=1)


def _kept(values: Tensor, mask: Tensor | None, dim: int) -> Tensor:
    """`values` with 0 for every class where the mask leaves a prediction out."""
    # At the input as well as at the output: the gradient of a masked NaN would be NaN, not 0.
    if mask is None:
        return values
    _refuse_misfit("mask", mask, values, dim)
    return torch.where(mask.unsqueeze(dim), values, 0.0)


def _masked(value: Tensor, mask: Tensor | None) -> Tensor:
    return value if mask is None else torch.where(mask, value, 0.0)


def _refuse_misfit(name: str, given: Tensor, logits: Tensor, dim: int) -> None:
    expected = [*logits.shape]
    del expected[dim]
    if [*given.shape] != expected:
        raise ValueError(
            f"{name} has shape {tuple(given.shape)}; logits {tuple(logits.shape)} with the classes "
            f"along axis {dim} need {tuple(expected)}"
        )


def _refuse_shape(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"shapes differ: {tuple(first.shape)} and {tuple(second.shape)}; they have to be equal"
        )
