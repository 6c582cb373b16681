"""Features of trained encoders, computed once and kept on disk."""

from mke_theory.tasks.files.features.computing import Encoder
from mke_theory.tasks.files.features.raw_samples import RawSamples
from mke_theory.tasks.files.features.reading import Features, open_features
from mke_theory.tasks.files.features.writing import write_features

__all__ = ["Encoder", "Features", "RawSamples", "open_features", "write_features"]
