"""Encoders by name, those of the other kind of samples refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mke_theory.models.packaged_weights import (
    EFFICIENTNET_LITE2,
    SPEECH_EMBEDDING,
    lacking_package,
)
from mke_theory.tasks.files.features.encoders import encoder_called
from tests.tasks.files.features.made_up import exported

needs_lite2 = pytest.mark.skipif(
    bool(lacking_package(EFFICIENTNET_LITE2)), reason="needs the extra `pretrained`"
)
needs_ear = pytest.mark.skipif(
    bool(lacking_package(SPEECH_EMBEDDING)), reason="needs the extra `pretrained`"
)


def test_a_file_is_an_encoder(tmp_path: Path) -> None:
    path = exported(tmp_path)
    found = encoder_called(str(path), pictures=True, taps=("pool",))
    assert found.name == "net" and found.taps == ("pool",)
    bright = torch.full((2, 3, 8, 8), 255, dtype=torch.uint8)
    wanted = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(found(bright)["pool"], wanted.expand(2, 3))
    other = encoder_called(str(path), pictures=True, taps=("pool",), enlarged=(16, 16))
    assert other.content != found.content  # the features are others


@needs_lite2
def test_an_encoder_of_a_package() -> None:
    found = encoder_called("efficientnet_lite2", pictures=True, taps=("stage4",))
    assert found.taps == ("stage4",)
    assert found(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))["stage4"].shape == (1, 88, 4, 6)


@needs_ear
def test_sounds_of_another_rate_are_refused() -> None:
    assert encoder_called("speech_embedding", pictures=False, rate=16_000).name
    with pytest.raises(ValueError, match="rate is 8000 Hz, but encoder speech_embedding takes"):
        encoder_called("speech_embedding", pictures=False, rate=8000)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("vgg", {"pictures": True}, "encoder is 'vgg'; known are efficientnet_lite0, .* FILE.onnx"),
        ("resnet:", {"pictures": True}, "encoder is 'resnet:'; known are"),
        ("speech_embedding", {"pictures": True}, "takes sounds, .*; the samples are pictures"),
        ("ast:x", {"pictures": True}, "takes sounds"),
        ("efficientnet_lite2", {"pictures": False}, "takes pictures, .*; the samples are sounds"),
        ("resnet:x", {"pictures": False}, "takes pictures"),
        (
            "speech_embedding",
            {"pictures": False, "enlarged": (2, 2)},
            r"enlarged is \(2, 2\), but the samples are sounds",
        ),
        ("ast:x", {"pictures": False, "taps": ("a",)}, "ast:x has features alone"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder_called(name, **given)


@pytest.mark.parametrize("name", ["nowhere.onnx", "nowhere.pt2"])
def test_files_that_are_not_there_are_named(name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        encoder_called(name, pictures=True)
