"""WHAT each unit computes: NumPy, integers only. Imports spec and never hardware."""

from .attention.core import HeadResult, HeadTrace, attention_head
from .spmm.engine import SpmmResult, sparse_product
from .spmm.packing import PackedWeights, pack, unpack

__all__ = [
    "HeadResult",
    "HeadTrace",
    "PackedWeights",
    "SpmmResult",
    "attention_head",
    "pack",
    "sparse_product",
    "unpack",
]
