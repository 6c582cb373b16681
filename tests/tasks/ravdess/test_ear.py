"""Speech through an encoder: statistics by hand, kept files, sounds that are bad or not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mke_theory.models.frozen import FrozenEncoder
from mke_theory.tasks.ravdess import Ravdess, ear
from mke_theory.tasks.ravdess import task as module
from mke_theory.tasks.ravdess.ear import heard, lacking_ear, sound_file, window_statistics
from mke_theory.tasks.ravdess.tables import Clips
from tests.tasks.files.clips import cut, sine
from tests.tasks.ravdess.all_speech import all_speech
from tests.tasks.ravdess.made_archives import FIRST, SPLIT, THIRD

for library in ("av", "soundfile"):
    pytest.importorskip(library, reason="needs the extra mke_theory[data]")


def levels(waves: Tensor) -> dict[str, Tensor]:
    """Windows of a tenth of a second at 16 kHz: [b, w, 2], the largest sample and a one."""
    largest = waves.unfold(1, 1600, 1600).amax(dim=2)
    return {"windows": torch.stack([largest, torch.ones_like(largest)], dim=2)}


ENCODER = FrozenEncoder("levels", "0" * 16, ("windows",), levels, "float32 [b, samples]")


def write_sounds(folder: Path) -> Path:
    """Recording i: three parts of 0.2 s with a peak of 0.1 (i + 1), half of it, and none of it."""
    import soundfile

    (folder / "audio_8k").mkdir(parents=True)
    for at, one in enumerate(SPLIT):
        tone = sine(500.0, 0.6, 8000) * 0.2 * (at + 1)
        tone[1600:3200] /= 2
        tone[3200:] = 0
        soundfile.write(folder / sound_file(one), tone, 8000)
    return folder


def test_statistics_worked_out_by_hand() -> None:
    windows = np.array([[0.0, 1], [2, 1], [4, 1], [6, 1], [8, 1], [10, 7]])
    sd = [np.sqrt(70 / 6), np.sqrt(5.0)]  # 3, 5 and so on from the mean 5; 1 to 7 around 2
    expected = [[1.0, 1.0], [5.0, 1.0], [9.0, 4.0], sd]
    assert np.allclose(window_statistics(windows), np.concatenate(expected))
    # With one window there is but its own value, and no spread.
    assert window_statistics(np.array([[3.0, 4.0]])).tolist() == [3, 4, 3, 4, 3, 4, 0, 0]


def test_a_sound_is_read_at_16_khz_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_sounds(tmp_path / "ravdess")
    first = heard(folder, [*SPLIT], encoder=ENCODER, cache=tmp_path / "cache")
    speech, kept, bad = first
    assert kept == [0, 1, 2, 3] and bad == ()
    assert speech.shape == (4, 8) and speech[:, [1, 3, 5]].tolist() == [[1] * 3] * 4
    for at in range(4):
        loud = 0.1 * (at + 1)
        assert speech[at, [0, 2, 4]] == pytest.approx([loud, loud / 2, 0], abs=0.1 * loud)
    monkeypatch.setattr(ear, "read_sound", None)  # nothing is read a second time
    again = heard(folder, [*SPLIT], encoder=ENCODER, cache=tmp_path / "cache")
    assert np.array_equal(again[0], speech) and again[1:] == first[1:]
    for other, recordings in ((replace(ENCODER, content="1" * 16), [*SPLIT]), (ENCODER, [FIRST])):
        with pytest.raises(TypeError):
            heard(folder, recordings, encoder=other, cache=tmp_path / "cache")


def test_bad_sounds_are_named_or_left_out(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "ravdess")
    (folder / sound_file(FIRST)).unlink()
    cut(folder / sound_file(THIRD), 0.5)
    settings: dict[str, Any] = {"encoder": ENCODER, "cache": tmp_path / "cache"}
    with pytest.raises(ValueError, match=rf"(?s)03-{FIRST}\.flac: no such.*03-{THIRD}\.flac"):
        heard(folder, [*SPLIT], **settings)
    speech, kept, bad = heard(folder, [*SPLIT], skip_bad=True, **settings)
    assert kept == [1, 3] and len(speech) == len(bad) == 2


def test_the_task_takes_what_was_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings = tuple(all_speech())
    clips = Clips(recordings, np.zeros((1440, 35), np.float32), np.zeros((1440, 6), np.float32))
    left = [row for row in range(1440) if row != 7]

    def hear(*_: object, **__: object) -> tuple[np.ndarray, list[int], tuple[str, ...]]:
        return np.arange(1439.0)[:, None].repeat(4, axis=1), left, ("one is bad",)

    monkeypatch.setattr(Ravdess, "missing", lambda *_: None)
    monkeypatch.setattr(module, "read_tables", lambda *_, **__: clips)
    monkeypatch.setattr(module, "heard", hear)
    for kind, width in (("embedding", 4), ("both", 10)):
        task = Ravdess(ear=kind, skip_bad=True).at(tmp_path / kind)  # type: ignore[arg-type]
        problem = task.problem(0)
        assert problem.test.inputs["speech"].shape == (360, width)
        assert len(problem.labelled) + len(problem.unlabelled) == 1079
        assert problem.skipped == ("one is bad",)
        assert "embedding" in task.title and task.libraries() == ear.LIBRARIES


def test_without_sounds_or_packages_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ravdess"
    folder.mkdir()
    for name in ("index.csv", "face_au.csv", "logmel40.npz"):
        (folder / name).touch()
    task = Ravdess(ear="both").at(tmp_path)
    assert "no audio_8k in the folder ravdess" in str(task.missing())
    (folder / "audio_8k").mkdir()
    monkeypatch.setattr(ear, "lacking_package", lambda _: "pip install it")
    assert task.missing() == "pip install it" and Ravdess().at(tmp_path).missing() is None
    before = Ravdess().at(tmp_path).data_hash()
    (folder / "audio_8k" / "03-x.flac").write_bytes(b"1")
    assert Ravdess().at(tmp_path).data_hash() == before


@pytest.mark.data("ravdess")
def test_the_speech_embedding_hears_real_recordings(data_root: Path, tmp_path: Path) -> None:
    if remedy := lacking_ear():
        pytest.skip(remedy)
    recordings = all_speech()[:2]
    speech, kept, bad = heard(data_root / "ravdess", recordings, cache=tmp_path)
    assert speech.shape == (2, ear.SIZE) == (2, 384) and kept == [0, 1] and bad == ()
    assert np.isfinite(speech).all() and np.abs(speech[0] - speech[1]).max() > 1
