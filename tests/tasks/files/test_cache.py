"""Many files are read in parallel, and what was made of them is whole on disk or made anew."""

from __future__ import annotations

import json
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from joblib import parallel_config

from mke_theory.tasks.files import cache as module
from mke_theory.tasks.files.cache import cache_folder, collect, key_of, libraries_of, prepared

MIB = 1 << 20


def read_number(item: int) -> dict[str, np.ndarray]:
    if item % 5 == 3:
        raise ValueError(f"{item}.wav: is silent")
    if item % 5 == 4:
        raise FileNotFoundError(f"{item}.wav: no such file")
    return {"square": np.array([item * item])}


def read_good(item: int) -> int:
    return item + 1


def read_wrongly(item: int) -> int:
    raise TypeError("a mistake of the program")


def made() -> dict[str, np.ndarray]:
    return {"frames": np.arange(12).reshape(3, 4), "names": np.array(["é", "b"])}


class Counted:
    """`made`, and how often it was called."""

    def __init__(self, build: Callable[[], Mapping[str, np.ndarray]] = made) -> None:
        self.build, self.calls = build, 0

    def __call__(self) -> Mapping[str, np.ndarray]:
        self.calls += 1
        return self.build()


def same(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> bool:
    return list(found) == list(wanted) and all(
        found[name].dtype == wanted[name].dtype and np.array_equal(found[name], wanted[name])
        for name in wanted
    )


def only_folder(cache: Path) -> Path:
    (folder,) = cache.iterdir()
    return folder


@pytest.fixture(params=["none", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def workers(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of workers; two are threads, which start faster, or the usual processes."""
    backend = "threading" if request.param == "threads" else "loky"
    with parallel_config(backend):
        yield 1 if request.param == "none" else 2


# many files


def test_bad_files_are_left_out_on_request(workers: int) -> None:
    found = collect(range(10), read_number, skip_bad=True, workers=workers, progress="numbers")
    assert found.kept == [0, 1, 2, 5, 6, 7]
    assert [int(each["square"][0]) for each in found.arrays] == [0, 1, 4, 25, 36, 49]
    assert found.bad == (
        "3.wav: is silent",
        "4.wav: no such file",
        "8.wav: is silent",
        "9.wav: no such file",
    )


def test_bad_files_are_refused_by_name(workers: int) -> None:
    with pytest.raises(ValueError, match="4 of 10 files cannot be used") as caught:
        collect(range(10), read_number, skip_bad=False, workers=workers, progress="numbers")
    assert "\n3.wav: is silent\n4.wav: no such file\n8.wav" in str(caught.value)
    assert "--skip-bad" in str(caught.value)
    assert "more" not in str(caught.value)


def test_the_first_ten_bad_files_are_listed() -> None:
    with pytest.raises(ValueError, match="12 of 30 files") as caught:
        collect(range(30), read_number, skip_bad=False, workers=1, progress="numbers")
    assert str(caught.value).count(".wav") == 10
    assert "\n... and 2 more\n" in str(caught.value)


def test_good_files_are_in_their_order(workers: int) -> None:
    found = collect(range(200), read_good, skip_bad=False, workers=workers, progress="numbers")
    assert found.arrays == list(range(1, 201))
    assert (found.kept, found.bad) == (list(range(200)), ())


def test_all_bad_is_refused_even_if_bad_ones_are_left_out() -> None:
    with pytest.raises(ValueError, match="2 of 2 files cannot be used") as caught:
        collect([3, 4], read_number, skip_bad=True, workers=1, progress="numbers")
    assert "right folder" in str(caught.value)


def test_nothing_to_read_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        collect([], read_good, skip_bad=True, workers=1, progress="numbers")
    with pytest.raises(ValueError, match="one worker"):
        collect([1], read_good, skip_bad=True, workers=0, progress="numbers")


def test_mistakes_of_the_program_are_not_bad_files(workers: int) -> None:
    with pytest.raises(TypeError, match="a mistake"):
        collect(range(50), read_wrongly, skip_bad=True, workers=workers, progress="numbers")


def test_a_message_without_the_file_gets_its_name(tmp_path: Path) -> None:
    def read(path: Path) -> bytes:
        if path.name == "b":
            raise ValueError(f"{path}: is silent")
        raise ValueError("wrong length")

    paths = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(ValueError) as caught:
        collect(paths, read, skip_bad=False, workers=1, progress="files")
    lines = str(caught.value).splitlines()
    assert lines[1:3] == [f"{tmp_path / 'a'}: wrong length", f"{tmp_path / 'b'}: is silent"]


# kept on disk


@given(
    st.dictionaries(
        st.sampled_from(["frames", "labels", "names"]),
        arrays_of.arrays(
            st.sampled_from(["u1", "<i2", "<f2", "<f4", ">f8", "?", "<U5"]),
            arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        min_size=1,
    )
)
@settings(max_examples=30)
def test_arrays_are_the_same_from_disk(arrays: dict[str, np.ndarray]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        build = Counted(lambda: arrays)
        for _ in range(2):
            found = prepared("clips", "key", build, cache=Path(folder))
            assert list(found) == list(arrays)
            for name, array in arrays.items():
                assert found[name].dtype == array.dtype
                np.testing.assert_array_equal(found[name], array)
                assert not found[name].flags.writeable
        assert build.calls == 1


def test_arrays_are_mapped_and_read_only(tmp_path: Path) -> None:
    for _ in range(2):
        found = prepared("clips", "key", made, cache=tmp_path)
        assert isinstance(found["frames"], np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            found["frames"][0] = 1


def test_each_key_and_name_has_a_folder(tmp_path: Path) -> None:
    build = Counted()
    for name, key in [("clips", "a"), ("clips", "b"), ("frames", "a"), ("clips", "a")]:
        assert same(prepared(name, key, build, cache=tmp_path), made())
    assert build.calls == 3
    assert len(list(tmp_path.iterdir())) == 3


def test_the_manifest_says_what_is_there(tmp_path: Path) -> None:
    prepared("clips", "the key", made, cache=tmp_path)
    folder = only_folder(tmp_path)
    assert folder.name.startswith("clips-")
    assert {path.name for path in folder.iterdir()} == {
        "frames.npy",
        "names.npy",
        "manifest.json",
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["key"]) == (2, "the key")
    assert manifest["arrays"]["frames"]["shape"] == [3, 4]
    assert manifest["arrays"]["names"]["dtype"] == "<U1"
    assert len(manifest["arrays"]["names"]["quick"]) == 64


def test_the_folder_is_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKE_CACHE", str(tmp_path / "cache"))
    prepared("clips", "key", made)
    assert only_folder(tmp_path / "cache").name.startswith("clips-")


def test_the_cache_is_named_or_in_the_users_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKE_CACHE", "here")
    monkeypatch.setenv("XDG_CACHE_HOME", "there")
    assert cache_folder() == Path("here")
    monkeypatch.delenv("MKE_CACHE")
    assert cache_folder() == Path("there/mke_theory")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "mke_theory"


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def flip(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("frames.npy", shorten),
        ("frames.npy", lengthen),
        ("frames.npy", flip),
        ("frames.npy", lambda path: flip(path, 0)),
        ("names.npy", lambda path: path.write_bytes(b"")),
        ("names.npy", Path.unlink),
        ("manifest.json", Path.unlink),
        ("manifest.json", lambda path: path.write_text(path.read_text()[:-2])),
        ("manifest.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_text("{}")),
        ("manifest.json", lambda path: path.write_bytes(b"\xff\xfe")),
    ],
)
def test_what_is_damaged_is_made_anew(
    tmp_path: Path, file: str, damage: Callable[[Path], object]
) -> None:
    build = Counted()
    prepared("clips", "key", build, cache=tmp_path)
    damage(only_folder(tmp_path) / file)
    with pytest.warns(RuntimeWarning, match="made anew"):
        assert same(prepared("clips", "key", build, cache=tmp_path), made())
    assert same(prepared("clips", "key", build, cache=tmp_path), made())
    assert build.calls == 2
    assert only_folder(tmp_path).is_dir()


def without_an_array(manifest: dict[str, Any]) -> None:
    del manifest["arrays"]["names"]


def without_any_array(manifest: dict[str, Any]) -> None:
    manifest["arrays"] = {}


def without_a_seal(manifest: dict[str, Any]) -> None:
    del manifest["sha256"]


def of_other_libraries(manifest: dict[str, Any]) -> None:
    manifest["libraries"]["av"] = "0.1"


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize(
    "change", [without_an_array, without_any_array, without_a_seal, of_other_libraries]
)
def test_a_changed_manifest_is_noticed(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], removed: bool
) -> None:
    """Also where the array that it no longer lists was removed with its entry."""
    build = Counted()
    prepared("clips", "key", build, cache=tmp_path)
    folder = only_folder(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if removed:
        (folder / "names.npy").unlink()
    with pytest.warns(RuntimeWarning, match=r"damaged \(.*; made anew"):
        assert same(prepared("clips", "key", build, cache=tmp_path), made())
    assert same(prepared("clips", "key", build, cache=tmp_path), made())
    assert build.calls == 2


def test_an_array_that_is_not_listed_is_noticed(tmp_path: Path) -> None:
    build = Counted()
    prepared("clips", "key", build, cache=tmp_path)
    np.save(only_folder(tmp_path) / "sound.npy", np.zeros(3))
    with pytest.warns(RuntimeWarning, match=r"sound\.npy is not in manifest\.json"):
        assert same(prepared("clips", "key", build, cache=tmp_path), made())
    assert not (only_folder(tmp_path) / "sound.npy").exists()


def test_the_libraries_are_recorded_and_others_make_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Counted()
    prepared("clips", "key", build, cache=tmp_path)
    found = libraries_of(only_folder(tmp_path))
    assert found["numpy"] == np.__version__ and {"av", "soundfile", "pillow"} <= found.keys()
    monkeypatch.setattr(module, "versions_of", lambda *names: {"numpy": "0.1"})
    assert same(prepared("clips", "key", build, cache=tmp_path), made())
    assert build.calls == 1 and libraries_of(only_folder(tmp_path)) == found


def test_another_version_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Counted()
    prepared("clips", "key", build, cache=tmp_path)
    monkeypatch.setattr(module, "_FORMAT", 3)
    for _ in range(2):
        assert same(prepared("clips", "key", build, cache=tmp_path), made())
    assert build.calls == 2
    assert json.loads((only_folder(tmp_path) / "manifest.json").read_text())["format"] == 3


def test_arrays_stay_usable_while_their_folder_is_replaced(tmp_path: Path) -> None:
    found = prepared("clips", "key", made, cache=tmp_path)
    flip(only_folder(tmp_path) / "names.npy")
    with pytest.warns(RuntimeWarning, match=r"names\.npy has changed"):
        prepared("clips", "key", made, cache=tmp_path)
    np.testing.assert_array_equal(found["frames"], made()["frames"])


def test_two_at_once_do_no_harm(tmp_path: Path) -> None:
    meet = threading.Barrier(4, timeout=30)

    def build() -> dict[str, np.ndarray]:
        meet.wait()  # all have looked, and found nothing
        return made()

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(prepared, "clips", "key", build, cache=tmp_path) for _ in range(4)]
        assert all(same(run.result(), made()) for run in runs)
    assert same(prepared("clips", "key", Counted(), cache=tmp_path), made())
    assert only_folder(tmp_path).suffix == ""


@pytest.mark.parametrize("damaged", [False, True])
def test_what_another_process_finished_first_is_used(tmp_path: Path, damaged: bool) -> None:
    if damaged:
        prepared("clips", "key", made, cache=tmp_path)
        (only_folder(tmp_path) / "manifest.json").write_text("")

    def build() -> dict[str, np.ndarray]:
        prepared("clips", "key", made, cache=tmp_path)
        return {"frames": np.zeros(1)}  # to tell the two apart; a key has one content

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if damaged else "error")
        assert same(prepared("clips", "key", build, cache=tmp_path), made())
    assert only_folder(tmp_path).is_dir()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(RuntimeWarning, match="set MKE_CACHE"):
        found = prepared("clips", "key", made, cache=tmp_path / "file")
    assert same(found, made())
    assert not found["frames"].flags.writeable


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = np.save

    def full(file: Path, array: np.ndarray, allow_pickle: bool) -> None:
        if file.name == "names.npy":
            raise OSError(28, "No space left on device")
        save(file, array, allow_pickle=allow_pickle)

    monkeypatch.setattr(np, "save", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert same(prepared("clips", "key", made, cache=tmp_path), made())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_build_leaves_nothing_behind(tmp_path: Path) -> None:
    def build() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared("clips", "key", build, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no arrays"),
        ({"a/b": np.zeros(1)}, "'a/b'"),
        ({"frames": np.array([{}])}, "frames holds Python objects"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepared("clips", "key", lambda: arrays, cache=tmp_path)


@pytest.mark.parametrize("name", ["", "../clips", "a b", "1-clip"])
def test_names_that_are_no_words_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        prepared(name, "key", made, cache=tmp_path)


# keys


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


def test_a_key_changes_with_all_that_matters(files: list[Path]) -> None:
    settings_of = {"size": (24, 32), "every": 0.5}
    keys = [
        key_of(1, settings_of, files),
        key_of(2, settings_of, files),
        key_of(1, settings_of | {"every": 0.25}, files),
        key_of(1, {}, files),
        key_of(1, settings_of, files[::-1]),
        key_of(1, settings_of, files[:1]),
        key_of(1, settings_of, []),
    ]
    files[1].write_bytes(b"B.mp4")
    keys.append(key_of(1, settings_of, files))
    files[1] = files[1].rename(files[1].with_name("c.mp4"))
    keys.append(key_of(1, settings_of, files))
    files[1].unlink()
    keys.append(key_of(1, settings_of, files))
    assert len(set(keys)) == len(keys) == 10
    assert all(len(key) == 64 for key in keys)


def test_a_key_does_not_change_with_the_rest(files: list[Path], tmp_path: Path) -> None:
    key = key_of(1, {"a": 1, "b": [2]}, files)
    assert key_of(1, {"b": (2,), "a": 1}, files) == key
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in files:
        (copies / path.name).write_bytes(path.read_bytes())
    assert key_of(1, {"a": 1, "b": [2]}, [copies / path.name for path in files]) == key


def test_a_change_anywhere_in_a_small_file_counts_and_at_the_ends_of_a_large_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.mp4"
    for size, at, seen in [
        (2 * MIB, MIB - 1, True),
        (2 * MIB, MIB, True),
        (3 * MIB, 0, True),
        (3 * MIB, 3 * MIB - 1, True),
        (3 * MIB, 2 * MIB, True),
        (3 * MIB, 2 * MIB - 1, False),  # as documented
    ]:
        path.write_bytes(bytes(size))
        before = key_of(1, {}, [path])
        flip(path, at)
        assert (key_of(1, {}, [path]) != before) == seen
    path.write_bytes(bytes(4 * MIB))
    before = key_of(1, {}, [path])
    path.write_bytes(bytes(5 * MIB))
    assert key_of(1, {}, [path]) != before


def test_settings_that_are_no_numbers_or_words_are_refused(files: list[Path]) -> None:
    with pytest.raises(TypeError, match="JSON"):
        key_of(1, {"folder": Path()}, files)


def test_without_a_home_folder_arrays_are_made_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MKE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(FileNotFoundError, match="no home folder; set MKE_CACHE"):
        cache_folder()
    with pytest.warns(RuntimeWarning, match=r"no home folder\).*set MKE_CACHE"):
        found = prepared("numbers", "key", lambda: {"x": np.arange(3)})
    assert found["x"].tolist() == [0, 1, 2]
