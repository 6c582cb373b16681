"""RAVDESS, the emotion of a speaker: face → face + speech, or speech → speech + face.

24 actors say two sentences in 8 emotions, 1,440 recordings. Test actors are never seen in training:
actors 19 to 24, or six others at each of four seeds. The data are either tables of action units of the face and log-mel bands of the speech
(`tables.py`) or the authors' films and recordings (`films.py`, `prepare.py`).

Ref: livingstone2018ravdess; xue2021mke, experiment on RAVDESS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.optional_imports import lacking
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.evaluation import metrics
from mke_theory.method.objective import Consistency, Objective
from mke_theory.method.transforms import FeatureMasking, InputNoise, ModalityDropout
from mke_theory.models import MLP, ConvEncoder, Frames, multimodal
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.files.standardise import colour_normaliser, standardiser
from mke_theory.tasks.ravdess import films, tables
from mke_theory.tasks.ravdess.clips import FOLDER, PREPARE, WANTED, Clips
from mke_theory.tasks.ravdess.names import EMOTIONS, Recording
from mke_theory.tasks.ravdess.split import read_folds, read_split
from mke_theory.tasks.settings import refuse_below, refuse_other_choices
from mke_theory.training.loop import TrainConfig

CLASSES = len(EMOTIONS)

Teacher = Literal["face", "speech"]
Labels = Literal["by class", "by actor"]
TestActors = Literal["fixed", "four folds"]
Format = Literal["tables", "films"]
Source = Literal["either", "tables", "films"]

_READERS = ("av", "soundfile", "transformers")  # of films; tables need none


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
_FACE_FIRST = Recipe(
    teacher=_training(300, 3e-3),
    student=_training(160, 3e-3, cosine=True),
    objective=Objective(
        transform=(FeatureMasking(0.3), ModalityDropout(0.5, only=("face",))),
        consistency=Consistency(gamma=1.0),
    ),
)
_SPEECH_FIRST = Recipe(
    teacher=_training(150, 1e-3),
    student=_training(240, 3e-3, cosine=True),
    objective=Objective(
        transform=(InputNoise(1.0), ModalityDropout(0.75, only=("speech",))),
        consistency=Consistency(gamma=2.0),
    ),
)


RECIPES: dict[Teacher, Recipe] = {"face": _FACE_FIRST, "speech": _SPEECH_FIRST}


@dataclass(frozen=True)
class Ravdess(Task):
    """Recordings of 18 actors, some with their emotion, and of 6 others for test.

    teacher: the modality that the teacher sees; the student sees both. `recipe`, while it is one of
    `RECIPES`, is that of the teacher.
    labels: which recordings are labelled, drawn by the seed. "by class" takes `labels_per_class` of
    each emotion; "by actor" takes all of `labelled_actors` actors, and D_u are the others.
    test_actors: "fixed" are actors 19 to 24. With "four folds" the six of fold `seed % 4` are test
    (see `read_folds`), so that four seeds in a row test each actor once.
    source: action units and log-mel bands ("tables"), films and recordings ("films"), or either,
    tables first. frames, side: of a film so many pictures, side × side; tables have none.
    skip_bad: leave out recordings that are absent or cannot be read.
    """

    recipe: Recipe = RECIPES["face"]
    teacher: Teacher = "face"
    labels: Labels = "by class"
    labels_per_class: int = 40
    labelled_actors: int = 4
    test_actors: TestActors = "fixed"
    source: Source = "either"
    frames: int = 6
    side: int = 64
    units: int = 64
    skip_bad: bool = False
    cache: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        refuse_other_choices(
            self,
            {
                "teacher": get_args(Teacher),
                "labels": get_args(Labels),
                "test_actors": get_args(TestActors),
                "source": get_args(Source),
            },
        )
        refuse_below(
            self,
            {"labels_per_class": 1, "labelled_actors": 1, "frames": 1, "side": 8, "units": 8},
        )
        if self.recipe in RECIPES.values():
            object.__setattr__(self, "recipe", RECIPES[self.teacher])

    @property
    def name(self) -> str:
        """The key in the registry."""
        direction = "" if self.teacher == "face" else "_audio"
        return f"ravdess{direction}" + ("" if self.labels == "by class" else "_actors")

    @property
    def title(self) -> str:
        """The direction, what the teacher sees → what the student sees, and who is labelled."""
        direction = f"RAVDESS, {self.teacher} → {' + '.join(self._modalities)}"
        return (
            direction
            + ("" if self.labels == "by class" else ", labels by actor")
            + ("" if self.test_actors == "fixed" else ", test actors in four folds")
        )

    @property
    def varies(self) -> str:
        """The differences between seeds."""
        own = "who is labelled, weights, noise"
        if self.test_actors == "fixed":
            return f"{own}; test actors are the same"
        return f"test actors (in four folds, the same at seeds s and s + 4), {own}"

    @property
    def _modalities(self) -> tuple[str, str]:
        """The teacher's modality, and the other one."""
        return ("face", "speech") if self.teacher == "face" else ("speech", "face")

    def missing(self) -> str | None:
        root = self.data_root
        source = None if root is None else self._there(root / FOLDER)
        if source == "films":
            return lacking(*_READERS)
        if source == "tables":
            return None
        wanted = {
            "tables": f"{tables.INDEX}, {tables.FACE} and {tables.SPEECH}",
            "films": "Actor_01 to Actor_24 with their mp4 and wav files",
        }
        either = self.source == "either"
        layout = " or ".join(wanted.values()) if either else wanted[self.source]
        return (
            f"no folder {FOLDER} in {root or 'any data root'} with {layout}; for films and "
            f"recordings fetch {WANTED}, put them there and run `{PREPARE} {root or 'DIR'}`, or "
            "name the folder above it by --data-root"
        )

    def data_hash(self) -> str | None:
        return _content_hash(*self._files())

    def libraries(self) -> tuple[str, ...]:
        return _READERS if self._files()[1] == "films" else ()

    def class_names(self) -> tuple[str, ...]:
        return tuple(EMOTIONS)

    def problem(self, seed: int) -> Problem:
        """Test actors apart, by the committed split; the seed picks who of train is labelled."""
        clips = self._clips()
        tested = read_folds()[-1 if self.test_actors == "fixed" else seed % 4]
        test = np.array([recording.actor in tested for recording in clips.recordings])
        train = np.flatnonzero(~test)
        labelled = self._labelled([clips.recordings[row] for row in train], seed)
        everything = _pool(clips, train, self._modalities)
        return Problem.of(
            labelled=everything.rows(train[labelled]).only([self.teacher]),
            unlabelled=everything.rows(train[~labelled]),
            test=everything.rows(np.flatnonzero(test)),
            teacher_modalities=(self.teacher,),
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
        if self.labels == "by actor":
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
        folder, source = self._files()
        content = _content_hash(folder, source)
        return _load(folder, source, content, self.frames, self.side, self.skip_bad, self.cache)

    def _files(self) -> tuple[Path, Format]:
        """The folder, and what of it is read; FileNotFoundError, with the remedy, where nothing."""
        folder = self.folder(FOLDER)
        source = self._there(folder)
        if source is None:
            raise FileNotFoundError(str(self.missing()))
        return folder, source

    def _there(self, folder: Path) -> Format | None:
        """The kind of files asked for that the folder has."""
        if self.source != "films" and (folder / tables.INDEX).is_file():
            return "tables"
        if self.source != "tables" and films.has_films(folder):
            return "films"
        return None


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
    source: Format,
    content: str,  # what is read is kept for as long as this stays
    frames: int,
    side: int,
    skip_bad: bool,
    cache: str | None,
) -> Clips:
    split = read_split()
    if source == "tables":
        return tables.read_tables(folder, split, skip_bad=skip_bad)
    return films.load_films(
        folder,
        split,
        films.Reading(frames, side),
        skip_bad=skip_bad,
        cache=Path(cache) if cache else None,
    )


def _content_hash(folder: Path, source: Format) -> str:
    return (films if source == "films" else tables).content_hash(folder)
