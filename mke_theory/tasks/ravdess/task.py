"""RAVDESS, the emotion of a speaker: face → face + speech, or speech → speech + face.

24 actors say two sentences in 8 emotions, 1,440 recordings. Test actors are never seen in training:
actors 19 to 24, or six others at each of four seeds. The data are tables of face and speech
(`tables.py`), made from two public archives (`prepare.py`).

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

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.evaluation import metrics
from mke_theory.method.objective import Consistency, Objective
from mke_theory.method.transforms import FeatureMasking, InputNoise, ModalityDropout
from mke_theory.models import MLP, multimodal
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.files.standardise import standardiser
from mke_theory.tasks.ravdess.archives import WANTED
from mke_theory.tasks.ravdess.ear import LIBRARIES, heard, lacking_ear
from mke_theory.tasks.ravdess.names import EMOTIONS, Recording
from mke_theory.tasks.ravdess.prepare import PREPARE
from mke_theory.tasks.ravdess.split import read_folds, read_split
from mke_theory.tasks.ravdess.tables import FOLDER, SOUND, Clips, content_hash, files, read_tables
from mke_theory.tasks.settings import refuse_below, refuse_other_choices
from mke_theory.training.loop import TrainConfig

CLASSES = len(EMOTIONS)

Teacher = Literal["face", "speech"]
Labels = Literal["by class", "by actor"]
TestActors = Literal["fixed", "four folds"]
Sentences = Literal["both", "another at test"]
Face = Literal["action units", "action units, landmarks and pose"]
Ear = Literal["log-mel", "embedding", "both"]


def _training(steps: int, learning_rate: float, *, cosine: bool = False) -> TrainConfig:
    return TrainConfig(
        steps=steps,
        batch_size=64,
        learning_rate=learning_rate,
        weight_decay=1e-2,
        schedule="cosine" if cosine else "constant",
    )


# Teachers, T, γ and steps were chosen by accuracy on D_u at seeds 100 and 101, over both protocols,
# with action units and log-mel bands of actors 1 to 18, whose recordings three of the four folds
# test. Hard pseudo labels, so that every arm can run.
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
    (see `split.read_folds`), so that four seeds in a row test each actor once.
    sentences: with "another at test" the train actors say the first sentence and the test actors
    the second, so that neither is on both sides; the other half of the recordings is left out.
    face: 35 action units, or these and 41 numbers of head, gaze and landmarks.
    ear: statistics of log-mel bands (720 numbers), of a pre-trained speech embedding (384, see
    `ear`), or both.
    skip_bad: leave out recordings that are absent or damaged.
    """

    recipe: Recipe = RECIPES["face"]
    teacher: Teacher = "face"
    labels: Labels = "by class"
    labels_per_class: int = 40
    labelled_actors: int = 4
    test_actors: TestActors = "fixed"
    sentences: Sentences = "both"
    face: Face = "action units"
    ear: Ear = "log-mel"
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
                "sentences": get_args(Sentences),
                "face": get_args(Face),
                "ear": get_args(Ear),
            },
        )
        refuse_below(self, {"labels_per_class": 1, "labelled_actors": 1, "units": 8})
        if self.recipe in RECIPES.values():
            object.__setattr__(self, "recipe", RECIPES[self.teacher])

    @property
    def name(self) -> str:
        """The key in the registry."""
        direction = "" if self.teacher == "face" else "_audio"
        return f"ravdess{direction}" + ("" if self.labels == "by class" else "_actors")

    @property
    def title(self) -> str:
        """The direction, teacher's modality → student's modalities, and settings that differ."""
        more = {
            "labels by actor": self.labels == "by actor",
            "test actors in four folds": self.test_actors == "four folds",
            "another sentence at test": self.sentences == "another at test",
            "with landmarks and pose": self._geometry,
            "speech by embedding": self.ear == "embedding",
            "speech by log-mel and embedding": self.ear == "both",
        }
        direction = f"RAVDESS, {self.teacher} → {' + '.join(self._modalities)}"
        return ", ".join([direction, *(words for words, differs in more.items() if differs)])

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

    @property
    def _geometry(self) -> bool:
        return self.face != "action units"

    @property
    def _files(self) -> tuple[str, ...]:
        """The names of the files that are read, but for the sounds."""
        return files(geometry=self._geometry)

    def missing(self) -> str | None:
        root = self.data_root
        lacking = [
            name for name in self._files if root is None or not (root / FOLDER / name).is_file()
        ]
        if self.ear != "log-mel" and root is not None and not (root / FOLDER / SOUND).is_dir():
            lacking.append(SOUND)
        if not lacking:
            return None if self.ear == "log-mel" else lacking_ear()
        return (
            f"no {', '.join(lacking)} in the folder {FOLDER} of {root or 'any data root'}; "
            f"`{PREPARE} {root or 'DIR'}` makes them from {WANTED}, or name the folder above it by "
            "--data-root"
        )

    def data_hash(self) -> str | None:
        folder = self._folder()
        return content_hash(folder, [*self._files, *self._sounds(folder)])

    def libraries(self) -> tuple[str, ...]:
        return () if self.ear == "log-mel" else LIBRARIES

    def class_names(self) -> tuple[str, ...]:
        return tuple(EMOTIONS)

    def problem(self, seed: int) -> Problem:
        """Test actors apart; the seed picks who of train is labelled."""
        clips = self._clips()
        train, test = self._parts(clips.recordings, seed)
        labelled = self._labelled([clips.recordings[row] for row in train], seed)
        everything = _pool(clips, train, self._modalities)
        return Problem.of(
            labelled=everything.rows(train[labelled]).only([self.teacher]),
            unlabelled=everything.rows(train[~labelled]),
            test=everything.rows(test),
            teacher_modalities=(self.teacher,),
            classes=CLASSES,
            skipped=clips.skipped,
        )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """A hidden layer for each modality, and a linear head for both."""
        width = width or self.width(modalities)
        sizes = {name: problem.test.inputs[name].shape[1] for name in modalities}
        encoders = {name: MLP([size, width], activate=True) for name, size in sizes.items()}
        return multimodal(encoders, problem.classes, missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.units

    def scores(self, predictions: Tensor, truth: Tensor) -> dict[str, float]:
        """Accuracy, and the mean F1 of the emotions."""
        table = metrics.confusion(predictions, truth, CLASSES)
        return {"accuracy": metrics.accuracy(table), "macro F1": metrics.macro_f1(table)}

    def _parts(self, recordings: tuple[Recording, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of train and of test."""
        if self.test_actors == "fixed":
            split = read_split()
            test = np.array([split[recording] == "test" for recording in recordings])
        else:
            folds = read_folds()
            tested = folds[seed % len(folds)]
            test = np.array([recording.actor in tested for recording in recordings])
        used = np.ones(len(recordings), dtype=bool)
        if self.sentences == "another at test":
            second = np.array([recording.statement == 2 for recording in recordings])
            used = second == test
        return np.flatnonzero(~test & used), np.flatnonzero(test & used)

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
        content = str(self.data_hash())
        return _load(self._folder(), content, self._geometry, self.ear, self.skip_bad, self.cache)

    def _sounds(self, folder: Path) -> list[str]:
        """The names of the sound files, where they are read."""
        if self.ear == "log-mel":
            return []
        return sorted(f"{SOUND}/{path.name}" for path in (folder / SOUND).glob("*.flac"))

    def _folder(self) -> Path:
        """The folder of the tables; FileNotFoundError, with the remedy, where one is missing."""
        folder = self.folder(FOLDER)
        if lacking := self.missing():
            raise FileNotFoundError(lacking)
        return folder


def _pool(clips: Clips, train: np.ndarray, order: tuple[str, str]) -> Pool:
    """All clips, scaled by what the rows `train` hold, in groups by actor.

    A sample is a recording with all its files, so that rows cannot cut one; what train and test
    must not share on top of that is the actor.
    """
    inputs = {"speech": _scaled(clips.speech, train), "face": _scaled(clips.face, train)}
    labels = torch.tensor([recording.label for recording in clips.recordings])
    actors = np.array([f"actor {recording.actor:02}" for recording in clips.recordings])
    return Pool({name: inputs[name] for name in order}, labels, actors)


def _scaled(x: np.ndarray, train: np.ndarray) -> Tensor:
    scale = standardiser(x[train].astype(np.float64))
    return torch.tensor(scale(x), dtype=torch.float32)


@lru_cache(maxsize=2)
def _load(
    folder: Path,
    content: str,  # what is read is kept for as long as this stays
    geometry: bool,
    ear: Ear,
    skip_bad: bool,
    cache: str | None,
) -> Clips:
    clips = read_tables(folder, read_split(), skip_bad=skip_bad, geometry=geometry)
    if ear == "log-mel":
        return clips
    place = Path(cache) if cache else None
    speech, kept, bad = heard(folder, clips.recordings, skip_bad=skip_bad, cache=place)
    if ear == "both":
        speech = np.concatenate([clips.speech[kept], speech], axis=1)
    left = tuple(clips.recordings[row] for row in kept)
    return Clips(left, clips.face[kept], speech, (*clips.skipped, *bad))
