"""Attention core: one module per stage, and ``core``, which computes a whole head with them.

The stages in order: ``predictor`` (predicted scores, from the integer parts that ``split`` makes), ``selection`` (kept
blocks, pruned heads), ``array`` (scores), ``softmax`` (with ``exponential`` and ``reciprocal``), ``array`` again (P·V),
``normalise`` (INT8 outputs).
"""
