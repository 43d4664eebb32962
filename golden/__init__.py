"""Golden model: what each unit computes, bit for bit, in NumPy integers.

``attention`` and ``spmm`` hold one module per block, ``lib`` the arithmetic that they share. ``docs/numbers.md`` states
the same rules in words. This room imports ``spec`` and never the hardware.
"""

from .attention.core import HeadResult, HeadTrace, attention_head
from .attention.predictor import predict
from .attention.selection import Selection, block_importance, block_mask, select
from .spmm.activation import activate
from .spmm.engine import SpmmResult, sparse_product
from .spmm.packing import PackedWeights, pack, unpack

__all__ = [
    "HeadResult",
    "HeadTrace",
    "PackedWeights",
    "Selection",
    "SpmmResult",
    "activate",
    "attention_head",
    "block_importance",
    "block_mask",
    "pack",
    "predict",
    "select",
    "sparse_product",
    "unpack",
]
