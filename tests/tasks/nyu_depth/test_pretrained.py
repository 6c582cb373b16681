"""The task on features of a frozen encoder: made once, read as rows, scored in full size too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mke_theory.models.frozen import FrozenEncoder
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.recording import record_of
from mke_theory.study.result import Result, Run
from mke_theory.study.runner import run
from mke_theory.tasks.nyu_depth import NYUDepthPretrained, pretrained
from mke_theory.tasks.nyu_depth.pretrained import FULL
from tests.tasks.nyu_depth import made_frames

pytest.importorskip("PIL.Image", reason="needs the extra mke_theory[data]")
pytest.importorskip("h5py", reason="needs the extra mke_theory[data]")

GRIDS = {"near": ((60, 80), (30, 40)), "wide": ((8, 10),)}


def made_encoder(scale: str) -> FrozenEncoder:
    """Colours averaged over the cells of some grids, and nothing learned."""

    def compute(batch: Tensor) -> dict[str, Tensor]:
        x = batch.float() / 255
        return {f"tap{i}": F.adaptive_avg_pool2d(x, size) for i, size in enumerate(GRIDS[scale])}

    taps = tuple(f"tap{i}" for i in range(len(GRIDS[scale])))
    content = {"near": "0" * 16, "wide": "1" * 16}[scale]
    return FrozenEncoder("averages", content, taps, compute, "uint8 [b, 3, h, w], RGB")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NYUDepthPretrained]:
    """The task on 30 train frames and two of test, of 240 × 320 pixels, its features made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_frames, "HEIGHT", FULL[0])
        patch.setattr(made_frames, "WIDTH", FULL[1])
        patch.setattr(pretrained, "_encoders", lambda: {s: made_encoder(s) for s in GRIDS})
        patch.setattr(pretrained, "lacking_package", lambda file: None)
        root = tmp_path_factory.mktemp("root")
        made_frames.write_pictures(root / "nyudv2", train=made_frames.TRAIN[:30], test=(1, 2))
        cache = str(tmp_path_factory.mktemp("cache"))
        made = NYUDepthPretrained(labelled_frames=15, channels=8, cache=cache).at(root)
        made.prepare()
        yield made


def test_samples_are_rows_of_maps_and_labels_have_the_finest_size(task):
    problem = task.problem(0)
    numbers = 3 * (60 * 80 + 30 * 40 + 8 * 10)
    for part, n in (("labelled", 15), ("unlabelled", 15), ("test", 2)):
        pool = getattr(problem, part)
        assert len(pool) == n and tuple(pool.labels.shape[1:]) == (60, 80)
        assert all(tuple(x.shape[1:]) == (numbers,) for x in pool.inputs.values())
    assert problem.labelled.modalities == ("image",)
    assert problem.modalities == ("image", "depth")


def test_depth_is_read_as_hha_and_not_as_colours(task):
    pool = task.problem(0).test
    first = {name: pool.inputs[name][[0]] for name in ("image", "depth")}
    assert not torch.allclose(first["image"], first["depth"])
    assert all(torch.isfinite(x).all() and x.std() > 0.1 for x in first.values())


def test_what_is_there_is_not_made_again(task, monkeypatch):
    def refuse(batch: Tensor) -> dict[str, Tensor]:
        raise AssertionError("computed again")

    kept = {scale: replace(made_encoder(scale), compute=refuse) for scale in GRIDS}
    monkeypatch.setattr(pretrained, "_encoders", lambda: kept)
    task.prepare()


def test_features_of_another_encoder_are_refused(task, monkeypatch):
    other = {scale: replace(made_encoder(scale), content="f" * 16) for scale in GRIDS}
    folder = next(Path(task.cache).glob("nyu_depth-features-*"))
    monkeypatch.setattr(pretrained, "_encoders", lambda: other)
    with pytest.raises(ValueError, match="holds other features"):
        replace(task, features=folder).problem(0)
    with pytest.raises(FileNotFoundError):
        task.problem(0)  # by default they would lie elsewhere


def test_full_size_means_240_by_320(task):
    problem = task.problem(0)
    model = task.model(problem, ("image", "depth")).eval()
    whole, test = task.at_full_size(model, problem)
    assert tuple(test.labels.shape) == (2, *FULL)
    shown = test[slice(0, 2)].inputs
    assert whole(shown).shape == (2, 13, *FULL)
    assert model(shown).shape == (2, 13, 60, 80)
    assert np.array_equal(test.labels[:, 2::4, 2::4].numpy(), problem.test.labels.numpy())
    scenes = task.scenes(problem)
    assert scenes["image"].shape == (2, *FULL, 3) and scenes["truth"].shape == (2, *FULL)


def test_arms_run_and_records_have_both_sizes(task, tmp_path):
    short = replace(task.recipe.teacher, steps=2, warmup_steps=0)
    quick = replace(task, recipe=replace(task.recipe, teacher=short, student=short))
    names = ("um_teacher", "mm_student", "mm_student_evidence")
    runs = [Run(quick, ARMS[name], 0) for name in names]
    configuration = RunConfiguration(folder=tmp_path)
    for result in run(runs, configuration):
        assert isinstance(result, Result), result
        record = record_of(result, configuration)
        assert set(record.scores) == {"unlabelled", "test", "test at full size"}
        assert 0 <= record.scores["test at full size"]["mIoU"] <= 1


@pytest.mark.parametrize(
    "setting", [{"size": (30, 40)}, {"encoder": "resnet"}, {"geometry": "depth"}]
)
def test_settings_of_other_networks_are_refused(setting):
    with pytest.raises(ValueError, match="but the frozen encoder asks for"):
        NYUDepthPretrained(**setting)


def test_names_and_titles_tell_it_apart():
    assert NYUDepthPretrained().name == "nyu_depth_pretrained"
    assert NYUDepthPretrained(teacher="depth").name == "nyu_depth_pretrained_from_depth"
    assert NYUDepthPretrained().title.endswith("pre-trained")


def test_without_the_package_a_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "lacking_package", lambda file: "pip install it")
    (tmp_path / "nyudv2").mkdir()
    assert NYUDepthPretrained().at(tmp_path).missing() == "pip install it"
