"""Small folders laid out as NYU Depth V2 is, whose pixels show their frame, row and column."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mke_theory.tasks.nyu_depth import NYUDepth
from mke_theory.tasks.nyu_depth.split import read_split

SIZE, WHOLE = (12, 16), (48, 64)
HEIGHT, WIDTH = WHOLE
LABELS = 894
TRAIN = tuple(read_split()["train"][:40].tolist())
"""Frames 3 to 8, 10 to 13, 19, 20, 22 to 27, 44, 45, 48 to 55, 58 and 64 to 74."""
TEST = (1, 2, 9)


def colours(frame: int) -> np.ndarray:
    """uint8 [48, 64, 3]: red grows with the row, green with the column, blue names the frame."""
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[..., 0] = 5 * np.arange(HEIGHT)[:, None]
    image[..., 1] = 3 * np.arange(WIDTH)
    image[..., 2] = 10 * (frame % 20)
    return image


def depth_in_metres(frame: int) -> np.ndarray:
    """float32 [48, 64]: 1 m at the top left, a centimetre more a row, a millimetre a column."""
    rows, columns = np.arange(HEIGHT)[:, None], np.arange(WIDTH)
    return (1 + 0.01 * rows + 0.001 * columns + 0.1 * (frame % 5)).astype(np.float32)


def labels894(frame: int) -> np.ndarray:
    """uint16 [48, 64]: 0 in the first two columns, then by row and frame."""
    label = np.empty((HEIGHT, WIDTH), dtype=np.uint16)
    label[:] = 1 + (7 * np.arange(HEIGHT)[:, None] + frame) % LABELS
    label[:, :2] = 0
    return label


def map_class() -> np.ndarray:
    """[894] in 1 to 40, a map of the tests' own."""
    return 1 + np.arange(LABELS) % 40


def labels40(frame: int) -> np.ndarray:
    """uint8 [48, 64]: `labels894` by `map_class`."""
    return np.concatenate([[0], map_class()])[labels894(frame)].astype(np.uint8)


def write_pictures(
    folder: Path, train: tuple[int, ...] = TRAIN, test: tuple[int, ...] = TEST
) -> Path:
    """The folder of pictures, with the fixed blocks of the train frames in its index."""
    from PIL import Image

    rows = []
    for name in ("rgb", "depth", "label40"):
        (folder / name).mkdir(parents=True)
    for at, frame in enumerate(train):
        rows.append((f"{frame:04d}", "train", "unlabelled" if at // 15 % 8 else "labelled"))
    rows += [(f"{frame:04d}", "test", "test") for frame in test]
    for frame in (*train, *test):
        coded = np.round(depth_in_metres(frame) * 25.5 - 0.5).astype(np.uint8)
        Image.fromarray(colours(frame)).save(folder / f"rgb/{frame:04d}.jpg", quality=95)
        Image.fromarray(coded).save(folder / f"depth/{frame:04d}.png")
        Image.fromarray(labels40(frame)).save(folder / f"label40/{frame:04d}.png")
    table = pd.DataFrame(rows, columns=["frame", "split", "mke_split"])
    table.to_csv(folder / "index.csv", index=False)
    return folder


def extra_frames(folder: Path, names: tuple[str, ...] = ("b.2", "a"), scene: str = "") -> Path:
    """A folder of frames without labels, depth in millimetres and missing in the first two rows."""
    from PIL import Image

    for kind in ("rgb", "depth"):
        (folder / kind / scene).mkdir(parents=True, exist_ok=True)
    for at, name in enumerate(names):
        Image.fromarray(colours(at)).save(folder / "rgb" / scene / f"{name}.png")
        measured = np.round(1000 * depth_in_metres(at)).astype(np.uint16)
        measured[:2] = 0
        Image.fromarray(measured).save(folder / "depth" / scene / f"{name}.png")
    return folder


def write_mat_files(
    folder: Path,
    train: tuple[int, ...] = (3, 4, 5, 6),
    test: tuple[int, ...] = (1, 2),
    scenes: tuple[str, ...] = ("o1", "o2", "k1", "k1", "k2", "k2"),
    **instead: np.ndarray,
) -> Path:
    """The three .mat files, axes as MATLAB leaves them; `instead` replaces arrays by name."""
    import h5py
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    frames = range(1, len(train) + len(test) + 1)
    measured = np.stack([depth_in_metres(frame) for frame in frames])
    measured[:, :3, :5] = 0
    arrays: dict[str, Any] = {
        "images": np.stack([colours(frame).transpose(2, 1, 0) for frame in frames]),
        "depths": np.stack([depth_in_metres(frame).T for frame in frames]),
        "rawDepths": measured.transpose(0, 2, 1),
        "labels": np.stack([labels894(frame).T for frame in frames]),
    } | instead
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        for name, values in arrays.items():
            file[name] = values
        _write_cells(file, "names", [f"thing {at}" for at in range(1, LABELS + 1)])
        if scenes:
            _write_cells(file, "scenes", list(scenes))
    splits = {"trainNdxs": np.array(train)[:, None], "testNdxs": np.array(test)[:, None]}
    savemat(folder / "splits.mat", splits)
    names = np.array([f"thing {at}" for at in range(1, LABELS + 1)], dtype=object)
    mapping = {"mapClass": map_class()[None], "allClassName": names[None]}
    savemat(folder / "classMapping40.mat", mapping)
    return folder


def _write_cells(file: Any, name: str, texts: list[str]) -> None:
    """A MATLAB cell array of texts: references to columns of character codes."""
    import h5py

    group = file.require_group("#refs#")
    references = np.empty((1, len(texts)), dtype=h5py.ref_dtype)
    for at, text in enumerate(texts):
        codes = np.array([ord(letter) for letter in text], dtype=np.uint16)[:, None]
        references[0, at] = group.create_dataset(f"{name}{at}", data=codes).ref
    file.create_dataset(name, data=references, dtype=h5py.ref_dtype)


def task(cache: Path, labelled_frames: int = 15, **settings: object) -> NYUDepth:
    """The task on small frames, with a cache of its own."""
    return replace(
        NYUDepth(size=SIZE, labelled_frames=labelled_frames, cache=str(cache)),
        **settings,  # type: ignore[arg-type]
    )


def same_inputs(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """Fail unless both have the same modalities and numbers."""
    assert set(first) == set(second)
    for name, x in first.items():
        torch.testing.assert_close(x, second[name], rtol=0, atol=0)
