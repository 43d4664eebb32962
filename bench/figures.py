"""Every figure that the project promises, beside what was reached.

    python bench/figures.py                                        # softmax, demo and Verilog are measured
    python bench/figures.py --sst2-model FOLDER --data FOLDER      # and the time of an evaluation
    python bench/figures.py --make-test                            # and make test, in a clone with an empty cache

Figures and their bars are in bench/baselines/figures.json. Cycles and accuracies are read from what bench/attention.py,
bench/spmm.py and bench/accuracy.py committed. What is not measured in a run keeps its value. To promise another figure,
add its bar to the record, with ``null`` as what is reached. Exits with 1 if a figure is missed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from baseline import BASELINES, read, write
from thresher.golden.attention.softmax import softmax
from thresher.spec import head_command, preset

ROOT = Path(__file__).parent.parent
FIGURES = BASELINES / "figures.json"
THRESHER = str(Path(sys.executable).parent / "thresher")
CHOSEN_RHO = 0.45


def seconds(command: list[str], **settings: Any) -> float:
    """Wall time of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **settings)
    return time.perf_counter() - start


def softmax_errors() -> tuple[float, float, float]:
    """Mean and worst error of a probability, and of a row's sum, at σ = 2 nats, n = 128, 2,000 rows, seed 0."""
    scale = 2.0**-11
    scores = np.round(np.random.default_rng(0).normal(0, 2, (2000, 128)) / scale).astype(np.int64)
    config = preset("edge")
    command = head_command(config, query_length=8, key_length=8, head_dim=8, score_scale=scale, output_scale=1.0)
    kept, background = np.ones(scores.shape, bool), np.zeros(len(scores), np.int64)
    found = softmax(config, command, scores, kept, background).probabilities()
    weights = np.exp(scale * (scores - scores.max(axis=1, keepdims=True)))
    error = np.abs(found - weights / weights.sum(axis=1, keepdims=True))
    return float(error.mean()), float(error.max()), float(np.abs(found.sum(axis=1) - 1).max())


def committed_spmm() -> dict[str, float]:
    """Of the trained matrix."""
    rows = {
        (row["format"], row["wanted_sparsity"], row["tokens"]): row
        for row in read(BASELINES / "spmm.json")
        if row["preset"] == "edge" and row["weights"] != "random"
    }
    found = {
        f"CSR, N={tokens}, {sparsity:.0%}: utilisation": rows["csr", sparsity, tokens]["utilisation"]
        for tokens in (128, 32, 1)
        for sparsity in (0.5, 0.75, 0.9, 0.95)
    }
    return found | {
        "BBS, N=1, 75%: utilisation": rows["bbs", 0.75, 1]["utilisation"],
        "2:4, N=128: speedup": rows["nm", None, 128]["speedup"],
        "CSR, N=128, 90%: speedup": rows["csr", 0.9, 128]["speedup"],
        "dense SpMM, N=128: utilisation": rows["dense", None, 128]["utilisation"],
    }


def committed() -> dict[str, float]:
    """What the other benches committed."""
    cycles = {
        row["wanted_sparsity"]: row
        for row in read(BASELINES / "attention.json")
        if (row["preset"], row["length"], row["head_dim"]) == ("edge", 128, 64)
    }
    found = {
        "dense utilisation": cycles[0.0]["utilisation"],
        "speedup at 75 %": cycles[0.75]["speedup"],
        "speedup at 90 %": cycles[0.9]["speedup"],
        "overhead cycles per dense head": cycles[0.0]["dense_overhead_cycles"],
        "simulated cycles per second": min(row["simulated_cycles_per_second"] for row in cycles.values()),
    }
    found |= committed_spmm()
    for table in read(BASELINES / "accuracy.json"):
        if table["model"] == "default":
            continue
        for row in table["results"]:
            if row["policy"] != "thresher" or row["mask"] != "policy" or row["tau"]:
                continue
            if row["rho"] == -1:
                found[f"{table['task']} INT8, change"] = row["change"]
            elif row["rho"] == CHOSEN_RHO:
                found[f"{table['task']} pruned, change"] = row["change"]
                found[f"{table['task']} pruned, block sparsity"] = row["block_sparsity"]
    return found


def measured(arguments: argparse.Namespace) -> dict[str, float]:
    """What this run measures."""
    mean, worst, row = softmax_errors()
    found = {"softmax mean error": mean, "softmax worst error": worst, "softmax row sum error": row}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in (("demo", []), ("demo --unit attention", ["--unit", "attention"])):
            demo = [THRESHER, "demo", *options, "--output", folder]
            seconds(demo)
            found[f"thresher {name}, second run, seconds"] = seconds(demo)
        found["verilog of edge, seconds"] = seconds([THRESHER, "verilog", "--preset", "edge", "-o", f"{folder}/v"])
        if arguments.sst2_model and arguments.data:
            data = ["--data", f"{arguments.data}/sst2_dev.tsv", "--calibration", f"{arguments.data}/sst2_calib.tsv"]
            command = [THRESHER, "eval", "--task", "sst2", "--model", arguments.sst2_model, *data]
            found["eval of 872 sentences, seconds"] = seconds(command)
        if arguments.make_test:
            clone, cache = f"{folder}/thresher", f"{folder}/cache"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), clone], check=True)
            found["make test, nothing cached, seconds"] = seconds(
                [shutil.which("make") or "make", "test"], cwd=clone, env={**os.environ, "THRESHER_CACHE": cache}
            )
    return found


def meets(value: float | None, bar: str) -> bool:
    """Whether a value meets a bar, such as ``at least 0.95``; one that is only ``reported`` has to be there."""
    if value is None or bar == "reported":
        return value is not None
    _, sense, limit = bar.split()
    return value >= float(limit) if sense == "least" else value <= float(limit)


def main() -> int:
    """Measure, write the file, print the table; 1 if a figure is missed or was never measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sst2-model", help="folder of a model fine-tuned on SST-2")
    parser.add_argument("--data", help="folder with sst2_dev.tsv and sst2_calib.tsv")
    parser.add_argument("--make-test", action="store_true")
    arguments = parser.parse_args()
    rows = read(FIGURES)
    for name, value in (committed() | measured(arguments)).items():
        rows[name]["reached"] = float(f"{value:.4g}")
    for name, row in rows.items():
        row["met"] = meets(row["reached"], row["bar"])
        shown = "not measured" if row["reached"] is None else f"{row['reached']:g}"
        print(f"{name:34} {row['bar']:18} reached {shown:>12} {'' if row['met'] else '  MISSED'}")
    write(FIGURES, rows)
    return 0 if all(row["met"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
