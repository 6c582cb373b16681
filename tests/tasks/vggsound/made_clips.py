"""Small lists and clips in the published layout: each class has a tone and a colour."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mke_theory.models.frozen import FrozenEncoder
from mke_theory.tasks.vggsound import VGGSound
from mke_theory.tasks.vggsound.classes import shared_classes
from mke_theory.tasks.vggsound.lists import (
    ANNOTATION,
    AUDIOSET,
    AUDIOSET_CLASSES,
    CLASSES,
    FOLDER,
    TEST,
    Clip,
)
from mke_theory.tasks.vggsound.prepare import prepare
from mke_theory.tasks.vggsound.split import Set, part_of
from tests.tasks.files.clips import write_clip, write_sound

BANDS, PIECE = 20, 1600
"""Bands of 200 Hz, and the samples of a tenth of a second."""


def loudness(waves: Tensor) -> dict[str, Tensor]:
    """The level of each band in each tenth of a second, [b, t, bands]."""
    power = torch.fft.rfft(waves.unfold(1, PIECE, PIECE)).abs()[..., : 20 * BANDS]
    return {"bands": torch.log1p(power.unflatten(-1, (BANDS, 20)).mean(dim=-1))}


def colours(pictures: Tensor) -> dict[str, Tensor]:
    """The picture on 2 × 2 pixels, and its mean colour."""
    small = F.adaptive_avg_pool2d(pictures.float() / 255, 2)
    return {"map": small, "mean": small.mean(dim=(2, 3))}


EAR = FrozenEncoder("ear", "0" * 16, ("bands",), loudness, "float32 [b, samples]")
EYE = FrozenEncoder("eye", "1" * 16, ("map", "mean"), colours, "uint8 [b, 3, h, w]")
ENCODERS = {"audio": EAR, "video": EYE}

CLASSES_USED = ("helicopter", "child speech, kid speaking", "thunder")
MIDS_USED = ("/m/09ct_", "/m/0ytgt", "/m/0ngt1")
TONES = (400.0, 1000.0, 2500.0)
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))

PARTS = ("labelled", "unlabelled", "test")
TASK = VGGSound(units=8)
A = "A1b2C3d4-_5"
"""A film of no list."""

PER_CLASS = {"labelled": 6, "unlabelled": 8, "test": 6}


@dataclass(frozen=True)
class Corpus:
    """A data root, and the class of each clip by part."""

    root: Path
    clips: Mapping[str, Mapping[Clip, int]]

    @property
    def lists(self) -> Path:
        return self.root / FOLDER

    def file(self, which: Set, clip: Clip) -> Path:
        folder, ending = {
            "audioset": ("audioset_clips", "wav"),
            "vggsound": ("vggsound_clips", "mp4"),
        }[which]
        return self.root / folder / f"{clip}.{ending}"


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def make_corpus(root: Path, *, clips: bool = True) -> Corpus:
    """60 clips of three classes under `root`, with their lists, or without `clips` these alone."""
    parts = _parts()
    corpus = Corpus(root, parts)
    _write_lists(corpus.lists, parts)
    if clips:
        for folder in ("audioset_clips", "vggsound_clips"):
            (root / folder).mkdir()
        draw = np.random.default_rng(0)
        for part, members in parts.items():
            for clip, label in members.items():
                _write_clip(corpus, part, clip, label, draw)
    return corpus


def again(
    corpus: Corpus, *, encoders: Mapping[str, FrozenEncoder] = ENCODERS, skip_bad: bool = False
) -> list[str]:
    """Prepare the corpus."""
    return prepare(corpus.root, encoders, skip_bad=skip_bad)


def _parts() -> dict[str, dict[Clip, int]]:
    """Film n has the YTID n, in eleven digits; D_u and test as the rule splits the test list."""
    numbers = count()
    parts: dict[str, dict[Clip, int]] = {part: {} for part in PER_CLASS}
    for part, per_class in PER_CLASS.items():
        while len(parts[part]) < per_class * len(CLASSES_USED):
            number = next(numbers)
            ytid = f"{number:011}"
            if part == "labelled" or part_of(ytid) == part:
                parts[part][Clip(ytid, 10 * (number % 4))] = len(parts[part]) % len(CLASSES_USED)
    return parts


def _write_lists(folder: Path, parts: Mapping[str, Mapping[Clip, int]]) -> None:
    shared = shared_classes("names and instruments")
    mids = [["index", "mid", "display_name"], [0, "/m/0", "Sound of nothing, silence"]]
    mids += [[1 + at, row.mid, row.audioset] for at, row in enumerate(shared)]
    write_rows(folder / AUDIOSET_CLASSES, mids)
    stat = [[row.vggsound, 100, "others"] for row in shared]
    write_rows(folder / CLASSES, [*stat, ["eating, with mouth open", 5, "others"]])
    heard = [
        [clip.ytid, f"{clip.start}.000", f"{clip.start + 10}.000", f"{MIDS_USED[label]},/m/0"]
        for clip, label in parts["labelled"].items()
    ]
    header = ["YTID", "start_seconds", "end_seconds", "positive_labels"]
    write_rows(folder / AUDIOSET, [header, *heard])
    seen = [
        (clip, CLASSES_USED[label])
        for part in ("unlabelled", "test")
        for clip, label in parts[part].items()
    ]
    write_rows(folder / TEST, [[f"{clip}.mp4", name] for clip, name in seen])
    found = [[str(clip), name, "AV", False, False, False] for clip, name in seen]
    found += [[str(clip), "orchestra", "A", True, False, False] for clip, _ in seen[::2]]
    columns = ["video_id", "label", "modality", "background_music", "static_image", "voice_over"]
    write_rows(folder / ANNOTATION, [columns, *found])


def _write_clip(
    corpus: Corpus, part: str, clip: Clip, label: int, draw: np.random.Generator
) -> None:
    rate, seconds = 8000, 1.0
    time = np.arange(round(rate * seconds)) / rate
    tone = 0.3 * np.sin(2 * np.pi * TONES[label] * draw.uniform(0.95, 1.05) * time)
    sound = (tone + 0.05 * draw.standard_normal(len(time))).astype(np.float32)
    if part == "labelled":
        write_sound(corpus.file("audioset", clip), sound=sound, rate=rate)
        return
    shade = np.clip(np.array(COLOURS[label]) + draw.integers(-30, 31, 3), 0, 255)
    picture = np.broadcast_to(shade.astype(np.uint8), (32, 32, 3))
    write_clip(
        corpus.file("vggsound", clip),
        seconds=seconds,
        fps=4,
        size=(32, 32),
        sound=sound[None],
        rate=rate,
        picture=np.ascontiguousarray(picture),
    )
