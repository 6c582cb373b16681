"""One file a figure type: from records or arrays to a figure, training nothing.

Every function draws on the axes it is given or makes a figure, and returns the figure; `save`
writes one to a file.
"""

from mke_theory.report.plots.accounts import account_by_class, with_account
from mke_theory.report.plots.accuracy import AccuracyPanel, accuracy_along_knobs
from mke_theory.report.plots.bounds import Comparison, bound_against_error
from mke_theory.report.plots.certificates import BoundPanel, bounds_beside_the_truth
from mke_theory.report.plots.confusion import confusion_by_arm
from mke_theory.report.plots.frontier import Frontier, Reached, expansion_against_separation
from mke_theory.report.plots.gains import gain_by_arm
from mke_theory.report.plots.guards import gain_against_shared
from mke_theory.report.plots.knobs import Curve, gain_along_knob
from mke_theory.report.plots.methods import gain_by_method
from mke_theory.report.plots.noise import NoiseCurve, error_against_noise
from mke_theory.report.plots.phase import Surface, phase_diagram
from mke_theory.report.plots.promises import Promises, promised_and_true
from mke_theory.report.plots.regions import Region, decision_regions
from mke_theory.report.plots.reliability import Confidences, reliability_by_task
from mke_theory.report.plots.scenes import Scene, predicted_scenes
from mke_theory.report.plots.style import save

__all__ = [
    "AccuracyPanel",
    "BoundPanel",
    "Comparison",
    "Confidences",
    "Curve",
    "Frontier",
    "NoiseCurve",
    "Promises",
    "Reached",
    "Region",
    "Scene",
    "Surface",
    "account_by_class",
    "accuracy_along_knobs",
    "bound_against_error",
    "bounds_beside_the_truth",
    "confusion_by_arm",
    "decision_regions",
    "error_against_noise",
    "expansion_against_separation",
    "gain_against_shared",
    "gain_along_knob",
    "gain_by_arm",
    "gain_by_method",
    "phase_diagram",
    "predicted_scenes",
    "promised_and_true",
    "reliability_by_task",
    "save",
    "with_account",
]
