"""Devices, processes, precision, and how a step is carried out, through Lightning Fabric."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric


T = TypeVar("T")


@dataclass(frozen=True)
class Hardware:
    """The devices and the way to train: `devices` processes on each of `num_nodes` machines.

    A script with devices=2 starts its second process itself, by running once more. Processes may
    also be started by torchrun, as many as are stated here. All of them train one model, each on
    its share of every batch.

    micro_batch: the most samples that a process computes on at once. Its share is cut into pieces
    of at most that many, whose gradients add up. None takes the share whole.
    workers: processes beside each training process that read batches ahead; 0 reads in it.
    channels_last: pictures and the weights of convolutions have their channels side by side in
    memory, the order that tensor cores read. compile: the model runs through torch.compile.
    deterministic: algorithms that give the same numbers every time, or an error where one has none.

    A batch that is shared or cut gives the update of the whole batch up to rounding. Layers that
    mix samples (batch normalisation) or draw for themselves (dropout layers) see their piece alone.
    """

    accelerator: Literal["cpu", "cuda", "auto"] = "cpu"
    devices: int = 1
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    num_nodes: int = 1
    micro_batch: int | None = None
    workers: int = 0
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        for name, least in (("devices", 1), ("num_nodes", 1), ("micro_batch", 1), ("workers", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; it has to be at least {least}")

    @property
    def processes(self) -> int:
        """The count of processes that train one model together."""
        return self.devices * self.num_nodes

    @property
    def leads(self) -> bool:
        """True in the first of these processes, which alone writes and speaks."""
        if self.processes == 1:
            return True
        place = int(os.environ.get("NODE_RANK", 0)) * self.devices
        return int(os.environ.get("RANK", place + int(os.environ.get("LOCAL_RANK", 0)))) == 0

    def refuse_absent(self) -> None:
        """Raise ValueError where the devices or processes that are asked for are not here."""
        if self.accelerator == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                "device is 'cuda', but torch sees no CUDA device here; use 'cpu' or 'auto', or "
                "install a torch with CUDA"
            )
        on_cuda = self.named()["device"] == "cuda"
        if on_cuda and self.devices > torch.cuda.device_count():
            raise ValueError(
                f"devices is {self.devices}, but torch sees {torch.cuda.device_count()} CUDA "
                "devices here; ask for fewer"
            )
        if self.precision == "16-mixed" and not on_cuda:
            raise ValueError("precision is '16-mixed', which a CPU has not; use 'bf16-mixed'")
        self.refuse_other_processes()

    def named(self) -> dict[str, str]:
        """The settings that decide the numbers of a run to the last digit, by name.

        The count of processes and the way to carry out a step are named where they are not usual.
        """
        kind: str = self.accelerator
        if kind == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        named: dict[str, str] = {"device": kind, "precision": self.precision}
        if self.processes > 1:
            named["processes"] = str(self.processes)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _CHANGE_DIGITS and value != field.default:
                named[field.name] = str(value)
        return named

    def fabric(self) -> Fabric:
        """The launched Fabric of these devices and this precision, one in a process.

        Raises ValueError where torchrun started another number of processes.
        """
        self.refuse_other_processes()
        return _launched(self.accelerator, self.devices, self.num_nodes, self.precision)

    def refuse_other_processes(self) -> None:
        """Raise ValueError where torchrun started another number of processes than is stated."""
        torchrun = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
        started = int(os.environ["WORLD_SIZE"]) if torchrun else self.processes
        if started != self.processes:
            raise ValueError(
                f"torchrun started {started} processes, but devices={self.devices} on "
                f"num_nodes={self.num_nodes} makes {self.processes}; state as many as are started"
            )


_CHANGE_DIGITS = ("micro_batch", "channels_last", "compile", "deterministic")


def broadcast(value: T, hardware: Hardware) -> T:
    """The value that the first of several training processes has; a single one keeps its own."""
    return hardware.fabric().broadcast(value) if hardware.processes > 1 else value


@cache
def _launched(accelerator: str, devices: int, num_nodes: int, precision: Any) -> Fabric:
    from lightning_fabric import Fabric  # slow to import, and not always needed

    fabric = Fabric(
        accelerator=accelerator, devices=devices, precision=precision, num_nodes=num_nodes
    )
    fabric.launch()
    return fabric


@contextmanager
def arranged(hardware: Hardware, *models: nn.Module) -> Iterator[None]:
    """Inside the block models are compiled and algorithms deterministic, as `hardware` asks."""
    before = [model._compiled_call_impl for model in models]
    with _deterministic(hardware.deterministic):
        try:
            for model in models if hardware.compile else ():
                model.compile()  # in place, so that the names of weights stay
            yield
        finally:
            for model, former in zip(models, before, strict=True):
                model._compiled_call_impl = former


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    cudnn, name = torch.backends.cudnn, "CUBLAS_WORKSPACE_CONFIG"
    strict = torch.are_deterministic_algorithms_enabled()
    mild = torch.is_deterministic_algorithms_warn_only_enabled()
    flags, room = (cudnn.deterministic, cudnn.benchmark), os.environ.get(name)
    os.environ.setdefault(name, ":4096:8")  # without it cuBLAS may add up in another order
    try:
        torch.use_deterministic_algorithms(True)
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=mild)
        cudnn.deterministic, cudnn.benchmark = flags
        if room is None:
            os.environ.pop(name, None)


@contextmanager
def own_generators(device: torch.device, seed: int) -> Iterator[None]:
    """Inside the block torch's generators start from `seed`; afterwards they are as before.

    Layers that draw for themselves (dropout) read them: that of the CPU, and that of the device.
    """
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            torch.cuda.manual_seed(seed)
        yield


def generators_of(device: torch.device) -> list[Tensor]:
    """The states of the generators that layers on this device draw from, to be set again."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_generators(device: torch.device, states: Sequence[Tensor]) -> None:
    """Let layers on this device go on drawing from these states."""
    # Copies: torch crashes on a state that begins in the middle of a tensor's memory.
    torch.set_rng_state(states[0].clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1].clone(), device)


@contextmanager
def memory_explained(batch_size: int | None, hardware: Hardware) -> Iterator[None]:
    """Inside the block, running out of memory is a MemoryError that names what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as problem:  # torch.OutOfMemoryError is a RuntimeError
        if not _out_of_memory(problem):
            raise
        raise MemoryError(
            f"a step does not fit into memory ({str(problem).splitlines()[0]}); set --micro-batch "
            f"lower (Hardware.micro_batch, now {hardware.micro_batch}: the most samples computed "
            f"on at once), which keeps the result, or batch_size (now {batch_size}), which "
            "changes it"
        ) from problem


def _out_of_memory(problem: Exception) -> bool:
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    signs = ("can't allocate memory", "not enough memory", "ALLOC_FAILED", "out of memory")
    return any(sign in str(problem) for sign in signs)


def forget_peak(device: torch.device) -> None:
    """Let `peak_memory` start anew, where the device can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """The most bytes in use at a time: tensors on a CUDA device since `forget_peak`.

    On a CPU it is all that the process has ever held in memory; None where the system does not say.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
