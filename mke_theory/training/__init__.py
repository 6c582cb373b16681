"""One loop: batches, checkpoints, devices, the running average, predictions."""

from mke_theory.training.checkpoint import Checkpoint
from mke_theory.training.hardware import Hardware
from mke_theory.training.loop import Fit, TrainConfig, fit
from mke_theory.training.predict import embed, predict

__all__ = ["Checkpoint", "Fit", "Hardware", "TrainConfig", "embed", "fit", "predict"]
