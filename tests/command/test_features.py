"""The command: features of each data set, and errors of one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mke_theory.command.features import main
from mke_theory.tasks.av_digits.raw_samples import digit_samples
from mke_theory.tasks.av_digits.reader import IMAGES, read_idx, recording_names
from mke_theory.tasks.files.commands import WrongRootError
from mke_theory.tasks.files.features import open_features
from mke_theory.tasks.nyu_depth.raw_samples import frame_samples
from mke_theory.tasks.ravdess.raw_samples import speech_samples
from mke_theory.tasks.toy.raw_samples import array_samples
from tests.tasks.av_digits.made_recordings import prepared, published
from tests.tasks.files.features.made_up import exported
from tests.tasks.files.features.test_raw_samples import recording
from tests.tasks.nyu_depth.made_frames import colours, write_mat_files, write_pictures
from tests.tasks.toy.own_arrays import given_parts, saved
from tests.tasks.toy.test_stored_arrays import in_folder

ROOT = Path(__file__).parents[4]
PICTURES = np.random.default_rng(7).integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)


def call(monkeypatch: pytest.MonkeyPatch, *given: object) -> None:
    monkeypatch.setattr(sys, "argv", ["features", *map(str, given)])
    main()


def test_features_of_own_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path, {**given_parts(), "image": PICTURES})
    net, out = exported(tmp_path), tmp_path / "out"
    asked = ["--data-set", "arrays", "--file", tmp_path / "own.npz", "--modality", "image"]
    call(monkeypatch, *asked, "--encoder", net, "--taps", "pool", "--out", out)
    assert f"{out}: 30 samples of arrays, image, by net\n  pool: [30, 3]" in capsys.readouterr().out
    found = open_features(out, encoder="net", modality="image", data_set="arrays")
    assert found.keys == tuple(map(str, range(30)))
    mean, sd = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    wanted = (PICTURES.mean(axis=(2, 3)) / 255 - mean) / sd
    np.testing.assert_allclose(found.arrays["pool"], wanted, atol=2e-3)
    # And back as a modality.
    own = {name: x for name, x in given_parts().items() if name != "image"}
    task = in_folder(tmp_path / "own", own)
    out.rename(tmp_path / "own" / "image")
    assert task.problem(0).test.inputs["image"].shape == (9, 3)


def test_errors_are_one_line(tmp_path: Path) -> None:
    given = ["--data-set", "arrays", "--file", str(tmp_path / "none.npz"), "--modality", "image"]
    given += ["--encoder", "x.pt2", "--out", str(tmp_path / "out")]
    ran = subprocess.run(
        [sys.executable, "-m", "mke_theory.command", "features", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1 and ran.stderr.startswith("error: there is no file")
    assert ran.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_own_sounds_of_a_rate_that_the_encoder_does_not_take_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openwakeword")
    sound = np.random.default_rng(0).uniform(-1, 1, (30, 8000)).astype(np.float32)
    saved(tmp_path, {**given_parts(), "sound": sound})
    asked = ["--data-set", "arrays", "--file", tmp_path / "own.npz", "--modality", "sound"]
    asked += ["--encoder", "speech_embedding", "--out", tmp_path / "out"]
    with pytest.raises(SystemExit, match="rate is 8000 Hz, but encoder speech_embedding takes"):
        call(monkeypatch, *asked, "--rate", 8000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--data-set", "arrays"], "name the .npz file or the folder of `arrays` by --file"),
        (
            ["--data-set", "ravdess", "--file", "x"],
            "--file is x, but ravdess is read from --data-r",
        ),
        (["--data-set", "arrays", "--seconds", "2"], "--seconds is 2.0, but arrays is taken as it"),
        (["--data-set", "ravdess", "--size", "8", "8"], r"--size is \(8, 8\), but only frames"),
        (["--data-set", "av_digits", "--data-root", "nowhere"], "the data root nowhere is not a"),
    ],
)
def test_calls_that_cannot_be_are_refused(
    given: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=message):
        call(monkeypatch, *given, "--modality", "a", "--encoder", "b", "--out", tmp_path / "out")


# --- what the data sets hand over ----------------------------------------------------------------


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(published(tmp_path_factory.mktemp("av") / "web"))


def test_digits(digits: Path) -> None:
    images = digit_samples(digits.parent, "image")
    grey = read_idx(digits / IMAGES)
    assert images.values.shape == (len(grey), 3, 28, 28) and images.pictures
    assert np.array_equal(images.values[0:2][:, 1], grey[:2]) and images.keys[1] == "mnist-t10k-1"
    audio = digit_samples(digits.parent, "audio", 16_000, 0.5)
    assert audio.keys == recording_names(digits) and not audio.pictures
    assert audio.values[0:2].shape == (2, 8000) and audio.values[0:1].dtype == np.float32
    assert audio.settings == {"rate": 16_000, "seconds": 0.5, "level": "peak"}
    assert audio.data_hash == images.data_hash
    with pytest.raises(ValueError, match="modality is 'video'; av_digits has image and audio"):
        digit_samples(digits.parent, "video")


def test_frames_and_their_depth_as_hha(tmp_path: Path) -> None:
    write_pictures(tmp_path / "nyudv2")
    image = frame_samples(tmp_path, "image", (24, 32), cache=tmp_path / "cache")
    depth = frame_samples(tmp_path, "depth", (24, 32), cache=tmp_path / "cache")
    assert image.keys[:3] == ("0001", "0002", "0003") and depth.keys == image.keys
    assert image.values.shape == depth.values.shape == (43, 3, 24, 32)
    halved = colours(1).reshape(24, 2, 32, 2, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(image.values[0:1][0] - halved).max() < 4  # JPEG
    assert depth.values[3:5].dtype == np.uint8 and image.values[3:5].dtype == np.uint8
    assert image.settings == {"size": [24, 32], "source": "pictures"}
    assert depth.settings == {**image.settings, "as": "hha"}
    with pytest.raises(ValueError, match="modality is 'label'; nyu_depth has image and depth"):
        frame_samples(tmp_path, "label")


def test_frames_of_the_authors_files(tmp_path: Path) -> None:
    write_mat_files(tmp_path / "nyudv2")
    depth = frame_samples(tmp_path, "depth", (12, 16), cache=tmp_path / "cache")
    assert depth.settings["source"] == "matlab" and len(depth.keys) == 6
    assert depth.values[0:6].shape == (6, 3, 12, 16)
    with pytest.raises(WrongRootError, match="is the data set itself"):
        frame_samples(tmp_path / "nyudv2", "image")


def test_speech(tmp_path: Path) -> None:
    for folder, name in (
        ("Actor_02", "03-01-06-02-01-02-02"),
        ("Actor_01", "03-01-01-01-01-01-01"),
    ):
        (tmp_path / "ravdess" / folder).mkdir(parents=True)
        recording(tmp_path / "ravdess" / folder / f"{name}.wav", [8000, -4000] * 4000)
    recording(tmp_path / "ravdess" / "Actor_01" / "03-02-01-01-01-01-01.wav", [9000] * 8)  # song
    found = speech_samples(tmp_path, "speech", 8000, 0.5)
    assert found.keys == ("01-01-01-01-01-01", "01-06-02-01-02-02")
    assert found.values[0:2].shape == (2, 4000)
    assert float(found.values[0:1].max()) == pytest.approx(8000 / 32768)  # the level is kept
    again = tmp_path / "ravdess" / "audio"
    again.mkdir()
    recording(again / "03-01-01-01-01-01-01.wav", [8000] * 8)
    with pytest.raises(ValueError, match="is there twice, see"):
        speech_samples(tmp_path)
    (again / "03-01-01-01-01-01-01.wav").rename(again / "03-01-99-01-01-01-01.wav")
    with pytest.raises(ValueError, match=r"03-01-99-01-01-01-01\.wav.*emotion is 99"):
        speech_samples(tmp_path)


@pytest.mark.parametrize(
    "pictures",
    [PICTURES, PICTURES.transpose(0, 2, 3, 1), PICTURES[:, :1], PICTURES[:, 0]],
    ids=["channels first", "channels last", "one channel", "grey"],
)
@pytest.mark.parametrize("folder", [False, True])
def test_own_pictures(pictures: np.ndarray, folder: bool, tmp_path: Path) -> None:
    arrays = {**given_parts(), "image": pictures}
    file = Path((in_folder(tmp_path / "own", arrays) if folder else saved(tmp_path, arrays)).file)
    found = array_samples(file, "image")
    colour = pictures.shape[1] == 3 or pictures.shape[-1] == 3
    wanted = PICTURES if colour else PICTURES[:, :1].repeat(3, axis=1)
    assert np.array_equal(np.array(found.values[0:30]), wanted) and found.pictures


def test_own_sounds_and_names(tmp_path: Path) -> None:
    names = np.array([f"clip {i}" for i in range(30)])
    task = in_folder(tmp_path / "own", {**given_parts(), "keys": names})
    found = array_samples(Path(task.file), "sound")
    assert found.keys == tuple(names.tolist()) and not found.pictures
    assert np.array_equal(found.values[2:4], given_parts()["sound"][2:4].astype(np.float32))
    assert torch.from_numpy(found.values[0:1]).dtype == torch.float32
    with pytest.raises(ValueError, match=r"'image' is float64 \(30, 2, 2\); an encoder takes pict"):
        array_samples(Path(task.file), "image")
    with pytest.raises(ValueError, match=r"modality is 'smell'; .* has image, sound$"):
        array_samples(Path(task.file), "smell")


def test_features_may_be_made_into_the_folder_they_are_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    in_folder(folder, {"pictures": PICTURES, "sound": given_parts()["sound"]})
    asked = ["--data-set", "arrays", "--file", folder, "--modality", "pictures", "--taps", "pool"]
    asked += ["--encoder", exported(tmp_path), "--out", folder / "image"]
    call(monkeypatch, *asked)
    made = (folder / "image" / "manifest.json").stat().st_mtime_ns
    call(monkeypatch, *asked)  # its own features do not change what they are made of
    assert (folder / "image" / "manifest.json").stat().st_mtime_ns == made
    np.save(folder / "pictures.npy", PICTURES[::-1])
    with pytest.raises(SystemExit, match=r"hash of the data set: .* there, .* asked for"):
        call(monkeypatch, *asked)
