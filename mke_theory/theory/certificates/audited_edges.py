"""The inconsistency μ of the truth, from edges whose ends somebody has labelled.

Draw edges one by one, each with the probability of its weight and with replacement. An edge is cut
by the truth with probability R_E(y), so the number of cut ones among m is binomial and its exact
one-sided limit is that of Clopper and Pearson. No assumption on the graph is made but that it was
chosen before the edges were drawn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mke_theory.data.pool import UNKNOWN
from mke_theory.evaluation.stats import clopper_pearson
from mke_theory.theory.graph import Graph, Ints, labels_of


@dataclass(frozen=True, eq=False)
class AuditedInconsistency:
    """R_E(y) ≤ at_most on one graph, with probability `level`; the audited labels are `known` [n].

    `graph_key` is that of the graph whose edges were drawn; `known` is −1 where nobody looked.
    """

    at_most: float
    level: float
    source: str
    graph_key: str
    known: Ints


def draw_edges(graph: Graph, m: int, rng: np.random.Generator) -> Ints:
    """Numbers [m] of edges drawn by weight, with replacement: the design of the audit.

    Raises ValueError where m is less than 1 or the graph has no edge.
    """
    if m < 1 or len(graph.edges) == 0:
        raise ValueError(
            f"{m} edges of {len(graph.edges)} cannot be drawn; ask for at least 1 of 1"
        )
    weights = graph.edge_weights
    return np.asarray(rng.choice(len(weights), m, p=weights / weights.sum()), dtype=np.int64)


def inconsistency_from_audit(
    graph: Graph, edges: ArrayLike, labels: ArrayLike, level: float = 0.95
) -> AuditedInconsistency:
    """The limit on R_E of the truth after looking up both ends of the edges drawn.

    `edges` [m] are numbers into `graph.edges` from `draw_edges`, repeats included, and `labels`
    [m, 2] the true classes of their ends, in the order of `graph.edges`. It is the one-sided
    Clopper–Pearson limit at `level`.

    Raises ValueError where shapes or numbers do not fit, a point is given two classes, or level is
    outside (0, 1). Ref: clopper1934confidence.
    """
    drawn, ends = np.asarray(edges), np.asarray(labels)
    if drawn.ndim != 1 or drawn.size == 0 or drawn.dtype.kind not in "iu":
        raise ValueError(
            f"edges have shape {drawn.shape}; give the number of every edge drawn, [m]"
        )
    if drawn.min() < 0 or drawn.max() >= len(graph.edges):
        raise ValueError(f"edges run to {drawn.max()}; the graph has 0 to {len(graph.edges) - 1}")
    if ends.shape != (len(drawn), 2):
        raise ValueError(f"labels have shape {ends.shape}; give both ends of {len(drawn)} edges")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; it has to be between 0 and 1, for instance 0.95")
    flat = labels_of("labels", ends.ravel(), ends.size)
    at = graph.edges[drawn].ravel()
    known = np.full(graph.n, UNKNOWN)
    known[at] = flat
    if (known[at] != flat).any():
        point = int(at[known[at] != flat][0])
        raise ValueError(f"point {point} is given two classes; an audited label is one")
    cut = int((ends[:, 0] != ends[:, 1]).sum())
    limit = clopper_pearson(cut, len(drawn), 2 * level - 1).high if level > 0.5 else 1.0
    source = f"audit of edges, {cut} of {len(drawn)} cut"
    return AuditedInconsistency(limit, level, source, graph_key(graph), known)


def graph_key(graph: Graph) -> str:
    """A hash of the edges of a graph and their weights, to nine digits."""
    digest = hashlib.sha256(graph.edges.tobytes())
    weights: NDArray[np.float64] = graph.edge_weights
    digest.update(np.round(weights / weights.max(initial=1e-300), 9).tobytes())
    return f"{graph.n} points, {digest.hexdigest()[:12]}"
