"""A trained transformer as work for the accelerator: load, quantise, prune, run.

Imports golden and spec; hardware comes in as a :class:`Backend` from outside.
"""

from .attention import AcceleratorAttention, AttentionTotals, Backend, CheckedBackend, GoldenBackend, RandomMaskBackend
from .classify import Classification, HeadPicture, HeadSummary, classify
from .evaluate import EvaluationReport, Result, evaluate
from .load import Model, calibration_sentences, load_model
from .passes import Outcome, Progress, Setting, run_settings
from .quantise import AttentionScales, LayerScales, load_scales

__all__ = [
    "AcceleratorAttention",
    "AttentionScales",
    "AttentionTotals",
    "Backend",
    "CheckedBackend",
    "Classification",
    "EvaluationReport",
    "GoldenBackend",
    "HeadPicture",
    "HeadSummary",
    "LayerScales",
    "Model",
    "Outcome",
    "Progress",
    "RandomMaskBackend",
    "Result",
    "Setting",
    "calibration_sentences",
    "classify",
    "evaluate",
    "load_model",
    "load_scales",
    "run_settings",
]
