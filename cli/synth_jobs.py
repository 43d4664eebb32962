"""What the command ``synth`` takes from the measurements of cycles."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ..spec import AttentionConfig, SpmmConfig, WeightFormat, preset, spmm_preset
from ..spec.attention_cycles import HeadWork
from ..spec.spmm_cycles import cycles

__all__ = ["PRUNED", "Speedup", "speedup_75"]

PRUNED = 0.75
LENGTH, HEAD_DIM = 128, 64
ROWS, COLUMNS, TOKENS = 1536, 384, 128
BASELINES = Path(__file__).parents[1] / "bench" / "baselines"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speedup:
    """How much faster work is with 75 % of it pruned than all multipliers, always busy, would do it dense.

    Attributes
    ----------
    value : float
    source : str
        Where it comes from, and of what work it is.
    """

    value: float
    source: str


def speedup_75(config: AttentionConfig | SpmmConfig, *, name: str) -> Speedup:
    """The committed measurement of a preset, or else closed forms.

    Parameters
    ----------
    name : str
        Of the preset that the configuration may be.
    """
    if isinstance(config, AttentionConfig):
        measured = _rows("attention") if config == preset(name) else []
        return _attention_measured(measured, name) or _attention(config)
    measured = _rows("spmm") if config == spmm_preset(name) else []
    return _spmm_measured(measured, name) or _spmm(config)


def _rows(unit: str) -> list[dict[str, Any]]:
    path = BASELINES / f"{unit}.json"
    return json.loads(path.read_text()) if path.exists() else []


def _attention_measured(rows: list[dict[str, Any]], name: str) -> Speedup | None:
    for row in rows:
        shape = (row["preset"], row["length"], row["head_dim"], row["wanted_sparsity"])
        if shape == (name, LENGTH, HEAD_DIM, PRUNED):
            return Speedup(
                value=row["speedup"] * row["dense_utilisation"], source=f"cycle bench, L={LENGTH}, d={HEAD_DIM}"
            )
    return None


def _spmm_measured(rows: list[dict[str, Any]], name: str) -> Speedup | None:
    for row in rows:
        shape = tuple(row[field] for field in ("rows", "columns", "tokens", "wanted_sparsity"))
        kind = row["preset"], row["weights"], row["format"]
        if shape == (ROWS, COLUMNS, TOKENS, PRUNED) and kind == (name, "random", WeightFormat.CSR):
            ideal = ROWS * COLUMNS * TOKENS / (row["lanes"] * row["row_engines"])
            return Speedup(
                value=ideal / row["cycles"], source=f"cycle bench, {ROWS}×{COLUMNS} CSR times {TOKENS} tokens"
            )
    return None


def _attention(config: AttentionConfig) -> Speedup:
    length, head_dim = min(LENGTH, config.max_length), min(HEAD_DIM, config.max_head_dim)
    blocks = (length // config.block) ** 2
    work = HeadWork(
        config=config,
        query_length=length,
        key_length=length,
        head_dim=head_dim,
        kept_blocks=round(blocks * (1 - PRUNED)),
    )
    ideal = 2 * blocks * config.block**2 * head_dim / config.multipliers
    return Speedup(value=ideal / work.cycles, source=f"closed form, L={length}, d={head_dim}")


def _spmm(config: SpmmConfig) -> Speedup:
    columns = min(COLUMNS, config.max_columns)
    tokens = min(TOKENS, config.max_tokens)
    rows = min(ROWS, config.max_rows)
    lengths = [round(columns * (1 - PRUNED))] * rows
    taken = cycles(config, WeightFormat.CSR, columns=columns, tokens=tokens, lengths=lengths)
    ideal = rows * columns * tokens / config.multipliers
    return Speedup(value=ideal / taken, source=f"closed form, {rows}×{columns} CSR times {tokens} tokens")
