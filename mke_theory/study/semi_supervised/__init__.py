"""MKE among the semi-supervised methods, at equal budgets."""

from mke_theory.study.semi_supervised.contestants import Contestant, comparable

__all__ = ["Contestant", "comparable"]
