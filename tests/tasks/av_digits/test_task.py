"""Both directions of the spoken and written digits: who is where, and on what scale."""

from __future__ import annotations

import gzip
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.method.transforms import ModalityDropout
from mke_theory.models import count_parameters
from mke_theory.study.overrides import changed
from mke_theory.tasks.av_digits import AVDigits
from mke_theory.tasks.av_digits.reader import DigitData
from mke_theory.tasks.av_digits.speech import lacking_ear
from mke_theory.tasks.av_digits.split import Pairs
from tests.tasks.toy.own_arrays import parts, sizes

both_ways = pytest.mark.parametrize(
    "task", [AVDigits(), AVDigits(teacher="image")], ids=lambda task: task.name
)
by_ear = pytest.mark.parametrize(
    "task",
    [AVDigits(ear="embedding"), AVDigits(teacher="image", ear="embedding")],
    ids=lambda task: task.name,
)
needs_ear = pytest.mark.skipif(lacking_ear() is not None, reason=lacking_ear() or "")


def test_the_recipe_is_that_of_the_teacher_until_another_one_is_given() -> None:
    for teacher, dropped in (("audio", ("audio",)), ("image", ("image",))):
        task = changed(AVDigits(), f"teacher={teacher}")
        assert task == AVDigits(teacher=teacher)  # type: ignore[arg-type]
        assert task.recipe.objective.transform[1] == ModalityDropout(0.7, only=dropped)
    short = changed(AVDigits(teacher="image"), "recipe.student.steps=7")
    assert replace(short, teacher="audio").recipe == short.recipe
    assert short.recipe.student.steps == 7 and short.recipe.teacher.steps == 300
    with pytest.raises(ValueError, match=r"teacher is 'sound'; choose one of \('audio', 'image'\)"):
        AVDigits(teacher="sound")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"ear is 'mel'; choose one of \('log-mel', 'embedding'\)"):
        AVDigits(ear="mel")  # type: ignore[arg-type]


def test_the_recipe_follows_the_ear_too() -> None:
    task = AVDigits(teacher="image", ear="embedding")
    assert changed(AVDigits(), "ear=embedding", "teacher=image") == task
    assert task.recipe == AVDigits(teacher="image").recipe
    heard = AVDigits(ear="embedding").recipe.objective
    assert heard.transform[1] == ModalityDropout(0.5, only=("audio",))
    assert AVDigits(ear="embedding", recipe=task.recipe).recipe.objective == heard


@by_ear
def test_a_missing_ear_is_missed_with_the_remedy(
    task: AVDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remedy = 'openwakeword is not installed: pip install "mke_theory[pretrained]"'
    monkeypatch.setattr("mke_theory.tasks.av_digits.task.lacking_ear", lambda: remedy)
    monkeypatch.setattr("mke_theory.tasks.av_digits.task.lacking", lambda *modules: None)
    assert task.at(tmp_path).missing() == remedy
    assert AVDigits().at(tmp_path).missing() != remedy  # spectrograms need no ear


@needs_ear
def test_the_hash_of_the_data_follows_the_ear(tmp_path: Path) -> None:
    (tmp_path / "av_digits").mkdir()
    (tmp_path / "av_digits" / "x").write_text("12")
    plain, heard = (AVDigits(ear=ear).at(tmp_path).data_hash() for ear in ("log-mel", "embedding"))
    assert plain != heard and heard is not None and len(heard) == 16


@both_ways
def test_missing_recordings_are_missed_with_the_remedy(task: AVDigits, tmp_path: Path) -> None:
    message = task.at(tmp_path).missing() or ""
    assert str(tmp_path) in message and "--data-root" in message
    command = message.split("`")[1].split()
    assert command[:2] == ["python", "-m"] and command[3] == "prepare"
    assert find_spec(f"{command[2]}.__main__")
    with pytest.raises(FileNotFoundError, match="prepare --data-root"):
        task.at(tmp_path).problem(0)
    with pytest.raises(FileNotFoundError, match="--data-root"):
        task.problem(0)


def test_the_hash_of_the_recordings_follows_their_names_and_sizes(tmp_path: Path) -> None:
    found = []
    for root, name, text in (("a", "x", "12"), ("b", "x", "12"), ("c", "y", "12"), ("d", "x", "1")):
        folder = tmp_path / root / "av_digits"
        folder.mkdir(parents=True)
        (folder / name).write_text(text)
        found.append(AVDigits().at(folder.parent).data_hash())
    assert found[0] == found[1]
    assert len(set(found)) == 3


def recordings(offset: float = 0.0, shape: tuple[int, ...] = (1, 8, 8)) -> DigitData:
    """Forty pairs to train, each image in two of them, and twenty to test, moved by `offset`."""
    draw = np.random.default_rng(2)
    train, test = np.arange(60) < 40, np.arange(60) >= 40
    pairs = Pairs(
        split=np.where(train, "train", "test"),
        rank=np.zeros(60, dtype=np.int64),
        digit=np.arange(60) % 10,
        recording=np.arange(60),
        image=np.where(train, np.arange(60) % 20, np.arange(60)),
        speaker=np.where(train, "lucas", "theo"),
        writer=np.arange(60),
    )
    audio = draw.normal(size=(60, *shape)).astype(np.float32)
    images = draw.integers(0, 256, size=(60, 28, 28), dtype=np.uint8)
    audio[test] += offset
    images[test] = images[test] // (1 + int(offset))
    return DigitData(tuple(map(str, range(60))), audio, images, pairs)


def problem_of(patch: pytest.MonkeyPatch, task: AVDigits, made: DigitData, folder: Path) -> Problem:
    patch.setattr("mke_theory.tasks.av_digits.task.load", lambda *_, **__: made)
    return replace(task, labels_per_class=1).at(folder).problem(0)


@both_ways
def test_test_recordings_and_images_do_not_move_training_inputs(
    task: AVDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = problem_of(monkeypatch, task, recordings(), tmp_path / "before")
    after = problem_of(monkeypatch, task, recordings(100.0), tmp_path / "after")
    for name in ("audio", "image"):
        assert torch.equal(before.unlabelled.inputs[name], after.unlabelled.inputs[name])
        assert not torch.equal(before.test.inputs[name], after.test.inputs[name])


@by_ear
def test_embeddings_are_scaled_by_number_over_training_rows(
    task: AVDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recordings(100.0, shape=(96,))
    made.audio[:, 3] *= 50
    problem = problem_of(monkeypatch, task, made, tmp_path)
    audio = problem.test.inputs["audio"]
    assert audio.shape == (20, 96)
    train = made.audio[:40].astype(np.float64)
    expected = (made.audio[40:] - train.mean(axis=0)) / train.std(axis=0)
    torch.testing.assert_close(audio, torch.from_numpy(expected).float(), atol=1e-4, rtol=1e-4)
    model = task.model(problem, ("audio",))
    # 96 numbers to one hidden layer of 64, and a linear head for ten digits.
    assert count_parameters(model) == 96 * 64 + 64 + 64 * 10 + 10
    assert model({"audio": audio}).shape == (20, 10)
    both = task.model(problem, ("audio", "image"), 32)
    assert count_parameters(both) > count_parameters(task.model(problem, ("audio", "image")))


@both_ways
def test_a_labelled_recording_or_image_is_not_unlabelled_as_well(
    task: AVDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = problem_of(monkeypatch, task, recordings(), tmp_path)
    # Ten of the forty are labelled; each shares its image with one more, which is left out.
    assert sizes(problem) == [10, 20, 20]
    (alpha,) = problem.teacher_modalities
    seen = [{x.numpy().tobytes() for x in pool.inputs[alpha]} for pool in parts(problem).values()]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


@pytest.mark.data("av_digits")
@both_ways
def test_recordings_and_images_of_test_come_from_others(task: AVDigits, data_root: Path) -> None:
    problem = task.at(data_root).problem(0)
    assert sizes(problem) == [200, 1800, 1000] and problem.classes == 10
    assert problem.modalities[0] == task.teacher and len(problem.modalities) == 2
    assert problem.labelled.modalities == (task.teacher,)
    assert torch.bincount(problem.labelled.labels).tolist() == [20] * 10
    groups = {part: set(map(str, pool.groups)) for part, pool in parts(problem).items()}  # type: ignore[arg-type]
    assert groups["test"] == {"theo", "yweweler"}
    assert groups["labelled"] | groups["unlabelled"] == {"george", "jackson", "lucas", "nicolas"}
    writers = {part: writers_of(pool, data_root) for part, pool in parts(problem).items()}
    assert writers["unlabelled"] and writers["test"]
    assert not writers["test"] & (writers["labelled"] | writers["unlabelled"])


def writers_of(pool: Pool, data_root: Path) -> set[int]:
    """The writers of a pool's images, from the published files alone; empty where it has none."""
    if "image" not in pool.inputs:
        return set()
    folder = data_root / "av_digits" / "mnist"
    writer = pd.read_csv(folder / "t10k-writers.csv").set_index("mnist_index")["writer"]
    pixels = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    number = {pixels[784 * i : 784 * (i + 1)]: i for i in range(len(writer))}
    x = pool.inputs["image"]  # one straight line from the pixels, of which some are 0 and some 255
    found = (255 * (x - x.min()) / (x.max() - x.min())).round().numpy().astype(np.uint8)
    return {int(writer[number[image.tobytes()]]) for image in found}


@pytest.mark.data("av_digits")
@both_ways
def test_the_seed_picks_who_is_labelled_and_nothing_else(task: AVDigits, data_root: Path) -> None:
    first, second = (task.at(data_root).problem(seed) for seed in (0, 1))
    assert first.split_hash == task.at(data_root).problem(0).split_hash
    assert not torch.equal(
        first.labelled.inputs[task.teacher], second.labelled.inputs[task.teacher]
    )
    for name in first.modalities:
        assert torch.equal(first.test.inputs[name], second.test.inputs[name])


@needs_ear
@pytest.mark.data("av_digits")
@by_ear
def test_the_ear_changes_neither_split_nor_image(task: AVDigits, data_root: Path) -> None:
    heard = task.at(data_root).problem(0)
    plain = replace(task, ear="log-mel").at(data_root).problem(0)
    assert sizes(heard) == sizes(plain) == [200, 1800, 1000]
    assert torch.equal(heard.test.inputs["image"], plain.test.inputs["image"])
    assert torch.equal(heard.test.labels, plain.test.labels)
    assert heard.test.inputs["audio"].shape == (1000, 96)
    assert bool(heard.test.inputs["audio"].isfinite().all())


@pytest.mark.data("av_digits")
def test_fewer_labels_and_more_images_a_recording(data_root: Path) -> None:
    few = AVDigits(labels_per_class=5).at(data_root).problem(0)
    assert sizes(few) == [50, 1950, 1000]
    more = AVDigits(ranks=(0, 1, 2)).at(data_root).problem(0)
    assert sizes(more)[0] == 200 and sizes(more)[1] > 5000
