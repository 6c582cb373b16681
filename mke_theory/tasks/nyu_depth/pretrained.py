"""NYU Depth V2 by a pre-trained encoder: RGB → RGB + depth, at a resolution that counts.

A network that was trained on ImageNet, and stays as it is, reads colours and, as HHA pictures,
depth: enlarged to 480 × 640, and once more at 240 × 320 for what is around. Its feature maps are
computed once and kept on disk, so that a seed costs minutes. Teacher, students and experts are
small heads on them, with labels at 60 × 80; test is scored at 240 × 320 as well.
Ref: silberman2012indoor; gupta2014learning; tan2019efficientnet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.transforms import ModalityDropout
from mke_theory.models.feature_maps import Enlarged, MapHeads, MapShapes
from mke_theory.models.frozen import FrozenEncoder, content_of_words
from mke_theory.models.frozen_backbones import PACKAGED, frozen_efficientnet
from mke_theory.models.packaged_weights import lacking_package
from mke_theory.models.picture_scaling import PictureScaling
from mke_theory.study.task import PLACE, Recipe
from mke_theory.tasks.files.cache import cache_folder
from mke_theory.tasks.files.depth import kept_at
from mke_theory.tasks.files.features import RawSamples, open_features, write_features
from mke_theory.tasks.files.features.maps import standardised_maps
from mke_theory.tasks.nyu_depth.frames import Frames
from mke_theory.tasks.nyu_depth.matlab import FOLDER
from mke_theory.tasks.nyu_depth.raw_samples import frame_samples
from mke_theory.tasks.nyu_depth.reader import load
from mke_theory.tasks.nyu_depth.task import SHOWN, NYUDepth
from mke_theory.training.loop import TrainConfig

FULL = (240, 320)
"""Height and width at which frames are read, and test is scored as well."""

VARIANT = "lite2"
"""The EfficientNet-Lite that reads both modalities."""

SCALES: Mapping[str, tuple[tuple[int, int] | None, tuple[str, ...]]] = {
    "near": ((480, 640), ("stage3", "stage4", "stage5", "stage6", "stage7")),
    "wide": (None, ("stage6", "stage7")),
}
"""The size that frames are brought to before the encoder, and the maps that are kept of it."""


FIXED = (
    *("size", "source", "depth", "geometry", "extra", "extra_depth"),
    *("encoder", "encoder_size", "weights", "fusion"),
)
"""Settings of `NYUDepth` that have no choice here."""


def recipe() -> Recipe:
    """A student whose samples show one modality each, and whose logits add up.

    As the recipe of `nyu_depth`, with τ = 0.5: each of the two heads does without half of the
    classes' frequency, so that their sum counts it once, as conditional independence asks. Steps
    and rates were chosen at seeds 100 to 103 with a part of the train frames held out.
    """

    def training(steps: int) -> TrainConfig:
        return TrainConfig(
            steps=steps,
            batch_size=8,
            learning_rate=3e-3,
            weight_decay=1e-2,
            schedule="cosine",
            warmup_steps=steps // 10,
        )

    return Recipe(
        teacher=training(300),
        student=training(600),
        objective=Objective(
            pseudo_labels=PseudoLabelTerm(kind="soft"),
            transform=(ModalityDropout(1.0),),
            adjustment=0.5,
        ),
        from_teacher=True,
    )


@dataclass(frozen=True)
class NYUDepthPretrained(NYUDepth):
    """`NYUDepth` on features of a frozen encoder; `size` is that of labels and finest maps.

    `features` is the folder that features are kept in; by default one of the cache. They are made
    by `prepare` where they are not there yet: 5 GB, and some 14 minutes on one core.
    `channels` is the width of the heads. Settings of `NYUDepth`'s own networks do not apply, and
    are refused where they are changed.
    """

    lasts: ClassVar[bool] = True

    recipe: Recipe = recipe()
    channels: int = 96
    features: Path | None = field(default=None, metadata=PLACE, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in FIXED:
            if getattr(self, name) != getattr(NYUDepth, name):
                raise ValueError(
                    f"{self.name}.{name} is {getattr(self, name)!r}, but the frozen encoder asks "
                    f"for {getattr(NYUDepth, name)!r}; set it on nyu_depth instead"
                )

    @property
    def name(self) -> str:
        """The key in the registry."""
        return super().name.replace("nyu_depth", "nyu_depth_pretrained")

    @property
    def title(self) -> str:
        """The direction, and that the encoder is pre-trained."""
        return f"{super().title}, pre-trained"

    def missing(self) -> str | None:
        return super().missing() or lacking_package(PACKAGED[VARIANT])

    def data_hash(self) -> str | None:
        contents = (encoder.content for encoder in _encoders().values())
        return content_of_words(str(super().data_hash()), *contents)

    def prepare(self) -> None:
        """Compute the features that are not there yet; killed, it goes on where it was."""
        for modality in ("image", "depth"):
            samples = self._samples(modality)
            for scale, encoder in _encoders().items():
                write_features(
                    self._store(modality, scale),
                    encoder,
                    samples.values,
                    data_set=samples.data_set,
                    data_hash=samples.data_hash,
                    modality=modality,
                    keys=samples.keys,
                    settings=samples.settings,
                    batch=1,  # twice as fast as eight: what is between layers stays in the cache
                )

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """A head for each modality, their logits added."""
        shapes = MapShapes(tuple(x.shape[1:] for x in self._maps("image")))
        return MapHeads(
            dict.fromkeys(modalities, shapes), problem.classes, width=width or self.channels
        )

    def at_full_size(self, model: nn.Module, problem: Problem) -> tuple[nn.Module, Pool]:
        """The model with its logits enlarged, and test with labels of 240 × 320 pixels."""
        frames = self._full()
        rows = np.flatnonzero(frames.part == "test")
        labels = torch.from_numpy(self.class_map().of_label[frames.label[rows]])
        return Enlarged(model, FULL), problem.test.with_labels(labels)

    def scenes(self, problem: Problem) -> dict[str, np.ndarray]:
        """Some test frames, evenly spread, of 240 × 320 pixels."""
        frames = self._full()
        test = np.flatnonzero(frames.part == "test")
        rows = np.linspace(0, len(test) - 1, min(SHOWN, len(test))).round().astype(np.int64)
        shown = test[rows]
        return {
            "rows": rows,
            "image": np.ascontiguousarray(frames.image[shown].transpose(0, 2, 3, 1)),
            "depth": frames.depth[shown].astype(np.float32),
            "truth": self.class_map().of_label[frames.label[shown]],
            "names": np.array(self.class_map().names),
        }

    def _pool(self, frames: Frames, fit_on: np.ndarray) -> Pool:
        """All frames; each channel of a map scaled by what the frames `fit_on` hold."""
        order = ("image", "depth") if self.teacher == "image" else ("depth", "image")
        inputs = {name: standardised_maps(self._maps(name), fit_on) for name in order}
        labels = torch.from_numpy(self.class_map().of_label[frames.label])
        return Pool(inputs, labels, frames.group)

    def _frames(self) -> Frames:
        """The frames with what is as large as the finest maps: labels, picked as ever."""
        full = self._full()
        rows, columns = (kept_at(many, few) for many, few in zip(FULL, self.size, strict=True))
        small = (slice(None), rows[:, None], columns)
        return Frames(
            full.number,
            full.part,
            full.group,
            full.block,
            full.image[..., rows[:, None], columns],
            full.depth[small],
            full.label[small],
            full.bad,
        )

    def _full(self) -> Frames:
        """The frames at 240 × 320."""
        return load(replace(self._files(), size=FULL), self._cache())

    def _samples(self, modality: str) -> RawSamples:
        root = self.folder(FOLDER).parent
        return frame_samples(root, modality, FULL, cache=self._cache(), skip_bad=self.skip_bad)

    def _maps(self, modality: str) -> list[np.ndarray]:
        """The maps [n, c, h, w] of all frames, finest first; ValueError where they are others."""
        samples, maps = self._samples(modality), []
        for scale, encoder in _encoders().items():
            found = open_features(
                self._store(modality, scale),
                encoder=encoder,
                data_hash=samples.data_hash,
                modality=modality,
                keys=samples.keys,
            )
            maps += list(found.arrays.values())
        return maps

    def _store(self, modality: str, scale: str) -> Path:
        folder = self.features
        if folder is None:
            content = content_of_words(str(self.data_hash()), str(self.skip_bad))
            folder = (self._cache() or cache_folder()) / f"nyu_depth-features-{content}"
        return Path(folder) / f"{modality}_{scale}"

    def _cache(self) -> Path | None:
        return Path(self.cache) if self.cache else None


@lru_cache(maxsize=1)
def _encoders() -> dict[str, FrozenEncoder]:
    """The frozen encoder of each scale; what it holds is checked once a process."""
    return {
        scale: frozen_efficientnet(VARIANT, taps, scaling=PictureScaling(size=size))
        for scale, (size, taps) in SCALES.items()
    }
