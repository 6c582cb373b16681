"""Generated trouble for `arrays`: a right answer or a message, whatever an .npz file holds."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mke_theory.tasks.toy import Arrays
from mke_theory.tasks.toy.array_reading import RESERVED
from mke_theory.training.predict import predict
from tests.trouble.outcomes import outcome, told

Content = dict[str, Any]
Trouble = Callable[[np.random.Generator, Content], None]
KINDS = "f2 f4 f8 g i1 u1 u2 i4 i8 u8 ? c8 >f4 >f8 >i2 U4 S4 M8[s] m8[s]".split()
INTEGERS = "i1 u1 i2 u2 i4 u4 i8 u8 >i4 >u2 f4 f8 ? U4 c8".split()


def one_of(rng: np.random.Generator, a: Content) -> str:
    return str(rng.choice([name for name in a if name not in RESERVED]))


def other_type(rng: np.random.Generator, a: Content) -> None:
    name, kind = one_of(rng, a), str(rng.choice(KINDS))
    with np.errstate(all="ignore"):
        a[name] = np.nan_to_num(10 * np.real(a[name])).astype("i8").astype(kind)


def one_value(rng: np.random.Generator, a: Content) -> None:
    name = one_of(rng, a)
    if np.asarray(a[name]).dtype.kind != "f" or not np.size(a[name]):
        return
    x = a[name] = np.array(a[name])
    value = rng.choice([np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-310, 1e38, 1e29, 65504.0])
    where = rng.choice(["cell", "row", "column", "all"])
    at: Any = {
        "cell": tuple(rng.integers(size) for size in x.shape),
        "row": rng.integers(len(x)),
        "column": (..., 0),
        "all": ...,
    }[str(where)]
    with np.errstate(all="ignore"):
        x[at] = value


def other_shape(rng: np.random.Generator, a: Content) -> None:
    name = one_of(rng, a)
    x = np.asarray(a[name])
    shapes = [x.reshape(len(x), -1)[:, 0], x[..., None, None], x[: len(x) // 2], x[:, :0], x[:0]]
    shapes += [np.asfortranarray(x), x[::-1], x[0], np.array(3.0)] if len(x) else []
    a[name] = shapes[rng.integers(len(shapes))]


def constant(rng: np.random.Generator, a: Content) -> None:
    name = one_of(rng, a)
    x = a[name] = np.array(a[name])
    if x.dtype.kind == "f" and x.ndim > 1 and x.size:
        x[..., 0] = 1.0 + (rng.integers(0, 2, x[..., 0].shape) * 2.0**-23) * rng.integers(2)


def copies(rng: np.random.Generator, a: Content) -> None:
    at = rng.integers(0, len(a["labels"]) or 1, len(a["labels"]))
    at[rng.random(len(at)) < rng.choice([0.2, 0.9])] = 0
    for name in [name for name in a if name not in ("part", "labels")]:
        if np.ndim(a[name]) and len(a[name]) == len(at):
            a[name] = np.asarray(a[name])[at]


def few_rows(rng: np.random.Generator, a: Content) -> None:
    n = int(rng.choice([0, 1, 2, 3, 5]))
    for name in a:
        a[name] = a[name][:n] if np.ndim(a[name]) else a[name]


def other_labels(rng: np.random.Generator, a: Content) -> None:
    labels = np.array(a["labels"])
    ways: list[Callable[[], Any]] = [
        lambda: labels.astype(str(rng.choice(INTEGERS))),
        lambda: np.array([3, 17, 4096, -1])[labels],
        lambda: np.where(labels == 1, 2**40, labels),
        lambda: labels + 1,
        lambda: np.where(labels < 0, -100, labels),
        lambda: np.where(labels < 0, 255, labels),
        lambda: np.zeros_like(labels),
        lambda: np.full_like(labels, -1),
        lambda: np.arange(len(labels)),
        lambda: labels[:, None],
        lambda: np.eye(4)[labels],
        lambda: np.where(labels < 0, np.nan, labels),
    ]
    with np.errstate(all="ignore"):
        a["labels"] = ways[rng.integers(len(ways))]() if labels.ndim == 1 else labels


def groups(rng: np.random.Generator, a: Content) -> None:
    n = len(a["labels"])
    ids = rng.integers(0, rng.choice([1, 2, 7, 40]), n)
    kinds: list[Any] = [ids, ids - 1, ids.astype(float), ids.astype(str), ids.astype("M8[D]")]
    kinds += [np.array(["Ana", "ana ", "Öß", "名"])[ids % 4], ids[:, None], ids[:-1]]
    a["groups"] = kinds[rng.integers(len(kinds))]
    if len(a["groups"]) and rng.random() < 0.3:
        missing = {"f": np.nan, "U": "", "M": np.datetime64("NaT")}.get(a["groups"].dtype.kind)
        if missing is not None:
            a["groups"][rng.integers(len(a["groups"]))] = missing


def part(rng: np.random.Generator, a: Content) -> None:
    n = len(a["labels"])
    words = ["labelled", "unlabelled", "test", str(rng.choice(["test", "Test", "train", "é"]))]
    chosen = np.array(words)[rng.integers(0, rng.choice([2, 3, 4]), n)]
    a["part"] = chosen.astype("S") if rng.random() < 0.2 and "é" not in chosen else chosen


def teacher(rng: np.random.Generator, a: Content) -> None:
    n = len(a["labels"])
    z = rng.normal(size=(n, int(rng.choice([1, 2, 3, 5]))))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    kinds: list[Any] = [z, p, 100 * p, z > 0, z.argmax(1), z.astype(">f4"), z.astype("f2"), z[:-1]]
    a["teacher"] = kinds[rng.integers(len(kinds))]
    if a["teacher"].dtype.kind == "f" and rng.random() < 0.4 and n:
        a["teacher"][rng.integers(len(a["teacher"])), ...] = rng.choice([np.nan, np.inf])


def names(rng: np.random.Generator, a: Content) -> None:
    name, labels = one_of(rng, a), a["labels"]
    new = str(rng.choice(["ton.1", "float", "label", "keys", "Ton é", "名", "ein Ton", "training"]))
    a[new] = a.pop(name)
    if rng.random() < 0.3:
        a["one_hot"] = np.eye(6)[np.clip(np.nan_to_num(np.real(labels.ravel())), 0, 5).astype(int)]


TROUBLES: tuple[Trouble, ...] = (
    other_type, one_value, other_shape, constant, copies, few_rows, other_labels, groups, part,
    teacher, names,
)  # fmt: skip


def content(rng: np.random.Generator) -> Content:
    n = int(rng.choice([12, 30, 60]))
    labels = np.where(np.arange(n) < 2 * n // 3, np.arange(n) % 3, -1)
    return {"tone": rng.normal(size=(n, 3)), "image": rng.normal(size=(n, 2, 2)), "labels": labels}


def in_trouble(seed: int, troubles: list[Trouble]) -> Content:
    rng = np.random.default_rng(seed)
    arrays = content(rng)
    # The labels come last, so that other troubles find them as they are.
    for trouble in sorted(troubles, key=lambda trouble: trouble is other_labels):
        with suppress(TypeError, ValueError, IndexError):  # one may be impossible after another
            trouble(rng, arrays)
    order = rng.permutation(list(arrays))
    return {name: arrays[name] for name in order.tolist()}


def check(task: Arrays, arrays: Content, seed: int) -> None:
    """Raise AssertionError where the problem, or the table of what was found, is not right."""
    problem = task.problem(seed)
    known = arrays["labels"][arrays["labels"] != -1]
    assert problem.classes >= 2 and known.max() < problem.classes
    fitted = [problem.labelled, problem.unlabelled]
    for name, x in problem.test.inputs.items():
        for pool in (*fitted, problem.test):
            if name in pool.inputs:
                assert pool.inputs[name].dtype == torch.float32
                assert not bool(torch.isinf(pool.inputs[name]).any())
        rows = [pool.inputs[name].flatten(1).double() for pool in fitted if name in pool.inputs]
        if name == problem.teacher_modalities[0]:
            both = torch.cat(rows)
            both = both[~both.isnan().any(dim=1)]
            sd = both.std(dim=0, unbiased=False)
            assert bool((((sd - 1).abs() < 1e-2) | (both == 0).all(dim=0)).all()), sd
        assert x.flatten(1).shape[1] == np.prod(arrays[name].shape[1:])
    table = task.found(seed)
    assert {name for name in arrays if name not in RESERVED} <= set(
        what.partition(": ")[2] for what, _ in table
    )
    counts = f"{len(problem.labelled)} labelled, {len(problem.unlabelled)} unlabelled, "
    assert dict(table)["rows"].startswith(f"{counts}{len(problem.test)} test")
    logits = predict(task.model(problem, problem.modalities), problem.test)
    assert logits.shape == (len(problem.test), problem.classes)
    assert bool(torch.isfinite(logits).all())


def campaign(folder: Path, examples: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    path = folder / "own.npz"

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(TROUBLES), max_size=3))
    def meet(seed: int, troubles: list[Trouble]) -> None:
        arrays = in_trouble(seed, troubles)
        np.savez(path, **arrays)
        if seed % 50 == 7:
            with zipfile.ZipFile(path, "a") as opened:
                opened.writestr("notes.txt", "no array")
        alpha = "image" if seed % 3 == 0 and "image" in arrays else ""
        task = Arrays(file=str(path), alpha=alpha)
        counts[outcome(lambda: check(task, arrays, seed % 5))] += 1

    meet()
    return counts


def test_arrays_in_trouble(tmp_path: Path) -> None:
    told(campaign(tmp_path, 800))


@pytest.mark.slow
def test_arrays_in_much_trouble(tmp_path: Path) -> None:
    told(campaign(tmp_path, 40_000))
