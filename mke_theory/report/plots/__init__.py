"""One file a figure type: from records or arrays to a figure, training nothing.

Every function draws on the axes it is given or makes a figure, and returns the figure; `save`
writes one to a file.
"""

from mke_theory.report.plots.account_by_class import account_by_class
from mke_theory.report.plots.bound_against_error import Comparison, bound_against_error
from mke_theory.report.plots.certificates import BoundPanel, bounds_beside_the_truth
from mke_theory.report.plots.confusion import confusion
from mke_theory.report.plots.error_against_noise import NoiseCurve, error_against_noise
from mke_theory.report.plots.frontier import Frontier, Reached, expansion_against_separation
from mke_theory.report.plots.gain_along_knob import Curve, gain_along_knob
from mke_theory.report.plots.gain_by_arm import gain_by_arm
from mke_theory.report.plots.gain_by_method import gain_by_method
from mke_theory.report.plots.phase_diagram import Surface, phase_diagram
from mke_theory.report.plots.regions import Region, decision_regions
from mke_theory.report.plots.scenes import Scene, scenes
from mke_theory.report.plots.style import save

__all__ = [
    "BoundPanel",
    "Comparison",
    "Curve",
    "Frontier",
    "NoiseCurve",
    "Reached",
    "Region",
    "Scene",
    "Surface",
    "account_by_class",
    "bound_against_error",
    "bounds_beside_the_truth",
    "confusion",
    "decision_regions",
    "error_against_noise",
    "expansion_against_separation",
    "gain_along_knob",
    "gain_by_arm",
    "gain_by_method",
    "phase_diagram",
    "save",
    "scenes",
]
