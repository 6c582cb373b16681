"""Encoders by modality, their fusion, and the multimodal model made of them."""

from mke_theory.models.encoders import MLP, ConvEncoder, Flatten
from mke_theory.models.fusion import Concatenate, Gated, LateAverage
from mke_theory.models.multimodal import (
    MultimodalModel,
    coordinates,
    count_parameters,
    multimodal,
)

__all__ = [
    "MLP",
    "Concatenate",
    "ConvEncoder",
    "Flatten",
    "Gated",
    "LateAverage",
    "MultimodalModel",
    "coordinates",
    "count_parameters",
    "multimodal",
]
