"""Quality and certainty: the account of a student, metrics, calibration, intervals, p-values.

`account` itself is at the front door: `from mke_theory import account`.
"""

from mke_theory.evaluation.account import Account, ConfidenceBin, Tally, accuracy
from mke_theory.evaluation.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    reliability,
)
from mke_theory.evaluation.metrics import (
    confusion,
    macro_f1,
    mean_accuracy,
    mean_iou,
    multilabel,
)
from mke_theory.evaluation.stats import (
    Interval,
    PairedDifference,
    Summary,
    clopper_pearson,
    mcnemar,
    paired_difference,
    summarise,
)

__all__ = [
    "Account",
    "ConfidenceBin",
    "Interval",
    "PairedDifference",
    "ReliabilityBin",
    "Summary",
    "Tally",
    "accuracy",
    "clopper_pearson",
    "confusion",
    "expected_calibration_error",
    "macro_f1",
    "mcnemar",
    "mean_accuracy",
    "mean_iou",
    "multilabel",
    "paired_difference",
    "reliability",
    "summarise",
]
