"""Published encoders as frozen ones: the same maps by another path, others refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mke_theory.models.backbones import picture_backbone, sound_encoder
from mke_theory.models.efficientnet_lite import efficientnet_lite
from mke_theory.models.frozen_backbones import (
    frozen_efficientnet,
    pictures_from_transformers,
    sounds_from_transformers,
)
from mke_theory.models.packaged_weights import EFFICIENTNET_LITE2, lacking_package, weights_of
from mke_theory.models.picture_scaling import PictureScaling

transformers = pytest.importorskip("transformers", reason="needs the extra mke_theory[data]")
needs_weights = pytest.mark.skipif(
    lacking_package(EFFICIENTNET_LITE2) is not None,
    reason=lacking_package(EFFICIENTNET_LITE2) or "",
)


def pictures(n: int = 2, height: int = 48, width: int = 64) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 3, height, width), generator=draw, dtype=torch.uint8)


def by_hand(x: Tensor) -> Tensor:
    mean, sd = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x.float() / 255 - mean[:, None, None]) / sd[:, None, None]


@needs_weights
def test_efficientnet_gives_the_maps_of_the_network_alone() -> None:
    encoder, x = frozen_efficientnet(taps=("stage7", "stage3")), pictures()
    assert encoder.name == "efficientnet_lite2" and encoder.taps == ("stage7", "stage3")
    found = encoder(x)
    net = efficientnet_lite("lite2", weights_of(EFFICIENTNET_LITE2))
    with torch.no_grad():
        maps = net(by_hand(x))
    torch.testing.assert_close(found["stage3"], maps[2])
    torch.testing.assert_close(found["stage7"], maps[6])
    assert found["stage3"].shape == (2, 48, 6, 8) and found["stage7"].shape == (2, 352, 2, 2)
    torch.testing.assert_close(encoder(x[1:])["stage7"], found["stage7"][1:], atol=1e-4, rtol=1e-4)


@needs_weights
def test_the_content_of_efficientnet_follows_its_scaling() -> None:
    plain = frozen_efficientnet()
    larger = frozen_efficientnet(scaling=PictureScaling(size=(96, 128)))
    assert plain.content == frozen_efficientnet(taps=("stage1",)).content != larger.content
    assert larger(pictures(1))["stage3"].shape == (1, 48, 12, 16)


@needs_weights
def test_other_variants_taps_and_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'lite1'; known are \('lite0', 'lite2'\)"):
        frozen_efficientnet("lite1")
    with pytest.raises(ValueError, match=r"efficientnet_lite2 has no 'stage8'; there are stage1, "):
        frozen_efficientnet(taps=("stage8",))
    with pytest.raises(ValueError, match="name the variant that the weights are of"):
        efficientnet_lite("lite0", weights_of(EFFICIENTNET_LITE2))
    with pytest.raises(ValueError, match=r"uint8 \[b, 3, h, w\], RGB; got torch.float32"):
        frozen_efficientnet()(by_hand(pictures()))


def test_a_picture_backbone_of_a_folder(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(
        hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", embedding_size=8
    )
    torch.manual_seed(2)
    transformers.ResNetModel(config).save_pretrained(tmp_path / "mine")
    folder, x = str(tmp_path / "mine"), pictures()
    encoder = pictures_from_transformers("resnet", folder, ["stage1", "stage2"])
    assert encoder.name == "resnet_mine"
    with torch.no_grad():
        maps = picture_backbone("resnet", weights=folder).eval()(by_hand(x))
    found = encoder(x)
    torch.testing.assert_close(found["stage1"], maps[0])
    torch.testing.assert_close(found["stage2"], maps[1])
    other = PictureScaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    scaled = pictures_from_transformers("resnet", folder, scaling=other, taps=["stage2"])
    assert scaled.content != encoder.content
    with pytest.raises(ValueError, match="resnet_mine has no 'stage4'; there are stage1, stage2"):
        pictures_from_transformers("resnet", folder)


@pytest.mark.parametrize("own_settings", [False, True])
def test_a_sound_encoder_of_a_folder(tmp_path: Path, own_settings: bool) -> None:
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    torch.manual_seed(2)
    transformers.ASTModel(config).save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's, on its own bands
        extract = transformers.ASTFeatureExtractor(mean=-3.0 if own_settings else -4.2677393)
    if own_settings:
        extract.save_pretrained(tmp_path)
    encoder = sounds_from_transformers(str(tmp_path), name="mine")
    waves = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(3))
    made = np.stack([extract(w.numpy(), sampling_rate=16000)["input_values"][0] for w in waves])
    with torch.no_grad():
        net = sound_encoder(bands=128, frames=1024, weights=str(tmp_path)).eval()
        expected = net(torch.from_numpy(made).transpose(1, 2)[:, None])
    found = encoder(waves)["features"]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(encoder(waves[1:])["features"], found[1:])
    with pytest.raises(ValueError, match=r"float32 \[b, samples\] at 16000 Hz; got torch.int64"):
        encoder(torch.ones(2, 16000, dtype=torch.int64))
