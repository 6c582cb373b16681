"""Proofs on a pool: set expansion, published bounds checked, and certificates.

One student at a glance: `appraise.appraise`, a ledger and a certificate on each view of its pool.
"""

from mke_theory.theory.appraise import View, certificate_row, spaces
from mke_theory.theory.graph import (
    Graph,
    edge_inconsistency,
    nearest_neighbours,
    radius_graph,
    vertex_inconsistency,
)
from mke_theory.theory.labelled_pool import LabelledPool

__all__ = [
    "Graph",
    "LabelledPool",
    "View",
    "certificate_row",
    "edge_inconsistency",
    "nearest_neighbours",
    "radius_graph",
    "spaces",
    "vertex_inconsistency",
]
