"""Frozen encoders: what they compute by hand, what is part of their content, what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from mke_theory.models.frozen import (
    FrozenEncoder,
    content_of_weights,
    from_module,
    in_pieces,
    places_of,
)
from mke_theory.models.picture_scaling import PictureScaling

RAW = "float32 [b, 3]"


class TwoHeads(nn.Module):
    """x → (ReLU in place of 2x − 1, {"sum": its sum})."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))
        self.unused = nn.Linear(3, 3)
        with torch.no_grad():
            self.body[0].weight.copy_(2 * torch.eye(3))
            self.body[0].bias.fill_(-1)
            self.unused.weight.zero_()
            self.unused.bias.zero_()

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y = self.body(x)
        return y, {"sum": y.sum(dim=1, keepdim=True)}


@dataclass(frozen=True)
class Times:
    factor: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.factor * x


def encoder(compute: Callable[[Tensor], dict[str, Tensor]], *taps: str) -> FrozenEncoder:
    return FrozenEncoder("made", "0123456789abcdef", taps or ("y",), compute, RAW)


X = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]])


def test_taps_by_hand_and_before_a_relu_in_place() -> None:
    found = from_module(TwoHeads(), ["body.0", "body", "output[0]"], name="two", raw=RAW)(X)
    assert found["body_0"].tolist() == [[-1, 1, 3], [1, -1, -3]]
    assert found["body"].tolist() == [[0, 1, 3], [1, 0, 0]]
    assert torch.equal(found["output_0"], found["body"])


def test_a_part_of_a_part_is_not_a_tap_but_a_wrapper_makes_it_one() -> None:
    with pytest.raises(ValueError, match="no place; write it as"):
        from_module(TwoHeads(), ["output[1][sum]"], name="two", raw=RAW)

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = TwoHeads()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return self.net(x)[1]

    found = from_module(Sum(), {"total": "output[sum]"}, name="sum", raw=RAW)(X)
    assert found["total"].tolist() == [[4], [1]]


def test_features_carry_no_gradient_and_yet_a_head_learns_on_them() -> None:
    found = from_module(TwoHeads(), ["body"], name="two", raw=RAW)(X)["body"]
    assert not found.requires_grad and found.dtype == torch.float32
    head = nn.Linear(3, 1)
    head(found).sum().backward()
    assert head.weight.grad is not None
    assert head.weight.grad.tolist() == [[1, 1, 3]]


def test_the_network_is_copied_and_put_into_evaluation_mode() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.9)).train()
    frozen = from_module(net, ["output"], name="norm", raw=RAW)
    before = frozen(X)["output"]
    torch.testing.assert_close(before, X / (1 + 1e-5) ** 0.5)  # statistics of an untrained norm
    assert net.training and all(p.requires_grad for p in net.parameters())
    with torch.no_grad():
        net[0].weight.fill_(7)
    assert torch.equal(frozen(X)["output"], before)
    torch.testing.assert_close(frozen(X[:1])["output"], before[:1])


def test_content_changes_with_weights_layers_and_preparation_alone() -> None:
    def content(net: nn.Module, prepare: Times | None = None) -> str:
        return from_module(net, ["output"], name="x", raw=RAW, prepare=prepare).content

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(0.1))
    assert content(net) == content(net)
    other = [
        content(nn.Sequential(net[0], nn.LeakyReLU(0.2))),
        content(net, Times(2.0)),
        content(net, Times(3.0)),
        content(nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(0.1))),
        content(net),
    ]
    assert len(set(other)) == len(other)
    renamed = from_module(net, ["0"], name="y", raw="else")
    assert renamed.content == content(net) and renamed.taps == ("_0",)


def test_content_changes_with_the_place_behind_a_tap() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

    def content(*places: str) -> str:
        taps = {f"tap{i}": place for i, place in enumerate(places)}
        return from_module(net, taps, name="x", raw=RAW).content

    assert len({content("0"), content("1"), content("1", "0"), content("0", "1")}) == 4
    assert from_module(net, {"_0": "0"}, name="x", raw=RAW).content == (
        from_module(net, ["0", "1"], name="x", raw=RAW).content
    )


def test_content_changes_with_numbers_and_with_weights_of_a_preparation() -> None:
    class Scaled(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Tensor) -> Tensor:
            return self.factor * x

    def content(factor: float, prepare: nn.Module | None = None) -> str:
        return from_module(Scaled(factor), ["output"], name="x", raw=RAW, prepare=prepare).content

    assert content(1.0) == content(1.0) != content(2.0)
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    assert content(1.0, first) == content(1.0, first) != content(1.0, second)


def test_a_batch_normalisation_without_running_statistics_is_refused() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False))
    with pytest.raises(ValueError, match="x: 1 is a batch normalisation without running stat"):
        from_module(net, ["output"], name="x", raw=RAW)
    kept = nn.Sequential(nn.Conv1d(1, 2, 1), nn.InstanceNorm1d(2))
    assert from_module(kept, ["output"], name="x", raw=RAW)(X[:, None])["output"].shape == (2, 2, 3)


def test_a_tensor_has_no_parts() -> None:
    square = torch.randn(3, 3)  # one number a sample: the first sample would look like an answer
    with pytest.raises(ValueError, match=r"output\[0\] is .* a Tensor without parts: name output"):
        from_module(nn.Linear(3, 3), ["output[0]"], name="x", raw=RAW)(square)


def test_what_the_network_cannot_compute_on_is_said() -> None:
    net = from_module(nn.Linear(3, 3), ["output"], name="x", raw=RAW)
    with pytest.raises(ValueError, match=r"compute on torch\.int64 \[2, 3\] \(mat1 and mat2"):
        net(X.long())
    with pytest.raises(ValueError, match=r"x takes float32 \[b, 3\] and cannot .* \[2, 2\] \(mat1"):
        net(X[:, :2])


def test_the_hash_of_weights_by_hand() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor(3, dtype=torch.int64)
    assert content_of_weights({"a": a, "b": b}) == content_of_weights({"b": b, "a": a})
    others = [
        content_of_weights({"a": a, "b": b}),
        content_of_weights({"a": a, "b": b}, "scaled"),
        content_of_weights({"a": a[None], "b": b}),
        content_of_weights({"a": a.double(), "b": b}),
        content_of_weights({"a": a + 1e-7, "b": b}),
        content_of_weights({"a": a.bfloat16(), "b": b}),
        content_of_weights({"c": a, "b": b}),
        content_of_weights({"a": a, "b": b, "none": torch.zeros(0)}),
    ]
    assert len(set(others)) == len(others)
    assert all(len(each) == 16 for each in others)
    wide = torch.arange(6.0).reshape(2, 3)
    assert content_of_weights({"a": wide.t()}) == content_of_weights({"a": wide.t().contiguous()})


def test_what_is_done_first_is_said_in_words_where_it_has_no_name_that_stays() -> None:
    with pytest.raises(ValueError, match=r"prepare is <function .*prepared="):
        from_module(TwoHeads(), ["body"], name="x", raw=RAW, prepare=lambda x: x / 2)
    made = [
        from_module(
            TwoHeads(), ["body"], name="x", raw=RAW, prepare=lambda x: x / 2, prepared=words
        )
        for words in ("halved", "halved", "x / 2")
    ]
    assert made[0].content == made[1].content != made[2].content
    assert made[0](X)["body"].tolist() == [[0, 0, 1], [0, 0, 0]]


def test_unknown_places_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"two has no 'head'; there are body, body.0, body.1, out"):
        from_module(TwoHeads(), ["body", "head"], name="two", raw=RAW)
    with pytest.raises(ValueError, match="unused did not run"):
        from_module(TwoHeads(), ["unused"], name="two", raw=RAW)(X)
    with pytest.raises(ValueError, match=r"output\[2\] is not there; the output is a tuple of"):
        from_module(TwoHeads(), ["output[2]"], name="two", raw=RAW)(X)
    with pytest.raises(ValueError, match=r"output is a tuple and no tensor; name one of its parts"):
        from_module(TwoHeads(), ["output"], name="two", raw=RAW)(X)
    shared = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="0 runs more than once"):
        from_module(nn.Sequential(shared, shared), ["0"], name="twice", raw=RAW)(X)
    with pytest.raises(TypeError, match=r"taps is the text 'body'.*\['body'\]"):
        places_of("body")
    with pytest.raises(ValueError, match="repeated or alike"):
        places_of(["a.b", "a_b"])


def test_outputs_that_are_no_features_are_refused() -> None:
    with pytest.raises(ValueError, match=r"y has shape \(3,\) for 2 samples"):
        encoder(lambda x: {"y": x[0]})(X)
    with pytest.raises(ValueError, match=r"y has values that are NaN.*float32 \[b, 3\]"):
        encoder(lambda x: {"y": x / 0})(X)
    with pytest.raises(ValueError, match=r"computes \['z'\] instead of"):
        encoder(lambda x: {"z": x})(X)
    half = encoder(lambda x: {"y": x.half()})(X)["y"]
    assert half.dtype == torch.float32 and torch.equal(half, X)


def test_batches_that_cannot_be_right_are_refused() -> None:
    same = encoder(lambda x: {"y": x})
    with pytest.raises(TypeError, match=r"takes a tensor, float32 \[b, 3\]; got list"):
        same([[1.0]])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"takes float32 \[b, 3\]; got shape \(0, 3\)"):
        same(X[:0])
    with pytest.raises(ValueError, match="the batch has values that are NaN"):
        same(X / 0)


@pytest.mark.parametrize("taps", [(), ("a", "a"), ("a.b",), ("",)])
def test_taps_are_different_names(taps: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="taps have to be different names"):
        replace(encoder(lambda x: {"y": x}), taps=taps)


def test_content_has_sixteen_digits() -> None:
    with pytest.raises(ValueError, match="16 hexadecimal digits of content; got 'made' and 'abc'"):
        replace(encoder(lambda x: {"y": x}), content="abc")


@pytest.mark.parametrize("n", [1, 3, 4, 7])
def test_pieces_of_one_size_are_the_whole(n: int) -> None:
    def three(x: Tensor) -> dict[str, Tensor]:
        assert len(x) == 3
        return {"y": 2 * x}

    x = torch.arange(2.0 * n).reshape(n, 2)
    assert torch.equal(in_pieces(three, 3)(x)["y"], 2 * x)


def test_pictures_are_scaled_by_hand() -> None:
    x = torch.tensor([0, 255, 51], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 2, 2)
    found = PictureScaling(mean=(0.5, 0.5, 0.0), sd=(0.5, 0.25, 0.1))(x)
    torch.testing.assert_close(found[0, :, 0, 1], torch.tensor([-1.0, 2.0, 2.0]))
    larger = PictureScaling(size=(4, 6))(x)
    assert larger.shape == (1, 3, 4, 6)
    torch.testing.assert_close(larger[0, :, 3, 5], PictureScaling()(x)[0, :, 0, 0])
    with pytest.raises(ValueError, match=r"uint8 \[b, 3, h, w\], RGB; got torch.float32"):
        PictureScaling()(x.float())
    with pytest.raises(ValueError, match=r"size is \(0, 4\)"):
        PictureScaling(size=(0, 4))
    with pytest.raises(ValueError, match="three sds above 0"):
        PictureScaling(sd=(0.0, 1.0, 1.0))
