"""Sizes of several configurations on ECP5, and the coefficients of `thresher estimate` fitted to them.

    python bench/sizes.py            # how far the estimates are off the committed sizes
    python bench/sizes.py --measure  # count the small configurations again by Yosys (ten minutes), then fit
    python bench/sizes.py --measure edge server          # and these presets, which take far longer
    python bench/sizes.py --fit      # fit to the committed sizes again

Sizes are in ``bench/baselines/sizes.json``; coefficients go into ``synth/estimates.json``, a part of the package.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls
from thresher.spec import PRESETS, SPMM_PRESETS, AttentionConfig, SpmmConfig, WeightFormat
from thresher.synth import estimate
from thresher.synth.devices import device
from thresher.synth.flow import measure
from thresher.synth.tools import Source

SIZES = Path(__file__).parent / "baselines" / "sizes.json"
COUNTS = ("lut", "ff", "bram", "dsp")

ATTENTION = {
    "tiny": PRESETS["tiny"],
    "4 lanes": AttentionConfig(max_length=32, max_head_dim=16, lanes=4, predictor_lanes=8, output_lanes=4),
    "8 lanes": AttentionConfig(
        max_length=64, max_head_dim=32, lanes=8, predictor_lanes=16, predictor_blocks=2, output_lanes=2
    ),
    "8 lanes, 1 block": AttentionConfig(
        max_length=128, max_head_dim=16, lanes=8, predictor_lanes=8, predictor_blocks=1, output_lanes=8
    ),
    "blocks of 4": AttentionConfig(
        max_length=32, max_head_dim=8, lanes=2, predictor_lanes=4, predictor_blocks=1, output_lanes=2, block=4
    ),
    "16 lanes": AttentionConfig(
        max_length=256, max_head_dim=64, lanes=16, predictor_lanes=32, predictor_blocks=2, output_lanes=4
    ),
}
SPMM = {
    "tiny": SPMM_PRESETS["tiny"],
    "2 × 8": SpmmConfig(rows=2, lanes=8, banks=8, drain_lanes=4, max_columns=256, result_rows=16),
    "4 × 8": SpmmConfig(rows=4, lanes=8, banks=8, drain_lanes=8, max_columns=512, result_rows=32),
    "1 × 16": SpmmConfig(rows=1, lanes=16, banks=4, drain_lanes=4, max_columns=1024, result_rows=64),
    "csr only": SpmmConfig(
        rows=2, lanes=8, drain_lanes=2, max_columns=512, result_rows=64, formats=(WeightFormat.CSR, WeightFormat.DENSE)
    ),
    "2 × 32": SpmmConfig(rows=2, lanes=32, banks=16, drain_lanes=8, max_columns=1024, result_rows=64),
}
SAMPLES: dict[str, dict[str, Any]] = {"attention": ATTENTION, "spmm": SPMM}
LARGE: dict[str, dict[str, Any]] = {"attention": PRESETS, "spmm": SPMM_PRESETS}


def config_of(row: dict[str, Any]) -> AttentionConfig | SpmmConfig:
    """The configuration that a row is about."""
    kind = AttentionConfig if row["unit"] == "attention" else SpmmConfig
    return kind.from_json(json.dumps(row["configuration"]))


def count(unit: str, name: str, config: AttentionConfig | SpmmConfig) -> dict[str, Any]:
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
    counts = {block.name: {each: getattr(block.resources, each) for each in COUNTS} for block in measured.blocks}
    print(f"{unit} {name}: {measured.resources.lut:,} LUT, {measured.seconds['yosys']:.0f} s", flush=True)
    return {
        "unit": unit,
        "name": name,
        "configuration": json.loads(config.to_json()),
        "yosys": measured.tools["yosys"],
        "blocks": counts,
    }


def fit(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Coefficients by unit, block and count: non-negative, of least relative error."""
    found: dict[str, Any] = {}
    for unit in SAMPLES:
        members = [(config_of(row), row["blocks"]) for row in rows if row["unit"] == unit]
        sums = [(config, estimate.merged(blocks)) for config, blocks in members]
        for block in estimate.FEATURES[unit]:
            inputs = np.array([estimate.FEATURES[unit][block](config) for config, _ in sums], dtype=float)
            for name in COUNTS:
                wanted = np.array([merged.get(block, {}).get(name, 0) for _, merged in sums], dtype=float)
                # Large samples weigh as much as small ones; blocks of a few cells weigh little.
                weights = 1 / np.maximum(wanted, 50 if name in ("lut", "ff") else 1)
                coefficients, _ = nnls(inputs * weights[:, None], wanted * weights)
                entry = found.setdefault(unit, {}).setdefault(block, {})
                entry[name] = [float(f"{each:.4g}") for each in coefficients]
    return found


def show(rows: list[dict[str, Any]]) -> None:
    """Estimates beside sizes."""
    for row in rows:
        told = estimate.resources(config_of(row))
        sizes = {name: sum(block[name] for block in row["blocks"].values()) for name in COUNTS}
        figures = [f"{name} {getattr(told, name):,} of {sizes[name]:,}" for name in COUNTS]
        errors = [f"{getattr(told, name) / sizes[name] - 1:+.1%}" if sizes[name] else "" for name in COUNTS]
        pairs = zip(figures, errors, strict=True)
        print(f"{row['unit']} {row['name']}: " + ", ".join(f"{a} {b}".strip() for a, b in pairs))


def main() -> int:
    """Measure, fit, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs="*", choices=["edge", "server"], help="count again, these presets too")
    parser.add_argument("--fit", action="store_true", help="fit to the committed sizes")
    arguments = parser.parse_args()
    rows = json.loads(SIZES.read_text()) if SIZES.exists() else []
    if arguments.measure is not None:
        for unit, samples in SAMPLES.items():
            for name, config in {**samples, **{name: LARGE[unit][name] for name in arguments.measure}}.items():
                row = count(unit, name, config)
                rows = [each for each in rows if (each["unit"], each["name"]) != (unit, name)] + [row]
                SIZES.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.fit or arguments.measure is not None:
        estimate.COEFFICIENTS.write_text(json.dumps(fit(rows), indent=1) + "\n")
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
