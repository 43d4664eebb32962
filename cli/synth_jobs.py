"""What the commands ``synth`` and ``estimate`` take from measurements and from models."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ..cost.attention_cycles import HeadWork
from ..cost.estimate import block_resources, resources
from ..cost.fabric import fabric_of
from ..cost.spmm_cycles import cycles
from ..spec import AttentionConfig, SpmmConfig, WeightFormat, preset, spmm_preset
from ..spec.formats import ceil_div
from ..synth.devices import Device, Family
from ..synth.netlist import Resources

__all__ = ["PRUNED", "Speedup", "counted", "errors_of", "estimate", "expected", "speedup_75"]

PRUNED = 0.75
SHOWN = (0.0, 0.5, 0.75, 0.9)
"""Sparsities whose cycles are estimated."""
CELLS = {"lut4": "lut", "ff": "ff", "bram": "bram", "dsp": "dsp"}
"""Names of counts in JSON, and in :class:`~thresher.synth.netlist.Resources`."""
GATES = {"gates": "gates", "ff": "ff"}
"""Those of simple gates."""
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
    """The committed measurement of a preset, or else the cycle model.

    Parameters
    ----------
    name : str
        Of the preset that the configuration may be.
    """
    if isinstance(config, AttentionConfig):
        measured = _rows("attention") if config == preset(name) else []
        return _attention_measured(measured, name) or _modelled(config)
    measured = _rows("spmm") if config == spmm_preset(name) else []
    return _spmm_measured(measured, name) or _modelled(config)


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


def _attention_cycles(config: AttentionConfig, sparsity: float) -> tuple[float, float]:
    """Cycles per head of the shape below in a stream, and those of all multipliers, always busy, for it dense."""
    length, head_dim = _head(config)
    blocks = ceil_div(length, config.block) ** 2
    work = HeadWork(
        config=config,
        query_length=length,
        key_length=length,
        head_dim=head_dim,
        kept_blocks=round(blocks * (1 - sparsity)),
    )
    return work.cycles, 2 * blocks * config.block**2 * head_dim / config.multipliers


def _head(config: AttentionConfig) -> tuple[int, int]:
    return min(LENGTH, config.max_length), min(HEAD_DIM, config.max_head_dim)


def _spmm_cycles(config: SpmmConfig, sparsity: float) -> tuple[float, float]:
    """The same of a product."""
    rows, columns, tokens = _product(config)
    weights = round(rows * columns * (1 - sparsity))
    lengths = [(row + 1) * weights // rows - row * weights // rows for row in range(rows)]
    taken = cycles(config, WeightFormat.CSR, columns=columns, tokens=tokens, lengths=lengths)
    return taken, rows * columns * tokens / config.multipliers


def _product(config: SpmmConfig) -> tuple[int, int, int]:
    return min(ROWS, config.max_rows), min(COLUMNS, config.max_columns), min(TOKENS, config.max_tokens)


def _work(config: AttentionConfig | SpmmConfig) -> str:
    if isinstance(config, AttentionConfig):
        return "L={}, d={}".format(*_head(config))
    return "{}×{} CSR times {} tokens".format(*_product(config))


def _modelled(config: AttentionConfig | SpmmConfig) -> Speedup:
    attention = isinstance(config, AttentionConfig)
    taken, ideal = _attention_cycles(config, PRUNED) if attention else _spmm_cycles(config, PRUNED)
    return Speedup(value=ideal / taken, source=f"cycle model, {_work(config)}")


def names_of_counts(device: Device) -> dict[str, str]:
    """Names in JSON of what there is on a device, and its fields of :class:`~thresher.synth.netlist.Resources`."""
    return GATES if device.family is Family.GENERIC else CELLS


def counted(resources: Resources, device: Device) -> dict[str, int]:
    """Counts by the names of JSON."""
    return {name: getattr(resources, field) for name, field in names_of_counts(device).items()}


def errors_of(estimated: Resources, measured: dict[str, Any], device: Device) -> dict[str, dict[str, float | None]]:
    """Estimates beside measurements (by the names of JSON; ``None``: not measured), and their relative errors."""
    found = {}
    for name, guess in counted(estimated, device).items():
        real = measured[name]
        found[name] = {"estimate": guess, "measured": real, "error": guess / real - 1 if real else None}
    return found


def expected(
    config: AttentionConfig | SpmmConfig, *, unit: str, device: Device, measured: dict[str, Any]
) -> dict[str, dict[str, float | None]]:
    """:func:`errors_of` a measurement of a unit, or of a part of one.

    Parameters
    ----------
    measured : dict
        Counts by the names of JSON; of the unit alone if it is on a board.
    """
    return errors_of(resources(config, unit, fabric_of(device)), measured, device)


def estimate(config: AttentionConfig | SpmmConfig, *, unit: str, name: str, device: Device) -> dict[str, Any]:
    """Resources and cycles of a whole unit, with the committed measurements where there are any.

    Parameters
    ----------
    unit : "attention" or "spmm"
    name : str
        Of the preset that the configuration may be.

    Returns
    -------
    dict
        ``blocks``, ``resources`` (each with ``estimate``, ``measured``, ``error``, and the device's ``available``,
        if it has a size), ``work`` and ``cycles``.
    """
    blocks = block_resources(config, fabric_of(device))
    estimated = sum(blocks.values(), Resources())
    same = config == (preset(name) if isinstance(config, AttentionConfig) else spmm_preset(name))
    # What was made block by block is larger than what is estimated.
    whole = [row for row in _rows("synth") if same and not row["keep_hierarchy"]]
    rows = {(row["preset"], row["unit"], row["device"]): row for row in whole}
    measured = rows.get((name, unit, device.name), dict.fromkeys(names_of_counts(device)))
    told = errors_of(estimated, measured, device)
    available = {each: getattr(device.capacity, field, None) for each, field in names_of_counts(device).items()}
    attention = isinstance(config, AttentionConfig)
    figures = []
    for sparsity in SHOWN:
        taken, ideal = _attention_cycles(config, sparsity) if attention else _spmm_cycles(config, sparsity)
        figures.append({"sparsity": sparsity, "cycles": round(taken), "dense_cycles_at_full_use": round(ideal)})
    return {
        "preset": name,
        "unit": unit,
        "device": device.name,
        "lanes": config.multipliers,
        "resources": {each: entry | {"available": available[each]} for each, entry in told.items()},
        "blocks": {block: counted(counts, device) for block, counts in blocks.items()},
        "work": _work(config),
        "cycles": figures,
    }
