"""Cycles of sparse products on the emitted SpMM engine. Every result is compared with the golden model.

    python bench/spmm.py                        # measure and print the differences from the committed figures
    python bench/spmm.py --write                # replace the committed figures
    python bench/spmm.py --preset tiny edge server
    python bench/spmm.py --weights FILE         # also a trained matrix: MiniLM's model.safetensors

Weights are random, or from the file, and pruned by magnitude. Cycles are exact: a difference is a change of the
hardware. The simulator of each preset takes minutes to build once.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from baseline import BASELINES, compare
from thresher.model.weights import Float32, read_matrix
from thresher.runtime.products import pruned_weights, random_matrix
from thresher.runtime.spmm_bench import bench_spmm
from thresher.sim.spmm import SpmmSimulator
from thresher.spec import ConfigError, WeightFormat, spmm_preset

BASELINE = BASELINES / "spmm.json"
TENSOR = "bert.encoder.layer.0.intermediate.dense.weight"
SEED = 0
FFN = (1536, 384)

Row = tuple[tuple[int, int], WeightFormat, float | None, int]
"""Rows and columns, format, sparsity (``None``: the format's own), tokens."""

CSR, DELTA, BBS, NM, DENSE = WeightFormat
FIGURES: list[Row] = [
    *((FFN, CSR, sparsity, tokens) for tokens in (128, 32, 1) for sparsity in (0.5, 0.75, 0.9, 0.95)),
    *((FFN, DELTA, sparsity, 128) for sparsity in (0.75, 0.95)),
    *((FFN, BBS, 0.75, tokens) for tokens in (128, 32, 1)),
    (FFN, NM, None, 128),
    (FFN, DENSE, None, 128),
]
"""What the project promises, and around it."""
ROWS: dict[str, list[Row]] = {
    "tiny": [
        *(((40, 33), weight_format, 0.5, 9) for weight_format in (CSR, DELTA, BBS)),
        ((40, 33), BBS, 0.5, 1),
        *(((40, 33), weight_format, None, 9) for weight_format in (NM, DENSE)),
    ],
    "edge": [*FIGURES, ((384, 1536), CSR, 0.75, 128), ((1537, 385), CSR, 0.9, 33), ((384, 1536), BBS, 0.75, 1)],
    "server": [(FFN, CSR, 0.75, 128), (FFN, BBS, 0.75, 1), (FFN, DENSE, None, 128)],
}
"""On random weights, by preset."""
EXACT = ("nnz", "cycles", "steady_cycles", "dense_cycles", "bytes", "dense_bytes")


def measure(name: str, trained: Float32 | None) -> list[dict[str, Any]]:
    """All rows of a preset; on ``edge`` those of the trained matrix too."""
    work: list[tuple[str, Float32, Row]] = [("random", random_matrix(*row[0], seed=SEED), row) for row in ROWS[name]]
    if trained is not None and name == "edge":
        work += [(TENSOR, trained, row) for row in FIGURES]
    measured = []
    with SpmmSimulator(spmm_preset(name)) as simulator:
        for source, matrix, (_, weight_format, sparsity, tokens) in work:
            packed, scales = pruned_weights(simulator.config, matrix, weight_format, sparsity)
            bench = bench_spmm(simulator, packed, scales, tokens=tokens, seed=SEED)
            row = {"preset": name, "weights": source, "wanted_sparsity": sparsity, **bench.to_dict()}
            measured.append(row)
            print(row, flush=True)
    return measured


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Key of a row."""
    names = ("preset", "weights", "rows", "columns", "format", "wanted_sparsity", "tokens")
    return tuple(row[name] for name in names)


def main() -> int:
    """Measure; 1 if something is not bit-exact or differs from the committed figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", choices=list(ROWS), default=["tiny", "edge"])
    parser.add_argument("--weights", type=Path, help=f"safetensors file with {TENSOR}")
    parser.add_argument("--write", action="store_true", help="replace the committed figures")
    arguments = parser.parse_args()
    trained = None if arguments.weights is None else read_matrix(arguments.weights, TENSOR)
    if trained is not None and trained.shape != FFN:
        raise ConfigError("weights", trained.shape, f"the committed rows are those of a matrix {FFN}")
    rows = [row for name in arguments.preset for row in measure(name, trained)]
    return compare(BASELINE, rows, place=place, tolerances=dict.fromkeys(EXACT, 0.0), write_rows=arguments.write)


if __name__ == "__main__":
    sys.exit(main())
