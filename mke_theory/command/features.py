"""`mke features`: encoder × modality × data set → a folder of features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mke_theory.tasks.av_digits.raw_samples import digit_samples
from mke_theory.tasks.files.commands import run_alone
from mke_theory.tasks.files.features.encoders import encoder_called
from mke_theory.tasks.files.features.raw_samples import RawSamples
from mke_theory.tasks.files.features.writing import write_features
from mke_theory.tasks.nyu_depth.raw_samples import frame_samples
from mke_theory.tasks.ravdess.raw_samples import speech_samples
from mke_theory.tasks.registry import data_root_or_default
from mke_theory.tasks.toy.raw_samples import array_samples

RATE, SIZE = 16_000, (240, 320)
"""The samples a second, and the height and width of frames, where none are given."""

DataSet = Literal["nyu_depth", "av_digits", "ravdess", "arrays"]


def features(
    data_set: DataSet,
    modality: str,
    encoder: str,
    out: Path,
    data_root: Path | None = None,
    file: Path | None = None,
    taps: tuple[str, ...] = (),
    size: tuple[int, int] | None = None,
    enlarged: tuple[int, int] | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    batch: int = 8,
    chunk: int = 64,
    whole: bool = False,
) -> None:
    """Compute an encoder's features of a data set, once, into a folder; killed, it goes on there.

    Args:
        data_set: the data set; `arrays` is a file or folder of your own.
        modality: image or depth (nyu_depth), image or audio (av_digits), speech (ravdess), or the
            name of an array.
        encoder: efficientnet_lite2, speech_embedding, resnet:WEIGHTS, convnext:WEIGHTS,
            ast:WEIGHTS, FILE.onnx, or FILE.pt2 of torch.export.
        out: the folder of the features; it is made.
        data_root: the folder above the data set; by default as for all tasks.
        file: the .npz file or the folder of `arrays`.
        taps: outputs of the encoder; its usual ones where none are named.
        size: height and width at which frames of nyu_depth are read; by default 240 320.
        enlarged: height and width that pictures are brought to before the encoder.
        rate: samples a second that sounds are read at, by default 16000; of `arrays` those that
            they have, as nothing resamples them.
        seconds: the length that sounds are brought to; by default 1 (av_digits), 4 (ravdess).
        batch: samples computed at a time.
        chunk: samples finished, and then lost no more, at a time.
        whole: look at every byte of features that are there, not at their beginnings and ends.
    """
    raw = _samples(data_set, modality, data_root, file, size, rate, seconds)
    net = encoder_called(
        encoder,
        pictures=raw.pictures,
        taps=taps,
        enlarged=enlarged,
        rate=RATE if rate is None and data_set != "arrays" else rate,
    )
    found = write_features(
        out,
        net,
        raw.values,
        data_set=raw.data_set,
        data_hash=raw.data_hash,
        modality=raw.modality,
        keys=raw.keys,
        settings=raw.settings,
        batch=batch,
        chunk=chunk,
        whole=whole,
    )
    print(f"{out}: {len(found)} samples of {raw.data_set}, {raw.modality}, by {net.name}")
    for tap, array in found.arrays.items():
        print(f"  {tap}: {list(array.shape)}, {array.nbytes / 2**20:.1f} MiB")


def _samples(
    data_set: DataSet,
    modality: str,
    data_root: Path | None,
    file: Path | None,
    size: tuple[int, int] | None,
    rate: int | None,
    seconds: float | None,
) -> RawSamples:
    if size is not None and data_set != "nyu_depth":
        raise ValueError(f"--size is {size}, but only frames of nyu_depth are read at a size")
    if seconds is not None and data_set in ("nyu_depth", "arrays"):
        raise ValueError(f"--seconds is {seconds}, but {data_set} is taken as it is; leave it out")
    if data_set == "arrays":
        if file is None:
            raise ValueError("name the .npz file or the folder of `arrays` by --file")
        return array_samples(file, modality)
    if file is not None:
        raise ValueError(f"--file is {file}, but {data_set} is read from --data-root; leave it out")
    root, rate = data_root_or_default(data_root), RATE if rate is None else rate
    if data_set == "nyu_depth":
        return frame_samples(root, modality, SIZE if size is None else size)
    if data_set == "av_digits":
        return digit_samples(root, modality, rate, 1.0 if seconds is None else seconds)
    return speech_samples(root, modality, rate, 4.0 if seconds is None else seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """0 after the features are there; what is wrong ends the process, with 2 or 1."""
    run_alone("mke features", features, argv)
    return 0
