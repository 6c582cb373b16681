"""The label-free certificate by minimum cuts against a general linear programme (HiGHS), one run.

    python benchmarks/certificate.py            500 and 2,000 points, then growth to 10⁶ edges
    python benchmarks/certificate.py --quick    500 points, growth to 10⁵ edges; under a minute

Both sides solve the same form of the same certificate: two moons, α-threshold teacher, radius
graph, ε and μ those of the truth. The linear programme has z in [0, 1] for each point, and one
variable for each edge, or in the vertex form two for each point; the faster of HiGHS' dual simplex
and interior point counts. Seconds are wall clock, on as many threads as each side takes by itself.
The last line is the ratio of seconds, programme over cuts, edge form, at the largest size compared.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure
from scipy import sparse
from scipy.optimize import linprog
from scipy.spatial import cKDTree
from sklearn.datasets import make_moons
from tqdm import tqdm

from mke_theory.theory.certificates.certificate import Certificate, label_free
from mke_theory.theory.certificates.worst_case import Form
from mke_theory.theory.graph import (
    Floats,
    Graph,
    edge_inconsistency,
    radius_graph,
    vertex_inconsistency,
)
from mke_theory.theory.labelled_pool import LabelledPool

COMPARED = ((500, 9_750), (2_000, 39_000))
GROWTH = ((1_000, 10_000), (3_000, 30_000), (10_000, 10**5), (30_000, 3 * 10**5), (10**5, 10**6))
REPEATS = 5
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """Time both sides, then cuts alone on growing pools; print tables and draw the growth."""

    quick: bool = False
    """500 points, and growth to 10⁵ edges only."""
    out: Path = Path("results/benchmarks")
    """Folder for the figure of growth."""
    workers: int = 1
    """Threads for connected components in the growth part."""


def main(argv: Sequence[str] | None = None) -> int:
    """0; the last line printed is `speedup: <ratio>`."""
    options = tyro.cli(Options, args=argv, description=__doc__)
    rows = [
        compared(points, edges, form)
        for points, edges in (COMPARED[:1] if options.quick else COMPARED)
        for form in ("edge", "vertex")
    ]
    table = pd.DataFrame(rows)
    print(table.to_markdown(index=False, floatfmt=".4g"))
    sizes = GROWTH[:3] if options.quick else GROWTH
    grown = pd.DataFrame(
        [
            grown_to(points, edges, form, options.workers)
            for points, edges in tqdm(sizes, desc="growth", unit="size")
            for form in ("edge", "vertex")
        ]
    )
    print(grown.to_markdown(index=False, floatfmt=".4g"))
    print(draw(grown, options.out / "certificate_growth.png"))
    worse = table["cuts"] > table["programme"] + 1e-6
    if worse.any():
        print(f"error: cuts gave a larger bound than the programme:\n{table[worse]}")
        return 1
    largest = table[table["form"] == "edge"].iloc[-1]
    print(f"speedup: {largest['seconds, programme'] / largest['seconds, cuts']:.0f}")
    return 0


def compared(points: int, edges: int, form: Form) -> dict[str, object]:
    """One row: both values and the seconds of both sides (cuts: median of five runs)."""
    pool, mu = pool_of(points, edges, form)
    found, cuts = timed(lambda: certificate(pool, mu, form), REPEATS)
    by_method = {}
    for method in ("highs-ds", "highs-ipm"):
        value, seconds = timed(partial(programme, pool, mu, form, method), 1)
        by_method[method] = (float(np.median(seconds)), value)
    fastest = min(by_method, key=lambda name: by_method[name][0])
    return {
        "points": points,
        "edges": len(pool.graph.edges),
        "form": form,
        "programme": by_method[fastest][1],
        "cuts": found.value,
        "seconds, programme": by_method[fastest][0],
        "HiGHS": fastest.removeprefix("highs-"),
        "seconds, cuts": float(np.median(cuts)),
        "least": min(cuts),
        "most": max(cuts),
    }


def grown_to(points: int, edges: int, form: Form, workers: int) -> dict[str, object]:
    """Seconds of the certificate on a pool of this size, and the memory of the process so far."""
    pool, mu = pool_of(points, edges, form)
    found, seconds = timed(lambda: certificate(pool, mu, form, workers), 1)
    return {
        "points": points,
        "edges": len(pool.graph.edges),
        "components": int(pool.graph.components.max()) + 1,
        "form": form,
        "bound": found.value,
        "trivial": found.trivial,
        "seconds": seconds[0],
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def pool_of(points: int, edges: int, form: Form) -> tuple[LabelledPool, float]:
    """Two moons with a radius graph of about `edges` edges, and the truth's inconsistency μ.

    The teacher reads x₁ alone; the student is right except in one disc, where it is always wrong.
    """
    x, y = make_moons(points, noise=0.12, random_state=0)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    tree, low, high = cKDTree(x), 1e-3, 2.0
    for _ in range(40):
        radius = (low + high) / 2
        few = (tree.count_neighbors(tree, radius) - points) // 2 < edges
        low, high = (radius, high) if few else (low, radius)
    graph = radius_graph(x, radius)
    teacher = (x[:, 0] > 0).astype(np.int64)
    student = np.where(((x - x[5]) ** 2).sum(axis=1) < 0.3, 1 - y, y)
    measured = edge_inconsistency if form == "edge" else vertex_inconsistency
    return LabelledPool(graph, teacher, student, 2, y), measured(graph, y)


def certificate(pool: LabelledPool, mu: float, form: Form, workers: int = 1) -> Certificate:
    """The certificate with ε that of the truth."""
    error = pool.teacher_error
    return label_free(pool, error=error, inconsistency=mu, form=form, workers=workers)


def programme(pool: LabelledPool, mu: float, form: Form, method: str) -> float:
    """The same bound as one linear programme: z in [0, 1] a point, and what its form charges."""
    graph, p = pool.graph, pool.graph.weights
    rows, charge = _edge_rows(graph) if form == "edge" else _set_rows(graph)
    reward, cost = (np.where(f == 0, p, -p) for f in (pool.student, pool.pseudo))
    certain, paid = (p[f == 1].sum() for f in (pool.student, pool.pseudo))
    zero = np.zeros(len(charge))
    limits = np.stack([np.concatenate([0 * p, charge]), np.concatenate([cost, zero])])
    solved = linprog(
        -np.concatenate([reward, zero]),
        A_ub=sparse.csr_array(sparse.vstack([rows, sparse.csr_array(limits)])),
        b_ub=np.concatenate([np.zeros(rows.shape[0]), [mu, pool.teacher_error - paid]]),
        bounds=(0, 1),
        method=method,
    )
    return float(certain - solved.fun)


def _edge_rows(graph: Graph) -> tuple[sparse.sparray, Floats]:
    """One d for each edge, at least z_i − z_j and z_j − z_i, charged by its weight."""
    m, every = len(graph.edges), np.arange(len(graph.edges))
    ends = (np.tile(every, 2), graph.edges.T.ravel())
    apart = sparse.csr_array((np.repeat([1.0, -1.0], m), ends), shape=(m, graph.n))
    own = -sparse.eye_array(m)
    rows = sparse.vstack([sparse.hstack([apart, own]), sparse.hstack([-apart, own])])
    return rows, graph.edge_weights


def _set_rows(graph: Graph) -> tuple[sparse.sparray, Floats]:
    """For each point the largest and the smallest z of B(x); their difference is charged by p."""
    reached = sparse.coo_array(graph.adjacency + sparse.eye_array(graph.n))
    m, every = reached.nnz, np.arange(reached.nnz)
    member, owner = (
        sparse.csr_array((np.ones(m), (every, at)), shape=(m, graph.n))
        for at in (reached.col, reached.row)
    )
    none = sparse.csr_array((m, graph.n))
    largest = sparse.hstack([member, -owner, none])
    smallest = sparse.hstack([-member, none, owner])
    return sparse.vstack([largest, smallest]), np.concatenate([graph.weights, -graph.weights])


def timed(work: Callable[[], T], repeats: int) -> tuple[T, list[float]]:
    """The result of `work`, and the seconds of each of its runs."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - started)
    return found, seconds


def draw(grown: pd.DataFrame, path: Path) -> Path:
    """Seconds over edges, both axes logarithmic, with a line of slope one to compare."""
    figure = Figure(figsize=(4.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for (form, rows), marker in zip(grown.groupby("form"), "os", strict=True):
        axes.loglog(rows["edges"], rows["seconds"], marker=marker, label=f"{form} form")
    first = grown[grown["form"] == "edge"].iloc[0]
    edges = np.array([grown["edges"].min(), grown["edges"].max()])
    slope = first["seconds"] * edges / first["edges"]
    axes.loglog(edges, slope, color="grey", linestyle=":", label="proportional to edges")
    axes.set(xlabel="edges of the graph", ylabel="seconds for a certificate")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    return path


if __name__ == "__main__":
    sys.exit(main())
