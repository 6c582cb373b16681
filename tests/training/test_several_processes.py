"""Two processes train one model as one process does, and go on where they were killed.

Run as a script, this file is one of the two.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware, broadcast
from mke_theory.training.loop import Fit, LossFunction, fit
from tests.training.small_runs import (
    ADAMW,
    EVERY,
    SGD,
    Killed,
    Small,
    assert_close_run,
    environment,
    global_generators,
    killed_at,
    noisy,
    plain,
    points,
    weights,
)


@dataclass(frozen=True)
class Setting:
    """A run to be shared by two processes: 11 samples, whose last batch of an epoch is odd."""

    dtype: torch.dtype
    batch_size: int | None
    gamma: float
    tolerance: float
    average_decay: float | None = None
    micro_batch: int | None = None


SHARED = [
    Setting(torch.float32, 4, 0.5, 1e-6),
    Setting(torch.float64, 4, 0.5, 1e-12),
    Setting(torch.float64, None, 0.0, 1e-12),
    Setting(torch.float64, 4, 0.5, 1e-12, average_decay=0.9),
    Setting(torch.float64, None, 0.5, 1e-12, micro_batch=2),
]


def shared_run(setting: Setting, hardware: Hardware, path: Path) -> Fit:
    pool = points(11, dtype=setting.dtype)
    return fit(
        Small(dropout=0.0).to(setting.dtype),
        pool,
        noisy(pool, setting.gamma, "student" if setting.average_decay is None else "average"),
        replace(SGD, steps=25, batch_size=setting.batch_size, clip_norm=1.0),
        seed=3,
        hardware=replace(hardware, micro_batch=setting.micro_batch),
        checkpoint=Checkpoint(path, every=EVERY),
        average_decay=setting.average_decay,
        answers="student" if setting.average_decay is None else "average",
    )


def resumable(
    hardware: Hardware, path: Path, dropout: float, loss: LossFunction | None = None
) -> Fit:
    """A run with a dropout layer, whose generators are a process's own."""
    return fit(
        Small(dropout=dropout).double(),
        points(11, dtype=torch.float64),
        loss or noisy(points(11, dtype=torch.float64)),
        replace(ADAMW, batch_size=4),
        seed=3,
        hardware=hardware,
        checkpoint=Checkpoint(path, EVERY),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that both processes have written to."""
    folder = tmp_path_factory.mktemp("shared")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
    }
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            env=environment() | torchrun | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=240) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    return folder


@pytest.fixture(scope="module")
def both(folder: Path) -> list[dict[str, Any]]:
    """The results of each of the two."""
    return [torch.load(folder / f"rank{rank}", weights_only=True) for rank in range(2)]


def equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    pairs = zip(first["weights"], second["weights"], strict=True)
    return first["history"] == second["history"] and all(torch.equal(a, b) for a, b in pairs)


def as_fit(found: dict[str, Any], dtype: torch.dtype) -> Fit:
    model = Small().to(dtype)
    values = zip(model.state_dict(), found["weights"], strict=True)
    model.load_state_dict(dict(values))
    return Fit(model, found["steps"], tuple(found["history"]))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SHARED)))
def test_two_processes_train_like_one(
    number: int, both: list[dict[str, Any]], tmp_path: Path
) -> None:
    setting, (first, second) = SHARED[number], (found["runs"][number] for found in both)
    assert equal(first, second)
    alone = shared_run(setting, Hardware(), tmp_path / "run.pt")
    assert_close_run(as_fit(first, setting.dtype), alone, setting.tolerance)


@pytest.mark.slow
def test_killed_processes_end_like_ones_that_were_not(both: list[dict[str, Any]]) -> None:
    for found in both:
        assert equal(found["resumed"], found["unbroken"])
        assert not equal(found["resumed"], found["dropout off"])


@pytest.mark.slow
def test_one_process_goes_on_with_what_two_have_begun(
    folder: Path, both: list[dict[str, Any]], tmp_path: Path
) -> None:
    begun = folder / "begun.pt"
    content = torch.load(begun, weights_only=True)
    assert content["state"]["step"] == EVERY
    assert len(content["state"]["generators"]) == 2
    assert not torch.equal(*(states[0] for states in content["state"]["generators"]))
    shutil.copy(begun, tmp_path / "run.pt")
    alone = resumable(Hardware(), tmp_path / "run.pt", dropout=0.0)
    assert_close_run(alone, as_fit(both[0]["dropout off"], torch.float64), 1e-12)


@pytest.mark.slow
def test_too_small_a_batch_and_a_damaged_checkpoint_are_refused_in_both(
    both: list[dict[str, Any]],
) -> None:
    assert both[0]["refused"] == both[1]["refused"]
    small, damaged = both[0]["refused"]
    assert small.startswith("the smallest batch of an epoch has 1 of 11 samples")
    assert "cannot be read as a checkpoint" in damaged


@pytest.mark.slow
def test_several_processes_leave_the_global_generators_alone(both: list[dict[str, Any]]) -> None:
    assert [found["left alone"] for found in both] == [True, True]


@pytest.mark.slow
def test_all_have_the_value_of_the_first_process(both: list[dict[str, Any]]) -> None:
    assert [found["broadcast"] for found in both] == ["by 0", "by 0"]


# --- the processes that the tests start ----------------------------------------------------------


def content(done: Fit) -> dict[str, Any]:
    return {"weights": weights(done.model), "history": list(done.history), "steps": done.steps}


def refusal(hardware: Hardware, batch_size: int, path: Path) -> str:
    config, kept = replace(ADAMW, batch_size=batch_size), Checkpoint(path)
    try:
        fit(Small(), points(11), plain, config, seed=0, hardware=hardware, checkpoint=kept)
    except ValueError as problem:
        return str(problem)
    return "not refused"


def share(folder: Path) -> None:
    """Be one of two processes, and write down what came out."""
    hardware = Hardware(devices=2)
    rank = hardware.fabric().global_rank
    # The other process has no checkpoints of its own: those of the first one are used.
    own = folder if rank == 0 else folder / "elsewhere"
    before = global_generators()
    found: dict[str, Any] = {
        "broadcast": broadcast(f"by {rank}", hardware),
        "runs": [
            content(shared_run(setting, hardware, own / f"{number}.pt"))
            for number, setting in enumerate(SHARED)
        ],
        "unbroken": content(resumable(hardware, own / "whole.pt", 0.3)),
        "dropout off": content(resumable(hardware, own / "off.pt", 0.0)),
    }
    for name, dropout in (("killed.pt", 0.3), ("begun.pt", 0.0)):
        deadly = killed_at(30, noisy(points(11, dtype=torch.float64)))
        try:
            resumable(hardware, own / name, dropout, deadly)
        except Killed:
            continue
        raise AssertionError("the run was not killed")
    found["resumed"] = content(resumable(hardware, own / "killed.pt", 0.3))
    own.mkdir(exist_ok=True)
    (own / "damaged.pt").write_bytes(b"not a checkpoint")
    found["refused"] = [
        refusal(hardware, 5, own / "none.pt"),
        refusal(hardware, 4, own / "damaged.pt"),
    ]
    found["left alone"] = global_generators() == before
    torch.save(found, folder / f"rank{rank}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    share(Path(sys.argv[1]))
