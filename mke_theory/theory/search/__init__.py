"""Every world on a few atoms, searched for one that refutes a claim."""

from mke_theory.theory.search.counterexample import Counterexample, Search, draw, search, shrink
from mke_theory.theory.search.small_worlds import Atoms, World

__all__ = ["Atoms", "Counterexample", "Search", "World", "draw", "search", "shrink"]
