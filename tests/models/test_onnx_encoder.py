"""ONNX files: taps in the midst of a graph by hand, damage and other names refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mke_theory.models.onnx_encoder import from_onnx, tensor_names
from mke_theory.models.onnx_graph import read_graph, with_outputs
from tests.models.made_onnx import field, node, value, write_network

pytest.importorskip("onnxruntime", reason="needs the extra mke_theory[pretrained]")

RAW = "float32 [b, 3]"
WEIGHTS = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, -1.0]])
SHIFT = np.array([1.0, -3.0])
X = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0], [2.0, 2.0, 2.0]])
PRODUCT = [[4, 1], [-1, 3], [4, 2]]
Y = [[5, 0], [0, 0], [5, 0]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_network(tmp_path / "small.onnx", WEIGHTS, SHIFT)


def test_every_tensor_is_a_tap(path: Path) -> None:
    assert tensor_names(path) == ("product", "shifted", "y")
    found = from_onnx(path, ["product", "y"], raw=RAW)(X)
    assert found["product"].tolist() == PRODUCT
    assert found["y"].tolist() == Y
    own = from_onnx(path, raw=RAW)
    assert own.taps == ("y",) and own.name == "small" and own(X)["y"].tolist() == Y


def test_a_tap_has_a_name_of_its_own(path: Path) -> None:
    encoder = from_onnx(path, {"before": "shifted"}, raw=RAW, name="mine")
    assert encoder.name == "mine" and encoder.taps == ("before",)
    assert encoder(X)["before"].tolist() == (np.array(PRODUCT) + SHIFT).tolist()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_file_for_one_size_of_batch_takes_any(tmp_path: Path, batch: int) -> None:
    path = write_network(tmp_path / "small.onnx", WEIGHTS, SHIFT, batch=batch)
    found = from_onnx(path, ["product", "y"], raw=RAW)(X)
    assert found["product"].tolist() == PRODUCT and found["y"].tolist() == Y


def test_weights_in_another_file_are_found_and_part_of_the_content(tmp_path: Path) -> None:
    path = write_network(tmp_path / "small.onnx", WEIGHTS, SHIFT, location="w.bin")
    first = from_onnx(path, raw=RAW)
    assert first(X)["y"].tolist() == Y
    (tmp_path / "w.bin").write_bytes((2 * WEIGHTS).astype("<f4").tobytes())
    second = from_onnx(path, raw=RAW)
    assert second.content != first.content
    assert second(X)["y"].tolist() == [[9, 0], [0, 3], [9, 1]]
    (tmp_path / "w.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"w.bin: no such file; small.onnx keeps its weigh"):
        from_onnx(path, raw=RAW)


def test_content_follows_the_file_and_what_is_done_first(path: Path) -> None:
    plain = from_onnx(path, raw=RAW)
    doubled = from_onnx(path, raw=RAW, prepare=lambda x: 2 * x, prepared="doubled")
    assert plain.content == from_onnx(path, ["product"], raw=RAW, name="other").content
    assert plain.content != doubled.content
    assert torch.equal(doubled(X)["y"], plain(2 * X)["y"])
    write_network(path, WEIGHTS, SHIFT + 1)
    assert from_onnx(path, raw=RAW).content != plain.content


def test_a_tap_that_is_not_there_is_refused_with_those_that_are(path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no 'x', 'z'; there are y, product, shifted$"):
        from_onnx(path, ["x", "z"], raw=RAW)


def test_damaged_and_other_files_are_refused(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):  # the end of the graph included
        (tmp_path / "cut.onnx").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut.onnx: .*fetch it again"):
            from_onnx(tmp_path / "cut.onnx", raw=RAW)
    (tmp_path / "text.onnx").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=r"text.onnx: cannot be read as ONNX"):
        from_onnx(tmp_path / "text.onnx", raw=RAW)
    with pytest.raises(FileNotFoundError, match=r"none.onnx: no such file"):
        from_onnx(tmp_path / "none.onnx", raw=RAW)
    broken = node("NoSuchOperator", ["x"], "y") + field(2, "broken")
    broken += field(11, value("x", ["b", 3])) + field(12, value("y", ["b", 3]))
    head = field(1, 8), field(8, field(1, "") + field(2, 13))
    (tmp_path / "odd.onnx").write_bytes(head[0] + field(7, broken) + head[1])
    with pytest.raises(ValueError, match=r"odd.onnx: onnxruntime cannot load it .*NoSuchOperator"):
        from_onnx(tmp_path / "odd.onnx", raw=RAW)


def test_input_of_another_shape_or_type_is_refused(path: Path) -> None:
    encoder = from_onnx(path, raw=RAW)
    with pytest.raises(ValueError, match=r"takes tensor\(float\) \['batch', 3\].*\[2, 4\]"):
        encoder(torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"cannot compute on torch.float64"):
        encoder(X.double())


def test_two_inputs_are_refused(tmp_path: Path) -> None:
    graph = node("Add", ["x", "z"], "y") + field(2, "two") + field(12, value("y", ["b", 3]))
    graph += field(11, value("x", ["b", 3])) + field(11, value("z", ["b", 3]))
    head = field(1, 8) + field(8, field(1, "") + field(2, 13))
    (tmp_path / "two.onnx").write_bytes(head + field(7, graph))
    with pytest.raises(ValueError, match=r"takes the inputs \['x', 'z'\]; an encoder takes one"):
        from_onnx(tmp_path / "two.onnx", raw=RAW)


def test_outputs_are_added_behind_the_others(path: Path) -> None:
    content = path.read_bytes()
    assert with_outputs(content, []) == content
    assert read_graph(with_outputs(content, ["product", "shifted"])).outputs == (
        "y",
        "product",
        "shifted",
    )
    long = "name" * 100  # its length takes two bytes
    assert read_graph(with_outputs(content, [long])).outputs == ("y", long)
