"""Encoders by modality, their fusion, and the multimodal models made of them."""

from mke_theory.models.backbones import picture_backbone, picture_encoder, sound_encoder
from mke_theory.models.encoders import MLP, ConvEncoder, Flatten
from mke_theory.models.frame_average import Frames
from mke_theory.models.fusion import Attention, Concatenate, Gated, LateAverage
from mke_theory.models.multimodal import MultimodalModel, coordinates, count_parameters, multimodal
from mke_theory.models.segmentation import Segmenter, segmenter, segmenter_on

__all__ = [
    "MLP",
    "Attention",
    "Concatenate",
    "ConvEncoder",
    "Flatten",
    "Frames",
    "Gated",
    "LateAverage",
    "MultimodalModel",
    "Segmenter",
    "coordinates",
    "count_parameters",
    "multimodal",
    "picture_backbone",
    "picture_encoder",
    "segmenter",
    "segmenter_on",
    "sound_encoder",
]
