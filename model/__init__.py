"""Trained transformers: load, quantise, prune and pack. Imports golden and spec."""

from .load import Model, calibration_sentences, load_model
from .quantise import AttentionScales, LayerScales, load_scales

__all__ = ["AttentionScales", "LayerScales", "Model", "calibration_sentences", "load_model", "load_scales"]
