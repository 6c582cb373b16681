"""The method as one estimator of scikit-learn."""

from mke_theory.estimator.classifier import MKEClassifier
from mke_theory.estimator.summary import Changes

__all__ = ["Changes", "MKEClassifier"]
