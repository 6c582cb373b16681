"""RAVDESS as a task: labelled recordings, actors on one side, nothing learnt from test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.pool import Pool
from mke_theory.data.problem import refuse_shared_groups
from mke_theory.method.transforms import ModalityDropout
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.overrides import changed
from mke_theory.study.recording import record_of
from mke_theory.study.result import Cell, Result, Run
from mke_theory.study.runner import run
from mke_theory.tasks.ravdess import Ravdess
from mke_theory.tasks.ravdess import task as module
from mke_theory.tasks.ravdess.clips import Clips
from mke_theory.tasks.ravdess.names import Clip, Recording
from mke_theory.tasks.ravdess.split import hash_of
from tests.tasks.files.clips import flat, write_clip, write_sound
from tests.tasks.ravdess.all_speech import all_speech
from tests.tasks.toy.own_arrays import true_classes

ROOT = Path("pretended")
BOTH = pytest.mark.parametrize(
    "task", [Ravdess(), Ravdess(teacher="speech")], ids=lambda task: task.name
)


def numbered(offset: float = 0.0, **other: Any) -> Clips:
    """All recordings; row r has r in every entry, and those of test actors `offset` more."""
    recordings = tuple(all_speech())
    value = np.arange(1440.0) + offset * np.array([one.actor > 18 for one in recordings])
    face = np.repeat(value[:, None], 35, axis=1).astype(np.float32)
    speech = np.repeat(value[:, None], 72, axis=1).astype(np.float32)
    return replace(Clips(recordings, face, speech), **other)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Clips]]:
    """The task reads the clips in this list."""
    given = [numbered()]
    monkeypatch.setattr(Ravdess, "_there", lambda *_: "tables")
    monkeypatch.setattr(module, "_load", lambda *_: given[0])
    yield given


def rows_of(pool: Pool) -> list[int]:
    """The numbers that `numbered` gave the samples, found from the standardised inputs."""
    train = np.arange(1080.0)
    x = pool.inputs[next(iter(pool.inputs))][:, 0].double().numpy()
    return (x * train.std() + train.mean()).round().astype(int).tolist()


@BOTH
@pytest.mark.parametrize("seed", [0, 1])
def test_forty_of_each_emotion_are_labelled(task: Ravdess, seed: int, pretend: list[Clips]) -> None:
    problem = task.at(ROOT).problem(seed)
    assert torch.bincount(problem.labelled.labels).tolist() == [40] * 8
    assert (len(problem.unlabelled), len(problem.test)) == (760, 360)
    assert problem.modalities == task._modalities and problem.classes == 8
    assert problem.labelled.modalities == (task.teacher,)
    parts = [rows_of(part) for part in (problem.labelled, problem.unlabelled, problem.test)]
    # Every recording is in one part, once.
    assert sorted(row for part in parts for row in part) == list(range(1440))
    for part, pool in zip(parts, (problem.labelled, problem.unlabelled, problem.test), strict=True):
        recordings = [pretend[0].recordings[row] for row in part]
        assert pool.groups is not None
        assert [f"actor {one.actor:02}" for one in recordings] == pool.groups.tolist()
    for part, own in zip(parts, true_classes(problem).values(), strict=True):
        assert [pretend[0].recordings[row].label for row in part] == own.tolist()
    assert {pretend[0].recordings[row].actor for row in parts[2]} == set(range(19, 25))


@pytest.mark.parametrize("count", [1, 4, 17])
def test_whole_actors_are_labelled(count: int, pretend: list[Clips]) -> None:
    task = Ravdess(labels="by actor", labelled_actors=count)
    drawn = []
    for seed in (0, 1):
        problem = task.at(ROOT).problem(seed)
        assert problem.labelled.groups is not None and problem.unlabelled.groups is not None
        known, others = set(problem.labelled.groups), set(problem.unlabelled.groups)
        assert len(known) == count and len(others) == 18 - count and not known & others
        assert len(problem.labelled) == 60 * count
        drawn.append(known)
    assert drawn[0] != drawn[1]


def test_both_directions_label_the_same_recordings(pretend: list[Clips]) -> None:
    labels: Any
    for labels in ("by class", "by actor"):
        tasks = (Ravdess(labels=labels), Ravdess(teacher="speech", labels=labels))
        ways = [task.at(ROOT).problem(3) for task in tasks]
        assert rows_of(ways[0].labelled) == rows_of(ways[1].labelled)
        again = Ravdess(labels=labels).at(ROOT).problem(3)
        assert again.split_hash == ways[0].split_hash


@BOTH
def test_nothing_of_test_moves_what_is_trained_on(task: Ravdess, pretend: list[Clips]) -> None:
    before = task.at(ROOT).problem(0)
    pretend[0] = numbered(1e6)
    after = task.at(ROOT).problem(0)
    for name in ("face", "speech"):
        assert torch.equal(before.unlabelled.inputs[name], after.unlabelled.inputs[name])
        assert not torch.equal(before.test.inputs[name], after.test.inputs[name])
    frames = np.random.default_rng(0).integers(0, 256, (1440, 2, 3, 8, 8), dtype=np.uint8)
    moved = frames.copy()
    moved[1080:] //= 2
    pools = []
    for face in (frames, moved):
        pretend[0] = numbered(face=face)
        pools.append(task.at(ROOT).problem(0))
    assert torch.equal(
        pools[0].unlabelled.inputs["face"][:9], pools[1].unlabelled.inputs["face"][:9]
    )
    assert not torch.equal(pools[0].test.inputs["face"][:9], pools[1].test.inputs["face"][:9])


def test_training_rows_have_mean_0_and_sd_1(pretend: list[Clips]) -> None:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 100, (1440, 2, 3, 8, 8), dtype=np.uint8)
    frames[:, :, 1] += 100
    pretend[0] = numbered(face=frames, speech=rng.normal(5, 2, (1440, 72)).astype(np.float32))
    problem = Ravdess(labels_per_class=1).at(ROOT).problem(0)
    face, speech = (problem.unlabelled.inputs[name] for name in ("face", "speech"))
    assert isinstance(face, Stored)  # bytes until they are needed
    whole = face[:]
    for x in (whole.transpose(0, 2).flatten(1).T, speech):
        assert x.mean(dim=0).abs().max() < 0.01 and (x.std(dim=0) - 1).abs().max() < 0.01


def test_the_recipe_is_that_of_the_teacher() -> None:
    for teacher, dropped in (("face", 0.5), ("speech", 0.75)):
        for labels in ("by class", "by actor"):
            task = changed(Ravdess(), f"teacher={teacher}", f"labels={labels}")
            drop = ModalityDropout(dropped, only=(teacher,))
            assert task.recipe.objective.transform[1] == drop
    short = changed(Ravdess(teacher="speech"), "recipe.student.steps=7")
    assert replace(short, teacher="face").recipe == short.recipe


# A folder of twins


def write_corpus(folder: Path) -> dict[Recording, str]:
    """Actors 1, 2 and 19 in two emotions, twice each; every recording as three files."""
    split = {}
    for actor in (1, 2, 19):
        place = folder / f"Actor_{actor:02}"
        place.mkdir(parents=True)
        for emotion in range(1, 9):
            recording = Recording(1, emotion, 1, 1, 1, actor)
            split[recording] = "test" if actor == 19 else "train"
            picture = flat((20 * emotion, 8 * actor, 100), (18, 32))
            film = place / str(Clip(recording, 1))
            write_clip(
                film, seconds=0.6, fps=5, size=(18, 32), picture=picture, tone=90.0 * emotion
            )
            shutil.copy(film, place / str(Clip(recording, 2)))
            write_sound(place / str(Clip(recording, 3)), seconds=0.6, tone=90.0 * emotion + actor)
    return split


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Recording, str]]:
    for library in ("av", "soundfile", "transformers"):
        pytest.importorskip(library, reason="needs the extra mke_theory[data]")
    root = tmp_path_factory.mktemp("twins")
    return root, write_corpus(root / "ravdess")


@pytest.fixture
def twins(
    corpus: tuple[Path, dict[Recording, str]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[Recording, str]]:
    """The corpus, in place of which the committed split knows no other recordings."""
    root, split = corpus
    lines = [f"{part} {recording}" for recording, part in split.items()]
    (root / "split.txt").write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.setattr("mke_theory.tasks.ravdess.split.SPLIT", root / "split.txt")
    monkeypatch.setattr("mke_theory.tasks.ravdess.split.SPLIT_SHA256", hash_of(lines))
    monkeypatch.setenv("MKE_CACHE", str(root / "cache"))
    return corpus


SMALL: dict[str, Any] = {"labels_per_class": 1, "frames": 1, "side": 18, "units": 8}


@BOTH
@pytest.mark.parametrize("labels", ["by class", "by actor"])
def test_twins_never_stand_on_two_sides(
    task: Ravdess, labels: Any, twins: tuple[Path, dict[Recording, str]]
) -> None:
    root, split = twins
    task = replace(task, labels=labels, labelled_actors=1, **SMALL)
    assert len(list((root / "ravdess").glob("*/*"))) == 3 * len(split)
    problem = task.at(root).problem(0)
    parts = (problem.labelled, problem.unlabelled, problem.test)
    assert [len(part) for part in parts] == [8, 8, 8]
    seen = [{x.numpy().tobytes() for x in part.inputs[task.teacher][:]} for part in parts]
    assert [len(values) for values in seen] == [8, 8, 8]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_a_split_by_file_would_be_refused(twins: tuple[Path, dict[Recording, str]]) -> None:
    """A random split over the files puts a film here and its sound there."""
    root, _ = twins
    files = sorted((root / "ravdess").glob("*/*"))
    recordings = [path.stem[3:] for path in files]
    cut = np.random.default_rng(0).random(len(files)) < 0.5
    pools = [
        Pool(
            {"x": torch.zeros(int(side.sum()), 1)},
            torch.zeros(int(side.sum()), dtype=torch.long),
            np.array(recordings)[side],
        )
        for side in (cut, ~cut)
    ]
    with pytest.raises(ValueError, match=r"group '01-0.-01-01-01-..' is in"):
        refuse_shared_groups({"train": pools[0], "test": pools[1]})


def test_a_twin_smuggled_into_another_actors_folder_is_refused(
    twins: tuple[Path, dict[Recording, str]], tmp_path: Path
) -> None:
    root, _ = twins
    folder = Path(shutil.copytree(root / "ravdess", tmp_path / "ravdess"))
    twin = next(folder.glob("Actor_19/02-*"))
    twin.rename(folder / "Actor_01" / twin.name)
    with pytest.raises(ValueError, match="is a clip of actor 19 in another folder"):
        Ravdess(**SMALL).at(tmp_path).problem(0)
    task = Ravdess(**SMALL, skip_bad=True)
    problem = task.at(tmp_path).problem(0)
    assert len(problem.test) == 8  # its film is there still
    (line,) = problem.skipped  # a record has to tell of it
    assert str(folder / "Actor_01" / twin.name) in line


@BOTH
def test_a_run_on_films_goes_from_files_to_record(
    task: Ravdess, twins: tuple[Path, dict[Recording, str]]
) -> None:
    root, _ = twins
    brief = replace(task.recipe.teacher, steps=3, batch_size=4)
    recipe = replace(task.recipe, teacher=brief, student=brief)
    task = replace(task, recipe=recipe, **SMALL).at(root)
    assert task.missing() is None
    (result,) = run([Run(task, ARMS["mm_student"], 0)])
    assert isinstance(result, Result)
    record = record_of(result, RunConfiguration())
    assert [record.counts[part] for part in ("labelled", "unlabelled", "test")] == [8, 8, 8]
    assert record.task == task.name and record.config["task"]["frames"] == 1


# Models


@BOTH
def test_models_read_what_is_there_and_grow_with_the_width(
    task: Ravdess, pretend: list[Clips]
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1440, 2, 3, 16, 16), dtype=np.uint8)
    for clips in (numbered(), numbered(face=frames)):
        pretend[0] = clips
        problem = task.at(ROOT).problem(0)
        for used in ((task.teacher,), task._modalities):
            sizes = []
            for width in (16, 32, None):
                model = task.model(problem, used, width)
                assert model(problem.test.only(used)[:3].inputs).shape == (3, 8)
                sizes.append(sum(weight.numel() for weight in model.parameters()))
            assert sizes[0] < sizes[1] < sizes[2]


def test_scores_are_accuracy_and_macro_f1() -> None:
    truth = torch.arange(8).repeat(2)
    predictions = truth.clone()
    predictions[0] = 1  # one neutral recording of two is called calm
    scores = Ravdess().scores(predictions, truth)
    assert list(scores) == ["accuracy", "macro F1"]
    assert scores["accuracy"] == pytest.approx(15 / 16)
    # Neutral: precision 1, recall 1/2; calm: precision 2/3, recall 1.
    assert scores["macro F1"] == pytest.approx((2 / 3 + 4 / 5 + 6) / 8)


# Refusals


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"labels_per_class": 0}, "labels_per_class is 0; it has to be at least 1"),
        ({"labelled_actors": 0}, "labelled_actors is 0"),
        ({"frames": 0}, "frames is 0"),
        ({"side": 7}, "side is 7; it has to be at least 8"),
        ({"labels": "by chance"}, "labels is 'by chance'; choose one of"),
        ({"teacher": "audio"}, "teacher is 'audio'; choose one of"),
        ({"source": "web"}, "source is 'web'; choose one of"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Ravdess(**settings)


def test_more_labels_than_there_are_recordings_are_refused(pretend: list[Clips]) -> None:
    with pytest.raises(ValueError, match="is 72; there are 72 train recordings of neutral"):
        Ravdess(labels_per_class=72).at(ROOT).problem(0)
    with pytest.raises(ValueError, match="is 18; there are 18 train actors"):
        Ravdess(labels="by actor", labelled_actors=18).at(ROOT).problem(0)


@pytest.mark.parametrize(
    ("source", "named", "others"),
    [
        ("either", ("face_au.csv", "Actor_01 to Actor_24"), ()),
        ("tables", ("face_au.csv",), ("with Actor_01",)),
        ("films", ("Actor_01 to Actor_24",), ("face_au.csv",)),
    ],
)
def test_what_is_missing_comes_with_the_remedy(
    source: Any, named: tuple[str, ...], others: tuple[str, ...], tmp_path: Path
) -> None:
    task = Ravdess(source=source)
    message = task.at(tmp_path).missing()
    assert message is not None
    for text in (*named, "zenodo.org/record/1188976", "CC BY-NC-SA 4.0", "prepare", str(tmp_path)):
        assert text in message
    assert not any(text in message for text in others)
    with pytest.raises(FileNotFoundError, match="no folder ravdess"):
        task.at(tmp_path).problem(0)
    with pytest.raises(FileNotFoundError, match="needs a data root"):
        task.problem(0)
    assert task.missing() is not None


@pytest.mark.parametrize(
    ("source", "files", "found"),
    [
        ("either", ("index.csv", "Actor_01/x"), "tables"),
        ("either", ("Actor_01/x",), "films"),
        ("tables", ("index.csv", "Actor_01/x"), "tables"),
        ("tables", ("Actor_01/x",), None),
        ("films", ("index.csv", "Actor_01/x"), "films"),
        ("films", ("index.csv",), None),
        ("films", ("Actor_1/x", "Actors/x"), None),
    ],
)
def test_the_source_is_detected_or_forced(
    source: Any, files: tuple[str, ...], found: str | None, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert Ravdess(source=source)._there(tmp_path) == found


# Real data


@pytest.mark.data("ravdess")
@BOTH
def test_the_tables_give_the_task(task: Ravdess, data_root: Path) -> None:
    assert task.at(data_root).missing() is None and task.at(data_root).problem(0).skipped == ()
    problem = task.at(data_root).problem(0)
    assert [len(p) for p in (problem.labelled, problem.unlabelled, problem.test)] == [320, 760, 360]
    assert problem.test.inputs["face"].shape == (360, 35)
    assert problem.test.inputs["speech"].shape == (360, 720)
    assert len(str(task.at(data_root).data_hash())) == 16
    train = torch.cat(
        [problem.labelled.inputs[task.teacher], problem.unlabelled.inputs[task.teacher]]
    )
    assert train.mean(dim=0).abs().max() < 1e-4


@pytest.mark.data("ravdess")
def test_a_teacher_of_faces_is_far_above_chance(data_root: Path) -> None:
    """One draw: 1 of 8 is chance, which 360 recordings exceed by 0.125 once in 10^9 draws."""
    task = Ravdess().at(data_root)
    (result,) = run([Cell(task, 0).teacher])
    assert isinstance(result, Result)
    assert result.test_accuracy > 0.25
