"""WHAT each unit computes: NumPy, integers only. Imports spec and never hardware."""

from .attention_core import HeadResult, HeadStatistics, HeadTrace, attention_head

__all__ = ["HeadResult", "HeadStatistics", "HeadTrace", "attention_head"]
