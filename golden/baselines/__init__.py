"""Published pruning rules of attention, for comparison with those of the hardware. None of them is built."""

from .energon import ENERGON
from .hardware import PROBABILITY, THRESHOLD
from .random_blocks import RANDOM
from .rule import HeadView, Rule, view
from .sanger import SANGER
from .top_k_blocks import TOP_K_BLOCKS
from .top_k_elements import TOP_K_ELEMENTS

__all__ = ["RULES", "HeadView", "Rule", "view"]

RULES = {rule.name: rule for rule in (THRESHOLD, PROBABILITY, TOP_K_BLOCKS, TOP_K_ELEMENTS, ENERGON, SANGER, RANDOM)}
"""The rules that prune blocks or elements, by name."""
