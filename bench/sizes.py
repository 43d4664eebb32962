"""Sizes of many configurations and their parts, fabric by fabric, and the coefficients of estimates fitted to them.

    python bench/sizes.py                              # how far the estimates are off the committed sizes
    python bench/sizes.py --measure                    # count what is missing or no longer the hardware, then fit
    python bench/sizes.py --measure edge server        # and these presets, which take far longer
    python bench/sizes.py --measure --fabric ice40     # of this fabric only (ecp5, xilinx7, …)
    python bench/sizes.py --measure --jobs 2           # two at a time
    python bench/sizes.py --fit                        # fit to the committed sizes again

Sizes are in ``bench/baselines/sizes.json``, a row written as soon as it is counted: an interrupted run goes on where
it was. A row is up to date while the Verilog of its configuration is the same, the version of Yosys, and what `synth`
does with both. Coefficients go into ``cost/estimates.json``, a part of the package. Configurations that are held out
are counted, and compared, but never fitted.
"""

import argparse
import concurrent.futures
import functools
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls
from thresher.cost import estimate
from thresher.cost.fabric import ECP5, FABRICS, GENERIC, ICE40, ICE40_LOGIC, Fabric
from thresher.cost.parts import Features, Parts
from thresher.hdl.emit import emit
from thresher.spec import POLICIES, PRESETS, SPMM_PRESETS, AttentionConfig, SpmmConfig, ThresherError, WeightFormat
from thresher.spec.attention_config import Fill, Normalise
from thresher.synth.devices import device
from thresher.synth.flow import measure
from thresher.synth.netlist import Resources
from thresher.synth.steps import Plan, netlist_key
from thresher.synth.tools import Source, find
from thresher.synth.units import ATTENTION_UNITS, SPMM_UNITS, make

SIZES = Path(__file__).parent / "baselines" / "sizes.json"
COUNTS = ("lut", "gates", "ff", "bram", "dsp")
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
        "blocks of 4, 64 keys": attention(64, 16, 2, (4, 1), 1, block=4),
        "16 lanes": attention(256, 64, 16, (32, 2), 4),
        "long": attention(512, 16, 4, (4, 1), 1),
        "wide predictor": attention(64, 32, 4, (32, 1), 2),
        "4 blocks": attention(128, 8, 2, (8, 4), 1),
        "10 bits of weight": attention(64, 8, 4, (8, 1), 1, weight_bits=10, reciprocal_segments=8),
        "14 bits of weight": attention(128, 16, 8, (16, 1), 4, weight_bits=14),
        "deep": attention(32, 128, 4, (16, 1), 4),
        "hdp, 2 lanes": attention(32, 16, 2, (4, 1), 2, **POLICIES["hdp"]),
        "hdp, 8 lanes": attention(64, 32, 8, (16, 2), 4, **POLICIES["hdp"]),
        "hdp, 16 lanes": attention(128, 32, 16, (16, 1), 4, **POLICIES["hdp"]),
        "skip": attention(32, 16, 4, (8, 1), 4, fill=Fill.SKIP),
        "early": attention(64, 16, 4, (8, 1), 2, normalise=Normalise.EARLY),
        "early, blocks of 4": attention(32, 8, 2, (4, 1), 1, block=4, normalise=Normalise.EARLY),
        "early, wide": attention(512, 8, 2, (4, 1), 2, weight_bits=8, normalise=Normalise.EARLY),
        "compact, skip": attention(32, 16, 2, (4, 1), 1, compact=True, fill=Fill.SKIP),
        "compact, early": attention(64, 32, 4, (8, 1), 1, compact=True, normalise=Normalise.EARLY),
        "hdp, compact": attention(32, 16, 2, (4, 1), 1, compact=True, **POLICIES["hdp"]),
        "compact, 1 lane": attention(16, 8, 1, (2, 1), 1, compact=True),
        "compact, 2 lanes": attention(32, 16, 2, (4, 1), 1, compact=True),
        "compact, 4 lanes, short": attention(16, 16, 4, (8, 1), 1, compact=True),
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
        "1 × 8": spmm(1, 8, 4, 2, 64, 8),
        "2 × 4": spmm(2, 4, 4, 4, 64, 8),
        "4 × 4": spmm(4, 4, 4, 4, 64, 16),
        "no banks": spmm(4, 8, 1, 4, 256, 32, formats=NO_BANKS),
        "2 × 16": spmm(2, 16, 16, 2, 256, 32),
        "8 × 8": spmm(8, 8, 8, 8, 128, 16, formats=(WeightFormat.BBS, WeightFormat.DENSE)),
        "dense, 2 × 32": spmm(2, 32, 1, 4, 512, 32, formats=(WeightFormat.DENSE,)),
        "nm, 1 × 16": spmm(1, 16, 1, 2, 256, 16, formats=(WeightFormat.NM,)),
        "few columns": spmm(2, 4, 2, 4, 8, 8),
    },
}
HELD_OUT: dict[str, dict[str, Config]] = {
    "attention": {
        "held out: 4 lanes": attention(128, 32, 4, (16, 2), 2),
        "held out: 2 lanes": attention(64, 16, 2, (8, 1), 1),
        "held out: 16 lanes": attention(64, 16, 16, (16, 1), 8, weight_bits=13),
        "held out: hdp": attention(64, 16, 4, (8, 1), 2, **POLICIES["hdp"]),
        "held out: compact": attention(64, 16, 4, (4, 1), 1, compact=True),
        "held out: early, skip": attention(64, 8, 2, (8, 1), 2, fill=Fill.SKIP, normalise=Normalise.EARLY),
        "held out: compact, early, skip": attention(
            32, 8, 2, (4, 1), 1, compact=True, fill=Fill.SKIP, normalise=Normalise.EARLY
        ),
    },
    "spmm": {
        "held out: 2 × 8": spmm(2, 8, 4, 8, 1024, 32),
        "held out: 4 × 16": spmm(4, 16, 16, 4, 512, 64),
        "held out: csr": spmm(1, 8, 1, 4, 128, 16, formats=(WeightFormat.CSR,)),
        "held out: dense": spmm(2, 16, 1, 4, 600, 16, formats=(WeightFormat.DENSE, WeightFormat.NM)),
    },
}
LARGE: dict[str, dict[str, Config]] = {"attention": dict(PRESETS), "spmm": dict(SPMM_PRESETS)}
SMALL = {
    "attention": [
        *("2 lanes", "4 lanes", "8 lanes, 1 block", "blocks of 4", "blocks of 4, 64 keys", "wide predictor"),
        *("4 blocks", "10 bits of weight", "hdp, 2 lanes", "skip", "early", "early, blocks of 4"),
        *("early, wide", "held out: 2 lanes", "held out: hdp", "held out: early, skip"),
        *(name for names in (FITTED, HELD_OUT) for name in names["attention"] if "compact" in name),
    ],
    "spmm": [
        *("tiny", "1 × 4", "1 × 8", "2 × 4", "4 × 4", "csr only", "1 × 16", "2 × 8", "no banks", "few columns"),
        "held out: csr",
    ],
}
"""What an iCE40 is asked to hold, or a little more: none holds a core that is not compact."""
BITWISE = {
    "attention": [
        *("2 lanes", "4 lanes", "blocks of 4", "blocks of 4, 64 keys", "10 bits of weight", "hdp, 2 lanes"),
        *("hdp, compact", "compact, 1 lane", "compact, 2 lanes", "compact, 4 lanes, short", "held out: 2 lanes"),
        *("early", "compact, skip"),
    ],
    "spmm": ["tiny", "1 × 4", "1 × 8", "2 × 4", "4 × 4", "2 × 8", "csr only", "held out: csr"],
}
"""What is counted in gates: each bit of a memory is some of these."""
ALONE = {
    "attention": [
        *("2 lanes", "4 lanes", "8 lanes", "8 lanes, 1 block", "blocks of 4", "16 lanes", "long", "wide predictor"),
        *("4 blocks", "14 bits of weight", "deep", "hdp, 8 lanes", "hdp, compact", "compact, 1 lane"),
        *("compact, 4 lanes", "compact, 8 lanes", "compact, long", "held out: 4 lanes", "held out: compact"),
        *("skip", "early", "early, blocks of 4", "early, wide", "compact, skip", "compact, early"),
        "held out: early, skip",
    ],
    "spmm": [
        *("tiny", "2 × 8", "1 × 16", "csr only", "2 × 32", "1 × 4", "4 × 4", "8 × 8", "no banks", "dense, 2 × 32"),
        *("nm, 1 × 16", "few columns", "1 × 8", "2 × 4", "held out: csr", "held out: dense"),
    ],
}
"""Whose parts are counted by themselves, too; on ECP5 all."""
COUNTED = {ICE40: SMALL, ICE40_LOGIC: SMALL, GENERIC: BITWISE}
"""By fabric; all for others."""


def is_counted(on: Fabric, unit: str, name: str) -> bool:
    """Whether a configuration is of a size for a fabric."""
    return on not in COUNTED or name in COUNTED[on][unit]


def config_of(row: Row) -> Config:
    """The configuration that a row is about."""
    kind = AttentionConfig if row["unit"] == "attention" else SpmmConfig
    return kind.from_json(json.dumps(row["configuration"]))


def wanted(on: Fabric, large: Sequence[str]) -> list[tuple[str, str, Config]]:
    """Unit, name and configuration of what is to be counted."""
    return [
        (unit, name, config)
        for unit in FITTED
        for name, config in {
            **FITTED[unit],
            **HELD_OUT[unit],
            **{preset: LARGE[unit][preset] for preset in large},
        }.items()
        if is_counted(on, unit, name)
    ]


def parts_alone(fabric: str, unit: str, name: str) -> list[str]:
    """Parts of a unit that are counted by themselves."""
    if FABRICS[fabric] is not ECP5 and name not in ALONE[unit]:
        return []
    units = ATTENTION_UNITS if unit == "attention" else SPMM_UNITS
    return [part for part in units if part != unit]


def plan(fabric: str, unit: str, config: Config) -> Plan:
    """What is to be counted."""
    top, component = make(unit, config)
    return Plan(top=top, verilog=emit(component, name=top), device=device(FABRICS[fabric].counted_on), speed=None)


def count(fabric: str, unit: str, name: str, config: Config, *, before: Row | None) -> Row:
    """A row: counts by Yosys of each block, and of each part alone; those from before whose netlist is the same."""
    yosys = find("yosys", Source.YOWASP)
    known = {"netlists": {}, "blocks": {}, "alone": {}} if before is None else before
    netlists: dict[str, str] = {}
    counted: dict[str, Any] = {}
    for part in (unit, *parts_alone(fabric, unit, name)):
        netlists[part] = netlist_key(plan(fabric, part, config), yosys)
        if known["netlists"].get(part) == netlists[part]:
            counted[part] = known["blocks"] if part == unit else known["alone"][part]
            continue
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(
                config,
                preset=name,
                unit=part,
                device=device(FABRICS[fabric].counted_on),
                folder=Path(folder),
                place=False,
                source=Source.YOWASP,
            )
        found = {block.name: block.resources for block in measured.blocks}
        if part == unit:
            counted[part] = {block: kept(resources) for block, resources in found.items()}
        else:
            counted[part] = kept(sum(found.values(), Resources()))
    return {
        "fabric": fabric,
        "unit": unit,
        "name": name,
        "configuration": json.loads(config.to_json()),
        "yosys": f"{yosys.version} ({yosys.source})",
        "netlists": netlists,
        "blocks": counted.pop(unit),
        "alone": counted,
    }


def kept(resources: Resources) -> dict[str, int]:
    """Those that a row holds."""
    return {each: count for each in KEPT if (count := getattr(resources, each))}


Key = tuple[str, str, str]
"""Fabric, unit, name."""


def key_of(row: Row) -> Key:
    """What a row is of."""
    return row["fabric"], row["unit"], row["name"]


def refresh(rows: list[Row], fabrics: Sequence[str], large: Sequence[str], *, jobs: int) -> list[Row]:
    """Count what is missing or stale, some at a time; the rows are written after each."""
    known = {key_of(row): row for row in rows}
    failed = []
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        counting = {
            pool.submit(count, *key, config, before=known.get(key)): key
            for fabric in fabrics
            for unit, name, config in wanted(FABRICS[fabric], large)
            for key in [(fabric, unit, name)]
        }
        for done, each in enumerate(concurrent.futures.as_completed(counting), 1):
            key = counting[each]
            what = f"{done} of {len(counting)}: " + " ".join(key)
            try:
                row = each.result()
            except ThresherError as error:
                failed.append(f"{what}: {error}")
                print(failed[-1], flush=True)
                continue
            told = "up to date"
            if row != known.get(key):
                known[key] = row
                ordered = [known[key] for key in sorted(known, key=_place)]
                SIZES.write_text(json.dumps(ordered, indent=1) + "\n")
                told = ", ".join(f"{which} {value:,}" for which, value in sizes(row).items() if value)
            print(f"{what}: {told}", flush=True)
    if failed:
        raise SystemExit("\n".join(["error: not all could be counted, nothing is fitted", *failed]))
    return [known[key] for key in sorted(known, key=_place)]


def _place(key: Key) -> tuple[int, bool, int]:
    fabric, unit, name = key
    names = [*FITTED[unit], *LARGE[unit], *HELD_OUT[unit]]
    return list(FABRICS).index(fabric), unit != "attention", names.index(name) if name in names else len(names)


def fits(row: Row) -> bool:
    """Whether the coefficients may know it."""
    return row["name"] not in HELD_OUT[row["unit"]]


def sizes(row: Row, part: str | None = None) -> dict[str, int]:
    """Counts of the whole unit, or of a part alone."""
    counted = row["blocks"].values() if part is None else [row["alone"][part]]
    return {name: sum(block.get(name, 0) for block in counted) for name in COUNTS}


def fit_all(rows: Sequence[Row]) -> dict[str, Any]:
    """Coefficients by fabric (see :func:`fit`)."""
    return {fabric: fit([row for row in rows if row["fabric"] == fabric]) for fabric in FABRICS}


def fit(rows: Sequence[Row]) -> dict[str, Any]:
    """Coefficients of one fabric by unit, block or part alone, and count: non-negative, of least relative error."""
    members = [
        (which, row["fabric"], config, counts)
        for row in rows
        for config in [config_of(row)]
        for which, counts in (
            (row["unit"], estimate.merged(config, row["blocks"])),
            (estimate.ALONE, {estimate.part_key(config, part): counts for part, counts in row["alone"].items()}),
        )
    ]
    found: dict[str, Any] = {}
    for which, blocks in estimate.FEATURES.items():
        for block, parts_of in blocks.items():
            for name in estimate.FITTED:
                counts = [
                    (_features(parts_of, config, fabric, name), counted[block].get(_counted(fabric, name), 0))
                    for of, fabric, config, counted in members
                    if of == which and block in counted
                ]
                if counts:
                    found.setdefault(which, {}).setdefault(block, {})[name] = _factors(counts)
    return found


@functools.cache
def _features(parts_of: Callable[[Any, Fabric], Parts], config: Config, fabric: str, name: str) -> Features:
    on = FABRICS[fabric]
    return parts_of(config, on).features(name, on)


def _counted(fabric: str, name: str) -> str:
    """The count that is fitted."""
    return FABRICS[fabric].logic if name == "logic" else name


def _factors(counts: Sequence[tuple[Features, int]]) -> list[float]:
    inputs = np.array([features for features, _ in counts], dtype=float)
    counted = np.array([count for _, count in counts], dtype=float)
    # Large samples weigh as much as small ones; blocks of a few cells weigh little.
    weights = 1 / np.maximum(counted, 50)
    coefficients, _ = nnls(inputs * weights[:, None], counted * weights)
    return [float(f"{each:.4g}") for each in coefficients]


def fitted_of(row: Row) -> tuple[str, ...]:
    """The counts of a row that are estimated with fitted factors."""
    return tuple(_counted(row["fabric"], name) for name in estimate.FITTED)


def estimated(row: Row, coefficients: dict[str, Any] | None = None, part: str | None = None) -> dict[str, int]:
    """Counts as they are estimated."""
    told = estimate.resources(config_of(row), part, FABRICS[row["fabric"]], coefficients=coefficients)
    return {name: getattr(told, name) for name in COUNTS}


def errors(row: Row, coefficients: dict[str, Any] | None = None, part: str | None = None) -> dict[str, float]:
    """Relative errors of the estimate; of counts that are none, the estimate."""
    told, counted = estimated(row, coefficients, part), sizes(row, part)
    return {name: told[name] / counted[name] - 1 if counted[name] else told[name] for name in COUNTS}


def show(rows: Sequence[Row]) -> None:
    """Estimates beside sizes, and what they would be without the row."""
    for row in rows:
        told, counted, wrong = estimated(row), sizes(row), errors(row)
        shown = [name for name in COUNTS if told[name] or counted[name]]
        figures = [f"{name} {told[name]:,} of {counted[name]:,} {wrong[name]:+.1%}" for name in shown]
        beside = "never fitted"
        if fits(row):
            others = [other for other in rows if fits(other) and other["fabric"] == row["fabric"] and other is not row]
            without = errors(row, fit(others))
            beside = "without it " + ", ".join(f"{name} {without[name]:+.1%}" for name in fitted_of(row))
        print(f"{' '.join(key_of(row))}: {', '.join(figures)}; {beside}")
        for part in row["alone"]:
            wrong = errors(row, part=part)
            figures = ", ".join(f"{name} {wrong[name]:+.1%}" for name in fitted_of(row))
            print(f"    {part} alone: {figures}")


def main() -> int:
    """Measure, fit, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--measure", nargs="*", choices=["edge", "server"], help="count what is missing or stale, these presets too"
    )
    parser.add_argument("--fabric", nargs="+", choices=list(FABRICS), default=list(FABRICS), help="only these")
    parser.add_argument("--fit", action="store_true", help="fit to the committed sizes")
    parser.add_argument("--jobs", type=int, default=1, help="configurations that are counted at the same time")
    arguments = parser.parse_args()
    rows = json.loads(SIZES.read_text()) if SIZES.exists() else []
    if arguments.measure is not None:
        rows = refresh(rows, arguments.fabric, arguments.measure, jobs=arguments.jobs)
    if arguments.fit or arguments.measure is not None:
        found = fit_all([row for row in rows if fits(row)])
        estimate.COEFFICIENTS.write_text(json.dumps(found, indent=1) + "\n")
    show([row for row in rows if row["fabric"] in arguments.fabric])
    return 0


if __name__ == "__main__":
    sys.exit(main())
