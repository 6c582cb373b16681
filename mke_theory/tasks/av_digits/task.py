"""Spoken and written digits: audio → audio + image, or image → image + audio.

Recordings of the Free Spoken Digit Dataset, each with an image of MNIST that shows the same digit
and shares nothing else. Speakers and writers of test are never heard or seen in training. Sound is
heard as log-mel spectrograms, or by a network that was trained on speech (`speech.py`). Data,
origin and preparation are in `reader.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn

from mke_theory.data.file_hashes import content_of
from mke_theory.data.optional_imports import lacking
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.method.objective import Consistency, Objective
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.models import MLP, ConvEncoder, multimodal
from mke_theory.models.frozen import content_of_words
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.av_digits.reader import DigitData, Ear, load
from mke_theory.tasks.av_digits.speech import lacking_ear, pretrained_ear
from mke_theory.tasks.av_digits.split import FOLDER, PREPARE, Pairs
from mke_theory.tasks.files.standardise import overall_standardiser, standardiser
from mke_theory.tasks.settings import refuse_other_choices
from mke_theory.training.loop import TrainConfig

CLASSES = 10

Teacher = Literal["audio", "image"]

_READERS: dict[Ear, tuple[str, ...]] = {
    "log-mel": ("soundfile", "transformers"),
    "embedding": ("soundfile", "onnxruntime"),
}


def _recipe(teacher: Teacher, ear: Ear) -> Recipe:
    """Noise on both modalities, the teacher's one dropped from most samples, and γ = 1.

    Strengths and steps were chosen by accuracy on D_u at seeds 100 and 101, with spectrograms: the
    same training speakers and writers, but for who is labelled. With the pre-trained ear they are
    the same, but for a teacher that hears by it: what it hears is dropped from half of the samples.
    """
    dropped = 0.5 if (teacher, ear) == ("audio", "embedding") else 0.7
    return Recipe(
        teacher=TrainConfig(steps=300, batch_size=64, learning_rate=3e-3, weight_decay=1e-2),
        student=TrainConfig(
            steps=160, batch_size=48, learning_rate=3e-3, weight_decay=1e-2, schedule="cosine"
        ),
        objective=Objective(
            transform=(InputNoise(1.0), ModalityDropout(dropped, only=(teacher,))),
            consistency=Consistency(gamma=1.0),
        ),
    )


RECIPES: dict[tuple[Teacher, Ear], Recipe] = {
    (teacher, ear): _recipe(teacher, ear) for teacher in get_args(Teacher) for ear in get_args(Ear)
}


@dataclass(frozen=True)
class AVDigits(Task):
    """`labels_per_class` recordings or images with their digit, and pairs of both without.

    teacher: the modality that the teacher sees; the student sees both. ear: spectrograms, or the
    speech embedding of a pre-trained network. ranks: which of the images that go with a recording
    are in D_l and D_u (0 to 2). `recipe`, while it is one of `RECIPES`, is that of teacher and ear.
    """

    varies: ClassVar[str] = "who is labelled, weights, noise; pairs and test set are the same"

    recipe: Recipe = RECIPES["audio", "log-mel"]
    teacher: Teacher = "audio"
    ear: Ear = "log-mel"
    labels_per_class: int = 20
    ranks: tuple[int, ...] = (0,)
    channels: int = 16
    features: int = 64
    cache: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        refuse_other_choices(self, {"teacher": get_args(Teacher), "ear": get_args(Ear)})
        if self.recipe in RECIPES.values():
            object.__setattr__(self, "recipe", RECIPES[self.teacher, self.ear])

    @property
    def name(self) -> str:
        """The key in the registry."""
        name = "av_digits" if self.teacher == "audio" else "av_digits_image"
        return name if self.ear == "log-mel" else f"{name}_ear"

    @property
    def title(self) -> str:
        """The direction: what the teacher sees → what the student sees."""
        other = "image" if self.teacher == "audio" else "audio"
        heard = "" if self.ear == "log-mel" else ", pre-trained ear"
        return f"av_digits, {self.teacher} → {self.teacher} + {other}{heard}"

    def missing(self) -> str | None:
        if absent := lacking(*_READERS[self.ear]):
            return absent
        if self.ear == "embedding" and (absent := lacking_ear()):
            return absent
        root = self.data_root
        if root is not None and (root / FOLDER).is_dir():
            return None
        return (
            f"no folder {FOLDER} in {root}; fetch it by `{PREPARE} {root}`, or "
            "name the folder above it by --data-root"
        )

    def libraries(self) -> tuple[str, ...]:
        return _READERS[self.ear]

    def data_hash(self) -> str | None:
        files = _content_hash(self.folder(FOLDER))
        return files if self.ear == "log-mel" else content_of_words(files, pretrained_ear().content)

    def problem(self, seed: int) -> Problem:
        """The published split of speakers and writers; the seed picks who is labelled."""
        folder = self.folder(FOLDER)
        everything = _load(folder, _content_hash(folder), self.ear, self.cache)
        train = everything.pairs.select("train", self.ranks)
        test = everything.pairs.select("test")
        labelled = self._labelled(train, seed)
        known = np.isin(train.recording, labelled.recording) | np.isin(train.image, labelled.image)
        fitted = everything.pairs.select("train")
        by_number = standardiser if self.ear == "embedding" else overall_standardiser
        scale = {
            "audio": by_number(everything.audio[fitted.recording]),
            "image": overall_standardiser(everything.images[fitted.image]),
        }

        def pool(pairs: Pairs) -> Pool:
            sound, picture = everything.audio[pairs.recording], everything.images[pairs.image]
            inputs = {
                "audio": _scaled(scale["audio"], sound),
                "image": _scaled(scale["image"], picture[:, None]),
            }
            return Pool(inputs, torch.from_numpy(pairs.digit.astype(np.int64)), pairs.speaker)

        return Problem.of(
            labelled=pool(labelled).only([self.teacher]),
            unlabelled=pool(train.rows(~known)),
            test=pool(test),
            teacher_modalities=(self.teacher,),
            classes=CLASSES,
        )

    def _labelled(self, train: Pairs, seed: int) -> Pairs:
        first = train.rows(train.rank == train.rank.min())
        rows, _ = train_test_split(
            np.arange(len(first)),
            train_size=self.labels_per_class * CLASSES,
            random_state=seed32_for(seed, "split"),
            stratify=first.digit,
        )
        return first.rows(np.sort(rows))

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """Two convolutions and a linear layer for each modality, then a linear head for both.

        An embedding of sounds needs no convolutions: it has one hidden layer of 4 · width.
        """
        width = width or self.width(modalities)
        encoders: dict[str, nn.Module] = {}
        for name in modalities:
            shape = problem.test.inputs[name].shape[1:]
            if len(shape) == 1:
                encoders[name] = MLP([shape[0], 4 * width], activate=True)
                continue
            colours, height, across = shape
            encoders[name] = ConvEncoder(
                (colours, height, across),
                channels=(width, 2 * width),
                strides=(4, 2),
                features=self.features,
            )
        return multimodal(encoders, problem.classes, missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.channels


@lru_cache(maxsize=2)
def _load(folder: Path, content: str, ear: Ear, cache: str | None) -> DigitData:
    """`content` is the hash of the files, so that changed ones are read anew."""
    return load(folder, ear=ear, cache=Path(cache) if cache else None)


def _scaled(scale: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> torch.Tensor:
    return torch.tensor(scale(x), dtype=torch.float32)


def _content_hash(folder: Path) -> str:
    """A hash of the names and contents of all files."""
    return content_of((path for path in folder.rglob("*") if path.is_file()), folder)
