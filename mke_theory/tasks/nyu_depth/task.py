"""NYU Depth V2, the class of each pixel: colours → colours + depth, or depth → depth + colours.

1,449 frames of a Kinect, 795 for training and 654 for test as their authors split them; where the
files name the rooms, a room in both is refused. Some blocks of training frames are labelled, the
others are D_u. Files and layout are described in `pictures.py` and in `matlab.py` (the authors'
.mat files, which `python -m mke_theory.tasks.nyu_depth prepare --data-root DIR` fetches).
Ref: silberman2012indoor; xue2021mke, experiment on NYU Depth V2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mke_theory.data.lazy_arrays import Stored
from mke_theory.data.optional_imports import lacking
from mke_theory.data.pool import Pool
from mke_theory.data.problem import Problem
from mke_theory.evaluation import metrics
from mke_theory.method.augmentation import CropFlip
from mke_theory.method.objective import Objective, PseudoLabelTerm
from mke_theory.method.transforms import ColourJitter, ModalityDropout
from mke_theory.models.backbones import Kind, Size, picture_backbone
from mke_theory.models.pretrained import weights_content
from mke_theory.models.segmentation import DenseFusion, segmenter, segmenter_on
from mke_theory.study.task import Recipe, Task
from mke_theory.tasks.files.depth import KINECT, DepthChannels, spread_of
from mke_theory.tasks.files.standardise import colour_normaliser
from mke_theory.tasks.nyu_depth import split as splits
from mke_theory.tasks.nyu_depth.frames import ClassMap, Frames, class_map
from mke_theory.tasks.nyu_depth.matlab import FOLDER, PREPARE, Depth
from mke_theory.tasks.nyu_depth.pictures import INDEX, Coding
from mke_theory.tasks.nyu_depth.reader import Files, content_hash, load
from mke_theory.tasks.settings import refuse_below, refuse_other_choices
from mke_theory.training.loop import TrainConfig

SHOWN = 5
"""The number of test frames in a figure."""

Teacher = Literal["image", "depth"]
Source = Literal["either", "pictures", "matlab"]
Split = Literal["random blocks", "fixed blocks", "all frames"]
Geometry = Literal["depth", "normals"]

_CHOICES = {
    "teacher": get_args(Teacher),
    "source": get_args(Source),
    "split": get_args(Split),
    "depth": get_args(Depth),
    "geometry": get_args(Geometry),
    "extra_depth": get_args(Coding),
}


def recipe() -> Recipe:
    """A recipe that breaks the copy: a sample shows one modality, and the evidence of both adds up.

    A student that sees the teacher's modality beside its labels copies it. Here every sample loses
    one of the two, so that each branch learns the soft labels from its modality alone, and the sum
    of their logits corrects errors that the modalities do not share. Each branch does without
    τ = 0.6 of the classes' frequency, or the sum would count it twice and rare classes would go.
    The teacher's branch begins with the teacher's weights.

    Settings were chosen at seeds 100 and 101 by D_u, whose frames are also D_u's at other seeds, in
    a network much like this one; figures on test were in sight. The other direction has the same
    recipe, untuned.
    """

    def training(steps: int, batch_size: int) -> TrainConfig:
        return TrainConfig(
            steps=steps,
            batch_size=batch_size,
            learning_rate=3e-3,
            weight_decay=2e-2,
            schedule="cosine",
            warmup_steps=steps // 10,
        )

    return Recipe(
        teacher=training(600, 16),
        student=training(400, 32),
        objective=Objective(
            pseudo_labels=PseudoLabelTerm(kind="soft"),
            transform=(ColourJitter(0.3, 0.3, 0.3, only=("image",)), ModalityDropout(1.0)),
            augment=(CropFlip(scale=(0.65, 1.0)),),
            adjustment=0.6,
        ),
        from_teacher=True,
    )


@dataclass(frozen=True)
class NYUDepth(Task):
    """Frames of `size` (height, width) with one of `classes` for each pixel.

    teacher: the modality that the teacher sees; the student sees both.
    source: the folder of pictures, the authors' .mat files ("matlab"), or either, pictures first.
    classes: 13 or 40. With `otherprop_is_void` pixels of class 40 do not count, so that of 40
    classes 39 are left; the pictures allow nothing else, as their train frames use 40 for
    unlabelled pixels too.
    split: which frames are labelled. "random blocks" draws, by the seed, blocks of 15 consecutive
    train frames (whole scenes where their names are known) until there are `labelled_frames`;
    "fixed blocks" takes every eighth block, 105 frames, whatever the seed; "all frames" labels all
    of train, and D_u is the same frames without their labels.
    depth: with holes filled in by the authors, or as measured (.mat files only).
    geometry: "depth" has the channels metres and measured or not, "normals" adds three of the
    surface normal and how far below the camera it is (see `DepthChannels`).
    encoder: a small convolutional one of `channels` channels and more, or a published one of some
    size, which starts from `weights`, a folder or a name on the hub, or else from random numbers.
    fusion: how the branches of the modalities come together (see `models.segmentation.Segmenter`).
    extra: a folder of frames without labels that join D_u, their depth in `extra_depth`. That none
    of them shows a room of the test frames is for you to see to.
    """

    varies: ClassVar[str] = (
        "which blocks of frames are labelled (unless the split is fixed), weights, noise; "
        "the test frames are the same"
    )
    metric: ClassVar[str] = "mIoU"
    lasts: ClassVar[bool] = True

    recipe: Recipe = recipe()
    teacher: Teacher = "image"
    size: tuple[int, int] = (60, 80)
    classes: int = 13
    otherprop_is_void: bool = True
    source: Source = "either"
    split: Split = "random blocks"
    labelled_frames: int = 105
    depth: Depth = "in-painted"
    geometry: Geometry = "normals"
    extra: str = ""
    extra_depth: Coding = "millimetres"
    encoder: Literal["small"] | Kind = "small"
    encoder_size: Size | None = None
    weights: str = ""
    fusion: DenseFusion = "late"
    channels: int = 16
    skip_bad: bool = False
    cache: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        refuse_other_choices(self, _CHOICES)
        refuse_below(self, {"labelled_frames": 1})
        if len(self.size) != 2 or min(self.size) < 8:
            raise ValueError(f"{self.name}.size is {self.size}; give height and width, at least 8")
        self.class_map()
        if self.split != "random blocks" and self.labelled_frames != NYUDepth.labelled_frames:
            raise ValueError(
                f"{self.name}.labelled_frames is {self.labelled_frames}, but split is "
                f"{self.split!r}; they are drawn by split='random blocks'"
            )
        if self.encoder == "small" and (self.weights or self.encoder_size):
            raise ValueError(
                f"{self.name}.encoder is 'small', which has no weights and no encoder_size; choose "
                "another encoder, or leave both out"
            )

    @property
    def name(self) -> str:
        """The key in the registry."""
        return "nyu_depth" if self.teacher == "image" else "nyu_depth_from_depth"

    @property
    def title(self) -> str:
        """The direction: what the teacher sees → what the student sees."""
        pair = "RGB → RGB + depth" if self.teacher == "image" else "depth → depth + RGB"
        return f"NYU Depth V2, {pair}"

    def missing(self) -> str | None:
        if absent := lacking("PIL", "h5py", *self._encoding()):
            return absent
        if self.extra and not Path(self.extra).is_dir():
            return f"there is no folder {self.extra}, named by {self.name}.extra"
        root = self.data_root
        if root is not None and (root / FOLDER).is_dir():
            return None
        return (
            f"no folder {FOLDER} in {root}; fetch it by `{PREPARE} {root}` (2.8 GB), or "
            "name the folder above it by --data-root"
        )

    def data_hash(self) -> str | None:
        files = self._files()
        content = content_hash(files.folder, files.source, files.extra)
        return f"{content} {weights_content(self.weights)}" if self.weights else content

    def libraries(self) -> tuple[str, ...]:
        files = self._files()
        pictures = files.source == "pictures" or files.extra is not None
        matrices = files.source == "matlab"
        return (*["PIL"] * pictures, *["h5py"] * matrices, *self._encoding())

    def class_names(self) -> tuple[str, ...]:
        return self.class_map().names

    def _encoding(self) -> tuple[str, ...]:
        return () if self.encoder == "small" else ("transformers",)

    def knows_truth(self) -> bool:
        return not self.extra

    def class_map(self) -> ClassMap:
        """The classes that count, and which label is which of them."""
        return class_map(self.classes, otherprop_is_void=self.otherprop_is_void)

    def problem(self, seed: int) -> Problem:
        """The authors' train and test; the seed picks which of train are labelled (see `split`)."""
        frames = self._frames()
        train = np.flatnonzero(frames.part == "train")
        labelled, left_over = self._labelled(frames, train, seed)
        unlabelled = np.flatnonzero(np.isin(frames.part, ("train", "extra")))
        if self.split != "all frames":
            unlabelled = np.setdiff1d(unlabelled, train[labelled | left_over])
        whole = self._pool(frames, train)
        return Problem.of(
            labelled=whole.rows(train[labelled]).only([self.teacher]),
            unlabelled=whole.rows(unlabelled),
            test=whole.rows(np.flatnonzero(frames.part == "test")),
            teacher_modalities=(self.teacher,),
            classes=len(self.class_map().names),
            skipped=tuple(frames.bad.tolist()),
        )

    def scenes(self, problem: Problem) -> dict[str, np.ndarray]:
        """Some test frames, evenly spread, as they were before scaling."""
        test = problem.test
        rows = np.linspace(0, len(test) - 1, min(SHOWN, len(test))).round().astype(np.int64)
        stored = {name: test.inputs[name] for name in ("image", "depth")}
        image, depth = (x.values[x.index[rows].numpy()] for x in stored.values())
        return {
            "rows": rows,
            "image": np.ascontiguousarray(image.transpose(0, 2, 3, 1)),
            "depth": depth.astype(np.float32),
            "truth": test.labels[rows].numpy(),
            "names": np.array(self.class_map().names),
        }

    def model(
        self, problem: Problem, modalities: tuple[str, ...], width: int | None = None
    ) -> nn.Module:
        """An encoder for each modality, fused at several stages, and one decoder."""
        width = width or self.width(modalities)
        channels = {name: int(problem.test.inputs[name].shape[1]) for name in modalities}
        if self.encoder == "small":
            return segmenter(channels, problem.classes, width=width, fusion=self.fusion)
        backbones = {
            name: picture_backbone(
                self.encoder,
                size=self.encoder_size,
                channels=n,
                weights=self.weights or None,
            )
            for name, n in channels.items()
        }
        return segmenter_on(backbones, problem.classes, width=2 * width, fusion=self.fusion)

    def width(self, modalities: tuple[str, ...]) -> int:
        return self.channels

    def scores(self, predictions: Tensor, truth: Tensor) -> dict[str, float]:
        """MIoU over the classes that occur in `truth`, pixel accuracy and mean class accuracy."""
        table = metrics.confusion(predictions, truth, len(self.class_map().names))
        return {
            "mIoU": metrics.mean_iou(table),
            "pixel accuracy": metrics.accuracy(table),
            "mean accuracy": metrics.mean_accuracy(table),
        }

    def _labelled(
        self, frames: Frames, train: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks over the train frames: labelled, and left over beside them."""
        if self.split == "all frames":
            return np.ones(len(train), dtype=bool), np.zeros(len(train), dtype=bool)
        if self.split == "fixed blocks":
            chosen = splits.fixed(frames.block[train])
            return chosen, np.zeros_like(chosen)
        if self.labelled_frames >= len(train):
            raise ValueError(
                f"{self.name}.labelled_frames is {self.labelled_frames}; there are {len(train)} "
                "train frames, and D_u has to be left some"
            )
        labelled, left_over = splits.drawn(frames.group[train], self.labelled_frames, seed)
        if bool((labelled | left_over).all()) and not (frames.part == "extra").any():
            raise ValueError(
                f"{self.name}.labelled_frames is {self.labelled_frames} of {len(train)} train "
                "frames; as blocks and scenes stay whole, D_u is left none: ask for fewer"
            )
        return labelled, left_over

    def _pool(self, frames: Frames, fit_on: np.ndarray) -> Pool:
        """All frames, scaled by what the frames `fit_on` hold."""
        mean, sd = spread_of(frames.depth[fit_on])
        camera = KINECT if self.geometry == "normals" else None
        inputs = {
            "image": Stored(frames.image, colour_normaliser(frames.image[fit_on])),
            "depth": Stored(frames.depth, DepthChannels(mean, sd, camera)),
        }
        order = ("image", "depth") if self.teacher == "image" else ("depth", "image")
        labels = torch.from_numpy(self.class_map().of_label[frames.label])
        return Pool({name: inputs[name] for name in order}, labels, frames.group)

    def _frames(self) -> Frames:
        return load(self._files(), Path(self.cache) if self.cache else None)

    def _files(self) -> Files:
        folder = self.folder(FOLDER)
        source = self.source
        if source == "either":
            source = "pictures" if (folder / INDEX).is_file() else "matlab"
        if source == "pictures" and not self.otherprop_is_void:
            raise ValueError(
                f"{folder}: in the pictures of the train frames class 40 is also what is "
                f"unlabelled; leave {self.name}.otherprop_is_void on, or read source='matlab'"
            )
        if source == "pictures" and self.depth == "measured":
            raise ValueError(
                f"{folder}: the pictures hold in-painted depth alone; set {self.name}.depth to "
                "'in-painted', or read source='matlab'"
            )
        return Files(
            folder,
            source,
            self.size,
            self.depth,
            Path(self.extra) if self.extra else None,
            self.extra_depth,
            self.skip_bad,
        )
