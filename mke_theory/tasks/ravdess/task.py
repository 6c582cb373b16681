"""RAVDESS, the emotion of a speaker: face → face + speech, and the other way round.

24 actors say two sentences in 8 emotions, 1,440 recordings. Actors 19 to 24 are test and never seen
in training. The data are either action units of the face with log-mel bands (`ravdess_pack.py`) or
the authors' films and recordings (`ravdess_films.py`, `ravdess_originals.py`).

Ref: livingstone2018ravdess; xue2021mke, experiment on RAVDESS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.optional_imports import lacking
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.evaluation import metrics
from mke_theory.method.objective import Objective
from mke_theory.method.transforms import FeatureMasking, InputNoise, ModalityDropout
from mke_theory.models import MLP, ConvEncoder, Frames, multimodal
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.files.standardise import colour_normaliser, standardiser
from mke_theory.tasks.ravdess import film_reader as films
from mke_theory.tasks.ravdess import table_reader as pack
from mke_theory.tasks.ravdess.clips import PREPARE, WANTED, Clips
from mke_theory.tasks.ravdess.split import EMOTIONS, Recording, read_split
from mke_theory.training.loop import TrainConfig

CLASSES = len(EMOTIONS)

Source = Literal["either", "pack", "originals"]
Protocol = Literal["class", "actor"]

_READERS = ("av", "soundfile", "transformers")  # of the originals; the features need none


def _training(steps: int, learning_rate: float, *, cosine: bool = False) -> TrainConfig:
    return TrainConfig(
        steps=steps,
        batch_size=64,
        learning_rate=learning_rate,
        weight_decay=1e-2,
        schedule="cosine" if cosine else "constant",
    )


# Teachers, T, γ and steps were chosen by accuracy on D_u at seeds 100 and 101, over both protocols,
# with action units and log-mel bands. Hard pseudo labels, so that every arm can run.
FACE_FIRST = Recipe(
    teacher=_training(300, 3e-3),
    student=_training(160, 3e-3, cosine=True),
    objective=Objective(
        transform=(FeatureMasking(0.3), ModalityDropout(0.5, only=("face",))), gamma=1.0
    ),
)
SPEECH_FIRST = Recipe(
    teacher=_training(150, 1e-3),
    student=_training(240, 3e-3, cosine=True),
    objective=Objective(
        transform=(InputNoise(1.0), ModalityDropout(0.75, only=("speech",))), gamma=2.0
    ),
)


@dataclass(frozen=True)
class FaceSpeech(Task):
    """Recordings of 18 actors, some with their emotion, and of 6 others for test.

    protocol: what is labelled, drawn by the seed. "class" takes `labels_per_class` recordings of
    each emotion; "actor" takes all recordings of `labelled_actors` actors, and D_u are the others.
    source: action units and log-mel bands ("pack"), films and recordings ("originals"), or either,
    the pack first. frames, side: of a film so many pictures, side × side; the pack has none.
    skip_bad: leave out recordings that are absent or cannot be read.
    """

    name: ClassVar[str] = "ravdess"
    title: ClassVar[str] = "RAVDESS, face → face + speech"
    varies: ClassVar[str] = "who is labelled, weights, noise; test actors are the same"
    alpha: ClassVar[str] = "face"
    beta: ClassVar[str] = "speech"

    recipe: Recipe = FACE_FIRST
    protocol: Protocol = "class"
    labels_per_class: int = 40
    labelled_actors: int = 4
    source: Source = "either"
    frames: int = 6
    side: int = 64
    units: int = 64
    skip_bad: bool = False
    cache: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name, least in (
            ("labels_per_class", 1),
            ("labelled_actors", 1),
            ("frames", 1),
            ("side", 8),
            ("units", 8),
        ):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{self.name}.{name} is {getattr(self, name)}; it has to be at least {least}"
                )
        for name, allowed in (
            ("protocol", ("class", "actor")),
            ("source", ("either", "pack", "originals")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{self.name}.{name} is {getattr(self, name)!r}; choose one of {allowed}"
                )

    def missing(self) -> str | None:
        folder = None if self.data_root is None else self.data_root / "ravdess"
        source = None if folder is None else self._there(folder)
        if source == "originals":
            return lacking(*_READERS)
        if source == "pack":
            return None
        wanted = {
            "pack": f"{pack.INDEX}, {pack.FACE} and {pack.SPEECH}",
            "originals": "Actor_01 to Actor_24 with their mp4 and wav files",
        }
        either = self.source == "either"
        layout = " or ".join(wanted.values()) if either else wanted[self.source]
        there, example = self.data_root or "any data root", self.data_root or "DIR"
        return (
            f"no folder ravdess in {there} with {layout}; for the originals fetch {WANTED}, put "
            f"them there and run `{PREPARE} {example}`, or name the folder above it by --data-root"
        )

    def data_hash(self) -> str | None:
        return _content_hash(*self._place())

    def libraries(self) -> tuple[str, ...]:
        return _READERS if self._place()[1] == "originals" else ()

    def class_names(self) -> tuple[str, ...]:
        return tuple(EMOTIONS)

    def problem(self, seed: int) -> Problem:
        """The committed split of actors; the seed picks who of train is labelled."""
        clips, split = self._clips(), read_split()
        part = np.array([split[recording] for recording in clips.recordings])
        train = np.flatnonzero(part == "train")
        labelled = self._labelled([clips.recordings[row] for row in train], seed)
        everything = _pool(clips, train, (self.alpha, self.beta))
        return Problem.of(
            labelled=everything.rows(train[labelled]).only([self.alpha]),
            unlabelled=everything.rows(train[~labelled]),
            test=everything.rows(np.flatnonzero(part == "test")),
            teacher_modalities=(self.alpha,),
            classes=CLASSES,
            skipped=clips.skipped,
        )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """A hidden layer for each vector, convolutions for frames, then a linear head for both."""
        width = width or self.width(modalities)
        encoders: dict[str, nn.Module] = {}
        for name in modalities:
            shape = problem.test.inputs[name].shape[1:]
            encoders[name] = (
                MLP([shape[0], width], activate=True)
                if len(shape) == 1
                else Frames(_picture_encoder((shape[1], shape[2], shape[3]), width))
            )
        return multimodal(encoders, problem.classes, missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.units

    def scores(self, predictions: Tensor, truth: Tensor) -> dict[str, float]:
        """Accuracy, and the mean F1 of the emotions."""
        table = metrics.confusion(predictions, truth, CLASSES)
        return {"accuracy": metrics.accuracy(table), "macro F1": metrics.macro_f1(table)}

    def _labelled(self, train: list[Recording], seed: int) -> np.ndarray:
        """True [n] for the train recordings whose emotion is known."""
        rng = np.random.default_rng(seed32_for(seed, "split"))
        if self.protocol == "actor":
            actor = np.array([recording.actor for recording in train])
            actors = np.unique(actor)
            if self.labelled_actors >= len(actors):
                raise ValueError(
                    f"{self.name}.labelled_actors is {self.labelled_actors}; there are "
                    f"{len(actors)} train actors, and D_u has to be left some"
                )
            return np.isin(actor, rng.choice(actors, self.labelled_actors, replace=False))
        label = np.array([recording.label for recording in train])
        chosen = np.zeros(len(train), dtype=bool)
        for at, emotion in enumerate(EMOTIONS):
            rows = np.flatnonzero(label == at)
            if self.labels_per_class >= len(rows):
                raise ValueError(
                    f"{self.name}.labels_per_class is {self.labels_per_class}; there are "
                    f"{len(rows)} train recordings of {emotion}, and D_u has to be left some"
                )
            chosen[rng.choice(rows, self.labels_per_class, replace=False)] = True
        return chosen

    def _clips(self) -> Clips:
        folder, source = self._place()
        content = _content_hash(folder, source)
        return _load(folder, source, content, self.frames, self.side, self.skip_bad, self.cache)

    def _place(self) -> tuple[Path, Literal["pack", "originals"]]:
        folder = self.folder("ravdess")
        source = self._there(folder)
        if source is None:
            raise FileNotFoundError(str(self.missing()))
        return folder, source

    def _there(self, folder: Path) -> Literal["pack", "originals"] | None:
        """What of the sources asked for is in the folder."""
        if self.source != "originals" and (folder / pack.INDEX).is_file():
            return "pack"
        if self.source != "pack" and films.has_originals(folder):
            return "originals"
        return None


@dataclass(frozen=True)
class SpeechFace(FaceSpeech):
    """The other direction: the teacher hears the speech, the student sees the face as well."""

    name: ClassVar[str] = "ravdess_audio"
    title: ClassVar[str] = "RAVDESS, speech → speech + face"
    alpha: ClassVar[str] = "speech"
    beta: ClassVar[str] = "face"

    recipe: Recipe = SPEECH_FIRST


@dataclass(frozen=True)
class FaceSpeechByActor(FaceSpeech):
    """Face → face + speech, with all recordings of a few actors labelled."""

    name: ClassVar[str] = "ravdess_actors"
    title: ClassVar[str] = "RAVDESS, face → face + speech, labels by actor"

    protocol: Protocol = "actor"


@dataclass(frozen=True)
class SpeechFaceByActor(SpeechFace):
    """Speech → speech + face, with all recordings of a few actors labelled."""

    name: ClassVar[str] = "ravdess_audio_actors"
    title: ClassVar[str] = "RAVDESS, speech → speech + face, labels by actor"

    protocol: Protocol = "actor"


def _picture_encoder(shape: tuple[int, int, int], width: int) -> ConvEncoder:
    channels = (max(1, width // 4), max(1, width // 2))
    return ConvEncoder(shape, channels=channels, strides=(4, 2), features=width)


def _pool(clips: Clips, train: np.ndarray, order: tuple[str, str]) -> Pool:
    """All clips, scaled by what the rows `train` hold, in groups by actor.

    A sample is a recording with all its files, so that rows cannot cut one; what train and test
    must not share on top of that is the actor.
    """
    inputs = {"speech": _vectors(clips.speech, train), "face": _face(clips.face, train)}
    labels = torch.tensor([recording.label for recording in clips.recordings])
    actors = np.array([f"actor {recording.actor:02}" for recording in clips.recordings])
    return Pool({name: inputs[name] for name in order}, labels, actors)


def _vectors(x: np.ndarray, train: np.ndarray) -> Tensor:
    scale = standardiser(x[train].astype(np.float64))
    return torch.tensor(scale(x), dtype=torch.float32)


def _face(face: np.ndarray, train: np.ndarray) -> Tensor | Stored:
    """Action units as a tensor, frames as stored bytes; each unit or colour is standardised."""
    if face.ndim == 2:
        return _vectors(face, train)
    return Stored(face, colour_normaliser(face[train], axis=2))


@lru_cache(maxsize=2)
def _load(
    folder: Path,
    source: Literal["pack", "originals"],
    content: str,  # what is read is kept for as long as this stays
    frames: int,
    side: int,
    skip_bad: bool,
    cache: str | None,
) -> Clips:
    split = read_split()
    if source == "pack":
        return pack.read_pack(folder, split, skip_bad=skip_bad)
    return films.load_originals(
        folder,
        split,
        films.Reading(frames, side),
        skip_bad=skip_bad,
        cache=Path(cache) if cache else None,
    )


def _content_hash(folder: Path, source: Literal["pack", "originals"]) -> str:
    return (films if source == "originals" else pack).content_hash(folder)
