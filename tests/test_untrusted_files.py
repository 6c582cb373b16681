"""Files from elsewhere are data: nothing in them is run, and nothing of them becomes markup."""

from __future__ import annotations

import ast
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mke_theory.audit.files import read_columns
from mke_theory.data import npz_files
from mke_theory.data.npz_files import read_npy, read_npz
from mke_theory.report import page
from mke_theory.study.artifacts import load
from mke_theory.training.checkpoint import Checkpoint
from tests.report.made_records import record

ROOT = Path(__file__).parents[1]
TRUSTED = "exported_encoder.py"  # archives of torch.export, whose docstring warns of them


def calls() -> Iterator[tuple[Path, str, dict[str, str]]]:
    """File, function and arguments by keyword of every call in the package and the scripts."""
    for path in (p for room in ("mke_theory", "experiments") for p in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                named = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg}
                yield path, ast.unparse(node.func), named


def test_nothing_is_loaded_that_could_run() -> None:
    seen = set()
    for path, name, given in calls():
        where = f"{path.relative_to(ROOT)}: {name}"
        if name == "torch.load":
            assert given.get("weights_only") == "True", where
        if name in ("np.load", "numpy.load"):
            assert given.get("allow_pickle") == "False", where
        assert not name.startswith(("pickle.load", "joblib.load", "yaml.load", "dill.")), where
        assert name not in ("eval", "exec", "os.system", "torch.hub.load"), where
        assert given.get("shell") != "True" and given.get("trust_remote_code") != "True", where
        assert name != "torch.export.load" or path.name == TRUSTED, where
        seen.add(name)
    assert {"torch.load", "np.load"} <= seen  # the test looks at what it should


class Bomb:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    bomb = np.array([Bomb(made)], dtype=object)
    np.savez(tmp_path / "a.npz", a=bomb)
    np.save(tmp_path / "a.npy", bomb)
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Bomb(made), protocol=2))
    with pytest.raises(ValueError, match="holds Python objects"):
        read_npz(tmp_path / "a.npz", "again")
    with pytest.raises(ValueError, match="holds Python objects"):
        read_npy(tmp_path / "a.npy", "again")
    with pytest.raises(OSError, match="holds Python objects"):
        load(tmp_path / "a.npz")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "a.pt", weights_only=True)
    assert Checkpoint(tmp_path / "a.pt", 1).path.is_file()
    assert not made.exists()


def test_an_archive_of_arrays_is_no_larger_than_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(100_000))
    assert (tmp_path / "a.npz").stat().st_size < 10_000
    monkeypatch.setattr(npz_files, "_memory", lambda: 500_000.0)
    with pytest.raises(ValueError, match=r"unpack to 0\.0 GiB, and this machine has"):
        read_npz(tmp_path / "a.npz", "again")


def test_an_array_is_as_long_as_its_header_says(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(10))
    content = (tmp_path / "a.npy").read_bytes().replace(b"(10,)", b"(99,)")
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"it has 80 bytes for \(99,\) of float64"):
        read_npy(tmp_path / "a.npy", "again")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(ValueError, match=r"x\.npy has 80 bytes"):
        read_npz(tmp_path / "a.npz", "again")


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)])
@pytest.mark.parametrize("kind", [">i2", "<f8", "|b1", "<U3"])
def test_arrays_come_back_as_they_were(shape: tuple[int, ...], kind: str, tmp_path: Path) -> None:
    for order in ("C", "F"):
        x = np.ones(shape, dtype=kind, order=order)  # type: ignore[call-overload]
        np.savez_compressed(tmp_path / "a.npz", x=x)
        found = read_npz(tmp_path / "a.npz", "again")["x"]
        assert found.dtype == x.dtype and found.flags.writeable
        np.testing.assert_array_equal(found, x)


def test_names_from_data_are_no_markup_on_the_page(tmp_path: Path) -> None:
    odd = "<script>alert('&')</script>"
    counts = {"labelled": 1, "unlabelled": 2, "test": 3, "parameters": 4}
    metrics = {"test": 0.5, "unlabelled": 0.5}
    own = [
        record(
            odd,
            arm,
            0,
            arm_title=odd,
            title=odd,
            class_names=[odd, odd],
            counts=counts,
            metrics=metrics,
            varies=odd,
            skipped=[odd],
            config={"task": {odd: odd}},
            environment={odd: odd},
        )
        for arm in ("um_teacher", "mm_student")
    ]
    text = page.write(own, [], tmp_path, command=odd, date=odd).read_text(encoding="utf-8")
    assert "<script" not in text and "alert(&#x27;&amp;&#x27;)" in text


def test_a_cell_that_begins_as_a_formula_is_text(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,a\nx,=1+1\ny,@SUM(A1)\nz,+3\n", encoding="utf-8")
    found = read_columns([path])
    assert list(found.columns["a"]) == ["=1+1", "@SUM(A1)", "+3"]
