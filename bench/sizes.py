"""Sizes of many configurations on ECP5, and the coefficients of `thresher estimate` fitted to them.

    python bench/sizes.py                        # how far the estimates are off the committed sizes
    python bench/sizes.py --measure              # count what is missing or no longer the hardware, then fit
    python bench/sizes.py --measure edge server  # and these presets, which take far longer
    python bench/sizes.py --fit                  # fit to the committed sizes again

Sizes are in ``bench/baselines/sizes.json``, a row written as soon as it is counted: an interrupted run goes on where
it was. A row is up to date while the Verilog of its configuration and the version of Yosys are the same. Coefficients
go into ``synth/estimates.json``, a part of the package. Configurations that are held out are counted, and compared, but
never fitted.
"""

import argparse
import functools
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls
from thresher.hdl.verilog import emit
from thresher.spec import PRESETS, SPMM_PRESETS, AttentionConfig, SpmmConfig, WeightFormat
from thresher.synth import estimate
from thresher.synth.devices import device
from thresher.synth.flow import measure
from thresher.synth.tools import Source, find
from thresher.synth.units import make

SIZES = Path(__file__).parent / "baselines" / "sizes.json"
COUNTS = ("lut", "ff", "bram", "dsp")
KEPT = (*COUNTS, "carry", "lut_ram")
"""Counts of a row's blocks."""
Row = dict[str, Any]
Config = AttentionConfig | SpmmConfig


def attention(
    length: int, head_dim: int, lanes: int, predictor: tuple[int, int], outputs: int, **fields: Any
) -> Config:
    """A core; ``predictor``: its lanes and blocks."""
    return AttentionConfig(
        max_length=length,
        max_head_dim=head_dim,
        lanes=lanes,
        predictor_lanes=predictor[0],
        predictor_blocks=predictor[1],
        output_lanes=outputs,
        **fields,
    )


def spmm(rows: int, lanes: int, banks: int, drain: int, columns: int, results: int, **fields: Any) -> Config:
    """An engine."""
    return SpmmConfig(
        rows=rows, lanes=lanes, banks=banks, drain_lanes=drain, max_columns=columns, result_rows=results, **fields
    )


CSR_ONLY = (WeightFormat.CSR, WeightFormat.DENSE)
NO_BANKS = (WeightFormat.CSR, WeightFormat.CSR_DELTA, WeightFormat.NM)
FITTED: dict[str, dict[str, Config]] = {
    "attention": {
        "2 lanes": attention(16, 8, 2, (4, 1), 2),
        "4 lanes": attention(32, 16, 4, (8, 1), 4),
        "8 lanes": attention(64, 32, 8, (16, 2), 2),
        "8 lanes, 1 block": attention(128, 16, 8, (8, 1), 8),
        "blocks of 4": attention(32, 8, 2, (4, 1), 2, block=4),
        "16 lanes": attention(256, 64, 16, (32, 2), 4),
        "long": attention(512, 16, 4, (4, 1), 1),
        "wide predictor": attention(64, 32, 4, (32, 1), 2),
        "4 blocks": attention(128, 8, 2, (8, 4), 1),
        "10 bits of weight": attention(64, 8, 4, (8, 1), 1, weight_bits=10, reciprocal_segments=8),
        "14 bits of weight": attention(128, 16, 8, (16, 1), 4, weight_bits=14),
        "deep": attention(32, 128, 4, (16, 1), 4),
        "compact, 1 lane": attention(16, 8, 1, (2, 1), 1, compact=True),
        "compact, 2 lanes": attention(32, 16, 2, (4, 1), 1, compact=True),
        "compact, 4 lanes": attention(64, 32, 4, (8, 2), 1, compact=True),
        "compact, 8 lanes": attention(128, 32, 8, (16, 1), 1, compact=True),
        "compact, long": attention(256, 16, 2, (2, 1), 1, compact=True),
    },
    "spmm": {
        "tiny": SPMM_PRESETS["tiny"],
        "2 × 8": spmm(2, 8, 8, 4, 256, 16),
        "4 × 8": spmm(4, 8, 8, 8, 512, 32),
        "1 × 16": spmm(1, 16, 4, 4, 1024, 64),
        "csr only": spmm(2, 8, 1, 2, 512, 64, formats=CSR_ONLY),
        "2 × 32": spmm(2, 32, 16, 8, 1024, 64),
        "1 × 4": spmm(1, 4, 2, 2, 128, 8),
        "4 × 4": spmm(4, 4, 4, 4, 64, 16),
        "no banks": spmm(4, 8, 1, 4, 256, 32, formats=NO_BANKS),
        "2 × 16": spmm(2, 16, 16, 2, 256, 32),
        "8 × 8": spmm(8, 8, 8, 8, 128, 16, formats=(WeightFormat.BBS, WeightFormat.DENSE)),
    },
}
HELD_OUT: dict[str, dict[str, Config]] = {
    "attention": {
        "held out: 4 lanes": attention(128, 32, 4, (16, 2), 2),
        "held out: 2 lanes": attention(64, 16, 2, (8, 1), 1),
        "held out: 16 lanes": attention(64, 16, 16, (16, 1), 8, weight_bits=13),
        "held out: compact": attention(64, 16, 4, (4, 1), 1, compact=True),
    },
    "spmm": {
        "held out: 2 × 8": spmm(2, 8, 4, 8, 1024, 32),
        "held out: 4 × 16": spmm(4, 16, 16, 4, 512, 64),
        "held out: csr": spmm(1, 8, 1, 4, 128, 16, formats=(WeightFormat.CSR,)),
    },
}
LARGE: dict[str, dict[str, Config]] = {"attention": dict(PRESETS), "spmm": dict(SPMM_PRESETS)}


def config_of(row: Row) -> Config:
    """The configuration that a row is about."""
    kind = AttentionConfig if row["unit"] == "attention" else SpmmConfig
    return kind.from_json(json.dumps(row["configuration"]))


def wanted(large: Sequence[str]) -> list[tuple[str, str, Config]]:
    """Unit, name and configuration of what is to be counted."""
    return [
        (unit, name, config)
        for unit in FITTED
        for name, config in {
            **FITTED[unit],
            **HELD_OUT[unit],
            **{preset: LARGE[unit][preset] for preset in large},
        }.items()
    ]


def content(unit: str, config: Config) -> str:
    """What a count depends on, beside the tool."""
    top, component = make(unit, config)
    return hashlib.sha256(emit(component, name=top).encode()).hexdigest()


def count(unit: str, name: str, config: Config) -> Row:
    """A row: counts of each block by Yosys."""
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(
            config,
            preset=name,
            unit=unit,
            device=device("lfe5u-85f"),
            folder=Path(folder),
            place=False,
            source=Source.YOWASP,
        )
    return {
        "unit": unit,
        "name": name,
        "configuration": json.loads(config.to_json()),
        "verilog_sha256": content(unit, config),
        "yosys": measured.tools["yosys"],
        "blocks": {block.name: {each: getattr(block.resources, each) for each in KEPT} for block in measured.blocks},
    }


def refresh(rows: list[Row], large: Sequence[str]) -> list[Row]:
    """Count what is missing or stale; the rows are written after each."""
    known = {(row["unit"], row["name"]): row for row in rows}
    yosys = find("yosys", Source.YOWASP)
    version = f"{yosys.version} ({yosys.source})"
    listed = wanted(large)
    for number, (unit, name, config) in enumerate(listed, 1):
        row, start = known.get((unit, name)), time.perf_counter()
        what = f"{number} of {len(listed)}: {unit} {name}"
        if row is not None and row["yosys"] == version and row.get("verilog_sha256") == content(unit, config):
            print(f"{what}: up to date", flush=True)
            continue
        print(f"{what}: {'missing' if row is None else 'stale'}, counting", flush=True)
        known[unit, name] = row = count(unit, name, config)
        ordered = [known[key] for key in sorted(known, key=_place)]
        SIZES.write_text(json.dumps(ordered, indent=1) + "\n")
        told = ", ".join(f"{each} {value:,}" for each, value in sizes(row).items())
        print(f"{what}: {told}; {time.perf_counter() - start:.0f} s", flush=True)
    return [known[key] for key in sorted(known, key=_place)]


def _place(key: tuple[str, str]) -> tuple[bool, int]:
    unit, name = key
    names = [*FITTED[unit], *LARGE[unit], *HELD_OUT[unit]]
    return unit != "attention", names.index(name) if name in names else len(names)


def fits(row: Row) -> bool:
    """Whether the coefficients may know it."""
    return row["name"] not in HELD_OUT[row["unit"]]


def sizes(row: Row) -> dict[str, int]:
    """Counts of the whole unit."""
    return {name: sum(block[name] for block in row["blocks"].values()) for name in COUNTS}


def fit(rows: Sequence[Row]) -> dict[str, Any]:
    """Coefficients by unit, block and count: non-negative, of least relative error."""
    members = [
        (row["unit"], config, estimate.merged(config, row["blocks"])) for row in rows for config in [config_of(row)]
    ]
    found: dict[str, Any] = {}
    for unit, blocks in estimate.FEATURES.items():
        for block, parts_of in blocks.items():
            counts = [
                (_parts(parts_of, config), merged[block])
                for which, config, merged in members
                if which == unit and block in merged
            ]
            found.setdefault(unit, {})[block] = {name: _factors(counts, name) for name in estimate.FITTED}
    return found


@functools.cache
def _parts(parts_of: Callable[[Any], estimate.Parts], config: Config) -> estimate.Parts:
    return parts_of(config)


def _factors(counts: Sequence[tuple[estimate.Parts, dict[str, int]]], name: str) -> list[float]:
    if not counts:
        raise SystemExit("error: no sample of one of the blocks: count with --measure")
    inputs = np.array([getattr(parts, name) for parts, _ in counts], dtype=float)
    counted = np.array([merged.get(name, 0) for _, merged in counts], dtype=float)
    # Large samples weigh as much as small ones; blocks of a few cells weigh little.
    weights = 1 / np.maximum(counted, 50)
    coefficients, _ = nnls(inputs * weights[:, None], counted * weights)
    return [float(f"{each:.4g}") for each in coefficients]


def errors(row: Row, coefficients: dict[str, Any] | None = None) -> dict[str, float]:
    """Relative errors of the estimate; of counts that are none, the estimate."""
    told, counted = estimate.resources(config_of(row), coefficients=coefficients), sizes(row)
    return {name: getattr(told, name) / counted[name] - 1 if counted[name] else getattr(told, name) for name in COUNTS}


def show(rows: Sequence[Row]) -> None:
    """Estimates beside sizes, and what they would be without the row."""
    for row in rows:
        told, counted, wrong = estimate.resources(config_of(row)), sizes(row), errors(row)
        figures = [f"{name} {getattr(told, name):,} of {counted[name]:,} {wrong[name]:+.1%}" for name in COUNTS]
        beside = "never fitted"
        if fits(row):
            others = [other for other in rows if fits(other) and other is not row]
            without = errors(row, fit(others))
            beside = "without it " + ", ".join(f"{name} {without[name]:+.1%}" for name in estimate.FITTED)
        print(f"{row['unit']} {row['name']}: {', '.join(figures)}; {beside}")


def main() -> int:
    """Measure, fit, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--measure", nargs="*", choices=["edge", "server"], help="count what is missing or stale, these presets too"
    )
    parser.add_argument("--fit", action="store_true", help="fit to the committed sizes")
    arguments = parser.parse_args()
    rows = json.loads(SIZES.read_text()) if SIZES.exists() else []
    if arguments.measure is not None:
        rows = refresh(rows, arguments.measure)
    if arguments.fit or arguments.measure is not None:
        estimate.COEFFICIENTS.write_text(json.dumps(fit([row for row in rows if fits(row)]), indent=1) + "\n")
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
