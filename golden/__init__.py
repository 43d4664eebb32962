"""WHAT each unit computes: NumPy, integers only. Imports spec and never hardware."""

from .attention_core import HeadResult, HeadStatistics, HeadTrace, attention_head
from .packing import PackedWeights, pack, unpack
from .spmm import SpmmResult, spmm

__all__ = [
    "HeadResult",
    "HeadStatistics",
    "HeadTrace",
    "PackedWeights",
    "SpmmResult",
    "attention_head",
    "pack",
    "spmm",
    "unpack",
]
