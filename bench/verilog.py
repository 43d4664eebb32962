"""SHA-256 of the emitted Verilog of every preset, and of attention cores with each option.

    python bench/verilog.py              # emit again and print the differences from the committed record
    python bench/verilog.py --write      # replace the record
    python bench/verilog.py --preset tiny edge

A difference is a change of the hardware, or of the names in it. A change of structure in the Python sources must make
none. The preset ``server`` takes minutes.
"""

import argparse
import dataclasses
import hashlib
import itertools
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from baseline import BASELINES, read, write
from thresher.hdl.emit import emit
from thresher.hdl.unit_files import make_unit
from thresher.spec import (
    POLICIES,
    PRESETS,
    SPMM_PRESETS,
    VECTOR_PRESETS,
    AttentionConfig,
    Fill,
    Normalise,
    SpmmConfig,
    VectorConfig,
    preset,
)

BASELINE = BASELINES / "verilog.json"


def configurations(names: list[str]) -> Iterator[tuple[str, AttentionConfig | SpmmConfig | VectorConfig]]:
    """What is emitted, with the name of its record."""
    for name in names:
        for policy in POLICIES:
            yield f"attention {name} {policy}", preset(name, policy=policy)
        yield f"spmm {name}", SPMM_PRESETS[name]
        yield f"vector {name}", VECTOR_PRESETS[name]
        if name == "tiny":
            for compact, fill, normalise in itertools.product((False, True), Fill, Normalise):
                options = dataclasses.replace(preset(name), compact=compact, fill=fill, normalise=normalise)
                kind = "compact" if compact else "pipelined"
                yield f"attention tiny {kind} {fill.value} {normalise.value}", options


def digest(config: AttentionConfig | SpmmConfig | VectorConfig) -> str:
    """SHA-256 of the Verilog of a configuration."""
    text = emit(make_unit(config), name="unit")
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> int:
    """Emit; 1 if something differs from the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--write", action="store_true", help="replace the record")
    arguments = parser.parse_args()
    known = read(BASELINE) if BASELINE.exists() else {}
    wanted = dict(configurations(arguments.preset))
    found, differences = {}, 0
    with ProcessPoolExecutor() as pool:
        for name, value in zip(wanted, pool.map(digest, wanted.values()), strict=True):
            found[name] = value
            same = known.get(name) == value
            differences += not same
            print(f"{name}: {'same' if same else 'differs'}", flush=True)
    if arguments.write:
        write(BASELINE, known | found)
        return 0
    print(f"{differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
