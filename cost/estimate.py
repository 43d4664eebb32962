"""Estimate of a unit, as ``thresher estimate`` prints it: sizes on a chip, and cycles over sparsities."""

from collections.abc import Mapping
from typing import Any

from ..spec.attention_config import AttentionConfig
from ..spec.formats import ceil_div
from ..spec.spmm_config import SpmmConfig, WeightFormat
from . import attention, sizes, spmm

__all__ = ["estimate", "speedup"]

SPARSITIES = (0.0, 0.5, 0.75, 0.9)
LENGTH, HEAD_DIM = 128, 64
ROWS, COLUMNS, TOKENS = 1536, 384, 128

Config = AttentionConfig | SpmmConfig


def estimate(config: Config, *, fabric: str, available: Mapping[str, int]) -> dict[str, Any]:
    """Estimate sizes and cycles of a unit. Measured sizes stand beside the estimate if the record has them.

    Parameters
    ----------
    fabric : str
        One of :data:`~thresher.cost.memories.FABRICS`. Other fabrics get no sizes.
    available : mapping of str to int
        Number of each of :data:`~thresher.cost.sizes.COUNTS` on the chip.

    Returns
    -------
    dict
        ``multipliers``: INT8 multipliers of the unit. ``resources``: result of :func:`~thresher.cost.sizes.compared`
        with ``available``. ``work``: name of the work. ``cycles``: cycles by sparsity. ``cycles_band``: stated bound of
        their relative error.
    """
    compared = sizes.compared(config, fabric, sizes.measured(config, fabric))
    figures, work = [], ""
    for sparsity in SPARSITIES:
        taken, ideal, work = _cycles(config, sparsity)
        figures.append({"sparsity": sparsity, "cycles": round(taken), "dense_cycles_at_full_use": round(ideal)})
    return {
        "multipliers": config.multipliers,
        "resources": {name: entry | {"available": available[name]} for name, entry in compared.items()},
        "work": work,
        "cycles": figures,
        "cycles_band": spmm.BAND if isinstance(config, SpmmConfig) else attention.band(config),
    }


def speedup(config: Config, sparsity: float) -> tuple[float, str]:
    """Speedup of pruned work over the same dense work with all multipliers always busy, and the name of the work."""
    taken, ideal, work = _cycles(config, sparsity)
    return ideal / taken, f"estimated cycles, {work}"


def _cycles(config: Config, sparsity: float) -> tuple[float, float, str]:
    """Cycles of pruned work, cycles of the same dense work with all multipliers busy, and the name of the work."""
    if isinstance(config, SpmmConfig):
        rows, columns = min(ROWS, config.max_rows), min(COLUMNS, config.max_columns)
        tokens, weights = min(TOKENS, config.max_tokens), round(rows * columns * (1 - sparsity))
        lengths = [(row + 1) * weights // rows - row * weights // rows for row in range(rows)]
        taken = spmm.cycles(config, WeightFormat.CSR, columns=columns, tokens=tokens, lengths=lengths)
        work = f"{rows}×{columns} CSR times {tokens} tokens"
        return taken, rows * columns * tokens / config.multipliers, work
    length, head_dim = min(LENGTH, config.max_length), min(HEAD_DIM, config.max_head_dim)
    blocks = ceil_div(length, config.block) ** 2
    head = attention.HeadWork(
        config=config,
        query_length=length,
        key_length=length,
        head_dim=head_dim,
        kept_blocks=round(blocks * (1 - sparsity)),
    )
    return head.cycles, 2 * blocks * config.block**2 * head_dim / config.multipliers, f"L={length}, d={head_dim}"
