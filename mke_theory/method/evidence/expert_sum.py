"""The student: a sum of experts, each of which reads modalities of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mke_theory.data.pool import Inputs, is_present
from mke_theory.method.evidence.arithmetic import as_answered
from mke_theory.method.evidence.label_forms import logits_of, table_of
from mke_theory.training.ema import answer


class Expert(nn.Module):
    """The evidence log r_m(k | x) [n, k] of some modalities, a mean over models of several folds.

    Each model was kept from one fold of D_u; a new sample has the mean of all. `exponent`,
    `offsets` [f, k] and `log_prior` [k] are those of `arithmetic.evidence_of`. With `confusion` it
    is evidence of the teacher's answer. `share` in [0, 1] is what counts of it in the sum, where
    two experts read the same modalities. Where a modality is missing the evidence is 0. With
    `pixels` it is a table [n, h, w, k], and with a prior [q, 2] of several questions [n, q, 2].
    """

    log_prior: Tensor
    offsets: Tensor
    confusion: Tensor | None
    exponent: Tensor
    share: Tensor

    def __init__(
        self,
        models: Sequence[nn.Module],
        modalities: Sequence[str],
        log_prior: Tensor,
        *,
        exponent: float = 1.0,
        offsets: Tensor | None = None,
        confusion: Tensor | None = None,
        share: float = 1.0,
        pixels: bool = False,
    ) -> None:
        super().__init__()
        self.models, self.modalities = nn.ModuleList(models), tuple(modalities)
        self.pixels = pixels
        # Buffers, so that a state dictionary holds all that decides the answers.
        self.register_buffer("exponent", torch.tensor(float(exponent), dtype=torch.float64))
        self.register_buffer("share", torch.tensor(float(share), dtype=torch.float64))
        self.register_buffer("log_prior", log_prior.double())
        zeros = torch.zeros(len(models), *log_prior.shape, dtype=torch.float64)
        self.register_buffer("offsets", zeros if offsets is None else offsets.double())
        self.register_buffer("confusion", None if confusion is None else confusion.double())

    def forward(self, inputs: Inputs) -> Tensor:
        names = [name for name in self.modalities if name in inputs]
        anyone = next(iter(inputs.values()))
        prior = self.log_prior.double()
        axes = (1, 1) if self.pixels else ()  # stand for any height and width
        result = prior.new_zeros(len(anyone), *axes, *prior.shape, device=anyone.device)
        if len(names) < len(self.modalities):
            return result
        here = torch.ones(len(anyone), dtype=torch.bool, device=anyone.device)
        for name in names:
            here &= is_present(inputs[name])
        if bool(here.any()):
            own = {name: inputs[name][here] for name in names}
            found = [
                self.exponent * (self._log_p(answer(model, own)) - prior) - offset
                for model, offset in zip(self.models, self.offsets, strict=True)
            ]
            values = torch.stack(found).mean(0)
            if self.confusion is not None:
                values = as_answered(values, prior, self.confusion.double())
            result = result.expand(-1, *values.shape[1:]).clone()
            result[here] = (self.share * values).double()
        return result

    def _log_p(self, logits: Tensor) -> Tensor:
        return table_of(logits.double(), multilabel=self.log_prior.ndim == 2)


class ExpertSum(nn.Module):
    """The student: log p(k | x) [n, k] = log π_k + Σ_m log r_m(k | x), normalised.

    Of pixels these are [n, k, h, w]; of several questions it gives the log odds [n, q]. It reads
    any subset of its modalities: one that is absent, or NaN throughout a sample, drops out there. A
    sample with none of them has the classes' frequency as its answer; where no modality of a batch
    is one of its own ValueError says so.
    """

    log_prior: Tensor

    def __init__(self, experts: Sequence[Expert], log_prior: Tensor) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)
        self.register_buffer("log_prior", log_prior.double())

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of all modalities that an expert reads."""
        names = [name for expert in self.experts for name in expert.modalities]  # type: ignore[union-attr]
        return tuple(dict.fromkeys(names))

    def forward(self, inputs: Inputs) -> Tensor:
        if not any(name in inputs for name in self.modalities):
            raise ValueError(f"the student reads {self.modalities}; got {tuple(inputs)}")
        total = self.log_prior.double()
        for expert in self.experts:
            total = total + expert(inputs)
        if total.shape[1:3] == (1, 1):  # pictures of which no expert has a modality
            height, width = next(iter(inputs.values())).shape[-2:]
            total = total.expand(-1, height, width, -1)
        table = torch.log_softmax(total, dim=-1)
        return logits_of(table, multilabel=self.log_prior.ndim == 2)


class Tempered(nn.Module):
    """A model with its logits divided by a temperature: a calibrated teacher."""

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("temperature", torch.tensor(float(temperature), dtype=torch.float64))

    def forward(self, inputs: Inputs) -> Tensor:
        return self.model(inputs) / self.get_buffer("temperature")
