"""The table of what was found in data of one's own, and cautions where they may not be meant so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mke_theory.data.pool import UNKNOWN
from mke_theory.tasks.files.standardise import column_moments
from mke_theory.tasks.toy.stored_arrays import blocks_of

CAUTION = "caution"
"""The first word of a row that is a caution."""
ELSEWHERE = 5.0
"""Parts whose medians of a column are apart by more of its sd than this hold other numbers."""
_SHOWN = 12  # classes whose counts are named
_MOST_COLUMNS = 4096  # of a modality that are searched for the class, and for parts elsewhere

Found = tuple[tuple[str, str], ...]
"""Rows of the table: what, and what was found of it."""


def found_in(
    arrays: Mapping[str, Any],
    names: Sequence[str],
    alpha: str,
    part: np.ndarray,
    copies: np.ndarray,
    passed_over: Sequence[str],
) -> Found:
    """The table of arrays of which `part` [n] says where each row belongs.

    `copies` [n] has one number for all rows that are equal in every modality, `passed_over` the
    names of files that are no arrays. Rows that are in no part were left out.
    """
    labels = arrays["labels"]
    rows = [("rows", _sizes(part))]
    ordered = [alpha, *(name for name in names if name != alpha)]
    for name in ordered:
        role = "alpha (the teacher's)" if name == alpha else "beta"
        rows.append((f"{role}: {name}", _modality(arrays[name], part)))
    rows.append(("classes", _classes(labels, part)))
    rows.append(("groups", _groups(arrays.get("groups"), part)))
    rows.append(("copies across parts", _copies(copies, part)))
    cautions = [
        *_rare_classes(labels, part),
        *(line for name in ordered for line in _about(name, arrays[name], labels, part)),
        *_about_groups(arrays.get("groups")),
        *_about_copies(copies, part),
    ]
    if passed_over:
        cautions.append(
            f"{len(passed_over)} files of the folder are no arrays and were not read, such as "
            f"{passed_over[0]}; save as .npy what should be read"
        )
    return (*rows, *((CAUTION, line) for line in cautions))


def _sizes(part: np.ndarray) -> str:
    counts = {name: int((part == name).sum()) for name in ("labelled", "unlabelled", "test")}
    out = len(part) - sum(counts.values())
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{text}, {out} left out (their group, or a copy of them, is in test)" if out else text


def _modality(x: Any, part: np.ndarray) -> str:
    shape = ", ".join(map(str, ("n", *x.shape[1:])))
    missing = _missing(x)
    sd = _spread(x, part)
    constant = np.flatnonzero(np.isinf(sd))
    text = f"[{shape}] {x.dtype}, missing in {missing} rows"
    if not len(constant):
        return f"{text}, no column constant in training"
    return (
        f"{text}, {len(constant)} of {len(sd)} columns constant in training (the first is "
        f"{constant[0]}): they count as 0 everywhere"
    )


def _missing(x: Any) -> int:
    if x.dtype.kind != "f":
        return 0
    return sum(int(np.isnan(block[:, 0]).sum()) for block in blocks_of(x))


def _spread(x: Any, part: np.ndarray) -> np.ndarray:
    """The sd [d] of each column over the training rows, infinite where it is constant."""
    rows = np.flatnonzero(np.isin(part, ("labelled", "unlabelled")))
    return column_moments(lambda: (block.astype(np.float64) for block in blocks_of(x, rows)))[1]


def _classes(labels: np.ndarray, part: np.ndarray) -> str:
    lines = []
    for name in ("labelled", "unlabelled", "test"):
        own = labels[part == name]
        values, counts = np.unique(own[own != UNKNOWN], return_counts=True)
        shown = [f"{v}: {c}" for v, c in zip(values[:_SHOWN], counts[:_SHOWN], strict=True)]
        more = [f"{len(values) - _SHOWN} more"] if len(values) > _SHOWN else []
        unknown = int((own == UNKNOWN).sum())
        listed = ", ".join([*shown, *more, *([f"unknown: {unknown}"] if unknown else [])])
        lines.append(f"{name} {listed}")
    return "; ".join(lines)


def _groups(groups: np.ndarray | None, part: np.ndarray) -> str:
    if groups is None:
        return "none; rows were taken one by one"
    counts = (
        f"{len(np.unique(groups[part == name].astype(str)))} {name}"
        for name in ("labelled", "unlabelled", "test")
    )
    return ", ".join(counts)


def _shared(copies: np.ndarray, part: np.ndarray) -> int:
    """The number of test rows that stand in training as well."""
    training = copies[np.isin(part, ("labelled", "unlabelled"))]
    return int(np.isin(copies[part == "test"], training).sum())


def _copies(copies: np.ndarray, part: np.ndarray) -> str:
    repeated = len(copies) - len(np.unique(copies))
    return (
        f"{_shared(copies, part)} of {int((part == 'test').sum())} test rows are in training too; "
        f"{repeated} of {len(copies)} rows repeat an earlier one"
    )


def _about_copies(copies: np.ndarray, part: np.ndarray) -> list[str]:
    shared = _shared(copies, part)
    if not shared:
        return []
    return [
        f"{shared} of {int((part == 'test').sum())} test rows are in training number for number, "
        "so that test is easier than new data; leave copies out, or give them one group"
    ]


def _rare_classes(labels: np.ndarray, part: np.ndarray) -> list[str]:
    known = np.unique(labels[labels != UNKNOWN])
    learned = np.unique(labels[part == "labelled"])
    absent = [int(value) for value in known if value not in learned]
    if not absent:
        return []
    return [f"classes {absent[:_SHOWN]} have no row in D_l at this seed: no teacher learns them"]


def _about_groups(groups: np.ndarray | None) -> list[str]:
    if groups is None:
        return []
    names = np.unique(groups.astype(str))
    same = len(names) - len({name.strip().casefold() for name in names.tolist()})
    if not same:
        return []
    return [f"{same} groups differ from another by spaces or capitals alone; are they the same?"]


def _about(name: str, x: Any, labels: np.ndarray, part: np.ndarray) -> list[str]:
    """Cautions on a modality: it tells the class, numbers the rows, or parts hold other numbers."""
    if int(np.prod(x.shape[1:])) > _MOST_COLUMNS:
        return []
    flat = np.concatenate(list(blocks_of(x))).astype(np.float64)
    found = []
    known = (labels != UNKNOWN) & ~np.isnan(flat[:, 0])
    if how := tells_the_class(flat[known], labels[known]):
        found.append(
            f"{name} alone tells every class ({how}); if it is made from the labels, leave it out"
        )
    if _numbers_rows(flat):
        found.append(f"{name} numbers the rows one after the other; leave it out of the file")
    sd = _spread(x, part)
    training = np.isin(part, ("labelled", "unlabelled"))
    for one, other in ((part == "test", training), (part == "labelled", part == "unlabelled")):
        apart = _apart(flat[one], flat[other], sd)
        if len(apart):
            found.append(
                f"{len(apart)} columns of {name} hold other numbers in "
                f"{'test than in training' if one[part == 'test'].all() else 'D_l than in D_u'} "
                f"(medians more than {ELSEWHERE:g} sd apart, the first is column {apart[0]}); is a "
                "part in another unit?"
            )
    return found


def _apart(one: np.ndarray, other: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """The columns whose medians in two parts are more than `ELSEWHERE` sd apart."""
    parts = [rows[~np.isnan(rows[:, 0])] for rows in (one, other)]
    if not all(map(len, parts)):
        return np.zeros(0, dtype=int)
    first, second = (np.median(rows, axis=0) for rows in parts)
    return np.flatnonzero(np.abs(first - second) / sd > ELSEWHERE)


def _numbers_rows(flat: np.ndarray) -> bool:
    """True where the numbers of a row are one, and the same step away from those of the next."""
    if flat.shape[1] != 1 or len(flat) < 3:
        return False
    steps = np.diff(flat[:, 0])
    return bool(steps[0] != 0 and (steps == steps[0]).all())


def tells_the_class(x: np.ndarray, labels: np.ndarray) -> str:
    """The way in which x [n, d] tells the class of every row; empty where it does not.

    Either rows have few values, each of one class alone (a class number, one-hot classes), or one
    column has the classes in intervals of its own, at 10 rows a class at least.
    """
    classes = len(np.unique(labels))
    if classes < 2 or len(x) < 10 * classes:
        return ""
    patterns, which = np.unique(x, axis=0, return_inverse=True)
    if len(patterns) <= 2 * classes:
        pairs = np.unique(np.stack([which.ravel(), labels]), axis=1)
        if pairs.shape[1] == len(patterns):
            return f"{len(patterns)} different rows, each of one class"
    for column in range(x.shape[1]):
        order = np.lexsort((labels, x[:, column]))
        values, own = x[order, column], labels[order]
        changes = own[1:] != own[:-1]
        # Equal values of two classes tell nothing, however they are sorted.
        if changes.sum() == classes - 1 and (values[1:] > values[:-1])[changes].all():
            return f"column {column} has each class in an interval of its own"
    return ""
