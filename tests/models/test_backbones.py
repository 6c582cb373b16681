"""Published encoders are the library's own; weights are complete and the right ones, or refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mke_theory.models import (
    Frames,
    count_parameters,
    multimodal,
    picture_backbone,
    picture_encoder,
    segmenter_on,
    sound_encoder,
)
from mke_theory.models.backbones import (
    PICTURE_SHAPES,
    SOUND_SHAPES,
    FixedNorm,
    Kind,
    PictureBackbone,
    Shape,
    Size,
    SoundShape,
    SoundSize,
)
from mke_theory.models.pretrained import weights_content

transformers = pytest.importorskip("transformers")

KINDS: tuple[Kind, ...] = ("resnet", "convnext", "convnextv2")
SMALL = Shape((8, 16, 24, 32), (1, 1, 1, 1))
QUIET = SoundShape(width=16, layers=1, heads=2)
every_kind = pytest.mark.parametrize("kind", KINDS)


def theirs(kind: Kind, *, classifier: bool = False, channels: int = 3) -> Any:
    """The library's own small network, with statistics and scales away from where they start."""
    name = {"resnet": "ResNet", "convnext": "ConvNext", "convnextv2": "ConvNextV2"}[kind]
    config = getattr(transformers, f"{name}Config")(
        hidden_sizes=list(SMALL.channels),
        depths=list(SMALL.blocks),
        num_channels=channels,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        **({"layer_type": "basic", "embedding_size": 8} if kind == "resnet" else {}),
    )
    torch.manual_seed(11)
    net = getattr(transformers, f"{name}{'ForImageClassification' if classifier else 'Backbone'}")(
        config
    )
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand(tensor.shape))
    return net.eval()


def saved(net: Any, folder: Path) -> str:
    net.save_pretrained(folder)
    return str(folder)


def pictures(n: int = 2, channels: int = 3, side: int = 37) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(n, channels, side, side + 9, generator=draw)


# --- pictures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "size", "published"),
    [
        # As published for 1,000 classes, less the classifier: 513 thousand, or 2,049 thousand.
        ("resnet", "tiny", 11_689_512 - 513_000),
        ("resnet", "small", 21_797_672 - 513_000),
        ("resnet", "base", 25_557_032 - 2_049_000),
        # Less the last normalisation too, and with one for each of the four maps.
        ("convnext", "tiny", 28_589_128 - 769_000 - 1_536 + 2 * (96 + 192 + 384 + 768)),
        ("convnext", "small", 50_223_688 - 769_000 - 1_536 + 2 * (96 + 192 + 384 + 768)),
        ("convnext", "base", 88_591_464 - 1_025_000 - 2_048 + 2 * (128 + 256 + 512 + 1024)),
    ],
)
def test_sizes_are_the_published_ones(kind: Kind, size: Size, published: int) -> None:
    with torch.device("meta"):
        net = picture_backbone(kind, size=size)
    assert count_parameters(net) == published
    assert net.channels == PICTURE_SHAPES[kind, size].channels


@every_kind
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_maps_have_a_quarter_of_the_size_and_less(kind: Kind, channels: int) -> None:
    net = picture_backbone(kind, size=SMALL, channels=channels)
    maps = net(torch.randn(2, channels, 64, 96))
    assert net.channels == (8, 16, 24, 32)
    assert [tuple(m.shape) for m in maps] == [
        (2, 8, 16, 24),
        (2, 16, 8, 12),
        (2, 24, 4, 6),
        (2, 32, 2, 3),
    ]


@every_kind
@pytest.mark.parametrize("trained", [False, True])
def test_a_sample_is_judged_on_its_own(kind: Kind, trained: bool, tmp_path: Path) -> None:
    if trained:
        net = picture_backbone(kind, weights=saved(theirs(kind), tmp_path))
    else:
        net = picture_backbone(kind, size=SMALL)
    x, before = pictures(3), {name: b.clone() for name, b in net.named_buffers()}
    together = net.train()(x)
    for ours, alone in zip(together, net(x[:1]), strict=True):
        torch.testing.assert_close(ours[:1], alone)
    for ours, tested in zip(together, net.eval()(x), strict=True):
        torch.testing.assert_close(ours, tested)
    assert all(torch.equal(before[name], b) for name, b in net.named_buffers())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    sum(m.square().mean() for m in together).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name


@every_kind
def test_weights_of_a_folder_give_what_the_library_gives(
    kind: Kind, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net = theirs(kind)
    folder, x = saved(net, tmp_path), pictures()
    capfd.readouterr()
    ours = picture_backbone(kind, weights=folder)
    assert capfd.readouterr() == ("", "")
    assert ours.channels == SMALL.channels
    with torch.no_grad():
        for mine, their in zip(ours.train()(x), net(x).feature_maps, strict=True):
            torch.testing.assert_close(mine, their)


@every_kind
def test_a_classifier_lends_its_encoder(kind: Kind, tmp_path: Path) -> None:
    net, x = theirs(kind, classifier=True), pictures()
    ours = picture_backbone(kind, weights=saved(net, tmp_path))
    with torch.no_grad():
        maps = ours(x)
        hidden = net(x, output_hidden_states=True).hidden_states[1:]
        for mine, their in zip(maps, hidden, strict=True):
            if kind != "resnet":  # its maps are normalised pixel by pixel, and that is fresh
                their = their - their.mean(dim=1, keepdim=True)
                their = their / (their.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
            torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-4)


@every_kind
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_channels_share_the_trained_ones(kind: Kind, channels: int, tmp_path: Path) -> None:
    folder = saved(theirs(kind), tmp_path)
    grey = pictures(channels=1)
    before = picture_backbone(kind, weights=folder)(grey.expand(-1, 3, -1, -1))
    net = picture_backbone(kind, weights=folder, channels=channels)
    for mine, their in zip(net(grey.expand(-1, channels, -1, -1)), before, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-4)


def test_fixed_norm_by_hand() -> None:
    trained = nn.BatchNorm2d(2, eps=0.0)
    assert trained.running_mean is not None and trained.running_var is not None
    trained.running_mean.copy_(torch.tensor([1.0, 2.0]))
    trained.running_var.copy_(torch.tensor([4.0, 9.0]))
    with torch.no_grad():
        trained.weight.copy_(torch.tensor([1.0, 10.0]))
        trained.bias.copy_(torch.tensor([0.0, 5.0]))
    normed = FixedNorm(trained).train()(torch.tensor([5.0, 8.0]).reshape(1, 2, 1, 1))
    assert normed.flatten().tolist() == [2.0, 25.0]  # (5 − 1)/2 and (8 − 2)/3 · 10 + 5


def test_a_picture_encoder_is_the_mean_of_the_coarsest_map() -> None:
    encoder, x = picture_encoder("resnet", size=SMALL), pictures()
    assert encoder.out_features == 32
    torch.testing.assert_close(encoder(x), encoder.backbone(x)[-1].mean(dim=(2, 3)))


@every_kind
def test_a_segmenter_stands_on_them(kind: Kind) -> None:
    torch.manual_seed(0)
    backbones = {
        "image": picture_backbone(kind, size=SMALL),
        "depth": picture_backbone(kind, size=Shape((4, 8, 8, 12), (1, 1, 1, 1)), channels=2),
    }
    model = segmenter_on(backbones, 5, width=8)
    image, depth = pictures(3), pictures(3, channels=2)
    logits = model({"image": image, "depth": depth})
    assert logits.shape == (3, 5, 37, 46)
    depth[1] = float("nan")
    some = model({"image": image, "depth": depth})
    torch.testing.assert_close(some[1], model({"image": image})[1])
    torch.testing.assert_close(some[[0, 2]], logits[[0, 2]])


# --- sound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "millions"), [("tiny", 5.6), ("small", 21.9), ("base", 86.2)])
def test_sound_encoders_have_the_size_they_say(size: SoundSize, millions: float) -> None:
    with torch.device("meta"):
        net = sound_encoder(bands=128, frames=1024, size=size)
    assert round(count_parameters(net) / 1e6, 1) == millions
    assert net.out_features == SOUND_SHAPES[size].width


@pytest.mark.parametrize(("bands", "frames"), [(16, 16), (40, 48), (64, 301)])
def test_sound_encoder_takes_spectrograms_of_any_size(bands: int, frames: int) -> None:
    net = sound_encoder(bands=bands, frames=frames, size=QUIET)
    x = torch.randn(3, 1, bands, frames)
    assert net(x).shape == (3, net.out_features) == (3, 16)
    torch.testing.assert_close(net(x)[:1], net(x[:1]))


def their_sound(**settings: int) -> Any:
    torch.manual_seed(12)
    net = transformers.ASTModel(
        transformers.ASTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            num_mel_bins=40,
            max_length=66,
            **settings,
        )
    )
    nn.init.normal_(net.embeddings.position_embeddings)
    return net.eval()


def test_sound_weights_of_a_folder_give_what_the_library_gives(tmp_path: Path) -> None:
    net, x = their_sound(), torch.randn(2, 1, 40, 66)
    ours = sound_encoder(bands=40, frames=66, weights=saved(net, tmp_path))
    torch.testing.assert_close(ours(x), net(x[:, 0].transpose(1, 2)).pooler_output)


def test_positions_are_interpolated(tmp_path: Path) -> None:
    # 3 × 6 patches; the embedding of a patch is (its row, its column, 0, …).
    net = their_sound()
    with torch.no_grad():
        places = net.embeddings.position_embeddings
        places[:, :2] = 7.0
        grid = torch.cartesian_prod(torch.arange(3.0), torch.arange(6.0))
        places[:, 2:] = 0.0
        places[:, 2:, :2] = grid
    ours = sound_encoder(bands=40, frames=36, weights=saved(net, tmp_path))
    found = ours.net.embeddings.position_embeddings
    assert found.shape == (1, 2 + 3 * 3, 16)
    assert bool((found[0, :2] == 7.0).all())
    rows, columns = found[0, 2:, :2].reshape(3, 3, 2).unbind(dim=2)
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert columns.tolist() == [[0.5, 2.5, 4.5]] * 3  # the middles of three pairs
    assert ours(torch.randn(2, 1, 40, 36)).shape == (2, 16)


def test_sound_and_film_make_a_multimodal_model() -> None:
    encoders: dict[str, nn.Module] = {
        "audio": sound_encoder(bands=16, frames=26, size=QUIET),
        "video": Frames(picture_encoder("resnet", size=SMALL)),
    }
    model = multimodal(encoders, 7, fusion="attention", missing="zero")
    inputs = {"audio": torch.randn(2, 1, 16, 26), "video": torch.randn(2, 3, 3, 32, 32)}
    inputs["video"][1] = float("nan")
    logits = model(inputs)
    assert logits.shape == (2, 7)
    torch.testing.assert_close(logits[1], model({"audio": inputs["audio"]})[1])


# --- refusals ------------------------------------------------------------------------------------


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"kind is 'vgg'; choose one of \('resnet', 'convnext'"):
        picture_backbone("vgg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="channels is 0; it has to be at least 1"):
        picture_backbone("resnet", channels=0)
    with pytest.raises(ValueError, match=r"size is 'atto'; resnet has \('tiny', 'small', 'base'\)"):
        picture_backbone("resnet", size="atto")
    for bad in (Shape((), ()), Shape((8,), (1, 1)), Shape((8, 0), (1, 1))):
        with pytest.raises(ValueError, match="needs as many channels as blocks, at least one"):
            picture_backbone("convnext", size=bad)
    with pytest.raises(ValueError, match=r"size is 'huge'; choose one of \('tiny'"):
        sound_encoder(bands=40, frames=48, size="huge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="heads that divide the width"):
        sound_encoder(bands=40, frames=48, size=SoundShape(16, 1, 3))
    with pytest.raises(ValueError, match="bands is 15 and frames is 48; an AST needs at least 16"):
        sound_encoder(bands=15, frames=48, size=QUIET)
    for build in (
        lambda: picture_backbone("resnet", size="tiny", weights="somewhere"),
        lambda: sound_encoder(bands=40, frames=48, size="tiny", weights="somewhere"),
    ):
        with pytest.raises(ValueError, match="size is 'tiny', but it comes from the weights"):
            build()


def test_inputs_that_do_not_fit_are_refused() -> None:
    net = picture_backbone("convnext", size=SMALL)
    with pytest.raises(ValueError, match="pictures are 31 × 64; convnext needs at least 32 × 32"):
        net(torch.zeros(1, 3, 31, 64))
    with pytest.raises(ValueError, match=r"spectrograms have to be \[n, 1, 40, 48\]; got \(1, 1,"):
        sound_encoder(bands=40, frames=48, size=QUIET)(torch.zeros(1, 1, 48, 40))


def load(folder: Path, kind: Kind = "resnet") -> PictureBackbone:
    return picture_backbone(kind, weights=str(folder))


def test_weights_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder of weights"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no config\.json; a folder of weights needs"):
        load(tmp_path)
    saved(theirs("resnet"), tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors; .*other formats are"):
        load(tmp_path)


def test_the_content_of_a_folder_of_weights_is_that_of_its_files(tmp_path: Path) -> None:
    """The same files elsewhere are the same; any other weight or setting is not."""
    first, second = (saved(theirs("resnet"), tmp_path / name) for name in ("one", "two"))
    assert weights_content(first) == weights_content(first)
    for name in ("config.json", "model.safetensors"):
        (Path(second) / name).write_bytes((Path(first) / name).read_bytes())
    same = weights_content(second)
    assert same == weights_content(first)
    weights = Path(second) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert weights_content(second) != same
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors"):
        weights_content(second)


def test_what_a_name_on_the_hub_stands_for_is_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cached(name: str, file: str, revision: str) -> str:
        return str(tmp_path / name / "snapshots" / f"{revision:0<40}" / file)

    monkeypatch.setattr(transformers.utils, "cached_file", cached)
    assert weights_content("some/model@abc") == "abc" + 13 * "0"
    assert weights_content("some/model") == "main" + 12 * "0"


@pytest.mark.parametrize("name", ["some/model", "some/model@v2"])
def test_the_hub_without_a_network_names_the_remedy(name: str) -> None:
    message = r"is no folder here, .* run `hf download some/model --local-dir FOLDER`, and name"
    with pytest.raises(FileNotFoundError, match=message):
        picture_backbone("resnet", weights=name)
    with pytest.raises(FileNotFoundError, match=message):
        weights_content(name)


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    saved(theirs("convnext"), tmp_path)
    with pytest.raises(ValueError, match="holds a 'convnext', but a 'resnet' is asked for"):
        load(tmp_path)
    with pytest.raises(ValueError, match="'convnext', but a 'audio-spectrogram-transformer' is"):
        sound_encoder(bands=40, frames=48, weights=str(tmp_path))


@pytest.mark.parametrize("kept", [0, 5, 2000])
def test_damaged_weights_are_refused(kept: int, tmp_path: Path) -> None:
    file = Path(saved(theirs("resnet"), tmp_path)) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"cannot be loaded \(.+\); fetch it again"):
        load(tmp_path)


def change(folder: Path, **settings: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


@every_kind
def test_incomplete_weights_are_refused(kind: Kind, tmp_path: Path) -> None:
    saved(theirs(kind), tmp_path)
    change(tmp_path, depths=[1, 1, 2, 1])
    message = r"lacks \d+ weights of \w+Backbone, such as encoder\.stages\.2\.layers\.1\.\w+.*kind"
    with pytest.raises(ValueError, match=message):
        load(tmp_path, kind)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    saved(theirs("resnet"), tmp_path)
    change(tmp_path, hidden_sizes=[8, 16, 24, 40])
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(tmp_path)


def test_a_damaged_configuration_is_refused(tmp_path: Path) -> None:
    saved(theirs("resnet"), tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"cannot be loaded \(.+\)"):
        load(tmp_path)


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    for build in (
        lambda: picture_backbone("resnet"),
        lambda: sound_encoder(bands=40, frames=48),
    ):
        with pytest.raises(ImportError, match=r'pip install "mke_theory\[data\]"'):
            build()


def test_the_library_is_as_loud_as_before(tmp_path: Path) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load(Path(saved(theirs("resnet"), tmp_path)))
    with pytest.raises(ValueError, match="holds a"):
        load(tmp_path, "convnext")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
