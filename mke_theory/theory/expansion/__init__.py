"""Set expansion and relative expansion of a graph: how much larger a set becomes by its reach."""

from mke_theory.theory.expansion.isoperimetry import (
    frontier,
    gaussian_error,
    gaussian_separation,
    gaussian_set_expansion,
    pool_frontier,
)
from mke_theory.theory.expansion.relative import (
    RelativeExpansion,
    RelativeExpansionProfile,
    certified_constant,
    relative_expansion,
    relative_expansion_between,
    relative_expansion_profile,
    relative_expansion_profile_between,
)
from mke_theory.theory.expansion.set_expansion import SmallSetExpansion, small_set_expansion

__all__ = [
    "RelativeExpansion",
    "RelativeExpansionProfile",
    "SmallSetExpansion",
    "certified_constant",
    "frontier",
    "gaussian_error",
    "gaussian_separation",
    "gaussian_set_expansion",
    "pool_frontier",
    "relative_expansion",
    "relative_expansion_between",
    "relative_expansion_profile",
    "relative_expansion_profile_between",
    "small_set_expansion",
]
