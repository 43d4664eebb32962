"""Cycles of the emitted attention core in a stream of heads. Every result is compared with the golden model.

    python bench/attention.py            # measure and print the differences from the committed figures
    python bench/attention.py --write    # replace the committed figures
    python bench/attention.py --preset tiny edge server

Cycles are exact: a difference is a change of the hardware. The simulator of each preset takes minutes to build once.
"""

import argparse
import dataclasses
import sys
from typing import Any

from baseline import BASELINES, compare
from thresher.runtime.attention_bench import bench_attention
from thresher.spec import preset

BASELINE = BASELINES / "attention.json"
SEED, HEADS = 0, 9
SHAPES = {
    "tiny": [(16, 8, 0.0), (16, 8, 0.5), (7, 5, 0.5)],
    "edge": [
        (128, 64, 0.0),
        (64, 64, 0.75),
        (128, 64, 0.75),
        (128, 64, 0.9),
        (256, 64, 0.75),
        (128, 32, 0.75),
        (37, 33, 0.75),
        (25, 32, 0.75),
    ],
    "server": [(128, 64, 0.75), (512, 128, 0.75)],
}
"""Length, head dimension and wanted block sparsity, by preset."""
CAUSAL = {"edge": [(64, 64, 0.75), (256, 64, 0.75)]}
"""The same of causal heads, on cores with this option."""
EXACT = ("kept_blocks", "cycles_per_head", "dense_cycles_per_head", "dense_overhead_cycles", "utilisation", "speedup")


def measure(name: str) -> list[dict[str, Any]]:
    """All shapes of a preset."""
    rows = []
    work = [(shape, False) for shape in SHAPES[name]] + [(shape, True) for shape in CAUSAL.get(name, [])]
    for (length, head_dim, sparsity), causal in work:
        bench = bench_attention(
            dataclasses.replace(preset(name), causal=causal),
            length=length,
            head_dim=head_dim,
            sparsity=sparsity,
            heads=HEADS,
            seed=SEED,
            causal=causal,
        )
        rows.append({"preset": name, "causal": causal, "wanted_sparsity": sparsity, **bench.to_dict()})
        print(rows[-1], flush=True)
    return rows


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Key of a row."""
    return row["preset"], row["causal"], row["length"], row["head_dim"], row["wanted_sparsity"]


def main() -> int:
    """Measure; 1 if something is not bit-exact or differs from the committed figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", choices=list(SHAPES), default=["tiny", "edge"])
    parser.add_argument("--write", action="store_true", help="replace the committed figures")
    arguments = parser.parse_args()
    rows = [row for name in arguments.preset for row in measure(name)]
    return compare(BASELINE, rows, place=place, tolerances=dict.fromkeys(EXACT, 0.0), write_rows=arguments.write)


if __name__ == "__main__":
    sys.exit(main())
