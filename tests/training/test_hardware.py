"""Hardware is named by what changes digits; what it arranges ends with its block."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import nn

from mke_theory.training.hardware import (
    Hardware,
    arranged,
    broadcast,
    forget_peak,
    generators_of,
    memory_explained,
    own_generators,
    peak_memory,
    set_generators,
)

CPU = torch.device("cpu")
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


# --- what is asked for ---------------------------------------------------------------------------


def test_the_usual_way_is_named_by_device_and_precision_alone() -> None:
    assert Hardware().named() == {"device": "cpu", "precision": "32-true"}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"micro_batch": 8}, {"micro_batch": "8"}),
        ({"channels_last": True}, {"channels_last": "True"}),
        ({"compile": True}, {"compile": "True"}),
        ({"deterministic": True}, {"deterministic": "True"}),
        ({"devices": 2}, {"processes": "2"}),
        ({"devices": 2, "num_nodes": 3}, {"processes": "6"}),
        ({"workers": 4}, {}),  # who reads the samples changes no number
    ],
)
def test_what_may_change_the_last_digit_is_named(
    changes: dict[str, Any], more: dict[str, str]
) -> None:
    assert replace(Hardware(), **changes).named() == Hardware().named() | more


def test_no_setting_is_forgotten_in_the_name() -> None:
    named = {"accelerator", "precision", "devices", "num_nodes"}
    named |= {"micro_batch", "channels_last", "compile", "deterministic"}
    assert {field.name for field in fields(Hardware)} - named == {"workers"}


@pytest.mark.parametrize(
    ("name", "value"), [("devices", 0), ("num_nodes", 0), ("micro_batch", 0), ("workers", -1)]
)
def test_numbers_below_the_least_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it has to be at least {value + 1}"):
        replace(Hardware(), **{name: value})  # type: ignore[arg-type]


def test_more_devices_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    Hardware("cuda", devices=2).refuse_absent()
    with pytest.raises(ValueError, match=r"devices is 3, but torch sees 2 CUDA devices"):
        Hardware("cuda", devices=3).refuse_absent()


def test_processes_that_torchrun_did_not_start_are_refused_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Hardware(devices=2).refuse_absent()  # without torchrun they start later
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    Hardware(devices=2, num_nodes=2).refuse_absent()
    with pytest.raises(ValueError, match=r"torchrun started 4 processes, but devices=2"):
        Hardware(devices=2).refuse_absent()


@pytest.mark.parametrize(
    ("environment", "leads"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "1", "LOCAL_RANK": "1"}, False),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),  # the first process of the second machine
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),  # started by Fabric, which sets no RANK
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
    ],
)
def test_one_process_leads(
    environment: dict[str, str], leads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Hardware(devices=2, num_nodes=2).leads is leads
    assert Hardware().leads  # alone, whatever the environment says


def test_a_fabric_is_made_once_and_of_what_was_asked() -> None:
    fabric = Hardware(precision="64-true").fabric()
    assert (fabric.world_size, fabric.device) == (1, CPU)
    assert fabric.strategy.precision.precision == "64-true"
    assert Hardware(precision="64-true", micro_batch=3, workers=1).fabric() is fabric
    assert Hardware().fabric() is not fabric


def test_one_process_keeps_its_own_value() -> None:
    value = {"a": object()}
    assert broadcast(value, Hardware()) is value


# --- for a while, and as before afterwards -------------------------------------------------------


def switches() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
        os.environ.get(WORKSPACE),
    )


@pytest.mark.parametrize("workspace", [None, ":16:8"])
@pytest.mark.parametrize("before", [(False, False), (True, False), (True, True)])
def test_deterministic_algorithms_are_a_matter_of_the_block(
    before: tuple[bool, bool], workspace: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WORKSPACE, raising=False)
    if workspace is not None:
        monkeypatch.setenv(WORKSPACE, workspace)
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    try:
        outside = switches()
        inside = (True, False, True, False, workspace or ":4096:8")
        with pytest.raises(KeyError), arranged(Hardware(deterministic=True)):
            assert switches() == inside
            _ = {}["an error inside"]
        assert switches() == outside
        with arranged(Hardware()):
            assert switches() == outside
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the compiler's own
def test_models_are_compiled_in_the_block_alone() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    names = list(first.state_dict())
    with arranged(Hardware(compile=True), first, second):
        assert first._compiled_call_impl is not None and second._compiled_call_impl is not None
        assert list(first.state_dict()) == names
    assert first._compiled_call_impl is second._compiled_call_impl is None
    with arranged(Hardware(), first):
        assert first._compiled_call_impl is None


def test_layers_draw_from_generators_of_the_run_alone() -> None:
    def drawn() -> list[float]:
        return torch.rand(3).tolist()

    torch.manual_seed(4)
    outside = drawn()
    torch.manual_seed(4)
    with pytest.raises(KeyError), own_generators(CPU, 21):
        inside = drawn()
        raise KeyError("an error inside")
    assert drawn() == outside
    assert inside == torch.rand(3, generator=torch.Generator().manual_seed(21)).tolist()


def test_generators_go_on_from_their_states() -> None:
    with own_generators(CPU, 21):
        torch.rand(5)
        states = generators_of(CPU)
        expected = torch.rand(3)
        # A state of its own, and one of a process that is not the first, as a checkpoint has it.
        for state in (states[0], torch.stack([torch.zeros_like(states[0]), states[0]])[1]):
            set_generators(CPU, [state])
            assert torch.equal(torch.rand(3), expected)
    assert len(states) == 1


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        MemoryError("no room"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_out_of_memory_names_what_to_lower(problem: Exception) -> None:
    with (
        pytest.raises(MemoryError, match=r"--micro-batch .*now 8.*batch_size \(now 64\)") as caught,
        memory_explained(64, Hardware(micro_batch=8)),
    ):
        raise problem
    assert caught.value.__cause__ is problem
    assert str(problem)[:20] in str(caught.value)


def test_memory_that_no_machine_has() -> None:
    with pytest.raises(MemoryError, match="batch_size"), memory_explained(None, Hardware()):
        torch.empty(2**59, dtype=torch.float32)


@pytest.mark.parametrize("problem", [RuntimeError("shapes differ"), KeyError(3), KeyboardInterrupt])
def test_other_errors_pass_as_they_are(problem: Any) -> None:
    kind = problem if isinstance(problem, type) else type(problem)
    with pytest.raises(kind) as caught, memory_explained(64, Hardware()):
        raise problem
    assert type(caught.value) is kind and caught.value.__cause__ is None


def test_the_peak_of_a_process_on_a_cpu_counts_bytes() -> None:
    forget_peak(CPU)  # which a CPU cannot
    before = peak_memory(CPU)
    assert before is not None and before > 20 * 2**20  # torch alone takes more
    size = before + 50 * 2**20
    held = torch.ones(size, dtype=torch.uint8)
    now = peak_memory(CPU)
    assert now is not None and held.numel() <= now < 3 * size
