"""Sizes of the presets by Yosys and clocks by nextpnr, on an LFE5U-85F by default.

    python bench/synth.py                        # count again and print the differences from the record
    python bench/synth.py --write                # replace the record
    python bench/synth.py --preset tiny edge     # edge takes minutes and gigabytes
    python bench/synth.py --seeds 3 --write      # place and route too; Fmax is the median of the seeds
    python bench/synth.py --unit attention --device ice40up5k
    python bench/synth.py --preset server --keep-hierarchy

By default the tools come from wheels (YoWASP), because counts depend on the version. `--tools native` uses the
tools on PATH, which place and route about three times as fast. Look-up tables, carry and flip-flops may differ by 3 %,
Fmax by 10 %, memories and multipliers not at all.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from baseline import BASELINES, compare, known_rows
from thresher.cost.sizes import compared
from thresher.spec import ThresherError, VectorConfig, preset, spmm_preset, vector_preset
from thresher.synth.devices import DEVICES, device
from thresher.synth.flow import measure
from thresher.synth.tools import Source

BASELINE = BASELINES / "synth.json"
DEVICE = "lfe5u-85f"
UNITS = {"attention": preset, "spmm": spmm_preset, "vector": vector_preset}
TOLERANCES = {"lut4": 0.03, "carry": 0.03, "ff": 0.03, "bram": 0.0, "dsp": 0.0, "fmax_mhz": 0.1}
"""Relative differences that count as equal."""


def count(name: str, unit: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """A row of the baseline: counts of a preset's unit, and Fmax if there are seeds."""
    seeds = arguments.seeds
    measured = measure(
        UNITS[unit](name),
        preset=name,
        unit=unit,
        device=device(arguments.device),
        folder=arguments.output / f"{name}-{unit}-{arguments.device}",
        seeds=range(1, seeds + 1),
        place=seeds > 0,
        source=Source(arguments.tools),
        keep_hierarchy=arguments.keep_hierarchy,
        announce=lambda line: print(line, file=sys.stderr, flush=True),
    )
    figures = measured.to_dict()
    row = {field: figures[field] for field in ("preset", "unit", "device", "lut4", "carry", "ff", "bram", "dsp")}
    row["lut4_by_block"] = {block["name"]: block["lut"] for block in figures["blocks"]}
    row |= {"fmax_mhz": measured.fmax_mhz, "seeds": seeds, "speed": measured.speed, "tools": figures["tools"]}
    return row | {"keep_hierarchy": measured.keep_hierarchy}


def estimates(row: dict[str, Any]) -> str:
    """Estimates of the unit and their errors. The vector unit has no estimates."""
    config = UNITS[row["unit"]](row["preset"])
    if isinstance(config, VectorConfig):
        return "nothing"
    found = compared(config, device(row["device"]).fabric, row)
    return ", ".join(
        f"{name} {entry['estimate']:,}" + ("" if entry["error"] is None else f" ({entry['error']:+.1%})")
        for name, entry in found.items()
    )


def place(row: dict[str, Any]) -> tuple[str, str, str, bool]:
    """Key of a row: preset, unit, device, and whether each block was synthesised alone."""
    return row["preset"], row["unit"], row["device"], row["keep_hierarchy"]


def _runs(text: str) -> int:
    """Parse a number of runs."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of runs")
    return int(text)


def main() -> int:
    """Measure; 1 if something differs from the committed figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", choices=["tiny", "edge", "server"], default=["tiny"])
    parser.add_argument("--unit", nargs="+", choices=list(UNITS), default=list(UNITS))
    counted = [name for name, each in DEVICES.items() if each.capacity is not None]
    parser.add_argument("--device", choices=counted, default=DEVICE)
    parser.add_argument("--seeds", type=_runs, default=0, help="runs of nextpnr; 0: count only")
    parser.add_argument("--tools", choices=[each.value for each in Source], default=Source.YOWASP.value)
    parser.add_argument(
        "--keep-hierarchy",
        action="store_true",
        help="synthesise each block alone: `server` takes minutes instead of hours",
    )
    parser.add_argument("--output", type=Path, default=Path("out") / "synth", help="folder of netlists and logs")
    parser.add_argument("--write", action="store_true", help="replace the committed figures")
    arguments = parser.parse_args()
    known, rows = known_rows(BASELINE, place), []
    for name in arguments.preset:
        for unit in arguments.unit:
            try:
                row = count(name, unit, arguments)
            except (ThresherError, OSError) as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            counts = ", ".join(f"{field} {row[field]:,.6g}" for field in TOLERANCES if row[field] is not None)
            versions = ", ".join(map(" ".join, row["tools"].items()))
            print(f"{name} {unit} on {arguments.device}: {counts}; estimated {estimates(row)}; {versions}", flush=True)
            before = known.get(place(row), {})
            if row["fmax_mhz"] is None and all(before.get(field) == row[field] for field in ("lut4", "carry", "ff")):
                row |= {field: before[field] for field in ("fmax_mhz", "seeds", "speed", "tools")}
            rows.append(row)
    return compare(BASELINE, rows, place=place, tolerances=TOLERANCES, write_rows=arguments.write)


if __name__ == "__main__":
    sys.exit(main())
