"""Fit the estimates of look-up tables and flip-flops to measured units, and print their errors.

    python bench/sizes.py                            # errors of the estimates
    python bench/sizes.py --fit                      # fit again
    python bench/sizes.py --measure                  # count all units again with Yosys, and fit; takes hours
    python bench/sizes.py --measure --fabric ice40   # the same for one fabric
    python bench/sizes.py --measure --unit tiny edge # the same for some units

Factors and units are in ``cost/measured.json``. To measure another unit, add its configuration there with empty sizes
for its fabrics, and run with ``--measure``. There are at most twenty attention cores and twenty engines per fabric.
Units that were synthesised block by block (``keep_hierarchy``) are larger than flat ones and are left out of the fit.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls
from thresher.cost.memories import FABRICS
from thresher.cost.sizes import BAND, COUNTS, FITTED, MEASURED, compared, features, kind
from thresher.spec import AttentionConfig, SpmmConfig, ThresherError
from thresher.synth.devices import DEVICES
from thresher.synth.flow import measure
from thresher.synth.tools import Source

CONFIGURATIONS = {"attention": AttentionConfig, "spmm": SpmmConfig}
Unit = dict[str, Any]


def config_of(unit: Unit) -> AttentionConfig | SpmmConfig:
    """The configuration of a recorded unit."""
    return CONFIGURATIONS[unit["unit"]].from_json(json.dumps(unit["configuration"]))


def count(unit: Unit, fabric: str) -> dict[str, int]:
    """Sizes of a unit by Yosys."""
    chip = next(each for each in DEVICES.values() if each.fabric == fabric)
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(
            config_of(unit),
            preset=unit["name"],
            unit=unit["unit"],
            device=chip,
            folder=Path(folder),
            place=False,
            source=Source.YOWASP,
            keep_hierarchy=unit.get("keep_hierarchy", False),
        ).to_dict()
    return {name: measured[name] for name in COUNTS}


def fit(units: list[Unit]) -> dict[str, Any]:
    """Factors by fabric, kind and count: none negative, least squares of relative errors."""
    found: dict[str, Any] = {}
    for fabric in FABRICS:
        rows: dict[str, list[tuple[dict[str, float], dict[str, int]]]] = {}
        for unit in units:
            if fabric in unit["sizes"] and not unit.get("keep_hierarchy"):
                config = config_of(unit)
                rows.setdefault(kind(config), []).append((features(config), unit["sizes"][fabric]))
        found[fabric] = {}
        for each, measured in rows.items():
            names, found[fabric][each] = list(measured[0][0]), {}
            for name in FITTED:
                relative = [[row[feature] / counted[name] for feature in names] for row, counted in measured]
                factors, _ = nnls(np.array(relative), np.ones(len(relative)))
                found[fabric][each][name] = {
                    feature: float(f"{factor:.4g}") for feature, factor in zip(names, factors, strict=True)
                }
    return found


def write(record: dict[str, Any]) -> None:
    """Write the record: a line per fabric, and a line per unit."""
    factors = ",\n".join(f"{json.dumps(fabric)}: {json.dumps(each)}" for fabric, each in record["factors"].items())
    units = ",\n".join(json.dumps(unit, ensure_ascii=False) for unit in record["units"])
    MEASURED.write_text(f'{{"factors": {{\n{factors}\n}},\n"units": [\n{units}\n]}}\n', encoding="utf-8")


def show(unit: Unit, fabric: str) -> bool:
    """Print the errors of a unit's estimates; whether all are within their bands."""
    beside = compared(config_of(unit), fabric, unit["sizes"][fabric])
    errors = {name: each["error"] or 0.0 for name, each in beside.items()}
    figures = ", ".join(f"{name} {each['measured']:,} ({errors[name]:+.1%})" for name, each in beside.items())
    print(f"{fabric} {unit['unit']} {unit['name']}: {figures}", flush=True)
    return all(abs(errors[name]) <= BAND for name in FITTED)


def main() -> int:
    """Measure, fit, and print errors; 1 if one is outside the band."""
    record = json.loads(MEASURED.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="count with Yosys, and fit")
    parser.add_argument("--fit", action="store_true", help="fit again")
    parser.add_argument("--fabric", nargs="+", choices=list(FABRICS), default=list(FABRICS))
    parser.add_argument("--unit", nargs="+", choices=sorted({unit["name"] for unit in record["units"]}))
    arguments = parser.parse_args()
    chosen = [
        (unit, fabric)
        for fabric in arguments.fabric
        for unit in record["units"]
        if fabric in unit["sizes"] and (arguments.unit is None or unit["name"] in arguments.unit)
    ]
    if arguments.measure:
        for unit, fabric in chosen:
            try:
                unit["sizes"][fabric] = count(unit, fabric)
            except (ThresherError, OSError) as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            print(f"{fabric} {unit['unit']} {unit['name']}: {unit['sizes'][fabric]}", flush=True)
            write(record)
    if arguments.measure or arguments.fit:
        record["factors"] = fit(record["units"])
        write(record)
    within = [show(unit, fabric) for unit, fabric in chosen]
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main())
