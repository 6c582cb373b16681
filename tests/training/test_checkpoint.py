"""A run that was killed ends like one that was not, bit for bit, or says why it cannot go on.

Run as a script, this file is the process that a test kills.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.data.pool import Batch
from mke_theory.data.rng import Stream
from mke_theory.training.checkpoint import Checkpoint, outline
from mke_theory.training.loop import Fit, LossFunction, Moment, TrainConfig, fit
from tests.training.small_runs import (
    ADAMW,
    EVERY,
    SGD,
    STEPS,
    WHOLE,
    Killed,
    Scalar,
    Small,
    assert_same_run,
    descend,
    environment,
    killed_at,
    line,
    noisy,
    plain,
    points,
    same,
    trained,
    unbroken,
)

SHORT = replace(ADAMW, steps=3, warmup_steps=0)

# --- killed and continued ------------------------------------------------------------------------


@pytest.mark.parametrize("config", [ADAMW, SGD, WHOLE], ids=["adamw", "sgd", "whole"])
@pytest.mark.parametrize("kills", [(0,), (16,), (17,), (18,), (33, 1), (59,), (30, 25, 15)])
def test_a_killed_run_ends_like_one_that_was_not(
    config: TrainConfig, kills: tuple[int, ...], tmp_path: Path
) -> None:
    kept = Checkpoint(tmp_path / "deep" / "run.pt", every=EVERY)
    for step in kills:
        with pytest.raises(Killed):
            trained(config, loss=killed_at(step, noisy(points())), checkpoint=kept)
    assert kept.path.exists() is (sum(kills) >= EVERY)
    assert_same_run(trained(config, checkpoint=kept), unbroken(config))


def test_a_run_killed_by_sigkill_ends_like_one_that_was_not(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    child = subprocess.run([sys.executable, __file__, str(path)], env=environment())
    assert child.returncode == -signal.SIGKILL
    assert torch.load(path, weights_only=True)["state"]["step"] == EVERY
    assert_same_run(trained(checkpoint=Checkpoint(path, EVERY)), unbroken())


def test_layers_that_draw_for_themselves_go_on_where_they_stopped(tmp_path: Path) -> None:
    drawn: list[float] = []

    def draws(model: nn.Module, batch: Batch, stream: Stream, moment: Moment) -> Tensor:
        drawn.append(torch.rand(()).item())
        return descend(model, batch, stream, moment)

    one, config = line([1.0], [0.0]), TrainConfig(steps=8)
    kept = Checkpoint(tmp_path / "run.pt", every=3)
    fit(Scalar(), one, draws, config, seed=2)
    whole = drawn.copy()
    drawn.clear()
    with pytest.raises(Killed):
        fit(Scalar(), one, killed_at(5, draws), config, seed=2, checkpoint=kept)
    assert drawn == whole[:5]
    drawn.clear()
    fit(Scalar(), one, draws, config, seed=2, checkpoint=kept)
    assert drawn == whole[3:]


def test_a_run_of_other_processes_is_gone_on_with(tmp_path: Path) -> None:
    """Its generators are of no use then; steps, weights and optimiser are."""
    kept = Checkpoint(tmp_path / "run.pt", every=EVERY)

    def run(loss: LossFunction, checkpoint: Checkpoint | None = None) -> Fit:
        model = Small(dropout=0.0)
        return fit(model, points(), loss, ADAMW, seed=3, checkpoint=checkpoint)

    with pytest.raises(Killed):
        run(killed_at(20, noisy(points())), kept)
    content = torch.load(kept.path, weights_only=True)
    content["state"]["generators"] *= 2  # as two processes would have left
    torch.save(content, kept.path)
    assert_same_run(run(noisy(points()), kept), run(noisy(points())))


def test_the_learning_rate_goes_on_where_it_was(tmp_path: Path) -> None:
    config = TrainConfig(
        steps=5, learning_rate=0.8, schedule="cosine", warmup_steps=2, optimizer="sgd"
    )
    kept, model, one = Checkpoint(tmp_path / "run.pt", every=2), Scalar(), line([1.0], [0.0])
    with pytest.raises(Killed):
        fit(Scalar(), one, killed_at(3, descend), config, seed=0, checkpoint=kept)
    fit(model, one, descend, config, seed=0, checkpoint=kept)
    assert model.weight.item() == pytest.approx(-(0.4 + 0.8 + 0.8 + 0.6 + 0.2))


def test_a_finished_run_is_only_loaded(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt", every=1000)
    first = trained(checkpoint=kept)
    written = kept.path.read_bytes()
    model = Small()
    with torch.no_grad():
        model.layers[0].weight.zero_()
    second = fit(model, points(), killed_at(0, plain), ADAMW, seed=3, checkpoint=kept)
    assert_same_run(second, first)
    assert not model.training
    assert kept.path.read_bytes() == written


@pytest.mark.parametrize("every", [7, 30])
def test_how_often_a_run_is_saved_changes_nothing(every: int, tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt", every=every)
    assert_same_run(trained(checkpoint=kept), unbroken())


# --- what a checkpoint holds ---------------------------------------------------------------------


def test_a_checkpoint_holds_plain_weights(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt")
    done = trained(checkpoint=kept)
    content = torch.load(kept.path, weights_only=True)
    assert set(content) == {"model", "optimizer", "state", "fingerprint"}
    assert set(content["state"]) == {"step", "history", "generators"}
    assert content["state"]["step"] == STEPS
    assert len(content["state"]["generators"]) == 1  # one process
    assert not content["state"]["generators"][0][0].equal(torch.get_rng_state())
    model = Small()
    model.load_state_dict(content["model"])
    assert same(model, done.model)


def test_an_outline_is_of_names_and_shapes() -> None:
    changed = Small()
    with torch.no_grad():
        changed.layers[0].weight.zero_()
    assert outline(changed) == outline(Small())
    assert outline(Small(4)) != outline(Small())
    assert outline(Small().layers) != outline(Small())
    buffer = Small()
    buffer.register_buffer("counts", torch.zeros(3))
    assert outline(buffer) != outline(Small())


def test_a_checkpoint_every_0_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="every is 0; it has to be at least 1"):
        Checkpoint(Path("run.pt"), every=0)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["config", "seed", "samples", "model"])
def test_the_checkpoint_of_another_run_is_refused(other: str, tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt")
    fit(Small(), points(), plain, SHORT, seed=0, checkpoint=kept)
    written = kept.path.read_bytes()
    with pytest.raises(ValueError, match=r"run\.pt is the checkpoint of another run.*remove it"):
        fit(
            Small(4) if other == "model" else Small(),
            points(13) if other == "samples" else points(),
            plain,
            replace(SHORT, learning_rate=0.02) if other == "config" else SHORT,
            seed=1 if other == "seed" else 0,
            checkpoint=kept,
        )
    assert kept.path.read_bytes() == written


class Evil:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("executed"), "by the checkpoint"))


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    state = torch.load(io.BytesIO(content), weights_only=True)["model"]
    at = content.index(state["layers.0.weight"].numpy().tobytes()) + 3
    yield "empty", b""
    yield "text", b"not a checkpoint\n" * 50
    yield "cut", content[: len(content) // 2]
    yield "tail cut", content[:-100]
    yield "changed", content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    for kind, held in (("not ours", [1.0]), ("code", {"fingerprint": Evil()})):
        file = io.BytesIO()
        torch.save(held, file)
        yield kind, file.getvalue()


def test_a_damaged_checkpoint_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Checkpoint(tmp_path / "run.pt")

    def again() -> Fit:
        return fit(Small(), points(), plain, SHORT, seed=0, checkpoint=kept)

    again()
    for kind, content in damaged(kept.path.read_bytes()):
        kept.path.write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.pt cannot be read.*remove it") as refused:
            again()
        assert "weights_only" not in str(refused.value), kind
    assert not Path("executed").exists()
    kept.path.unlink()
    assert again().steps == 3


# --- writing -------------------------------------------------------------------------------------


def test_a_half_written_part_is_harmless(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "run.pt", every=EVERY)
    with pytest.raises(Killed):
        trained(loss=killed_at(30, noisy(points())), checkpoint=kept)
    half = kept.path.read_bytes()[:300]
    for name in ("run.pt.part", "run.pt.1.part", f"run.pt.{os.getpid()}.part"):
        (tmp_path / name).write_bytes(half)
    assert_same_run(trained(checkpoint=kept), unbroken())
    assert not (tmp_path / f"run.pt.{os.getpid()}.part").exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"file.run\.pt cannot be written.*choose another folder"):
        trained(checkpoint=Checkpoint(tmp_path / "file" / "run.pt"))


def test_a_full_disk_costs_nothing_that_was_saved_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = torch.save, iter(range(9))

    def full_disk(content: Any, path: Path) -> None:
        if next(calls) == 1:
            path.write_bytes(b"as much as there was room for")
            raise RuntimeError("unexpected pos 64 vs 0")
        save(content, path)

    monkeypatch.setattr(torch, "save", full_disk)
    kept = Checkpoint(tmp_path / "run.pt", every=EVERY)
    with pytest.raises(OSError, match=r"cannot be written \(unexpected pos"):
        trained(checkpoint=kept)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    assert torch.load(kept.path, weights_only=True)["state"]["step"] == EVERY
    assert_same_run(trained(checkpoint=kept), unbroken())


# --- the process that is killed ------------------------------------------------------------------


def die(path: Path) -> None:
    """Train until SIGKILL comes in the middle of step 30."""
    deadly = killed_at(30, noisy(points()), kill=lambda: os.kill(os.getpid(), signal.SIGKILL))
    trained(loss=deadly, checkpoint=Checkpoint(path, EVERY))


if __name__ == "__main__":
    torch.set_num_threads(1)
    die(Path(sys.argv[1]))
