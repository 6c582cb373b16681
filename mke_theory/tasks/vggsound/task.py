"""AudioSet → VGGSound, the sounds in a clip: audio → audio + video, several classes a clip.

D_l are clips of AudioSet, their sound alone, with its labels; D_u and test are clips of VGGSound
with sound and pictures. The classes are those that both sets name (`classes.py`: a table of our
own, as the paper's 46 are not listed). Lists are described in `lists.py`, clips in `clips.py`;
`prepare.py` turns clips into the features that are read here.

Clips vanish from their host. The task runs on those at hand, and `VGGSound.bounds` are the least
and greatest value of each metric over all clips.

Ref: gemmeke2017audioset; chen2020vggsound; zverev2025vggsounder; xue2021mke, experiment on event
classification.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
from torch import Tensor, nn

from mke_theory.data.file_hashes import content_of
from mke_theory.data.optional_imports import lacking
from mke_theory.data.pool import UNKNOWN
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.evaluation import metrics
from mke_theory.method.objective import Consistency, Objective, PseudoLabelTerm
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.models import Frames, multimodal
from mke_theory.models.backbones import Kind, picture_encoder, sound_encoder
from mke_theory.models.pretrained import weights_content
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.settings import refuse_below, refuse_other_choices
from mke_theory.tasks.vggsound.classes import TABLE, Sharing
from mke_theory.tasks.vggsound.encoders import projected, small
from mke_theory.tasks.vggsound.lists import (
    ANNOTATION,
    AUDIOSET,
    AUDIOSET_CLASSES,
    CLASSES,
    FOLDER,
    FULL,
    ONTOLOGY,
    TEST,
)
from mke_theory.tasks.vggsound.missing_clips import Bounds, multilabel_bounds
from mke_theory.tasks.vggsound.pools import inputs_of, pool_of, present, row_of
from mke_theory.tasks.vggsound.shards import (
    INDEX,
    PREPARE,
    PREPARED,
    Prepared,
    index_hash,
    read_shards,
)
from mke_theory.tasks.vggsound.split import (
    MANIFEST,
    Annotation,
    Source,
    Split,
    Wanted,
    most_per_class,
    split_of,
)
from mke_theory.training.loop import TrainConfig

_LISTS = (AUDIOSET, AUDIOSET_CLASSES, CLASSES, TEST)


def recipe() -> Recipe:
    """Soft labels, noise on both modalities, and the teacher's one dropped from half the samples.

    A first recipe: no clips were at hand to choose strengths and steps by.
    """
    training = TrainConfig(
        steps=2000, batch_size=64, learning_rate=1e-3, weight_decay=1e-2, schedule="cosine"
    )
    return Recipe(
        teacher=training,
        student=training,
        objective=Objective(
            pseudo_labels=PseudoLabelTerm(kind="soft"),
            multilabel=True,
            transform=(InputNoise(0.5), ModalityDropout(0.5, only=("audio",))),
            consistency=Consistency(gamma=1.0),
        ),
    )


@dataclass(frozen=True)
class VGGSound(Task):
    """The clips at hand with at least one of the classes that AudioSet and VGGSound share.

    sharing: the classes that are shared, by equal names or also the instruments that are played.
    annotation: the true classes of a clip of VGGSound (see `split.Annotation`).
    source: the list that D_u comes from, VGGSound's train list or a half of its test list.
    ontology: a segment of AudioSet also has the classes of which its classes are a kind.
    most_per_class: the most clips of a class in D_l and in D_u, drawn by the seed; None takes all.
    For D_u this uses the classes in the list, as anyone does who collects such clips.
    picture, sound: "conv" for small encoders of the task's own, or published ones, from random
    weights or from `picture_weights` and `sound_weights`, a folder or a name on the hub.
    skip_bad: run although files that could not be read were left out when clips were prepared.
    """

    name: ClassVar[str] = "vggsound"
    title: ClassVar[str] = "AudioSet → VGGSound, audio → audio + video"
    varies: ClassVar[str] = "weights, noise, and with most_per_class the clips of D_l and D_u"
    metric: ClassVar[str] = "mAP"
    lasts: ClassVar[bool] = True

    recipe: Recipe = recipe()
    sharing: Sharing = "names"
    annotation: Annotation = "list"
    source: Source = "either"
    ontology: bool = False
    most_per_class: int | None = None
    picture: Literal["conv"] | Kind = "conv"
    sound: Literal["conv", "ast"] = "conv"
    picture_weights: str | None = None
    sound_weights: str | None = None
    channels: int = 16
    skip_bad: bool = False

    def __post_init__(self) -> None:
        choices: dict[str, tuple[object, ...]] = {
            "sharing": get_args(Sharing),
            "annotation": get_args(Annotation),
            "source": get_args(Source),
            "picture": ("conv", *get_args(Kind)),
            "sound": ("conv", "ast"),
        }
        refuse_other_choices(self, choices)
        refuse_below(self, {"most_per_class": 1, "channels": 1})
        for kind in ("picture", "sound"):
            weights = getattr(self, f"{kind}_weights")
            if weights is not None and getattr(self, kind) == "conv":
                raise ValueError(f"{self.name}.{kind}_weights is {weights!r}, but {kind} is 'conv'")

    def missing(self) -> str | None:
        if absent := lacking("av", "soundfile", "transformers"):
            return absent
        root = self.data_root
        for name in self._lists():
            if root is None or not (root / FOLDER / name).is_file():
                return (
                    f"no {FOLDER}/{name} in {root}; put the authors' lists there, or name the "
                    "folder above by --data-root"
                )
        assert root is not None
        if (root / PREPARED / INDEX).is_file():
            return None
        return (
            f"no {PREPARED}/{INDEX} in {root}; collect the clips, which this package does not "
            "fetch because their host's terms do not allow it, put them into audioset_clips and "
            f"vggsound_clips as YTID_SSSSSS.mp4 or .wav, and run `{PREPARE} {root}`"
        )

    def data_hash(self) -> str | None:
        lists = [self.folder(FOLDER) / name for name in (*self._lists(), *FULL)]
        content = content_of((self.folder(PREPARED) / INDEX, *lists, TABLE, MANIFEST))
        weights = (self.picture_weights, self.sound_weights)
        return " ".join([content, *(weights_content(one) for one in weights if one)])

    def libraries(self) -> tuple[str, ...]:
        """Those of the encoders; the decoders are in the index of the shards, so in `data_hash`."""
        return () if (self.picture, self.sound) == ("conv", "conv") else ("transformers",)

    def knows_truth(self) -> bool:
        return not bool((self.split().unlabelled.truth == UNKNOWN).any())

    def scores(self, predictions: Tensor, truth: Tensor) -> dict[str, float]:
        """MAP, mAUC and d′ over the classes (see `metrics.multilabel`)."""
        return metrics.multilabel(predictions, truth)

    def split(self) -> Split:
        """The parts as the lists have them, whether or not the clips are at hand."""
        folder = self.folder(FOLDER)
        lists = tuple(folder / name for name in (*self._lists(), *FULL))
        settings = self.sharing, self.annotation, self.source, self.ontology
        return _split(folder, *settings, content_of(lists))

    def absent(self) -> Wanted:
        """The clips of test that are missing or bad, with their truth."""
        prepared = self._prepared()
        test, there = self.split().test, frozenset(prepared.vggsound.clips)
        return test.rows(np.flatnonzero([clip not in there for clip in test.clips]))

    def bounds(self, predictions: Tensor, truth: Tensor) -> dict[str, Bounds]:
        """The least and greatest value of each of `scores` over the whole test list.

        `predictions` and `truth` are of the test part, [n, k]; predictions of the missing clips
        can be anything. Exact: see `missing_clips`.
        """
        return multilabel_bounds(predictions.numpy(), truth.numpy(), self.absent().truth)

    def problem(self, seed: int) -> Problem:
        """The parts by the lists, of the clips at hand; the seed draws if `most_per_class` does."""
        split, prepared = self.split(), self._prepared()
        place = row_of(prepared)
        labelled = self._drawn(present(split.labelled, "audioset", place), seed, "labelled")
        unlabelled = self._drawn(present(split.unlabelled, "vggsound", place), seed, "unlabelled")
        test = present(split.test, "vggsound", place)
        for name, part in (("labelled", labelled), ("unlabelled", unlabelled), ("test", test)):
            if not part[0].clips:
                raise ValueError(
                    f"{self.name}: no clip of the {name} part is at hand; prepare more clips"
                )
        inputs = inputs_of(prepared, np.concatenate([labelled[1], unlabelled[1]]))
        return Problem.of(
            labelled=pool_of(inputs, *labelled, modalities=("audio",)),
            unlabelled=pool_of(inputs, *unlabelled, modalities=("audio", "video")),
            test=pool_of(inputs, *test, modalities=("audio", "video")),
            teacher_modalities=("audio",),
            classes=len(split.classes),
            skipped=prepared.bad,
        )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """An encoder for each modality, a film being the mean of its pictures; a linear head."""
        width = width or self.width(modalities)
        encoders: dict[str, nn.Module] = {}
        for name in modalities:
            shape = tuple(problem.test.inputs[name].shape)
            if name == "audio":
                encoders[name] = self._hearing(shape, width)
            else:
                encoders[name] = Frames(self._seeing(shape, width))
        return multimodal(encoders, problem.classes, missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.channels

    def _drawn(
        self, part: tuple[Wanted, np.ndarray], seed: int, name: str
    ) -> tuple[Wanted, np.ndarray]:
        """The part with at most `most_per_class` clips of a class, where its truth is known."""
        wanted, rows = part
        if self.most_per_class is None or bool((wanted.truth == UNKNOWN).any()):
            return part
        rng = np.random.default_rng(seed32_for(seed, "split", name))
        chosen = most_per_class(wanted, self.most_per_class, rng)
        return wanted.rows(chosen), rows[chosen]

    def _hearing(self, shape: tuple[int, ...], width: int) -> nn.Module:
        if self.sound == "conv":
            return small(shape[1:], width)
        return projected(
            sound_encoder(bands=shape[2], frames=shape[3], weights=self.sound_weights), width
        )

    def _seeing(self, shape: tuple[int, ...], width: int) -> nn.Module:
        if self.picture == "conv":
            return small(shape[2:], width)
        return projected(picture_encoder(self.picture, weights=self.picture_weights), width)

    def _lists(self) -> tuple[str, ...]:
        found = _LISTS + ((ONTOLOGY,) if self.ontology else ())
        return found if self.annotation == "list" else (*found, ANNOTATION)

    def _prepared(self) -> Prepared:
        folder = self.folder(PREPARED)
        prepared = _read(folder, index_hash(folder))
        if prepared.bad and not self.skip_bad:
            raise ValueError(
                f"{folder}: {len(prepared.bad)} bad clips were left out, the first is: "
                f"{prepared.bad[0]}; run without them by --skip-bad"
            )
        return prepared


@lru_cache(maxsize=4)
def _split(
    folder: Path,
    sharing: Sharing,
    annotation: Annotation,
    source: Source,
    ontology: bool,
    content: str,
) -> Split:
    """`content` is the hash of the lists, so that changed ones are read anew."""
    return split_of(
        folder, sharing=sharing, annotation=annotation, source=source, ontology=ontology
    )


@lru_cache(maxsize=1)
def _read(folder: Path, content: str) -> Prepared:
    """`content` is the hash of the index, so that clips prepared anew are read anew."""
    return read_shards(folder)
