"""A folder of arrays gives what an .npz file of the same numbers gives, and is not read whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.data.lazy_arrays import SideBySide, Stored
from mke_theory.data.problem import Problem
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import InputNoise
from mke_theory.study.arms import ARMS
from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.result import Failure, Result, Run
from mke_theory.study.runner import run
from mke_theory.study.semi_supervised.contestants import comparable, contestants
from mke_theory.study.task import Recipe
from mke_theory.tasks.files.standardise import standardiser
from mke_theory.tasks.toy import Arrays, array_reading, stored_arrays
from mke_theory.tasks.toy.array_reading import read_arrays
from mke_theory.tasks.toy.stored_arrays import blocks_of, standardised_in_memory
from mke_theory.training.loop import TrainConfig
from tests.tasks.files.features.made_up import MadeUp, expected, written
from tests.tasks.toy.own_arrays import Content, content, given_parts, parts, saved
from tests.tasks.toy.test_arrays import BAD

SHORT = TrainConfig(steps=25, batch_size=8, learning_rate=0.02)
RECIPE = Recipe(SHORT, SHORT, Objective(transform=(InputNoise(0.5),)))


def in_folder(folder: Path, arrays: Content) -> Arrays:
    """The arrays in a folder, each in a file."""
    folder.mkdir(exist_ok=True)
    for name, x in arrays.items():
        np.save(folder / f"{name}.npy", x)
    return Arrays(file=str(folder))


def both_ways(folder: Path, arrays: Content) -> tuple[Arrays, Arrays]:
    """The same arrays in a file and in a folder, in which they are in the order of their names."""
    ordered = {name: arrays[name] for name in sorted(arrays)}
    return saved(folder, ordered), in_folder(folder / "own", arrays)


def same_problem(one: Problem, other: Problem) -> bool:
    """True where both hold the same numbers, bit for bit."""
    return one.split_hash == other.split_hash and all(
        torch.equal(mine.labels, theirs.labels) and mine.modalities == theirs.modalities
        for mine, theirs in zip(parts(one).values(), parts(other).values(), strict=True)
    )


@pytest.mark.parametrize("make", [content, given_parts])
def test_the_problem_is_that_of_the_file(make: Callable[[], Content], tmp_path: Path) -> None:
    file, folder = both_ways(tmp_path, make())
    for seed in (0, 1):
        one, other = file.problem(seed), folder.problem(seed)
        assert same_problem(one, other)
        for name, pool in parts(other).items():
            x = pool.inputs["image"]
            assert isinstance(x, Stored) and isinstance(x.values, np.memmap)
            assert torch.equal(x[:], getattr(one, name).inputs["image"])
    assert folder.knows_truth() == file.knows_truth()


def numbers(draw: st.DataObject) -> Content:
    """Modalities of any type and width, some rows of floats missing."""
    seed, n = draw.draw(st.integers(0, 2**16)), draw.draw(st.integers(6, 60))
    random = np.random.default_rng(seed)
    arrays: Content = {"labels": np.arange(n) % 2, "part": np.arange(n) // 2 % 3}
    arrays["part"] = np.array(["labelled", "unlabelled", "test"])[arrays["part"]]
    kinds = st.sampled_from([np.uint8, np.int16, np.float16, np.float32, np.float64, bool])
    for name in ("a", "b"):
        kind, shape = draw.draw(kinds), draw.draw(st.sampled_from([(1,), (5,), (2, 3)]))
        x = (random.normal(size=(n, *shape)) * 50 + draw.draw(st.integers(0, 100))).astype(kind)
        if draw.draw(st.booleans()):
            x.reshape(n, -1)[:, 0] = 3  # a column that is constant
        if np.issubdtype(kind, np.floating) and draw.draw(st.booleans()):
            x[5::4] = np.nan  # rows 0 to 4 stay
        arrays[name] = x
    return arrays


@given(st.data())
def test_numbers_of_any_type_are_scaled_to_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    arrays, size = numbers(data), data.draw(st.sampled_from([8, 64, 1 << 25]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mke_theory.tasks.toy.stored_arrays._AT_A_TIME", size)  # blocks of any size
        patch.setattr("mke_theory.tasks.toy.stored_arrays._COLUMNS", 1 + size % 7)
        file, folder = both_ways(tmp_path_factory.mktemp("new"), arrays)
        one, other = file.problem(0), folder.problem(0)
        assert same_problem(one, other)
        for name in ("a", "b"):
            x = other.test.inputs[name]
            assert isinstance(x, Stored) and x.values.dtype == arrays[name].dtype  # type: ignore[union-attr]


def test_blocks_are_the_rows_in_order() -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    assert np.array_equal(np.concatenate(list(blocks_of(x))), x.reshape(4, 6))
    assert np.array_equal(
        np.concatenate(list(blocks_of(x, np.array([3, 1])))), x.reshape(4, 6)[[3, 1]]
    )


def results(task: Arrays, arm: Any, **how: Any) -> Result:
    task = replace(task, recipe=RECIPE, alpha="sound", hidden=8)
    (found,) = run([Run(task, arm, 0)], RunConfiguration(**how))
    assert not isinstance(found, Failure), found.error
    return found


@pytest.mark.parametrize(
    "arm", ["mm_student_evidence", "mm_student_evidence_shuffled", "mm_student", "mm_student_sup"]
)
def test_students_are_the_same_from_file_and_folder(arm: str, tmp_path: Path) -> None:
    arrays = {**given_parts(), "image": given_parts()["image"].astype(np.float16)}
    file, folder = both_ways(tmp_path, arrays)
    one, other = (results(task, ARMS[arm], trainer="one by one") for task in (file, folder))
    for part in ("unlabelled", "test"):
        assert torch.equal(one.predictions[part], other.predictions[part])
    assert one.account == other.account
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.mark.parametrize("arm", ["mm_student_evidence", "mm_student"])
def test_vectorised_training_reads_folders_too(arm: str, tmp_path: Path) -> None:
    file, folder = both_ways(tmp_path, given_parts())
    one, other = (results(task, ARMS[arm], trainer="vectorised") for task in (file, folder))
    for name, weight in one.model.state_dict().items():
        torch.testing.assert_close(other.model.state_dict()[name], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("contestant", contestants(), ids=lambda one: one.name)
def test_every_semi_supervised_method_reads_folders(contestant: Any, tmp_path: Path) -> None:
    file, folder = both_ways(tmp_path, given_parts())
    one, other = (
        results(comparable(task, SHORT), contestant, trainer="one by one")  # type: ignore[arg-type]
        for task in (file, folder)
    )
    assert torch.equal(one.predictions["test"], other.predictions["test"])


def test_a_teacher_known_by_its_answers_alone(tmp_path: Path) -> None:
    logits = np.random.default_rng(3).normal(size=(30, 3))
    file, folder = both_ways(tmp_path, {**given_parts(), "teacher": logits})
    one, other = (
        results(task, ARMS["mm_student_evidence"], trainer="one by one") for task in (file, folder)
    )
    assert torch.equal(one.pseudo.hard, torch.from_numpy(logits[9:21]).argmax(1))
    assert torch.equal(one.predictions["test"], other.predictions["test"])


def test_a_process_looks_through_a_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = array_reading._refuse_modality

    def noted(name: str, x: Any, n: int) -> None:
        looked.append(name)
        real(name, x, n)

    monkeypatch.setattr(array_reading, "_refuse_modality", noted)
    task = in_folder(tmp_path / "own", given_parts())
    for seed in range(3):
        task.problem(seed)
        task.knows_truth()
    assert looked == ["image", "sound"]
    before, hash_ = task.problem(0).split_hash, task.data_hash()
    assert hash_ == task.data_hash()
    other = given_parts()["sound"]
    other[0, 0] += 1
    np.save(tmp_path / "own" / "sound.npy", other)
    assert task.data_hash() != hash_ and task.problem(0).split_hash != before
    assert looked == ["image", "sound"] * 2


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_arrays_are_refused_in_a_folder_too(case: str, tmp_path: Path) -> None:
    change, message = BAD[case]
    # Files of no rows, or of no numbers a row, cannot be mapped; modalities are sorted by name.
    message = message.replace("it has sound, image", "it has image, sound")
    if case in ("nothing in a row", "no rows"):
        message += "|cannot be read"
    with pytest.raises(ValueError, match=message):
        in_folder(tmp_path / "own", change(content())).problem(0)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9])
def test_a_truncated_array_is_refused(kept: float, tmp_path: Path) -> None:
    task = in_folder(tmp_path / "own", content())
    path = tmp_path / "own" / "sound.npy"
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"sound\.npy cannot be read as \.npy without objects"):
        task.problem(0)


def test_numbers_that_cannot_be_mapped_are_refused(tmp_path: Path) -> None:
    task = in_folder(tmp_path / "own", {**content(), "sound": np.ones((30, 2), ">f4")})
    with pytest.raises(ValueError, match=r"sound\.npy is >f4, which cannot be mapped; save x\.as"):
        task.problem(0)


def test_objects_are_refused_unopened(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    np.save(tmp_path / "own" / "sound.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"cannot be read as \.npy without objects"):
        read_arrays(tmp_path / "own")


def test_a_file_or_folder_is_asked_for(tmp_path: Path) -> None:
    assert "or a folder of .npy files" in (Arrays().missing() or "")
    assert "there is no file x here" in (Arrays(file="x").missing() or "")
    in_folder(tmp_path / "own", content())
    assert Arrays(file="own").at(tmp_path).missing() is None


# --- features as a modality ----------------------------------------------------------------------

PICTURES = np.random.default_rng(5).integers(0, 256, (30, 3, 4, 6), dtype=np.uint8)
NAMES = tuple(f"clip {number}" for number in range(30))


def with_features(folder: Path, **changed: Any) -> Arrays:
    """Sound as an array, and the features of pictures."""
    arrays = {name: x for name, x in given_parts().items() if name != "image"}
    task = in_folder(folder, {**arrays, "keys": np.array(NAMES)})
    written(folder / "image", **{"samples": PICTURES, "keys": NAMES, **changed})
    return task


def test_features_are_a_modality_their_taps_side_by_side(tmp_path: Path) -> None:
    folder = with_features(tmp_path / "own")
    wanted = expected(PICTURES)
    rows = np.concatenate([x.reshape(30, -1) for x in wanted.values()], axis=1)
    assert rows.dtype == np.float16 and rows.shape == (30, 3 + 18)
    file = saved(tmp_path, dict(sorted({**given_parts(), "image": rows}.items())))
    assert same_problem(file.problem(0), folder.problem(0))
    x = folder.problem(0).test.inputs["image"]
    assert isinstance(x, Stored) and isinstance(x.values, SideBySide)
    one, other = (
        results(task, ARMS["mm_student_evidence"], trainer="one by one") for task in (file, folder)
    )
    assert torch.equal(one.predictions["test"], other.predictions["test"])


def test_features_of_one_tap_keep_their_shape_on_disk(tmp_path: Path) -> None:
    encoder = MadeUp(lambda x: {"mean": x.float().mean(dim=(2, 3))}, taps=("mean",))
    task = with_features(tmp_path / "own", encoder=encoder)
    x = task.problem(0).test.inputs["image"]
    assert isinstance(x, Stored) and isinstance(x.values, np.memmap)
    assert x.values.dtype == np.float16 and x.values.shape == (30, 3)


def test_the_hash_of_the_data_follows_the_features(tmp_path: Path) -> None:
    one = with_features(tmp_path / "one").data_hash()
    assert with_features(tmp_path / "two").data_hash() == one
    other = PICTURES.copy()
    other[3, 0, 0, 0] ^= 1
    assert with_features(tmp_path / "three", samples=other).data_hash() != one


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"keys": NAMES[::-1]},
            "order of the samples: .* the first that differs is sample 0",
        ),
        ({"keys": NAMES[:20], "samples": PICTURES[:20]}, "number of samples: 20 there, 30"),
    ],
)
def test_features_of_other_samples_are_refused(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    task = with_features(tmp_path / "own", **changed)
    with pytest.raises(ValueError, match=message):
        task.problem(0)


def test_features_without_names_need_as_many_samples(tmp_path: Path) -> None:
    task = with_features(tmp_path / "own", keys=NAMES[:20], samples=PICTURES[:20])
    (tmp_path / "own" / "keys.npy").unlink()
    with pytest.raises(ValueError, match="image has 20 rows but labels has 30"):
        task.problem(0)


def test_features_of_two_modalities_are_of_the_same_samples_in_one_order(tmp_path: Path) -> None:
    task = with_features(tmp_path / "own")
    (tmp_path / "own" / "keys.npy").unlink()
    written(tmp_path / "own" / "depth", samples=PICTURES[::-1].copy(), keys=NAMES[::-1])
    with pytest.raises(ValueError, match=r"depth/ and image/ are .* 'clip 29' there and 'clip 0'"):
        task.problem(0)


def test_a_modality_is_there_once(tmp_path: Path) -> None:
    task = with_features(tmp_path / "own")
    np.save(tmp_path / "own" / "image.npy", PICTURES)
    with pytest.raises(ValueError, match=r"has image\.npy and image/; keep one of them"):
        task.problem(0)


def test_a_folder_without_features_is_named(tmp_path: Path) -> None:
    task = in_folder(tmp_path / "own", content())
    (tmp_path / "own" / "video").mkdir()
    with pytest.raises(FileNotFoundError, match="video: holds no features"):
        task.problem(0)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("much", [0, 1 << 40])
def test_arrays_in_memory_are_scaled_as_by_the_standardiser(
    kind: type, much: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_arrays, "_MUCH", much)
    monkeypatch.setattr(stored_arrays, "_AT_A_TIME", 8 * 12 * 7)  # blocks of seven rows
    x = np.random.default_rng(0).integers(0, 2 if kind is bool else 99, (40, 3, 4)).astype(kind)
    x[:, 0, 0] = 1
    fit_on = np.arange(40) % 3 > 0
    found = standardised_in_memory(x, fit_on)
    flat = x.reshape(40, -1).astype(np.float64)
    wanted = torch.tensor(standardiser(flat[fit_on])(flat), dtype=torch.float32)
    assert isinstance(found, Stored) is (much == 0 and kind in (np.uint8, np.int16))
    assert torch.equal(found[slice(0, 40)], wanted) and found.shape == wanted.shape
