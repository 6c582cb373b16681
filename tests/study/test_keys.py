"""A key changes with every part of a run, and with nothing that is no part of it."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mke_theory
from mke_theory.study import keys

PACKAGE = Path(mke_theory.__file__).parent

# The plain form and its hash


class Mode(Enum):
    HARD = "hard"


@dataclass(frozen=True)
class Noise:
    strength: float = 0.5
    data_root: Path = field(default=Path("here"), compare=False)


@dataclass(frozen=True)
class Dropout:
    strength: float = 0.5


@dataclass(frozen=True)
class Config:
    steps: int = 3
    mode: Mode = Mode.HARD
    where: Path = Path("a") / "b"
    transforms: tuple[object, ...] = (Noise(), Dropout(0.25))
    extra: dict[str, float | None] = field(default_factory=lambda: {"gamma": None})


def test_the_plain_form_by_hand() -> None:
    assert keys.canonical(Config()) == {
        "class": "Config",
        "steps": 3,
        "mode": "hard",
        "where": "a/b",
        "transforms": [
            {"class": "Noise", "strength": 0.5},
            {"class": "Dropout", "strength": 0.25},
        ],
        "extra": {"gamma": None},
    }
    assert keys.canonical([np.float64(0.5), np.int64(2), np.bool_(True)]) == [0.5, 2, True]
    assert type(keys.canonical(np.int64(2))) is int


def test_the_hash_by_hand() -> None:
    # sha256 of {"class":"Dropout","strength":0.25}, as `sha256sum` gives it
    assert keys.config_hash(Dropout(0.25)) == "2743030cd698010b"


def test_two_classes_with_equal_fields_differ() -> None:
    assert keys.config_hash(Noise()) != keys.config_hash(Dropout())


def test_what_takes_no_part_in_equality_takes_no_part_in_the_hash() -> None:
    assert Noise(data_root=Path("there")) == Noise()
    assert keys.config_hash(Noise(data_root=Path("there"))) == keys.config_hash(Noise())
    assert keys.config_hash(Noise(strength=0.6)) != keys.config_hash(Noise())


@pytest.mark.parametrize("value", [{1, 2}, object(), print, b"x", np.zeros(2), Noise, {1: "a"}, 1j])
def test_what_has_no_plain_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        keys.canonical({"deep": [value]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        keys.canonical((value,))


names = st.text("abβ", max_size=2)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | names,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(names, plain), st.randoms(use_true_random=False))
def test_the_hash_does_not_depend_on_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    order = list(value)
    random.shuffle(order)
    assert keys.config_hash({name: value[name] for name in order}) == keys.config_hash(value)


@given(plain, plain)
def test_hashes_are_equal_exactly_where_plain_forms_are(one: object, other: object) -> None:
    equal = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (keys.config_hash(one) == keys.config_hash(other)) == equal
    assert keys.canonical(keys.canonical(one)) == keys.canonical(one)


def test_the_key_changes_with_every_part() -> None:
    parts: dict[str, Any] = {
        "task": "digits",
        "arm": "mm_student",
        "seed": 0,
        "config_hash": "c",
        "data_hash": "s",
        "code": "v",
        "environment": {"torch": "2.13.0"},
    }
    other = {
        "task": "twomoon",
        "arm": "um_student",
        "seed": 1,
        "config_hash": "d",
        "data_hash": None,
        "code": "w",
        "environment": {"torch": "2.13.1"},
    }
    found = {keys.run_key(**{**parts, name: value}) for name, value in other.items()}
    assert len(found | {keys.run_key(**parts)}) == 8
    assert {len(key) for key in found} == {16}
    without = {name: value for name, value in parts.items() if name != "data_hash"}
    assert keys.run_key(**without) == keys.run_key(**{**parts, "data_hash": None})


# The code


def written(folder: Path, files: dict[str, str]) -> str:
    """The code version of a package with these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return keys.code_version(folder)


def test_the_code_version_sees_sources_names_and_manifests(tmp_path: Path) -> None:
    places = (tmp_path / str(i) for i in range(100))

    def version(files: dict[str, str]) -> str:
        return written(next(places), files)

    usual = {"data/a.py": "x = 1", "tasks/t/b.py": "y = 2", "tasks/t/manifests/c.txt": "3"}
    first = version(usual)
    assert version(dict(reversed(usual.items()))) == first
    for more in ("data/notes.txt", "theory/a.py", "report/plots/b.py", "report/manifests/c.txt"):
        assert version({**usual, more: "z = 4"}) == first
    others = [
        {**usual, "data/a.py": "x = 2"},
        {**usual, "tasks/t/manifests/c.txt": "4"},
        {**usual, "study/a.py": ""},
        {name.replace("t/b.py", "b.py"): text for name, text in usual.items()},
        {name: usual[name] for name in list(usual)[:2]},
        {**usual, "data/a.py": "y = 2", "tasks/t/b.py": "x = 1"},
    ]
    assert len({first, *map(version, others)}) == 1 + len(others)


def test_docstrings_comments_and_layout_are_no_part_of_the_code(tmp_path: Path) -> None:
    plain = "class A:\n    x = 1\n\n    def f(self):\n        return 'text'\n"
    dressed = (
        '"""Module."""\n# comment\nclass A:\n    """Class."""\n    x = (1)\n    """Field."""\n'
        '    def f( self ):\n        """Method."""\n        return "text"\n'
    )
    first, second, third = (
        written(tmp_path / str(i), {"method/a.py": text})
        for i, text in enumerate((plain, dressed, plain.replace("text", "other")))
    )
    assert first == second != third


def version_of(package: Path) -> str:
    """The code version of the files as they are on the disk at the moment."""
    keys.code_version.cache_clear()
    return keys.code_version(package)


def test_a_docstring_a_plot_or_a_theorem_does_not_change_the_key_of_a_run(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    package = shutil.copytree(PACKAGE, tmp_path / "copy", ignore=ignored)
    for path in package.rglob("*.py"):
        lines = path.read_text().splitlines(keepends=True)
        start = next((i for i, line in enumerate(lines) if line.startswith("from __future__")), 0)
        path.write_text(
            f'"""{path.name} by another docstring."""\n# A comment.\n' + "".join(lines[start:])
        )
    for room in ("report", "theory"):
        for path in (package / room).rglob("*.py"):
            path.write_text(path.read_text() + "\n\nADDED = 1\n")
    (package / "report" / "plots" / "new.py").write_text("x = 1\n")
    (package / "cli.py").write_text("x = 1\n")
    assert version_of(package) == keys.code_version(PACKAGE)


CHANGED = {
    "loss": "method/losses.py",
    "model": "models/multimodal.py",
    "reader": "tasks/av_digits/reader.py",
    "pool": "data/pool.py",
    "loop": "training/loop.py",
    "vectorised step": "training/vectorised/engine.py",
    "account": "evaluation/account.py",
    "placebo": "study/placebos.py",
    "world": "synthetic/gaussian.py",
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_loss_a_model_or_a_reader_changes_the_key_of_a_run(what: str, tmp_path: Path) -> None:
    text = (PACKAGE / CHANGED[what]).read_text()
    before = written(tmp_path / "before", {CHANGED[what]: text})
    after = written(tmp_path / "after", {CHANGED[what]: text + "\n\nADDED = 1\n"})
    assert before != after


def test_a_manifest_changes_the_key_of_a_run(tmp_path: Path) -> None:
    manifests = [path for path in PACKAGE.rglob("manifests/*") if path.is_file()]
    assert manifests
    places = iter(range(100))
    for path in manifests:
        name, text = path.relative_to(PACKAGE).as_posix(), path.read_text()
        before, after = (
            written(tmp_path / str(next(places)), {name: content}) for content in (text, text + " ")
        )
        assert before != after, name


def test_the_rooms_that_compute_are_all_but_those_that_read_what_came_out() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(keys.COMPUTES) == rooms - {"theory", "audit", "estimator", "report", "command"}


def test_versions_name_no_host_and_no_path() -> None:
    found = keys.versions()
    assert found.keys() == {"python", "torch", "numpy", "scikit-learn", "platform"}
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert not any("/" in value or "\\" in value for value in found.values())
