"""AudioSet → VGGSound, the sounds in a clip: audio → audio + video, several classes a clip.

D_l are clips of AudioSet, their sound alone, with its labels; D_u and test are clips of VGGSound
with sound and pictures. The classes are those that both sets name (`classes.py`: a table of our
own, as the paper's 46 are not listed). Lists are described in `lists.py`, clips in `clips.py`;
`prepare.py` turns clips into features of trained encoders, which are read here.

Clips vanish from their host. The task runs on those at hand, and `VGGSound.bounds` are the least
and greatest value of each metric over all clips.

Ref: gemmeke2017audioset; chen2020vggsound; zverev2025vggsounder; xue2021mke, experiment on event
classification.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.file_hashes import content_of
from mke_theory.data.pool import UNKNOWN, Pool
from mke_theory.data.problem import Problem
from mke_theory.data.rng import seed32_for
from mke_theory.evaluation import metrics
from mke_theory.method.objective import Consistency, Objective, PseudoLabelTerm
from mke_theory.method.transforms import InputNoise, ModalityDropout
from mke_theory.models import MLP, multimodal
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.files.standardise import standardiser
from mke_theory.tasks.settings import refuse_below, refuse_other_choices
from mke_theory.tasks.vggsound.classes import TABLE, Sharing
from mke_theory.tasks.vggsound.lists import ANNOTATION, FOLDER, FULL, NEEDED
from mke_theory.tasks.vggsound.missing_clips import Bounds, multilabel_bounds
from mke_theory.tasks.vggsound.split import (
    MANIFEST,
    Annotation,
    Part,
    Set,
    Split,
    most_per_class,
    split_of,
)
from mke_theory.tasks.vggsound.store import INDEX, PREPARE, PREPARED, Shelf, read_shelves
from mke_theory.training.loop import TrainConfig

PARTS: dict[str, Set] = {"labelled": "audioset", "unlabelled": "vggsound", "test": "vggsound"}
"""The set that each part is of."""


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
    most_per_class: the most clips of a class in D_l and in D_u, drawn by the seed; None takes all.
    For D_u this uses the classes in the list, as anyone does who collects such clips.
    units: the hidden numbers of each modality, on top of the features.
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
    most_per_class: int | None = None
    units: int = 64
    skip_bad: bool = False

    def __post_init__(self) -> None:
        choices: dict[str, tuple[object, ...]] = {
            "sharing": get_args(Sharing),
            "annotation": get_args(Annotation),
        }
        refuse_other_choices(self, choices)
        refuse_below(self, {"most_per_class": 1, "units": 1})

    def missing(self) -> str | None:
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
        lists = content_of((*self._files(), TABLE, MANIFEST))
        return f"{self._features_content()} {lists}"

    def knows_truth(self) -> bool:
        return not bool((self.split().unlabelled.truth == UNKNOWN).any())

    def scores(self, predictions: Tensor, truth: Tensor) -> dict[str, float]:
        """MAP, mAUC and d′ over the classes (see `metrics.multilabel`)."""
        return metrics.multilabel(predictions, truth)

    def split(self) -> Split:
        """The parts as the lists have them, whether or not the clips are at hand."""
        folder, content = self.folder(FOLDER), content_of(self._files())
        return _split(content, folder, self.sharing, self.annotation)

    def absent(self) -> Part:
        """The clips of test that are missing or bad, with their truth."""
        test, there = self.split().test, frozenset(self._shelves()["vggsound"].clips)
        return test.rows(np.flatnonzero([clip not in there for clip in test.clips]))

    def bounds(self, predictions: Tensor, truth: Tensor) -> dict[str, Bounds]:
        """The least and greatest value of each of `scores` over the whole test list.

        `predictions` and `truth` are of the test part, [n, k]; predictions of the missing clips
        can be anything. Exact: see `missing_clips`.
        """
        return multilabel_bounds(predictions.numpy(), truth.numpy(), self.absent().truth)

    def problem(self, seed: int) -> Problem:
        """The parts by the lists, of the clips at hand; the seed draws if `most_per_class` does.

        Features are brought to mean 0 and standard deviation 1 over the training clips.
        """
        split, shelves = self.split(), self._shelves()
        found = {name: self._at_hand(getattr(split, name), name, seed) for name in PARTS}
        raw = {
            name: {m: x[rows].astype(np.float32) for m, x in shelves[of].features.items()}
            for (name, of), (_, rows) in zip(PARTS.items(), found.values(), strict=True)
        }
        heard = np.concatenate([raw["labelled"]["audio"], raw["unlabelled"]["audio"]])
        scale = {"audio": standardiser(heard), "video": standardiser(raw["unlabelled"]["video"])}
        pools = {
            name: Pool(
                {m: torch.from_numpy(scale[m](x)) for m, x in raw[name].items()},
                torch.from_numpy(part.truth.astype(np.float32)),
                np.array([clip.ytid for clip in part.clips]),
            )
            for name, (part, _) in found.items()
        }
        return Problem.of(
            **pools,
            teacher_modalities=("audio",),
            classes=len(split.classes),
            skipped=shelves["audioset"].bad + shelves["vggsound"].bad,
        )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """A hidden layer on each modality's features, and a linear head on both."""
        units = width or self.width(modalities)
        encoders: dict[str, nn.Module] = {
            name: MLP([problem.test.inputs[name].shape[1], units], activate=True)
            for name in modalities
        }
        return multimodal(encoders, problem.classes, missing="zero")

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.units

    def _at_hand(self, part: Part, name: str, seed: int) -> tuple[Part, np.ndarray]:
        """The clips at hand of a part, drawn where its truth is known, and their rows."""
        clips = self._shelves()[PARTS[name]].clips
        place = {clip: row for row, clip in enumerate(clips)}
        part = part.rows(np.flatnonzero([clip in place for clip in part.clips]))
        if not part.clips:
            raise ValueError(
                f"{self.name}: no clip of the {name} part is at hand; prepare more clips"
            )
        known = not bool((part.truth == UNKNOWN).any())
        if self.most_per_class is not None and name != "test" and known:
            rng = np.random.default_rng(seed32_for(seed, "split", name))
            part = part.rows(most_per_class(part, self.most_per_class, rng))
        return part, np.array([place[clip] for clip in part.clips])

    def _files(self) -> tuple[Path, ...]:
        return tuple(self.folder(FOLDER) / name for name in (*self._lists(), *FULL))

    def _lists(self) -> tuple[str, ...]:
        return NEEDED if self.annotation == "list" else (*NEEDED, ANNOTATION)

    def _features_content(self) -> str:
        folder = self.folder(PREPARED)
        return content_of([folder / INDEX, *folder.glob("*/*/manifest.json")], folder)

    def _shelves(self) -> dict[Set, Shelf]:
        folder = self.folder(PREPARED)
        shelves = _read(self._features_content(), folder)
        bad = [line for shelf in shelves.values() for line in shelf.bad]
        if bad and not self.skip_bad:
            raise ValueError(
                f"{folder}: {len(bad)} bad clips were left out, the first is: {bad[0]}; run "
                "without them by --skip-bad"
            )
        return shelves


@lru_cache(maxsize=4)
def _split(content: str, folder: Path, sharing: Sharing, annotation: Annotation) -> Split:
    """`content` is the hash of the lists, so that changed ones are read anew."""
    return split_of(folder, sharing=sharing, annotation=annotation)


@lru_cache(maxsize=1)
def _read(content: str, folder: Path) -> dict[Set, Shelf]:
    """`content` is the hash of the features, so that clips prepared anew are read anew."""
    return read_shelves(folder)
