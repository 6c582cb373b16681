"""Archives of torch.export: the same features as the module gives, and damage refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mke_theory.models.exported_encoder import from_exported
from mke_theory.models.frozen import from_module

RAW = "float32 [b, 3, 6, 6]"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean(dim=(2, 3)))


def made() -> Net:
    torch.manual_seed(4)
    net = Net()
    norm = net.body[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None
    norm.running_mean.uniform_(-1, 1)
    return net.eval()


def exported(folder: Path, net: nn.Module, *, fixed: bool = False) -> Path:
    batch = {0: torch.export.Dim("batch")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            net, (torch.randn(2, 3, 6, 6),), dynamic_shapes=None if fixed else (batch,)
        )
        torch.export.save(program, folder / "net.pt2")
    return folder / "net.pt2"


@pytest.mark.parametrize("fixed", [False, True])
def test_an_archive_gives_what_its_module_gives(tmp_path: Path, fixed: bool) -> None:
    net, x = made(), torch.randn(5, 3, 6, 6)
    taps = ["body.1", "body", "output"]
    archived = from_exported(exported(tmp_path, net, fixed=fixed), taps, raw=RAW)
    assert archived.name == "net" and archived.taps == ("body_1", "body", "output")
    for tap, expected in from_module(net, taps, name="net", raw=RAW)(x).items():
        torch.testing.assert_close(archived(x)[tap], expected)
        torch.testing.assert_close(archived(x[3:4])[tap], expected[3:4])


def test_content_is_that_of_file_and_preparation(tmp_path: Path) -> None:
    path = exported(tmp_path, made())
    plain = from_exported(path, raw=RAW)
    halved = from_exported(path, raw=RAW, prepare=lambda x: x / 2, prepared="halved")
    assert plain.content == from_exported(path, ["body"], raw=RAW, name="else").content
    assert plain.content != halved.content
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(halved(x)["output"], plain(x / 2)["output"])


def test_an_archive_in_training_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"exported in training mode .*call net.eval\(\)"):
        from_exported(exported(tmp_path, made().train()), raw=RAW)


def test_taps_that_are_not_there_are_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"net.pt2 has no 'neck'; there are body, body.0, body.1"):
        from_exported(exported(tmp_path, made()), ["neck"], raw=RAW)


def test_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    path = exported(tmp_path, made())
    (tmp_path / "cut.pt2").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"is truncated, or no archive of torch.export"):
        from_exported(tmp_path / "cut.pt2", raw=RAW)
    torch.save(made().state_dict(), tmp_path / "weights.pt2")
    with pytest.raises(ValueError, match="holds weights without their network"):
        from_exported(tmp_path / "weights.pt2", raw=RAW)
    with pytest.raises(FileNotFoundError, match=r"none.pt2: no such file"):
        from_exported(tmp_path / "none.pt2", raw=RAW)


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Sum(), (torch.ones(2), torch.ones(2)))
        torch.export.save(program, tmp_path / "sum.pt2")
    with pytest.raises(ValueError, match="takes 2 inputs; an encoder takes one"):
        from_exported(tmp_path / "sum.pt2", raw=RAW)


@pytest.mark.parametrize("running", [True, False])
def test_a_batch_normalisation_that_looks_at_the_batch_is_refused_after_decomposition_too(
    tmp_path: Path, running: bool
) -> None:
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(108, track_running_stats=running))
    message = "in training mode" if running else "without running statistics"
    for decomposed in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(net.train(running), (torch.randn(2, 3, 6, 6),))
            program = program.run_decompositions() if decomposed else program
            torch.export.save(program, tmp_path / "net.pt2")
        with pytest.raises(ValueError, match=message):
            from_exported(tmp_path / "net.pt2", raw=RAW)


def test_an_instance_normalisation_looks_at_its_own_sample_alone(tmp_path: Path) -> None:
    x = torch.randn(3, 3, 6, 6)
    path = exported(tmp_path, nn.InstanceNorm2d(3).eval())
    found = from_exported(path, raw=RAW)(x)["output"]
    torch.testing.assert_close(found, nn.InstanceNorm2d(3)(x))


def test_content_changes_with_the_place_behind_a_tap(tmp_path: Path) -> None:
    path = exported(tmp_path, made())
    found = [from_exported(path, {"x": place}, raw=RAW).content for place in ("body", "output")]
    assert found[0] != found[1]
