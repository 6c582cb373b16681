"""The tightness of each bound: its value against the measured error, over worlds and students.

Claim. On these worlds no bound is broken where its hypotheses hold; how often they hold, how often
the value is then below that of the triangle inequality, and how far it lies above the error differs
by orders of magnitude between theorems. A certificate, which spends the whole graph, always
applies.

    python experiments/tightness.py                    120 worlds of each family
    python experiments/tightness.py --quick            12 of each

Families: random finite worlds; clusters whose points all reach each other; worlds with independent
views; pools of Gaussian blobs and of moons; and, for the theorem on squared losses, students that
are projections and students that are not. Shares depend on how worlds are drawn, so read them as a
comparison of theorems on the same worlds. A case is a world, a student and, where a theorem speaks
of one class, a class. ε and μ of the certificate are those of the truth.

Hardware: two CPU cores, two to four minutes; it can be stopped and goes on where it was.
Expected: `docs/results/generated/tightness.md` and `paper/figures/tightness.png`; no bound broken.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from sklearn.datasets import make_moons
from sklearn.neighbors import KNeighborsClassifier

from mke_theory.command.calls import asked, refuse_below_one, refused, until_interrupted
from mke_theory.data.console import forgiving_console
from mke_theory.data.rng import seed_for
from mke_theory.report.plots import Comparison, bound_against_error, save
from mke_theory.study import keys, records
from mke_theory.study.keys import config_hash
from mke_theory.study.processes import available_cores, record_all
from mke_theory.study.records import Record
from mke_theory.theory.appraise import certificate_row
from mke_theory.theory.bounds import cai2021_propagation, charikar2024_misfit, wei2021_pseudolabels
from mke_theory.theory.bounds.bound import Bound, student_error_on
from mke_theory.theory.bounds.ledgers import Assumed, ledger
from mke_theory.theory.certificates.certificate import label_free, truth_known
from mke_theory.theory.graph import (
    Floats,
    Graph,
    Ints,
    edge_inconsistency,
    nearest_neighbours,
    radius_graph,
)
from mke_theory.theory.labelled_pool import LabelledPool
from mke_theory.theory.search.counterexample import SLACK, draw

LABEL_FREE, TRUTH_KNOWN = "certificate, label-free", "certificate, truth known"
CHARIKAR = "Charikar 1, misfit"
THEOREMS = (
    "Wei 4.3, any student",
    "Wei 4.3, minimiser",
    "small sets, directly",
    "Lang B.1, correction",
    "Lang B.1, any student",
    "Lang 4.3, η-robust",
    "Lang B.2, coverage",
    "Lang B.2, c₁ only",
    "Lang B.2, any student",
    "Blum–Mitchell, views",
    "Cai 2.1, propagation",
    CHARIKAR,
    LABEL_FREE,
    TRUTH_KNOWN,
)
"""Names of the bounds in the order of table and figure."""
SECONDS = 10.0
"""For the expansion of small sets, a class. None needed more than 2, so that slower machines find
the same."""
STUDENTS = 6
POOL = 60
DRAWN = 500
"""Cases in a panel of the figure, every k-th of those that have a value."""

Make = Callable[[np.random.Generator], Iterator[Bound]]


@dataclass(frozen=True)
class Options:
    """Compute what is missing, print the tables, write them and the figure."""

    worlds: int = 120
    """Worlds of each family."""
    quick: bool = False
    """A tenth of the worlds."""
    out: Path = Path("results/tightness")
    """Folder for records, tables and figure."""
    workers: int = field(default_factory=available_cores)
    """Worlds computed at the same time."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where no bound is broken, 1 where one is, 2 for a bad call, 130 after Ctrl-C."""
    options = asked(Options, argv, __doc__)
    return until_interrupted(options.out, partial(run_all, options))


def run_all(options: Options) -> int:
    """Do what is missing, then print and write what all records of the plan show."""
    try:
        refuse_below_one(options, "worlds", "workers")
        kept = records.Records.open(options.out)
    except (OSError, ValueError) as problem:
        return refused(problem)
    worlds = max(1, options.worlds // 10) if options.quick else options.worlds
    wanted = [(family, seed) for family in FAMILIES for seed in range(worlds)]
    with kept:
        by_key = {key_of(family, seed): (family, seed) for family, seed in wanted}
        done, lost = record_all(by_key, carry_out, kept, workers=options.workers, title="worlds")
    for (family, seed), error in lost:
        print(f"failed: {family} seed {seed}: {error}", file=sys.stderr)
    cases = cases_of(done)
    text = markdown(cases)
    print(text)
    print(records.write_atomic(options.out / "tightness.md", text))
    print(figure(cases, options.out / "tightness.png"))
    return 1 if lost or broken(cases).any() else 0


@cache
def code_version() -> str:
    """A hash of the package's sources and of this file."""
    own = Path(__file__).read_text(encoding="utf-8")
    return config_hash([keys.code_version(), own])


def key_of(family: str, seed: int) -> str:
    """The key of a world's record."""
    return keys.run_key(
        task=family,
        arm="tightness",
        seed=seed,
        config_hash=config_hash({"family": family}),
        code=code_version(),
        environment=keys.versions(),
    )


def carry_out(world: tuple[str, int]) -> Record:
    """The record of one world: a line for each bound, student and class."""
    family, seed = world
    rng = np.random.default_rng(seed_for(seed, "tightness", family))
    lines = [
        {
            "theorem": bound.name,
            "scope": bound.scope,
            "value": bound.value,
            "error": None if bound.measured is None else bound.measured.share,
            "trivial": bound.trivial if np.isfinite(bound.trivial) else None,
            "verdict": bound.verdict,
        }
        for bound in FAMILIES[family](rng)
        if bound.name in THEOREMS
    ]
    return Record(
        key=key_of(family, seed),
        task=family,
        arm="tightness",
        seed=seed,
        config_hash=config_hash({"family": family}),
        metrics={},
        extra={"cases": lines},
    )


# Families of worlds


def random_worlds(rng: np.random.Generator) -> Iterator[Bound]:
    """Four to nine atoms, any graph, two or three classes, a teacher that errs here and there."""
    classes = 2 if rng.random() < 0.7 else 3
    world = draw(rng, int(rng.integers(4, 10)), classes)
    graph, truth = world.atoms.graph, np.array(world.truth)
    yield from judged(rng, graph, truth, np.array(world.teacher), classes)


def clusters(rng: np.random.Generator) -> Iterator[Bound]:
    """Clusters of one class each, and a few edges between some.

    In a cluster all points reach each other, directly or through two hubs that are near them all.
    """
    counts = rng.integers(4, 16, size=int(rng.integers(2, 6)))
    at = np.repeat(np.arange(len(counts)), counts)
    hub = np.concatenate([np.arange(count) < 2 for count in counts])
    pairs = np.array([*combinations(range(len(at)), 2)])
    inside = at[pairs[:, 0]] == at[pairs[:, 1]]
    if rng.random() < 0.5:
        inside &= hub[pairs].any(axis=1)
    near = inside | (rng.random(len(pairs)) < rng.choice([0.0, 0.0, 0.01]))
    truth = (np.arange(len(counts)) % 2)[at]
    graph, teacher = Graph.from_edges(len(at), pairs[near]), flipped(rng, truth, 0.4)
    yield from judged(rng, graph, truth, teacher, 2)


def independent_views(rng: np.random.Generator) -> Iterator[Bound]:
    """In each class every x^α occurs with every x^β; the teacher reads one, the student the other.

    Neighbours share x^α or x^β, within their class and, here and there, beyond it.
    """
    sides = int(rng.integers(4, 9)), int(rng.integers(4, 9))
    cells = np.array([*product(range(2), range(sides[0]), range(sides[1]))])
    y, a, b = cells.T
    weights = [rng.integers(1, 5, size=(2, side)).astype(float) for side in sides]
    p = weights[0][y, a] * weights[1][y, b]
    pairs = np.array([*combinations(range(len(cells)), 2)])
    first, second = cells[pairs[:, 0]], cells[pairs[:, 1]]
    alike = (first[:, 1:] == second[:, 1:]).any(axis=1)
    same = first[:, 0] == second[:, 0]
    near = alike & (same | (rng.random(len(pairs)) < rng.choice([0, 0, 0.02])))
    graph = Graph.from_edges(len(cells), pairs[near], weights=p / p.sum())
    wrong = [rng.random((2, side)) < rng.choice([0.1, 0.3]) for side in sides]
    students = [y ^ (rng.random((2, sides[1])) < share)[y, b] for share in (0, 0.1, 0.2, 0.3)]
    yield from judged(rng, graph, y, y ^ wrong[0][y, a], 2, students=students)


def blobs(rng: np.random.Generator) -> Iterator[Bound]:
    """One or two Gaussian blobs a class, well apart in β, less so in α."""
    each = int(rng.integers(1, 3))
    truth = np.arange(POOL) % 2
    part = 2 * rng.integers(each, size=POOL) + truth
    apart = rng.uniform(0.5, 2.5), rng.uniform(2, 6)
    centres = np.stack([apart[0] * np.array([-1, 1, -1, 1]), apart[1] * np.array([-1, 1, 3, 5])])
    yield from bounds_around(rng, centres.T[part] + rng.normal(size=(POOL, 2)), truth)


def moons(rng: np.random.Generator) -> Iterator[Bound]:
    """Two moons; α is the first coordinate."""
    noise, state = rng.uniform(0.05, 0.2), int(rng.integers(2**31))
    x, truth = make_moons(POOL, noise=noise, random_state=state)
    yield from bounds_around(rng, (x - x.mean(axis=0)) / x.std(axis=0), truth)


def outputs(rng: np.random.Generator) -> Iterator[Bound]:
    """Teachers and students with numbers for outputs, and a truth that is linear in d features.

    Two students are projections, on all linear functions and on those with weights ≥ 0, which both
    hold the truth; the others are a mixture with noise, and stay short of the projection.
    """
    n, d = int(rng.integers(20, 80)), int(rng.integers(2, 8))
    features, weights = rng.normal(size=(n, d)), rng.exponential(size=d)
    truth = features @ weights
    truth, scale = truth / np.sqrt((truth**2).mean()), np.sqrt((truth**2).mean())
    astray = features @ rng.normal(size=d) / d**0.5  # what the student's class can imitate
    teacher = truth + rng.uniform(0.1, 0.8) * astray + rng.uniform(0.1, 0.6) * rng.normal(size=n)
    linear = features @ np.linalg.lstsq(features, teacher, rcond=None)[0]
    positive = features @ nnls(features, teacher * scale)[0] / scale
    mixed = teacher + rng.uniform(0.1, 1) * rng.normal(size=n)
    for student in (linear, positive, mixed, rng.uniform(0.2, 0.9) * linear):
        yield charikar2024_misfit.for_outputs(teacher, student, truth)


FAMILIES: dict[str, Make] = {
    "random worlds": random_worlds,
    "clusters": clusters,
    "independent views": independent_views,
    "blobs": blobs,
    "moons": moons,
    "outputs": outputs,
}


def bounds_around(rng: np.random.Generator, points: Floats, truth: Ints) -> Iterator[Bound]:
    """A pool in the plane: the teacher a threshold on α or a few mistakes, the graph by distance.

    Two of the students vote among neighbours of the pseudo labels.
    """
    cut = (points[:, 0] > np.median(points[:, 0])).astype(np.int64)
    teacher = cut if rng.random() < 0.5 else flipped(rng, truth, 0.3)
    near = rng.random() < 0.5
    radius, count = rng.uniform(0.3, 3.0), int(rng.integers(2, 8))
    graph = radius_graph(points, radius) if near else nearest_neighbours(points, count)
    votes = [
        KNeighborsClassifier(k).fit(points, teacher).predict(points).astype(np.int64)
        for k in rng.integers(5, 26, size=2)
    ]
    yield from judged(rng, graph, truth, teacher, 2, students=votes)


def flipped(rng: np.random.Generator, labels: Ints, most: float) -> Ints:
    """`labels` with a random share, at most `most`, changed to the other of two classes."""
    return labels ^ (rng.random(len(labels)) < rng.uniform(0, most))


# Bounds on a world


def judged(
    rng: np.random.Generator,
    graph: Graph,
    truth: Ints,
    teacher: Ints,
    classes: int,
    students: Sequence[Ints] = (),
) -> Iterator[Bound]:
    """Every bound on each of the students given and of as many random ones as are missing."""
    if (teacher == truth).all():  # a teacher without errors leaves nothing to bound
        teacher = np.where(np.arange(graph.n) == 0, (truth + 1) % classes, truth)
    first = LabelledPool(graph, teacher, teacher, classes, truth)
    worst = wei2021_pseudolabels.teachers_worst_class_error(first)
    known = Assumed(
        expansion=wei2021_pseudolabels.small_sets(first, worst, seconds=SECONDS),
        half_expansion=cai2021_propagation.half_sets(first, seconds=SECONDS),
    )
    covered = rng.random(graph.n) < 0.7
    covered[rng.choice(graph.n, 2, replace=False)] = True, False
    for student in [*students, *guesses(rng, truth, teacher, classes)][:STUDENTS]:
        pool = LabelledPool(graph, teacher, student, classes, truth)
        yield from ledger(pool, assumed=known, extra=[*certificates(pool)]).bounds
        yield from (
            bound
            for bound in ledger(pool, covered=covered, assumed=known).bounds
            if bound.name.startswith("Lang B.2")
        )


def guesses(rng: np.random.Generator, truth: Ints, teacher: Ints, classes: int) -> Iterator[Ints]:
    """Students that keep most of the truth, most of the teacher, a bit of both, or nothing."""
    n = len(truth)
    anything = rng.integers(classes, size=(4, n))
    yield truth
    yield np.where(rng.permutation(n) < rng.integers(1, 4), anything[0], truth)
    yield np.where(rng.random(n) < rng.uniform(0, 0.2), anything[1], teacher)
    yield np.where(rng.random(n) < rng.uniform(0, 1), truth, teacher)
    yield np.where(rng.random(n) < rng.uniform(0, 0.5), anything[2], truth)
    yield anything[3]


def certificates(pool: LabelledPool) -> Iterator[Bound]:
    """The label-free certificate at the truth's ε and μ, and the one that knows the truth."""
    mu = edge_inconsistency(pool.graph, pool.known_truth)
    free = label_free(pool, error=pool.teacher_error, inconsistency=mu)
    yield replace(certificate_row(free, pool), name=LABEL_FREE)
    known = truth_known(pool)
    row = Bound(TRUTH_KNOWN, f"derived here; {known.method}", "pool", "error", known.value, ())
    yield replace(row, trivial=known.trivial, measured=student_error_on(pool))


# Tables of the records


def cases_of(done: Sequence[Record]) -> pd.DataFrame:
    """One row a case: family, world, theorem, scope, value, error, trivial, verdict."""
    rows = [
        {"family": record.task, "world": record.seed} | case
        for record in done
        for case in record.extra["cases"]
    ]
    cases = pd.DataFrame(rows)
    for name in ("value", "error", "trivial"):
        cases[name] = cases[name].astype(float)
    return cases


def broken(cases: pd.DataFrame) -> pd.Series:
    """True where the error of a case exceeds its value although no hypothesis is known to fail."""
    stands = ~cases["verdict"].str.startswith("violated")
    return stands & (cases["error"] > cases["value"] + SLACK)


def markdown(cases: pd.DataFrame) -> str:
    """The tables as they are printed and published, with the meaning of their columns."""
    return "\n\n".join(
        [
            theorem_table(cases).to_markdown(disable_numparse=True),
            "holds: all hypotheses hold. Of those, useful: the value is below what the triangle "
            "inequality says. Value/error: median of the ratio where the error is not 0, over all "
            "cases that hold and over the useful ones. Broken: the error exceeds the value "
            "although no hypothesis is violated. Needed: of the cases in which a hypothesis is "
            "violated and the formula has a value, those in which the error exceeds it. No pool "
            "can check that Charikar's class is convex and holds the truth; so it is by "
            "construction, and all cases count in which nothing else is violated. A strict "
            "hypothesis has to hold by 1e-6: at equality rounding would decide, and worlds drawn "
            "at random seldom come there, so that a count of 0 here says little about ties. Those "
            "are gone through in fractions by `tests/theory/bounds/test_ties.py`.",
            "Share of cases that hold, by family of worlds",
            family_table(cases).to_markdown(disable_numparse=True) + "\n",
        ]
    )


def theorem_table(cases: pd.DataFrame) -> pd.DataFrame:
    """A row a theorem: cases, how often it holds, is useful, broken, and how far it is off."""
    rows = {}
    for name in THEOREMS:
        own = cases[cases["theorem"] == name]
        if own.empty:
            continue
        stands = own[stands_in(own)]
        useful = stands[~stands["verdict"].str.endswith("vacuous")]
        fails = own[own["verdict"].str.startswith("violated") & own["value"].notna()]
        rows[name] = {
            "worlds": f"{len(own[['family', 'world']].drop_duplicates()):,}",
            "cases": f"{len(own):,}",
            "holds": _share(len(stands), len(own)),
            "useful": _share(len(useful), len(stands)),
            "value/error": _ratio(stands),
            "value/error, useful": _ratio(useful),
            "broken": f"{broken(own).sum()}",
            "needed": _share((fails["error"] > fails["value"] + SLACK).sum(), len(fails)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("theorem")


def family_table(cases: pd.DataFrame) -> pd.DataFrame:
    """The share of cases in which a theorem holds, by family of worlds, percent."""
    held = cases.assign(holds=stands_in(cases))
    table = held.pivot_table(index="theorem", columns="family", values="holds", aggfunc="mean")
    rows = [name for name in THEOREMS if name in table.index]
    columns = [name for name in FAMILIES if name in table.columns]
    shown = (100 * table.loc[rows, columns]).map(lambda x: "–" if np.isnan(x) else f"{x:.0f}%")
    return shown


def stands_in(cases: pd.DataFrame) -> pd.Series:
    """True where all hypotheses hold; for Charikar, whose class no pool checks, none fails."""
    holds = cases["verdict"].str.startswith("holds")
    unchecked = (cases["theorem"] == CHARIKAR) & ~cases["verdict"].str.startswith("violated")
    return holds | unchecked


def figure(cases: pd.DataFrame, path: Path) -> Path:
    """The path of the figure: a panel a theorem."""
    drawn = cases[cases["value"].notna() & cases["error"].notna()]
    panels = []
    for name in THEOREMS:
        own = drawn[drawn["theorem"] == name]
        if own.empty:
            continue
        own = own.iloc[np.linspace(0, len(own) - 1, min(len(own), DRAWN)).astype(int)]
        title = "Charikar 1, squared loss" if name == CHARIKAR else name
        numbers = own["value"].to_numpy(), own["error"].to_numpy()
        panels.append(Comparison(title, *numbers, [*own["verdict"]]))
    worlds = len(cases[["family", "world"]].drop_duplicates())
    caption = (
        f"{worlds:,} worlds; up to {DRAWN} of the cases with a value are drawn; shaded: the bound "
        "is broken"
    )
    return save(bound_against_error(panels, caption, columns=5), path)


def _share(count: int, total: int) -> str:
    return f"{count:,} of {total:,} ({100 * count / total:.0f}%)" if total else "–"


def _ratio(cases: pd.DataFrame) -> str:
    off = cases[cases["error"] > 0]
    return f"{(off['value'] / off['error']).median():.3g} ({len(off):,})" if len(off) else "–"


if __name__ == "__main__":
    sys.exit(main())
