"""Cycles of the pointwise layers of MobileNets on the simulated SpMM engine ``edge``.

    python bench/networks.py

It runs ``thresher bench spmm --network NETWORK --sparsity 0.75`` for each network.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from baseline import BASELINES, write

BASELINE = BASELINES / "networks.json"
THRESHER = Path(sys.executable).parent / "thresher"
SPARSITY = 0.75


def measure(network: str) -> dict[str, Any]:
    """The figures of a network."""
    command = [THRESHER, "bench", "spmm", "--network", network, "--sparsity", str(SPARSITY), "--json"]
    return row_of(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))


def row_of(told: dict[str, Any]) -> dict[str, Any]:
    """The row of a record."""
    speedups = [layer["speedup"] for layer in told["layers"]]
    names = ("preset", "network", "format", "target", "multipliers", "macs", "cycles", "dense_cycles", "bit_exact")
    return {name: told[name] for name in names} | {
        "layers": len(speedups),
        "speedup": round(told["speedup"], 3),
        "least_speedup": round(min(speedups), 3),
        "most_speedup": round(max(speedups), 3),
        "utilisation": round(told["utilisation"], 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", default=["mobilenet-v1", "mobilenet-v2"])
    parser.add_argument("--output", type=Path, default=BASELINE)
    arguments = parser.parse_args()
    rows = []
    for network in arguments.network:
        rows.append(measure(network))
        print(rows[-1], flush=True)
    write(arguments.output, rows)


if __name__ == "__main__":
    main()
