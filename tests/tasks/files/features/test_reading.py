"""Features are opened only where they are whole and those that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mke_theory.data.lazy_arrays import Stored
from mke_theory.tasks.files.features import open_features
from tests.tasks.files.features.made_up import KEYS, ORIGIN, PICTURES, MadeUp, expected, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path / "f")
    return tmp_path / "f"


def test_what_fits_is_opened(folder: Path) -> None:
    found = open_features(folder, encoder=MadeUp(), **ORIGIN, whole=True)
    assert np.array_equal(found.arrays["coarse"], expected()["coarse"])
    assert open_features(str(folder), encoder="made_up").keys == KEYS
    assert open_features(folder).keys == KEYS


def test_the_arrays_are_mapped_and_cannot_be_written(folder: Path) -> None:
    found = open_features(folder)
    array = found.arrays["fine/maps"]
    assert isinstance(array, np.memmap) and not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0
    with pytest.raises(TypeError):
        found.arrays["more"] = array  # type: ignore[index]


def test_they_are_read_as_stored_samples(folder: Path) -> None:
    stored = Stored(open_features(folder).arrays["fine/maps"])
    assert stored.shape == (11, 3, 2, 3) and stored.dtype == torch.float32
    at = torch.tensor([7, 0, 10, 7])
    wanted = torch.from_numpy(expected()["fine/maps"].astype(np.float32))
    assert torch.equal(stored[at], wanted[at])


def test_rows_are_found_by_name(folder: Path) -> None:
    found = open_features(folder)
    assert found.rows_of(["frame 10", "frame 02"]).tolist() == [10, 2]
    with pytest.raises(ValueError, match=r"has no features of 'x' \(1 of 2 samples are not there"):
        found.rows_of(["frame 10", "x"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"encoder": MadeUp(content="f" * 16)}, "content of the encoder: '0123456789abcdef'"),
        ({"encoder": "other"}, "encoder: 'made_up' there, 'other' asked for"),
        ({"modality": "depth"}, "modality: 'image' there"),
        ({"data_set": "b"}, "data set: 'made up' there"),
        ({"data_hash": "b", "modality": "c"}, "modality: .*; hash of the data set: 'feedbeef'"),
        ({"settings": {}}, "settings of reading:"),
        ({"keys": KEYS[::-1]}, "sample 0, 'frame 00' there and 'frame 10' asked for"),
        ({"keys": KEYS[:3]}, "number of samples: 11 there, 3 asked for"),
    ],
)
def test_features_of_another_origin_are_refused(
    asked: dict[str, Any], message: str, folder: Path
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        open_features(folder, **asked)
    assert "name the folder of these, or make them by" in str(error.value)


def changed_by_hand(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("feedbeef", "deadbeef"))


def another_layout(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


def other_keys(folder: Path) -> None:
    (folder / "keys.json").write_text(json.dumps(KEYS[::-1]))


def keys_of_numbers(folder: Path) -> None:
    (folder / "keys.json").write_text("3")


def no_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def a_list(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


def longer(folder: Path) -> None:
    with (folder / "1-fine_maps.npy").open("ab") as file:
        file.write(b"\0")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (changed_by_hand, "it was changed since it was written"),
        (another_layout, "layout 99, 1 is known"),
        (other_keys, r"the names are not those of manifest\.json"),
        (keys_of_numbers, "keys.json: cannot be used"),
        (no_json, r"manifest\.json: cannot be used"),
        (a_list, r"manifest\.json: cannot be used"),
        (longer, r"1-fine_maps\.npy has changed"),
    ],
)
def test_damage_is_found(harm: Callable[[Path], None], message: str, folder: Path) -> None:
    harm(folder)
    with pytest.raises(ValueError, match=message):
        open_features(folder)


def test_a_byte_in_the_middle_is_found_by_looking_at_all(tmp_path: Path) -> None:
    many = np.random.default_rng(1).integers(0, 256, (11, 3, 400, 600), dtype=np.uint8)
    folder = tmp_path / "f"
    written(folder, samples=many)
    path = folder / "1-fine_maps.npy"
    content = bytearray(path.read_bytes())
    assert len(content) > 2 * 2**20 + 100_000
    content[2**20 + 50_000] ^= 64  # between the first and the last MiB
    path.write_bytes(bytes(content))
    open_features(folder)
    message = r"features of samples 0 to 3 \('frame 00' to 'frame 03'\) have changed"
    with pytest.raises(ValueError, match=f"{message}.*with --whole"):
        open_features(folder, whole=True)
    encoder = MadeUp()
    written(folder, encoder, samples=many)  # the quick look sees nothing to do
    assert encoder.seen == []
    written(folder, encoder, samples=many, whole=True)
    assert sum(encoder.seen) == 4
    open_features(folder, whole=True)


@pytest.mark.parametrize("name", ["nowhere", "file", "."])
def test_a_place_without_features_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="holds no features, as it has no manifest"):
        open_features(tmp_path / name)


def test_the_content_changes_with_any_feature(tmp_path: Path) -> None:
    one = written(tmp_path / "one")
    assert written(tmp_path / "two").content == one.content
    other = PICTURES.copy()
    other[5, 0, 0, 0] ^= 1
    assert written(tmp_path / "three", samples=other).content != one.content
    assert written(tmp_path / "four", modality="b").content != one.content
    assert len(one.content) == 16
