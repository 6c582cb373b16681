"""Tasks that need no data set: two moons, scikit-learn's digits, and arrays of your own."""

from mke_theory.tasks.toy.arrays import Arrays
from mke_theory.tasks.toy.digits import Digits
from mke_theory.tasks.toy.twomoon import TwoMoon, TwoMoonPublished

__all__ = ["Arrays", "Digits", "TwoMoon", "TwoMoonPublished"]
