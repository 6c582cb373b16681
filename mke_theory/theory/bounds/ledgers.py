"""Every bound side by side on one pool: its value, the error it bounds, and its hypotheses.

A row is a theorem and a scope. The measured error stands beside the bound where the truth is known,
with the exact interval for the error on what the pool was drawn from. A row whose hypotheses fail
is marked beside its number. A certificate, or any other `Bound`, is added by `extra`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd
from numpy.typing import ArrayLike

from mke_theory.theory.bounds import (
    blum1998_independent_views,
    cai2021_propagation,
    lang2024_correction,
    lang2024_coverage,
    lang2024_robust,
    wei2021_pseudolabels,
)
from mke_theory.theory.bounds.bound import (
    Bound,
    Hypothesis,
    Mask,
    Measured,
    Status,
    covered_points,
    number,
    shown,
)
from mke_theory.theory.labelled_pool import LabelledPool

_WIDTH = 120
"""Columns of the terminal that the text fits."""
_DOUBTS: tuple[Status, ...] = ("violated", "not shown", "not checkable")
"""Statuses of a hypothesis that stand beside a number, the worst first."""


@dataclass(frozen=True)
class Assumed:
    """Numbers assumed where the truth of the pool is not known; None where nothing is assumed.

    `expansion` is c̄ for sets up to the teacher's worst class error and `half_expansion` for sets up
    to half of a class; both are also taken, instead of computed, where the truth is known. A row
    that rests on an assumption is at best not checkable.
    """

    teacher_error: float | None = None
    worst_class_error: float | None = None
    truth_inconsistency: float | None = None
    margin: float | None = None
    confusion: ArrayLike | None = None
    expansion: Measured = None
    half_expansion: Measured = None

    def refuse_what_is_measured(self) -> None:
        """Raises ValueError where something is assumed that a known truth decides."""
        for name in (
            "teacher_error",
            "worst_class_error",
            "truth_inconsistency",
            "margin",
            "confusion",
        ):
            if getattr(self, name) is not None:
                raise ValueError(f"the truth is known, so {name} is measured; assume none")


@dataclass(frozen=True)
class Ledger:
    """The bounds on one pool; prints as text of at most 120 columns."""

    bounds: tuple[Bound, ...]
    level: float = 0.95

    def to_frame(self) -> pd.DataFrame:
        """One row a bound, with all of its fields; an unknown number is missing."""
        return pd.DataFrame([self._record(bound) for bound in self.bounds])

    def to_markdown(self) -> str:
        """A table in Markdown: a value whose hypotheses fail has the word in its own cell."""
        head = ["theorem", "bounds", "value", "trivial", f"measured [{self.level:.0%}]"]
        lines = [[*head, "hypotheses that fail or cannot be checked", "reference"]]
        lines += [["---", "---", "---:", "---:", "---", "---", "---"]]
        for bound in self.bounds:
            value = f"{shown(bound.value)} ({bound.verdict})"
            doubts = "; ".join(map(str, _doubtful(bound)))
            cells = [bound.name, bound.about, value, number(bound.trivial), self._measured(bound)]
            lines.append([*cells, doubts, bound.reference])
        return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)

    def __str__(self) -> str:
        lines = [_line("theorem", "bounds", "value", "trivial", "measured", "verdict")]
        for bound in self.bounds:
            trivial, measured = number(bound.trivial), self._measured(bound)
            cells = (bound.name, bound.about, shown(bound.value), trivial, measured, bound.verdict)
            lines.append(_line(*cells))
            for hypothesis in _doubtful(bound):
                lines += _wrapped(str(hypothesis), "    ")
        lines.append("")
        for source in dict.fromkeys(f"{bound.name}: {bound.reference}" for bound in self.bounds):
            lines += _wrapped(source)
        return "\n".join([*lines, *self._note()])

    def _measured(self, bound: Bound) -> str:
        if bound.measured is None:
            return "–"
        interval = bound.measured.interval(self.level)
        share = f"{bound.measured.share:.3f}"
        return share if interval is None else f"{share} [{interval.low:.3f}, {interval.high:.3f}]"

    def _note(self) -> list[str]:
        """A note on the coverage of the intervals, where there are any."""
        measured = [bound.measured for bound in self.bounds if bound.measured is not None]
        if not any(error.interval(self.level) for error in measured):
            return []
        return _wrapped(
            f"[low, high] covers the error on what the pool was drawn from with probability "
            f"{self.level:g} (Clopper–Pearson), if the points are independent draws and the "
            "student was fixed before they were seen."
        )

    def _record(self, bound: Bound) -> dict[str, object]:
        error = bound.measured
        interval = None if error is None else error.interval(self.level)
        return {
            "theorem": bound.name,
            "scope": bound.scope,
            "quantity": bound.quantity,
            "value": bound.value,
            "status": bound.status,
            "vacuous": bound.vacuous,
            "trivial": bound.trivial,
            "measured": None if error is None else error.share,
            "low": None if interval is None else interval.low,
            "high": None if interval is None else interval.high,
            "hypotheses": "; ".join(map(str, bound.hypotheses)),
            "constants": ", ".join(f"{k} = {number(v)}" for k, v in bound.constants.items()),
            "reference": bound.reference,
        }


def ledger(
    pool: LabelledPool,
    *,
    covered: ArrayLike | None = None,
    classes: Sequence[int] | None = None,
    steps: Literal[1, 2] = 1,
    assumed: Assumed | None = None,
    extra: Sequence[Bound] = (),
    level: float = 0.95,
    seconds: float = 2.0,
) -> Ledger:
    """The bounds that apply to a pool, one row for each theorem and scope, then those in `extra`.

    Theorems about one class have a row for each of `classes`, by default all that weigh something;
    where the truth is not known, one row stands for every class. `covered` [n] is true where the
    teacher gave a label: then only the theorems about unlabelled points are listed, since the
    others need a label everywhere. `steps` is how far N reaches in Lang's theorems. Squared losses
    need outputs, not labels: put `charikar2024_misfit.for_outputs` into `extra`. The expansion of
    small sets may take `seconds` a class, twice.

    Raises ValueError where a class is out of range, or something is assumed that is measured.
    """
    known = Assumed() if assumed is None else assumed
    if pool.truth is not None:
        known.refuse_what_is_measured()
    if covered is None:
        rows = _labelled(pool, _scopes(pool, classes, None), steps, known, seconds)
    else:
        mask = covered_points(pool, covered)
        rows = _unlabelled(pool, _scopes(pool, classes, mask), mask, steps, known, seconds)
    return Ledger((*rows, *extra), level)


def _labelled(
    pool: LabelledPool,
    labels: Sequence[int],
    steps: Literal[1, 2],
    assumed: Assumed,
    seconds: float,
) -> Iterator[Bound]:
    """Rows for a teacher that labels every point."""
    yield from _small_sets(pool, assumed, seconds)
    corrected = [lang2024_correction.for_class(pool, label, steps=steps) for label in labels]
    yield from (_named(pool, bound) for bound in corrected)
    for label in labels:
        yield _named(pool, lang2024_correction.for_any_student(pool, label, steps=steps))
    for label in labels:
        yield _named(pool, lang2024_robust.for_class(pool, label))
    if pool.truth is not None and list(labels) == _scopes(pool, None, None):
        yield lang2024_correction.over_classes(pool, corrected)
    if pool.classes == 2:
        for label in labels:
            yield _named(pool, blum1998_independent_views.for_class(pool, label))
    yield blum1998_independent_views.for_pool(pool, confusion=assumed.confusion)
    yield cai2021_propagation.for_student(
        pool,
        expansion=_half(pool, None, assumed, seconds),
        margin=assumed.margin,
        inconsistency=assumed.truth_inconsistency,
    )


def _unlabelled(
    pool: LabelledPool,
    labels: Sequence[int],
    covered: Mask,
    steps: Literal[1, 2],
    assumed: Assumed,
    seconds: float,
) -> Iterator[Bound]:
    """Rows about the points that the teacher leaves unlabelled."""
    for label in labels:
        for theorem in (
            lang2024_coverage.for_class,
            lang2024_coverage.for_class_onto_right,
            lang2024_coverage.for_any_student,
        ):
            yield _named(pool, theorem(pool, label, covered, steps=steps))
        if pool.classes == 2:
            views = blum1998_independent_views.for_unlabelled_class(pool, label, covered)
            yield _named(pool, views)
    expansion = _half(pool, covered, assumed, seconds)
    yield cai2021_propagation.for_student(
        pool, covered=covered, expansion=expansion, margin=assumed.margin
    )


def _small_sets(pool: LabelledPool, assumed: Assumed, seconds: float) -> Iterator[Bound]:
    """Wei's rows, which share one set expansion."""
    wei, expansion = wei2021_pseudolabels, assumed.expansion
    if expansion is None and pool.truth is not None:
        most = wei.teachers_worst_class_error(pool)
        expansion = wei.small_sets(pool, most, seconds=seconds)
    worst, error = assumed.worst_class_error, assumed.teacher_error
    yield wei.for_any_student(
        pool, expansion=expansion, worst_class_error=worst, teacher_error=error
    )
    yield wei.for_minimiser(
        pool,
        expansion=expansion,
        worst_class_error=worst,
        teacher_error=error,
        truth_inconsistency=assumed.truth_inconsistency,
    )
    own = expansion if pool.truth is None else None  # the teacher's own mistakes, where known
    yield wei.for_any_student_directly(
        pool, expansion=own, worst_class_error=worst, teacher_error=error
    )


def _half(pool: LabelledPool, covered: Mask | None, assumed: Assumed, seconds: float) -> Measured:
    """The set expansion of Cai's theorem; None where it is not known."""
    if assumed.half_expansion is not None or pool.truth is None:
        return assumed.half_expansion
    if covered is not None and len(_scopes(pool, None, covered)) < len(_scopes(pool, None, None)):
        return None  # a class lies on one side only, where the theorem does not apply
    return cai2021_propagation.half_sets(pool, covered, seconds=seconds)


def _scopes(pool: LabelledPool, classes: Sequence[int] | None, covered: Mask | None) -> list[int]:
    """The classes that get a row; a single one stands for all where the truth is not known."""
    for label in classes or ():
        if not 0 <= label < pool.classes:
            raise ValueError(f"class {label} is not among 0 to {pool.classes - 1}")
    if pool.truth is None:
        return [0]
    sides = [pool.truth >= 0] if covered is None else [covered, ~covered]
    return [
        label
        for label in (range(pool.classes) if classes is None else classes)
        if all(pool.share((pool.truth == label) & side) > 0 for side in sides)
    ]


def _named(pool: LabelledPool, bound: Bound) -> Bound:
    """The same, for every class where the truth is not known."""
    if pool.truth is not None:
        return bound
    unlabelled = "unlabelled, " if bound.scope.startswith("unlabelled") else ""
    return replace(bound, scope=f"{unlabelled}every class")


def _doubtful(bound: Bound) -> tuple[Hypothesis, ...]:
    return tuple(h for status in _DOUBTS for h in bound.failed(status))


def _line(*cells: str) -> str:
    """Cells in columns; a cell too long for its column ends in an ellipsis."""
    widths = (21, 34, 7, 7, 20, 22)
    short = [c if len(c) <= w else c[: w - 1] + "…" for c, w in zip(cells, widths, strict=True)]
    name, about, value, trivial, measured, verdict = short
    return f"{name:<21} {about:<34} {value:>7} {trivial:>7}  {measured:<20} {verdict}".rstrip()


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
