"""Devices, processes and precision, through Lightning Fabric."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Hardware:
    """Where to train: `devices` processes on each of `num_nodes` machines.

    A script with devices=2 starts its second process itself, by running once more. Processes may
    also be started by torchrun, as many as are stated here.
    """

    accelerator: Literal["cpu", "cuda", "auto"] = "cpu"
    devices: int = 1
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    num_nodes: int = 1

    def refuse_absent(self) -> None:
        """Raise ValueError where the device that is asked for is not here."""
        if self.accelerator == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                "device is 'cuda', but torch sees no CUDA device here; use 'cpu' or 'auto', or "
                "install a torch with CUDA"
            )
        if self.precision == "16-mixed" and self.named()["device"] == "cpu":
            raise ValueError("precision is '16-mixed', which a CPU has not; use 'bf16-mixed'")

    def named(self) -> dict[str, str]:
        """What decides the numbers of a run: the kind of device, and the precision."""
        kind = self.accelerator
        if kind == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        return {"device": kind, "precision": self.precision}

    def fabric(self) -> Fabric:
        """A launched Fabric; ValueError where torchrun started another number of processes."""
        from lightning_fabric import Fabric  # slow to import, and only training needs it

        stated = self.devices * self.num_nodes
        torchrun = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
        started = int(os.environ["WORLD_SIZE"]) if torchrun else stated
        if started != stated:
            raise ValueError(
                f"torchrun started {started} processes, but devices={self.devices} on "
                f"num_nodes={self.num_nodes} makes {stated}; state as many as are started"
            )
        fabric = Fabric(
            accelerator=self.accelerator,
            devices=self.devices,
            precision=self.precision,
            num_nodes=self.num_nodes,
        )
        fabric.launch()
        return fabric
