"""Models on a backend, hardware compared with golden, and benches."""

from .attention import AcceleratorAttention, AttentionTotals, Backend, CheckedBackend, GoldenBackend, RandomMaskBackend
from .classify import Classification, HeadPicture, HeadSummary, classify
from .evaluate import EvaluationReport, Result, evaluate
from .passes import Outcome, Progress, Setting, run_settings

__all__ = [
    "AcceleratorAttention",
    "AttentionTotals",
    "Backend",
    "CheckedBackend",
    "Classification",
    "EvaluationReport",
    "GoldenBackend",
    "HeadPicture",
    "HeadSummary",
    "Outcome",
    "Progress",
    "RandomMaskBackend",
    "Result",
    "Setting",
    "classify",
    "evaluate",
    "run_settings",
]
