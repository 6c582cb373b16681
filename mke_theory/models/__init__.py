"""Encoders by modality, their fusion, and the multimodal models made of them."""

from mke_theory.models.backbones import picture_backbone, picture_encoder, sound_encoder
from mke_theory.models.encoders import MLP, ConvEncoder, Flatten
from mke_theory.models.exported_encoder import from_exported
from mke_theory.models.frame_average import Frames
from mke_theory.models.frozen import FrozenEncoder, from_module
from mke_theory.models.frozen_backbones import (
    frozen_efficientnet,
    pictures_from_transformers,
    sounds_from_transformers,
)
from mke_theory.models.fusion import Attention, Concatenate, Gated, LateAverage
from mke_theory.models.multimodal import MultimodalModel, coordinates, count_parameters, multimodal
from mke_theory.models.onnx_encoder import from_onnx
from mke_theory.models.picture_scaling import PictureScaling
from mke_theory.models.segmentation import Segmenter, segmenter, segmenter_on
from mke_theory.models.speech_embedding import frozen_speech_embedding

__all__ = [
    "MLP",
    "Attention",
    "Concatenate",
    "ConvEncoder",
    "Flatten",
    "Frames",
    "FrozenEncoder",
    "Gated",
    "LateAverage",
    "MultimodalModel",
    "PictureScaling",
    "Segmenter",
    "coordinates",
    "count_parameters",
    "from_exported",
    "from_module",
    "from_onnx",
    "frozen_efficientnet",
    "frozen_speech_embedding",
    "multimodal",
    "picture_backbone",
    "picture_encoder",
    "pictures_from_transformers",
    "segmenter",
    "segmenter_on",
    "sound_encoder",
    "sounds_from_transformers",
]
