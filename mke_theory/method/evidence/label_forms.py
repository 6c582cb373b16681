"""Forms of labels: one class a sample, a class for each pixel, or several yes/no questions.

The arithmetic of evidence knows tables of log probabilities, samples first and classes last:

    one class a sample         logits [n, k]          table [n, k]
    a class for each pixel     logits [n, k, h, w]    table [n, h, w, k]
    several questions          logits [n, q]          table [n, q, 2], absent and present

Of many pixels the statistics read some, drawn in every sample: `Sites`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mke_theory.data.pool import UNKNOWN
from mke_theory.data.rng import seed_for
from mke_theory.method.evidence import arithmetic
from mke_theory.method.losses import two_class

SITES = 64
"""The most pixels of a sample that statistics read."""


def scores_of(logits: Tensor, *, multilabel: bool) -> Tensor:
    """The logits with the classes along the last axis, as a table has them, not normalised."""
    return two_class(logits) if multilabel else logits.movedim(1, -1)


def table_of(logits: Tensor, *, multilabel: bool) -> Tensor:
    """Log probabilities as a table."""
    return torch.log_softmax(scores_of(logits, multilabel=multilabel), dim=-1)


def logits_of(table: Tensor, *, multilabel: bool) -> Tensor:
    """A table as logits: log probabilities [n, k, ...], or the log odds [n, q] of present."""
    return table[..., 1] - table[..., 0] if multilabel else table.movedim(-1, 1)


def probabilities_of(log_p: Tensor, *, multilabel: bool) -> Tensor:
    """A table as probabilities to learn: [n, k], [n, k, h, w] in half precision, or [n, q]."""
    if multilabel:
        return log_p[..., 1].exp().float()
    if log_p.ndim == 2:
        return log_p.exp().float()
    return log_p.float().exp().movedim(-1, 1).half()


def beside(values: Tensor, table: Tensor) -> Tensor:
    """Values [n] or [n, ..., k], one for each sample, with the axes of a table for pixels."""
    between = table.ndim - values.ndim
    return values.reshape(len(values), *[1] * between, *values.shape[1:])


def shares_among(labels: Tensor, classes: int, *, multilabel: bool) -> Tensor:
    """The classes' shares [k] among known labels, or of absent and present [q, 2].

    Each counts once more than it occurs, so that none is 0.
    """
    known = labels >= 0  # −1 or NaN is unknown
    if not multilabel:
        return arithmetic.prior_of(labels[known].long(), classes)
    present = torch.where(known, labels.double(), 0.0).sum(0) + 1.0
    share = present / (known.double().sum(0) + 2.0)
    return torch.stack([1.0 - share, share], dim=-1)


def known_samples(labels: Tensor) -> Tensor:
    """True [n] where a sample has a known label, one at least."""
    return (labels >= 0).reshape(len(labels), -1).any(dim=1)


@dataclass(frozen=True)
class Sites:
    """Some pixels of every sample, [n, s] numbers into h · w, or None: the samples as they are."""

    index: Tensor | None = None

    @classmethod
    def drawn(cls, shape: torch.Size, seed: int) -> Sites:
        """Pixels for tables [n, h, w, k], `SITES` a sample or all; for others, the samples."""
        if len(shape) < 4:
            return cls()
        n, pixels = shape[0], shape[1] * shape[2]
        draw = torch.Generator().manual_seed(seed_for(seed, "sites"))
        chosen = [torch.randperm(pixels, generator=draw)[:SITES] for _ in range(n)]
        return cls(torch.stack(chosen))

    @property
    def each(self) -> int:
        """The number of rows that a sample has in a table of sites."""
        return 1 if self.index is None else self.index.shape[1]

    def of(self, table: Tensor) -> Tensor:
        """The rows of a table [n, h, w, k] as [n · s, k] in double precision; others unchanged."""
        if self.index is None:
            return table
        flat = table.reshape(len(table), -1, table.shape[-1])
        at = self.index.unsqueeze(-1).expand(-1, -1, flat.shape[-1])
        return flat.gather(1, at).reshape(-1, flat.shape[-1]).double()

    def labels(self, labels: Tensor) -> Tensor:
        """Labels [n, h, w] as [n · s]; others unchanged."""
        if self.index is None:
            return labels
        return labels.reshape(len(labels), -1).gather(1, self.index).reshape(-1)

    def repeated(self, values: Tensor) -> Tensor:
        """Values of samples [n] as values of their sites."""
        return values if self.index is None else values.repeat_interleave(self.each)


def classified(
    logits: Tensor, labels: Tensor, *, multilabel: bool = False, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Logits [m, k] and classes [m] of what is known: rows are samples, some pixels, or answers.

    `logits` are [n, k, ...], of several questions [n, q], and `labels` [n, ...].
    """
    scores = scores_of(logits, multilabel=multilabel)
    sites = Sites.drawn(scores.shape, seed)
    scores = sites.of(scores).reshape(-1, scores.shape[-1])
    labels = sites.labels(labels).reshape(-1)
    known = labels >= 0
    classes = labels >= 0.5 if multilabel else labels
    return scores[known], classes[known].long()


def targets_of(log_p: Tensor, share: float, *, multilabel: bool) -> Tensor:
    """The classes that a posterior names, the surest `share` of each: what a round learns.

    `log_p` is a table. Class numbers [n] or [n, h, w], −1 where a label is left out; for several
    questions 0 and 1 [n, q], NaN where it is left out.
    """
    if multilabel:
        columns = [targets_of(part, share, multilabel=False) for part in log_p.unbind(1)]
        found = torch.stack(columns, dim=1)
        return torch.where(found == UNKNOWN, torch.nan, found.double()).float()
    chosen = arithmetic.surest(log_p.reshape(-1, log_p.shape[-1]), share)
    named = log_p.argmax(-1)
    return torch.where(chosen.reshape(named.shape), named, UNKNOWN)
