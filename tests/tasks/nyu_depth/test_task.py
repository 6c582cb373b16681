"""The task on small folders: who is labelled, what counts, what is refused, and the real frames."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mke_theory.data import file_hashes as contents
from mke_theory.data.file_hashes import sha256_of
from mke_theory.data.pool import Pool
from mke_theory.tasks.nyu_depth import prepare as originals
from mke_theory.tasks.nyu_depth import split as cutting
from mke_theory.tasks.nyu_depth.frames import averaged, class_map, small
from mke_theory.tasks.nyu_depth.picture_reader import read_extra, read_index, read_pack
from mke_theory.tasks.nyu_depth.task import DepthNYU, NYUDepth
from tests.tasks.nyu_depth.made_frames import (
    TEST,
    TRAIN,
    colours,
    depth_in_metres,
    labels40,
    write_pack,
)

Image = pytest.importorskip("PIL.Image", reason="needs the extra mke_theory[data]")
pytest.importorskip("h5py", reason="needs the extra mke_theory[data]")

SIZE = (12, 16)
WHOLE = (48, 64)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root whose pack has 40 train frames in blocks of 15, 15 and 10, and 3 of test."""
    root = tmp_path_factory.mktemp("root")
    write_pack(root / "nyudv2")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def task(cache: Path, labelled_frames: int = 15, **settings: object) -> NYUDepth:
    return replace(
        NYUDepth(size=SIZE, labelled_frames=labelled_frames, cache=str(cache)),
        **settings,  # type: ignore[arg-type]
    )


# One frame


def test_a_frame_keeps_its_pixels() -> None:
    found = small(colours(3), depth_in_metres(3), labels40(3), WHOLE, "here")
    np.testing.assert_array_equal(found["image"], colours(3).transpose(2, 0, 1))
    np.testing.assert_allclose(found["depth"], depth_in_metres(3), atol=1e-3)
    np.testing.assert_array_equal(found["label"], labels40(3))
    assert [found[name].dtype.name for name in ("image", "depth", "label")] == [
        "uint8",
        "float16",
        "int8",
    ]


def test_colours_are_averaged_and_the_rest_is_picked() -> None:
    found = small(colours(3), depth_in_metres(3), labels40(3), SIZE, "here")
    blocks = colours(3).reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found["image"].transpose(1, 2, 0), blocks, atol=0.5)
    np.testing.assert_allclose(found["depth"], depth_in_metres(3)[2::4, 2::4], atol=1e-3)
    np.testing.assert_array_equal(found["label"], labels40(3)[2::4, 2::4])


def test_averages_by_hand() -> None:
    picture = np.zeros((2, 4, 3), dtype=np.uint8)
    picture[0, 0], picture[1, 3] = 200, 100
    assert averaged(picture, (1, 2))[0, :, 0].tolist() == [50, 25]


@pytest.mark.parametrize(
    ("depth", "label", "size", "message"),
    [
        (np.ones((48, 63)), np.zeros(WHOLE, int), SIZE, "same height and width"),
        (np.ones(WHOLE), np.zeros((24, 32), int), SIZE, "same height and width"),
        (np.ones(WHOLE), np.full(WHOLE, 41), SIZE, "41; allowed are 0 to 40"),
        (np.ones(WHOLE), np.zeros(WHOLE, int), (49, 64), "choose a smaller size"),
    ],
)
def test_a_frame_that_contradicts_itself_is_refused(
    depth: np.ndarray, label: np.ndarray, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=f"frame 9.*{message}"):
        small(colours(9), depth, label, size, "frame 9")


# Classes


def test_class_maps_by_hand() -> None:
    thirteen = class_map(13, otherprop_is_void=True)
    assert thirteen.names[0] == "bed" and thirteen.names[12] == "window"
    assert len(thirteen.names) == 13
    # Label 0 is void, 1 wall, 2 floor, 8 door (a wall, officially), 13 blinds, 40 otherprop.
    named = {int(label): thirteen.names[thirteen.of_label[label]] for label in (1, 2, 8, 13)}
    assert named == {1: "wall", 2: "floor", 8: "wall", 13: "window"}
    assert thirteen.of_label[0] == thirteen.of_label[40] == -1
    exact = class_map(13, otherprop_is_void=False)
    assert exact.names[exact.of_label[40]] == "objects"


def test_forty_classes_are_thirty_nine_where_otherprop_is_void() -> None:
    for is_void, count in ((True, 39), (False, 40)):
        found = class_map(40, otherprop_is_void=is_void)
        assert len(found.names) == count
        assert found.of_label[:40].tolist() == list(range(-1, 39))
        assert found.of_label[40] == (-1 if is_void else 39)
    with pytest.raises(ValueError, match="allowed are 13 and 40"):
        class_map(12, otherprop_is_void=True)


# Who is labelled


def test_the_split_on_paper_is_whole() -> None:
    split = cutting.read_split()
    assert {part: len(numbers) for part, numbers in split.items()} == {
        "train": 795,
        "labelled": 105,
        "test": 654,
    }
    both = np.concatenate([split["train"], split["test"]])
    np.testing.assert_array_equal(np.sort(both), np.arange(1, cutting.FRAMES + 1))
    by_rule = split["train"][cutting.fixed(cutting.blocks(795))]
    np.testing.assert_array_equal(by_rule, split["labelled"])


def test_a_changed_split_is_noticed(tmp_path: Path) -> None:
    stated = json.loads(cutting.SPLIT.read_text(encoding="utf-8"))
    stated["test"][0] = stated["test"][0].replace("1-2 ", "2 ", 1)
    (tmp_path / "split.json").write_text(json.dumps(stated), encoding="utf-8")
    with pytest.raises(ValueError, match="frames of test are not those"):
        cutting.read_split(tmp_path / "split.json")


@pytest.mark.parametrize("kept", [slice(None), slice(1, None), slice(100, 102), slice(100, 101)])
def test_another_split_of_some_or_all_frames_is_refused(kept: slice) -> None:
    split = cutting.read_split()
    number = np.arange(1, cutting.FRAMES + 1)
    part = np.where(np.isin(number, split["test"]), "test", "train")
    cutting.refuse_other_split("index.csv", number[kept], part[kept])
    part[100] = "test" if part[100] == "train" else "train"
    with pytest.raises(ValueError, match=r"index\.csv: 1 frames .* frame 101, which is 'train'"):
        cutting.refuse_other_split("index.csv", number[kept], part[kept])


@pytest.mark.parametrize("frame", [0, 1450])
def test_a_frame_outside_the_data_set_is_refused(frame: int) -> None:
    with pytest.raises(ValueError, match=f"lists frame {frame}; the data set has frames 1 to 1449"):
        cutting.refuse_other_split("index.csv", np.array([3, frame]), np.array(["train"] * 2))


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=12),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_no_unit_is_on_both_sides(sizes: list[int], seed: int, data: st.DataObject) -> None:
    units = np.repeat([f"room {at}" for at in range(len(sizes))], sizes)
    wanted = data.draw(st.integers(1, len(units)))
    labelled, left_over = cutting.drawn(units, wanted, seed)
    assert labelled.sum() == wanted and not (labelled & left_over).any()
    assert not set(units[labelled]) & set(units[~labelled & ~left_over])
    assert len(set(units[left_over])) <= 1


def test_seeds_label_different_blocks(made: Path, tmp_path: Path) -> None:
    drawn = [task(tmp_path).at(made).problem(seed) for seed in range(8)]
    groups = [tuple(sorted(set(_groups(problem.labelled)))) for problem in drawn]
    assert max(map(len, groups)) <= 2  # the last of three blocks has ten frames alone
    assert len(set(groups)) > 1
    for problem in drawn:
        assert len(problem.labelled) == 15
        assert not set(_groups(problem.labelled)) & set(_groups(problem.unlabelled))
    assert len({problem.split_hash for problem in drawn}) > 1
    again = task(tmp_path).at(made).problem(3)
    assert again.split_hash == drawn[3].split_hash


def test_the_fixed_cut_is_the_same_for_all_seeds(made: Path, tmp_path: Path) -> None:
    fixed = NYUDepth(size=SIZE, cut="fixed blocks", cache=str(tmp_path))
    problems = [fixed.at(made).problem(seed) for seed in (0, 1)]
    assert problems[0].split_hash == problems[1].split_hash
    assert set(_groups(problems[0].labelled)) == {"train block 0"}
    assert [len(getattr(problems[0], part)) for part in ("labelled", "unlabelled", "test")] == [
        15,
        25,
        3,
    ]


# The problem


def test_modalities_and_labels(made: Path, tmp_path: Path) -> None:
    problem = task(tmp_path, geometry="depth").at(made).problem(0)
    assert problem.modalities == ("image", "depth") and problem.labelled.modalities == ("image",)
    batch = problem.test[slice(0, 3)]
    assert batch.inputs["image"].shape == (3, 3, *SIZE)
    assert batch.inputs["depth"].shape == (3, 2, *SIZE)
    assert batch.target.shape == (3, *SIZE) and batch.target.dtype == torch.int64
    kept = labels40(TEST[0])[2::4, 2::4]
    expected = class_map(13, otherprop_is_void=True).of_label[kept]
    np.testing.assert_array_equal(batch.target[0], expected)
    assert bool((batch.target[:, :, 0] >= 0).any()) and problem.classes == 13


def test_inputs_are_standardised_over_train(made: Path, tmp_path: Path) -> None:
    problem = NYUDepth(size=SIZE, cut="fixed blocks", cache=str(tmp_path)).at(made).problem(0)
    labelled, unlabelled = (
        pool[slice(0, 99)].inputs["image"] for pool in (problem.labelled, problem.unlabelled)
    )
    both = torch.cat([labelled, unlabelled])
    torch.testing.assert_close(both.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(both.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


def test_statistics_know_nothing_of_test(root: Path, tmp_path: Path) -> None:
    before = task(tmp_path / "a").at(root).problem(0)
    for frame in TEST:
        picture = Image.fromarray(np.full((*WHOLE, 3), 255, dtype=np.uint8))
        picture.save(root / f"nyudv2/rgb/{frame:04d}.jpg")
        Image.fromarray(np.full(WHOLE, 250, dtype=np.uint8)).save(
            root / f"nyudv2/depth/{frame:04d}.png"
        )
    after = task(tmp_path / "b").at(root).problem(0)
    _same_inputs(before.unlabelled[slice(0, 9)].inputs, after.unlabelled[slice(0, 9)].inputs)
    changed = after.test[slice(0, 3)].inputs["depth"][:, 0]
    assert not torch.equal(before.test[slice(0, 3)].inputs["depth"][:, 0], changed)


def test_normals_are_added_on_request(made: Path, tmp_path: Path) -> None:
    problem = task(tmp_path, geometry="normals").at(made).problem(0)
    found = problem.test[slice(0, 3)].inputs["depth"]
    assert found.shape == (3, 6, *SIZE)
    # Depth grows downwards, so the surface leans back and faces up, which is −y.
    assert float(found[:, 3].mean()) > 0.05 and float(found[:, 4].mean()) < -0.5


def test_the_other_direction_swaps_the_modalities(made: Path, tmp_path: Path) -> None:
    back = DepthNYU(size=SIZE, labelled_frames=15, cache=str(tmp_path)).at(made).problem(0)
    there = task(tmp_path).at(made).problem(0)
    assert back.modalities == ("depth", "image") and back.labelled.modalities == ("depth",)
    _same_inputs(back.test[slice(0, 3)].inputs, there.test[slice(0, 3)].inputs)
    assert back.teacher_modalities == ("depth",)


def test_models_answer_for_each_pixel(made: Path, tmp_path: Path) -> None:
    small_task = task(tmp_path, channels=4)
    problem = small_task.at(made).problem(0)
    for used in (("image",), ("depth",), ("image", "depth")):
        inputs = {name: problem.test[slice(0, 2)].inputs[name] for name in used}
        assert small_task.model(problem, used)(inputs).shape == (2, 13, *SIZE)


def test_scenes_are_the_test_frames_before_scaling(made: Path, tmp_path: Path) -> None:
    whole = task(tmp_path)
    problem = whole.at(made).problem(0)
    shown = whole.scenes(problem)
    assert shown["rows"].tolist() == [0, 1, 2] and shown["names"].tolist()[0] == "bed"
    expected = small(colours(2), depth_in_metres(2), labels40(2), SIZE, "")
    np.testing.assert_allclose(
        shown["image"][1].transpose(2, 0, 1).astype(int), expected["image"].astype(int), atol=12
    )
    np.testing.assert_allclose(shown["depth"][1], expected["depth"], atol=0.5 / 25.5 + 1e-3)
    np.testing.assert_array_equal(shown["truth"], problem.test.labels)


def test_scores_by_hand() -> None:
    truth = torch.tensor([[[0, 0, 1, -1]]])
    said = torch.tensor([[[0, 1, 1, 7]]])
    # Class 0: 1 of 2 pixels in union; class 1: 1 of 2; class 7 is said on a void pixel alone.
    assert NYUDepth().scores(said, truth) == pytest.approx(
        {"mIoU": 0.5, "pixel accuracy": 2 / 3, "mean accuracy": 0.75}
    )
    assert next(iter(NYUDepth().scores(said, truth))) == NYUDepth.metric


def test_what_was_read_once_is_not_read_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mke_theory.tasks.nyu_depth import reader as loading

    before = task(tmp_path).at(made).problem(0)
    loading._load.cache_clear()
    monkeypatch.setattr(loading, "read_pack", None)
    after = task(tmp_path).at(made).problem(0)
    _same_inputs(before.test[slice(0, 3)].inputs, after.test[slice(0, 3)].inputs)


def test_a_file_that_changes_is_noticed_by_the_same_process(root: Path, tmp_path: Path) -> None:
    whole = task(tmp_path)
    before, hashed = whole.at(root).problem(0), whole.at(root).data_hash()
    path = root / f"nyudv2/depth/{TEST[0]:04d}.png"
    size = path.stat().st_size
    Image.fromarray(np.full(WHOLE, 250, dtype=np.uint8)).save(path)
    with path.open("ab") as file:
        file.write(bytes(size - path.stat().st_size))  # what follows a picture is not read
    after = whole.at(root).problem(0)
    x, y = (problem.test[slice(0, 3)].inputs["depth"] for problem in (before, after))
    assert not torch.equal(x[0], y[0]) and torch.equal(x[1:], y[1:])
    assert whole.at(root).data_hash() != hashed


def test_a_process_hashes_each_file_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr(contents, "sha256_of", counted)
    for _ in range(3):
        problems = [task(tmp_path).at(root).problem(seed) for seed in (0, 1)]
        assert task(tmp_path).at(root).data_hash()
    assert len(hashed) == len(set(hashed)) == 1 + 3 * 43
    stored = [problem.test.inputs["image"] for problem in problems]
    assert stored[0].values is stored[1].values  # nor are the frames read twice


def _groups(pool: Pool) -> list[str]:
    assert pool.groups is not None
    return list(pool.groups.tolist())


def _same_inputs(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert set(first) == set(second)
    for name, x in first.items():
        torch.testing.assert_close(x, second[name], rtol=0, atol=0)


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 12}, "allowed are 13 and 40"),
        ({"cut": "random"}, "nyu_depth.cut is 'random'; choose one of"),
        ({"geometry": "normal"}, "nyu_depth.geometry is 'normal'"),
        ({"size": (60,)}, "height and width"),
        ({"size": (4, 80)}, "at least 8"),
        ({"labelled_frames": 0}, "at least 1"),
        ({"cut": "fixed blocks", "labelled_frames": 30}, "the fixed cut has 105"),
        ({"weights": "some/model"}, "encoder is 'small', which has no weights"),
        ({"encoder_size": "tiny"}, "choose another encoder, or leave both out"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(NYUDepth(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"otherprop_is_void": False}, "class 40 is also what is unlabelled"),
        ({"depth": "measured"}, "in-painted depth alone"),
        ({"labelled_frames": 40}, "there are 40 train frames"),
        ({"labelled_frames": 39}, "39 of 40 train frames; .* D_u is left none"),
    ],
)
def test_what_the_pictures_cannot_give_is_refused(
    made: Path, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        task(tmp_path, **settings).at(made).problem(0)  # type: ignore[arg-type]


def test_who_reads_and_encodes_is_named_by_what_is_there(root: Path, tmp_path: Path) -> None:
    assert NYUDepth().at(root).libraries() == ("PIL",)
    official = replace(NYUDepth(), source="official", encoder="resnet")
    assert official.at(tmp_path).libraries() == ("h5py", "transformers")
    assert replace(official, extra="frames").at(tmp_path).libraries() == (
        "PIL",
        "h5py",
        "transformers",
    )
    assert len(NYUDepth().class_names()) == 13 and "sofa" in NYUDepth().class_names()


def test_a_missing_folder_is_told_with_the_remedy(tmp_path: Path) -> None:
    assert "prepare --data-root" in str(NYUDepth().at(tmp_path).missing())
    (tmp_path / "nyudv2").mkdir()
    assert NYUDepth().at(tmp_path).missing() is None
    assert "no folder nowhere" in str(NYUDepth(extra="nowhere").at(tmp_path).missing())
    with pytest.raises(FileNotFoundError, match="--data-root"):
        NYUDepth().problem(0)


# Bad files


def _png(values: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(values).save(path)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "cut jpg": ("rgb/0005.jpg", lambda p: p.write_bytes(p.read_bytes()[:400]), "0005.jpg"),
    "no jpg": ("rgb/0005.jpg", lambda p: p.write_bytes(b"text"), "0005.jpg"),
    "grey jpg": ("rgb/0005.jpg", _png(np.zeros(WHOLE, np.uint8)), "0005.jpg.*mode L"),
    "no depth": ("depth/0005.png", lambda p: p.unlink(), "depth/0005.png: no such file"),
    "no label": ("label40/0005.png", lambda p: p.unlink(), "label40/0005.png: no such file"),
    "16-bit depth": ("depth/0005.png", _png(np.ones(WHOLE, np.uint16)), "0005.png.*mode I;16"),
    "small depth": ("depth/0005.png", _png(np.ones((24, 32), np.uint8)), "frame 0005.*same height"),
    "class 77": ("label40/0005.png", _png(np.full(WHOLE, 77, np.uint8)), "frame 0005.*0 to 40"),
    "colour labels": ("label40/0005.png", _png(np.ones((*WHOLE, 3), np.uint8)), "mode RGB"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_file_is_named_or_left_out(root: Path, tmp_path: Path, kind: str) -> None:
    name, damage, message = BAD[kind]
    damage(root / "nyudv2" / name)
    with pytest.raises(ValueError, match=message) as caught:
        read_pack(root / "nyudv2", SIZE)
    assert "1 of 43" in str(caught.value)
    problem = task(tmp_path, skip_bad=True).at(root).problem(0)
    assert len(problem.labelled) + len(problem.unlabelled) <= 39
    assert len(problem.skipped) == 1 and "0005" in problem.skipped[0]


def test_what_is_left_out_moves_no_block(root: Path) -> None:
    (root / "nyudv2/depth/0005.png").unlink()
    found = read_pack(root / "nyudv2", SIZE, skip_bad=True)
    assert 5 not in found.number
    first, second = (list(found.number).index(frame) for frame in TRAIN[14:16])
    assert found.group[first] == "train block 0" and found.group[second] == "train block 1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0003,train,labelled", "0003,train,unlabelled", "by the rule"),
        ("0003,train,labelled", "0003,valid,labelled", "line 2, frame 3: split has to be"),
        ("0003,train,labelled", "0004,train,labelled", "listed before"),
        ("0003,train,labelled", "0000,train,labelled", "count from 1"),
        ("0003,train,labelled", "0021,train,labelled", "frame 21, which is 'test' there"),
        ("0074,train", "1450,train", "lists frame 1450; the data set has frames 1 to 1449"),
        ("0003,train,labelled", "three,train,labelled", "not a table"),
        ("0003,train,labelled", "0003,,labelled", "empty cells"),
        ("frame,split", "picture,split", "not a table"),
    ],
)
def test_a_bad_index_is_refused(root: Path, old: str, new: str, message: str) -> None:
    path = root / "nyudv2/index.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"index\.csv.*{message}"):
        read_pack(root / "nyudv2", SIZE)


def test_a_missing_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"index\.csv"):
        read_index(tmp_path)


def test_check_tells_other_pictures(made: Path) -> None:
    with pytest.raises(ValueError, match="43 frames can be read, but their content"):
        originals.check_pictures(made / "nyudv2")


# Frames without labels


def extra_frames(folder: Path, names: tuple[str, ...] = ("b.2", "a"), scene: str = "") -> Path:
    for kind in ("rgb", "depth"):
        (folder / kind / scene).mkdir(parents=True, exist_ok=True)
    for at, name in enumerate(names):
        Image.fromarray(colours(at)).save(folder / "rgb" / scene / f"{name}.png")
        measured = np.round(1000 * depth_in_metres(at)).astype(np.uint16)
        measured[:2] = 0
        Image.fromarray(measured).save(folder / "depth" / scene / f"{name}.png")
    return folder


def test_extra_frames_join_the_unlabelled(made: Path, tmp_path: Path) -> None:
    extra = extra_frames(tmp_path / "extra")
    joined = task(tmp_path, extra=str(extra))
    problem, plain = joined.at(made).problem(0), task(tmp_path).at(made).problem(0)
    assert len(problem.unlabelled) == len(plain.unlabelled) + 2
    assert bool((problem.unlabelled.labels[-2:] == -1).all())
    assert not joined.at(made).knows_truth() and task(tmp_path).at(made).knows_truth()
    assert joined.at(made).data_hash() != task(tmp_path).at(made).data_hash()
    measured = problem.unlabelled[slice(len(plain.unlabelled), None)].inputs["depth"][:, 1]
    assert bool((measured[:, 1:] == 1).all()) and len(problem.test) == 3


def test_extra_depth_is_read_in_millimetres(tmp_path: Path) -> None:
    found = read_extra(extra_frames(tmp_path), WHOLE, "millimetres")
    assert found.group.tolist() == ["extra", "extra"] and found.part.tolist() == ["extra"] * 2
    expected = depth_in_metres(1)  # "a" comes before "b.2"
    np.testing.assert_allclose(found.depth[0][2:], expected[2:], atol=2e-3)
    assert not found.depth[:, :2].any() and not found.label.any()


def test_a_sign_for_missing_depth_is_not_taken_for_depth(tmp_path: Path) -> None:
    """Missing is 0; some files have 65535 instead, or the two bytes of a number turned."""
    extra_frames(tmp_path, ("a",))
    measured = np.round(1000 * depth_in_metres(0)).astype(np.uint16)
    for wrong in (np.where(measured > 1500, 65535, measured), measured.byteswap()):
        Image.fromarray(wrong.astype(np.uint16)).save(tmp_path / "depth/a.png")
        with pytest.raises(ValueError, match=r"a\.png: depth is up to 6.* or a sign for"):
            read_extra(tmp_path, WHOLE, "millimetres")


def test_extra_depth_coded_as_the_pack_is_eight_bit(tmp_path: Path) -> None:
    extra_frames(tmp_path, ("a",))
    with pytest.raises(ValueError, match=r"a\.png.*mode I;16"):
        read_extra(tmp_path, SIZE, "pack")
    Image.fromarray(np.full(WHOLE, 25, np.uint8)).save(tmp_path / "depth/a.png")
    assert (read_extra(tmp_path, SIZE, "pack").depth == 1).all()


def test_extra_folders_are_scenes(tmp_path: Path) -> None:
    extra_frames(tmp_path, ("a",), "kitchen_0001")
    extra_frames(tmp_path, ("c", "d"), "office_0002")
    found = read_extra(tmp_path, SIZE, "millimetres")
    assert found.group.tolist() == ["kitchen_0001", "office_0002", "office_0002"]


def test_bad_extra_frames_are_named_or_left_out(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="rgb: holds no"):
        read_extra(tmp_path, SIZE, "millimetres")
    extra_frames(tmp_path, ("a", "b", "c"))
    (tmp_path / "depth/a.png").unlink()
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(tmp_path / "rgb/b.png")
    with pytest.raises(ValueError, match=r"(?s)depth/a\.png: no such file.*b\.png: is 48 by 48"):
        read_extra(tmp_path, SIZE, "millimetres")
    assert len(read_extra(tmp_path, SIZE, "millimetres", skip_bad=True)) == 1
    shutil.copy(tmp_path / "rgb/c.png", tmp_path / "rgb/c.jpg")
    with pytest.raises(ValueError, match="c is there with 2 endings"):
        read_extra(tmp_path, SIZE, "millimetres")
