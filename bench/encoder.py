"""Accuracy of whole encoders in integers, on the golden model.

    python bench/encoder.py --sst2-model FOLDER --stsb-model FOLDER --data FOLDER

``--data`` holds sst2_dev.tsv, sst2_calib.tsv (sentence, label) and stsb_dev.tsv (score, sentence1, sentence2). The
STS-B model is all-MiniLM-L6-v2, calibrated with the packaged sentences. Each run is what
``thresher eval --unit coprocessor --rho 0.4 --random-mask`` does, and then the same with ``--weight-bits 4``. With
``--weight-bits 4`` alone, this script keeps the record of 8 bits.
"""

import argparse
from pathlib import Path
from typing import Any

from baseline import BASELINES, read, write
from thresher.model.load import load_model
from thresher.runtime.coprocessor import WholeEncoder
from thresher.runtime.evaluate import evaluate
from thresher.spec import coprocessor_preset

BASELINE = BASELINES / "encoder.json"
PRESET = "edge"
RHO = 0.4
"""About 80 % of the blocks pruned, policy ``thresher``."""
NARROW = {"integer": "integer_4_bits", "integer_pruned": "integer_4_bits_pruned"}
"""Settings that are kept of a run with weights of 4 bits, and their names in the record."""


def record(report: dict[str, Any], model: str) -> dict[str, Any]:
    """What is kept of a report of ``thresher eval``."""
    names = ("task", "metric", "examples", "calibration_method", "calibration_sentences", "rho", "seed")
    return {
        "model": model,
        **{name: report[name] for name in names},
        "calibration": Path(report["calibration"]).name,
        "results": {
            setting: {name: round(row[name], 5) for name in ("score", "change", "block_sparsity", "saturated")}
            for setting, row in report["results"].items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sst2-model", required=True, help="folder of a BERT that was fine-tuned on SST-2")
    parser.add_argument("--stsb-model", required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--data", type=Path, required=True, help="folder of the three files")
    parser.add_argument("--weight-bits", type=int, nargs="+", choices=(8, 4), default=(8, 4))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=BASELINE)
    arguments = parser.parse_args()
    config = coprocessor_preset(PRESET)
    table = {each["task"]: each for each in read(arguments.output)} if arguments.output.exists() else {}
    if not table and 8 not in arguments.weight_bits:
        parser.error(f"{arguments.output} has no record of 8 bits: measure both, with --weight-bits 8 4")
    for task, folder, name, calibration in (
        ("sst2", arguments.sst2_model, Path(arguments.sst2_model).name, arguments.data / "sst2_calib.tsv"),
        ("stsb", arguments.stsb_model, "all-MiniLM-L6-v2", None),
    ):
        model = load_model(folder)
        for bits in sorted(arguments.weight_bits, reverse=True):
            report = evaluate(
                model,
                task,
                arguments.data / f"{task}_dev.tsv",
                config=config.attention,
                rho=RHO,
                random_mask=bits == 8,
                calibration=calibration,
                whole=WholeEncoder(config=config, weight_bits=bits),
                jobs=arguments.jobs,
            )
            found = record(report.to_dict(), name)
            if bits == 8:
                table[task] = found
            else:
                table[task]["results"] |= {new: found["results"][old] for old, new in NARROW.items()}
            write(arguments.output, list(table.values()))
            print(task, bits, {setting: row["score"] for setting, row in found["results"].items()})


if __name__ == "__main__":
    main()
