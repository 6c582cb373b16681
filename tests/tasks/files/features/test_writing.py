"""Features are written once, whatever stops the writer, and never mixed with others."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mke_theory.tasks.files.features import disk, open_features
from mke_theory.tasks.files.features.manifest import read_manifest
from tests.tasks.files.features.made_up import (
    KEYS,
    PICTURES,
    TAPS,
    MadeUp,
    expected,
    two_taps,
    written,
)

ROOT = Path(__file__).parents[4]


def same(arrays: Any, wanted: Any) -> bool:
    return list(arrays) == list(wanted) and all(
        np.array_equal(arrays[t], wanted[t]) for t in wanted
    )


def test_features_by_hand(tmp_path: Path) -> None:
    picture = np.zeros((1, 3, 2, 2), np.uint8)
    picture[0, 0] = [[51, 102], [0, 255]]
    found = written(tmp_path / "f", samples=picture, keys=["one"])
    assert found.arrays["coarse"].tolist() == [[102.0, 0.0, 0.0]]
    np.testing.assert_allclose(found.arrays["fine/maps"][0, 0], [[0.2]], rtol=1e-3)
    assert found.arrays["coarse"].dtype == np.float16


def test_a_folder_holds_one_array_a_tap_and_what_they_are(tmp_path: Path) -> None:
    found = written(tmp_path / "f")
    assert same(found.arrays, expected())
    assert found.keys == KEYS and len(found) == 11
    names = sorted(path.name for path in (tmp_path / "f").iterdir())
    assert names == ["0-coarse.npy", "1-fine_maps.npy", "keys.json", "manifest.json"]
    content = json.loads((tmp_path / "f" / "manifest.json").read_text())
    origin = content["origin"]
    assert (origin["encoder"], origin["content"]) == ("made_up", "0123456789abcdef")
    assert (origin["data_set"], origin["data_hash"]) == ("made up", "feedbeef")
    assert (origin["shape"], origin["dtype"], origin["samples"]) == ([3, 4, 6], "uint8", 11)
    assert origin["settings"] == {"size": [4, 6]}
    assert content["taps"]["fine/maps"]["shape"] == [3, 2, 3]
    assert len(content["finished"]) == 3 and "torch" in content["libraries"]
    # The arrays are plain: they need nothing of this package.
    assert np.array_equal(np.load(tmp_path / "f" / "0-coarse.npy"), expected()["coarse"])


@given(
    n=st.integers(1, 9),
    batch=st.integers(1, 4),
    chunk=st.integers(1, 10),
    seed=st.integers(0, 2**16),
)
def test_they_are_the_same_in_chunks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, n: int, batch: int, chunk: int, seed: int
) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, (n, 3, 2, 2), dtype=np.uint8)
    folder = tmp_path_factory.mktemp("f") / "new"
    keys = [f"é{i}" for i in range(n)]
    found = written(folder, samples=pictures, keys=keys, batch=batch, chunk=chunk)
    assert same(found.arrays, expected(pictures))
    again = open_features(folder, encoder=MadeUp(), keys=keys, whole=True)
    assert same(again.arrays, found.arrays) and again.keys == tuple(keys)


def test_what_is_finished_is_not_computed_again(tmp_path: Path) -> None:
    first, second = MadeUp(), MadeUp()
    written(tmp_path / "f", first)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "f").iterdir()}
    assert sum(first.seen) == 1 + 11  # one more to learn the shapes
    written(tmp_path / "f", second)
    assert second.seen == []
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "f").iterdir()}


class Killed(BaseException):
    """The end of the process, as far as the writer can tell."""


def killing(monkeypatch: pytest.MonkeyPatch, at: int) -> list[int]:
    """Let the process die before its `at`-th operation on the disk; the list counts them."""
    count = [0]

    def wrap(module: Any, name: str) -> None:
        real = getattr(module, name)

        def dying(*args: Any) -> Any:
            count[0] += 1
            if count[0] == at:
                raise Killed
            return real(*args)

        monkeypatch.setattr(module, name, dying)

    for name in ("replace", "fsync", "posix_fallocate"):
        wrap(os, name)
    return count


def test_killed_before_any_operation_it_goes_on_to_the_same_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(1, 100):
        folder = tmp_path / str(at)
        with monkeypatch.context() as patch:
            count = killing(patch, at)
            try:
                written(folder)
            except Killed:
                pass
            else:
                break
        assert count[0] == at
        with pytest.raises((FileNotFoundError, ValueError), match=r"finished|no manifest"):
            open_features(folder)
        encoder = MadeUp()
        assert same(written(folder, encoder).arrays, expected())
        assert sum(encoder.seen) <= 12
    assert at > 12  # three chunks of two arrays, and what is around them


SLOW = """
import sys, time
from pathlib import Path
from tests.tasks.files.features.made_up import MadeUp, two_taps, written

def slow(batch):
    time.sleep(0.05)
    return two_taps(batch)

written(Path(sys.argv[1]), MadeUp(slow), batch=1, chunk=2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_killed_midway_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(folder)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        done = 0
        while done < 4:
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.01)
            if (folder / "manifest.json").exists():
                done = read_manifest(folder).done
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL
    done = read_manifest(folder).done
    assert 4 <= done < 11
    with pytest.raises(ValueError, match=f"{done} of 11 samples are finished; run the command"):
        open_features(folder)
    encoder = MadeUp()
    assert same(written(folder, encoder).arrays, expected())
    assert sum(encoder.seen) == 11 - done


def test_a_chunk_that_has_changed_is_computed_anew(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    written(folder)
    path = folder / "0-coarse.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # of the last chunk, samples 8 to 10
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"damaged \(0-coarse.npy has changed"):
        open_features(folder)
    encoder = MadeUp()
    assert same(written(folder, encoder).arrays, expected())
    assert sum(encoder.seen) == 3


@pytest.mark.parametrize("name", ["0-coarse.npy", "keys.json"])
@pytest.mark.parametrize("harm", ["removed", "cut"])
def test_lost_files_are_made_anew(name: str, harm: str, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    written(folder)
    if harm == "removed":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:-3])
    with pytest.raises(ValueError, match=name):
        open_features(folder)
    assert same(written(folder).arrays, expected())


@pytest.mark.parametrize(
    ("encoder", "changed", "message"),
    [
        (MadeUp(name="other"), {}, "encoder: 'made_up' there, 'other' asked for"),
        (
            MadeUp(content="f" * 16),
            {},
            "content of the encoder: '0123456789abcdef' there, 'ffffffffffffffff' asked for",
        ),
        (None, {"modality": "depth"}, "modality: 'image' there, 'depth' asked for"),
        (None, {"data_set": "b"}, "data set: 'made up' there, 'b' asked for"),
        (None, {"data_hash": "0"}, "hash of the data set: 'feedbeef' there, '0' asked for"),
        (
            None,
            {"samples": PICTURES[:, :, :2]},
            r"shape of a sample: \[3, 4, 6\] there, \[3, 2, 6\] asked for",
        ),
        (
            None,
            {"samples": PICTURES.astype(np.float32)},
            "type of a sample: 'uint8' there, 'float32' asked for",
        ),
        (
            None,
            {"settings": {"size": [8, 12]}},
            r'settings of reading: {"size": \[4, 6\]} there, {"size": \[8, 12\]} asked for',
        ),
        (
            None,
            {"keys": (*KEYS[:2], KEYS[3], KEYS[2], *KEYS[4:])},
            "the first that differs is sample 2, 'frame 02' there and 'frame 03' asked for",
        ),
        (
            None,
            {"keys": KEYS[:10], "samples": PICTURES[:10]},
            "number of samples: 11 there, 10 asked for.*there are 11 samples there",
        ),
        (
            MadeUp(lambda x: {"coarse": two_taps(x)["coarse"]}, taps=("coarse",)),
            {},
            r"taps: \('coarse', 'fine/maps'\) there, \('coarse',\) asked for",
        ),
    ],
)
def test_other_features_are_not_mixed_in(
    encoder: MadeUp | None, changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "f"
    written(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=message) as error:
        written(folder, encoder, **changed)
    assert "write to another folder, or remove this one" in str(error.value)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def spoilt(row: int, value: float) -> MadeUp:
    """An encoder that gives `value` for one picture."""
    level = float(torch.from_numpy(PICTURES[row]).float().mean())

    def compute(batch: Tensor) -> dict[str, Tensor]:
        found = two_taps(batch)
        hit = (batch.float().mean(dim=(1, 2, 3)) - level).abs() < 1e-6
        found["fine/maps"][hit, 2, 1, 1] = value
        return found

    return MadeUp(compute)


@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-7e4, "-70000"), (65505.0, "65505")]
)
def test_a_number_that_cannot_be_kept_is_refused_with_its_sample(
    value: float, shown: str, tmp_path: Path
) -> None:
    folder = tmp_path / "f"
    message = rf"tap 'fine/maps' of sample 'frame 09' holds {shown}; .* −65504 to 65504"
    with pytest.raises(ValueError, match=message):
        written(folder, spoilt(9, value))
    assert read_manifest(folder).done == 8  # the chunks before it stay
    encoder = MadeUp()
    assert same(written(folder, encoder).arrays, expected())
    assert sum(encoder.seen) == 3


def test_the_largest_number_is_kept(tmp_path: Path) -> None:
    found = written(tmp_path / "f", spoilt(9, 65504.0))
    assert float(found.arrays["fine/maps"].max()) == 65504.0


@pytest.mark.parametrize(("scale", "kept"), [(1e-9, False), (1e-6, False), (1e-3, True), (0, True)])
def test_a_tap_that_float16_would_round_off_is_refused(
    tmp_path: Path, scale: float, kept: bool
) -> None:
    encoder = MadeUp(lambda x: {"y": scale * x.flatten(1)[:, :2].float().sign()}, taps=("y",))
    pictures = np.full((11, 3, 4, 6), 7, np.uint8)
    if kept:
        assert len(written(tmp_path / "f", encoder, samples=pictures)) == 11
        return
    with pytest.raises(ValueError, match=r"tap 'y' of sample 'frame 00' .* rounds what is below 6"):
        written(tmp_path / "f", encoder, samples=pictures)


def without_tap(batch: Tensor) -> dict[str, Tensor]:
    return {"coarse": two_taps(batch)["coarse"]}


def shapes_of_their_own(batch: Tensor) -> dict[str, Tensor]:
    found = two_taps(batch)
    return {**found, "coarse": found["coarse"][:, : max(1, 3 - int(batch[0, 0, 0, 0]) % 3)]}


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (without_tap, r"gives taps \('coarse',\), its list has"),
        (lambda x: {t: y[:1] for t, y in two_taps(x).items()}, r"is \(1, 3\) for . samples"),
        (lambda x: {t: y.flatten(1)[:, 0] for t, y in two_taps(x).items()}, r"has to be \(1, …\)"),
        (shapes_of_their_own, "all samples need features of one shape"),
    ],
)
def test_an_encoder_that_breaks_its_word_is_refused(
    compute: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        written(tmp_path / "f", MadeUp(compute))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keys": KEYS[:-1]}, "there are 11 samples and 10 keys"),
        ({"keys": (*KEYS[:-1], KEYS[0])}, "keys has 'frame 00' twice"),
        ({"keys": (), "samples": PICTURES[:0]}, "keys is empty"),
        ({"batch": 0}, "batch is 0 and chunk is 4; both have to be at least 1"),
        ({"chunk": 0}, "both have to be at least 1"),
    ],
)
def test_bad_calls_are_refused_before_anything_is_made(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        written(tmp_path / "f", **changed)
    assert not (tmp_path / "f").exists()


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all my work")
    with pytest.raises(ValueError, match=r"holds thesis.tex and no manifest.json; name a folder"):
        written(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_full_disk_is_named_and_nothing_finished_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real, chunks = tmp_path / "f", disk.put_rows, []

    def full(*args: Any) -> None:
        chunks.append(args)
        if len(chunks) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr("mke_theory.tasks.files.features.writing.put_rows", full)
        with pytest.raises(OSError, match=r"No space left .*; 8 of 11 samples are finished, and"):
            written(folder)
    encoder = MadeUp()
    assert same(written(folder, encoder).arrays, expected())
    assert sum(encoder.seen) == 3


LIMITED = """
import resource, sys
from pathlib import Path
from tests.tasks.files.features.made_up import written

resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
written(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_room_is_asked_for_before_the_work(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "f")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "cannot be written (File too large); no sample is finished: make room" in ran.stderr


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("nothing")
    with pytest.raises(NotADirectoryError, match=r"file/f: cannot be written .*no sample is fini"):
        written(tmp_path / "file" / "f")

    def read_only(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "replace", read_only)
    with pytest.raises(OSError, match=r"Read-only file system.*let the folder be written to"):
        written(tmp_path / "f")


def test_an_error_of_the_samples_is_not_called_one_of_the_disk(tmp_path: Path) -> None:
    class Broken:
        shape = PICTURES.shape

        def __len__(self) -> int:
            return 11

        def __getitem__(self, rows: slice) -> np.ndarray:
            if rows.start > 5:
                raise FileNotFoundError("a.jpg: no such file")
            return PICTURES[rows]

    with pytest.raises(FileNotFoundError, match=r"^a\.jpg: no such file$"):
        written(tmp_path / "f", samples=Broken())
    assert read_manifest(tmp_path / "f").done == 4


def test_a_second_writer_is_turned_away(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    with (
        disk.exclusive(folder),
        pytest.raises(BlockingIOError, match="another process is writing features here"),
    ):
        written(folder)
    assert same(written(folder).arrays, expected())


def test_other_versions_of_libraries_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "f"
    with pytest.raises(ValueError, match="frame 09"):
        written(folder, spoilt(9, np.nan))
    name = "mke_theory.tasks.files.features.writing.versions_of"
    monkeypatch.setattr(name, lambda *_: {"torch": "99.0"})
    before = read_manifest(folder).libraries["torch"]
    with pytest.warns(
        RuntimeWarning, match=rf"torch {re.escape(before)}, 99\.0.*remove the folder"
    ):
        found = written(folder)
    assert found.manifest.libraries == {"torch": f"{before}, 99.0"}
    assert tuple(found.arrays) == TAPS


def test_the_bar_counts_samples_and_the_time_that_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "f", progress=True)
    shown = capsys.readouterr().err
    assert "made_up, made up: 100%" in shown and "11/11" in shown and "sample/s" in shown


def test_a_sample_that_the_encoder_refuses_is_named(tmp_path: Path) -> None:
    bad = spoilt(9, np.nan)

    def refusing(batch: Tensor) -> dict[str, Tensor]:
        found = bad.compute(batch)
        if bool(found["fine/maps"].isnan().any()):
            raise ValueError("the features are NaN")
        return found

    with pytest.raises(ValueError, match=r"^sample 'frame 09': the features are NaN$"):
        written(tmp_path / "f", MadeUp(refusing))

    def together(batch: Tensor) -> dict[str, Tensor]:
        if len(batch) > 1:
            raise ValueError("one at a time")
        return two_taps(batch)

    with pytest.raises(ValueError, match=r"^one at a time$"):
        written(tmp_path / "g", MadeUp(together))
    assert same(written(tmp_path / "h", MadeUp(together), batch=1).arrays, expected())
