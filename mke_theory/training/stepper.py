"""The step as it is carried out: by torch alone on one CPU, or through Lightning Fabric.

    for each piece of the batch: losses [b] → gradient of their share of the mean;  then the update

Both give the same numbers wherever both can be used. Fabric's wrappers cost time at every
step, so that one process on a CPU goes without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mke_theory.training.hardware import Hardware

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Stepper(Protocol):
    """One of `processes` that train a model together, the one with number `rank`."""

    @property
    def processes(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def device(self) -> torch.device: ...

    def take(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Train this model, moved to the device, from now on."""
        ...

    def differentiate(
        self, loss: Callable[..., Tensor], given: tuple[Any, ...], total: int, *, last: bool
    ) -> Tensor:
        """Add the gradient of Σ loss(model, *given) / total to that of the weights.

        Returns the losses [b] of the piece, whose batch has `total` samples. After the `last` piece
        of a step the gradients are those of all processes together.
        """
        ...

    def update(self, clip_norm: float | None) -> None:
        """Change the weights by their gradients, and forget these."""
        ...

    def mean(self, x: Tensor) -> Tensor:
        """The mean of `x` over the processes."""
        ...

    def gathered(self, x: Tensor) -> list[Tensor]:
        """The `x` of every process, on the CPU."""
        ...

    def from_first(self, found: Any) -> Any:
        """The value of the first process, in all of them."""
        ...


class Plain:
    """One process on a CPU, in the precision of weights and inputs: torch as it is."""

    processes, rank, device = 1, 0, torch.device("cpu")

    def take(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model.to(self.device), optimizer
        self.weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self._forget()
        self._total, self._share = 0, torch.empty(0)

    def differentiate(
        self, loss: Callable[..., Tensor], given: tuple[Any, ...], total: int, *, last: bool
    ) -> Tensor:
        values = loss(self.model, *given)
        # Each loss has its share of the mean as gradient: the mean itself need not be computed.
        torch.autograd.backward(values, self._share_of(values, total))
        return values

    def _share_of(self, values: Tensor, total: int) -> Tensor:
        if self._total != total or self._share.shape != values.shape:
            self._total, self._share = total, torch.full_like(values, 1 / total)
        return self._share

    def update(self, clip_norm: float | None) -> None:
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self.weights, clip_norm)
        self.optimizer.step()
        self._forget()

    def _forget(self) -> None:
        for weight in self.weights:
            weight.grad = None

    def mean(self, x: Tensor) -> Tensor:
        return x

    def gathered(self, x: Tensor) -> list[Tensor]:
        return [x]

    def from_first(self, found: Any) -> Any:
        return found


class ThroughFabric:
    """A process of any kind that Lightning Fabric knows: devices, precisions, several processes."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.processes, self.rank = fabric.world_size, fabric.global_rank
        self.device = fabric.device

    def take(self, model: nn.Module, optimizer: Optimizer) -> None:
        self.model, self.optimizer = self.fabric.setup(model, optimizer)
        self.optimizer.zero_grad()

    def differentiate(
        self, loss: Callable[..., Tensor], given: tuple[Any, ...], total: int, *, last: bool
    ) -> Tensor:
        with self.fabric.no_backward_sync(self.model, enabled=not last):
            with self.fabric.autocast():  # the loss in the precision of the model
                values = loss(self.model, *given)
            # Processes average their gradients: each divides by the whole batch, times their number
            share = torch.full_like(values, self.processes / total)
            self.fabric.backward(values, gradient=share)
        return values

    def update(self, clip_norm: float | None) -> None:
        if clip_norm is not None:
            # In half precision a gradient may overflow: the scaler then leaves the update out.
            self.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=clip_norm, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad()

    def mean(self, x: Tensor) -> Tensor:
        mean: Any = self.fabric.all_reduce(x, reduce_op="mean")
        return mean

    def gathered(self, x: Tensor) -> list[Tensor]:
        every = [x] * self.processes
        if self.processes > 1:
            torch.distributed.all_gather_object(every, x)
        return every

    def from_first(self, found: Any) -> Any:
        return found if self.processes == 1 else self.fabric.broadcast(found)


def stepper_for(hardware: Hardware) -> Stepper:
    """The plain way where the hardware is one process on a CPU in single precision."""
    hardware.refuse_other_processes()
    alone = hardware.accelerator == "cpu" and hardware.processes == 1
    if alone and hardware.precision == "32-true":
        return Plain()
    return ThroughFabric(hardware.fabric())
