"""Accuracy of whole encoders in integers with weights that are pruned in one shot, without training.

    python bench/one_shot.py --sst2-model FOLDER --stsb-model FOLDER --data FOLDER

``--data`` holds sst2_dev.tsv, sst2_calib.tsv (sentence, label) and stsb_dev.tsv (score, sentence1, sentence2). The
STS-B model is all-MiniLM-L6-v2. Each run is what ``thresher prune --calibration FILE -o OUT`` and then ``thresher eval
--unit coprocessor --weights OUT/weights.safetensors`` do, with the attention not pruned. ``calibration`` names the
sentences of the pruning, which come without labels:

- ``sst2_calib.tsv``, the default.
- ``other half`` (STS-B): each random half of the pairs is evaluated with weights that were pruned on the sentences of
  the other half. Sentences that also occur in the evaluated half are left out.

The ranges of the activations come from sst2_calib.tsv for SST-2, and from the packaged sentences for STS-B. ``error``
is the bootstrap standard error of the change. The record keeps the rows that are not measured again.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from baseline import BASELINES, known_rows, write
from numpy.typing import NDArray
from thresher.model.load import Model, calibration_sentences, load_model
from thresher.model.pack import pack_model
from thresher.model.packed_file import write_packed
from thresher.model.pruning.method import MethodName
from thresher.model.quantise import AttentionScales
from thresher.model.tokenizer import Tokens
from thresher.model.weights import Float32
from thresher.runtime.coprocessor import Coprocessor, WholeEncoder
from thresher.runtime.evaluate import predicted, score, task_texts
from thresher.runtime.metrics import merits, resamples
from thresher.runtime.passes import Setting, run_settings
from thresher.spec import WeightFormat, coprocessor_preset, spmm_preset

BASELINE = BASELINES / "one_shot.json"
PRESET = "edge"
SEED = 0


@dataclass(frozen=True)
class Way:
    """A way of pruning. ``sparsity`` is ``None`` if the format has only one."""

    format: WeightFormat
    sparsity: float | None
    method: MethodName = "obs"
    global_ranking: bool = False
    weight_bits: int = 8


CSR, BBS, NM, DENSE = WeightFormat.CSR, WeightFormat.BBS, WeightFormat.NM, WeightFormat.DENSE
WAYS = (
    Way(DENSE, None),
    Way(DENSE, None, weight_bits=4),
    *(Way(CSR, sparsity) for sparsity in (0.5, 0.6, 0.7)),
    Way(BBS, 0.5),
    Way(NM, None),
    Way(CSR, 0.6, weight_bits=4),
    *(Way(CSR, 0.6, method) for method in ("wanda", "magnitude")),
    *(Way(NM, None, method) for method in ("wanda", "magnitude")),
    *(Way(CSR, 0.6, method, True) for method in ("obs", "wanda", "magnitude")),
    *(Way(CSR, sparsity, "random") for sparsity in (0.6, 0.7)),
    Way(BBS, 0.5, "random"),
    Way(NM, None, "random"),
)


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Names a row of the record."""
    names = ("task", "calibration", "format", "target", "method", "global", "weight_bits")
    return tuple(row[name] for name in names)


class Bench:
    """One model and its task, with the outputs of FP32."""

    def __init__(self, task: str, name: str, folder: str, arguments: argparse.Namespace):
        self.task, self.name, self.jobs = task, name, arguments.jobs
        self.model: Model = load_model(folder)
        self.folder, self.sentences = folder, arguments.data / "sst2_calib.tsv"
        self.config = coprocessor_preset(PRESET)
        data = arguments.data / f"{task}_dev.tsv"
        self.dataset, self.tokens = task_texts(self.model, task, data, self.config.attention)
        self.ranges = calibration_sentences(self.sentences if task == "sst2" else None)
        self.samples = resamples(len(self.dataset.targets), seed=SEED)
        self.scales: AttentionScales = self.model.calibrate(self.ranges)
        self.fp32 = self._outputs(self.tokens, Setting())
        self.fp32_merits = self._merits(self.fp32)

    def _merits(self, outputs: Float32) -> NDArray[np.float64]:
        """The task's metric on each resample of the examples."""
        task, targets = self.dataset.task, np.array(self.dataset.targets)
        predictions = predicted(task, outputs, self.model.activation)
        return merits(task.metric, targets, predictions, self.samples, classes=self.dataset.classes)

    def _outputs(self, tokens: list[Tokens], setting: Setting) -> Float32:
        return run_settings(self.model, tokens, [setting], self.scales, jobs=self.jobs)[0].outputs

    def _coprocessor(self, way: Way, calibration: Path) -> tuple[Coprocessor, float]:
        """The encoder in integers after pruning, and its sparsity."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            packed = pack_model(
                self.folder,
                config=spmm_preset(PRESET),
                weight_format=way.format,
                sparsity=way.sparsity,
                global_ranking=way.global_ranking,
                method=way.method,
                calibration=calibration,
            )
            write_packed(path, packed)
            whole = WholeEncoder(
                config=self.config, packed=None if way.format is DENSE else path, weight_bits=way.weight_bits
            )
            return whole.coprocessor(self.model, self.ranges), packed.sparsity

    def _parts(self, halves: bool, folder: Path) -> Iterator[tuple[Path, NDArray[np.intp]]]:
        """Calibration files, and the examples that are evaluated with each."""
        count = len(self.dataset.targets)
        if not halves:
            yield self.sentences, np.arange(count)
            return
        texts = np.array(self.dataset.sentences).reshape(2, count)
        for held in np.array_split(np.random.default_rng(SEED).permutation(count), 2):
            evaluated = set(texts[:, held].flat)
            others = [text for text in dict.fromkeys(texts.T.flat) if text not in evaluated]
            path = folder / f"{len(others)}-{held[0]}.txt"
            path.write_text("\n".join(np.random.default_rng(SEED).permutation(others)), "utf-8")
            yield path, np.sort(held)

    def measure(self, way: Way, *, halves: bool) -> dict[str, Any]:
        """The row of a way of pruning."""
        start = time.perf_counter()
        outputs, sparsities = np.zeros_like(self.fp32), []
        with tempfile.TemporaryDirectory() as folder:
            for calibration, examples in self._parts(halves, Path(folder)):
                coprocessor, sparsity = self._coprocessor(way, calibration)
                setting = Setting(config=self.config.attention, coprocessor=coprocessor)
                count = len(self.dataset.targets)
                places = np.concatenate([examples + first for first in range(0, len(self.tokens), count)])
                outputs[places] = self._outputs([self.tokens[place] for place in places], setting)
                sparsities.append(sparsity)
        wanted, found = (score(self.dataset, each)[0] for each in (self.fp32, outputs))
        changes = self._merits(outputs) - self.fp32_merits
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)
        return {
            "task": self.task,
            "model": self.name,
            "metric": self.dataset.task.metric,
            "examples": len(self.dataset.targets),
            "calibration": "other half" if halves else self.sentences.name,
            "format": str(way.format),
            "target": way.sparsity,
            "sparsity": round(float(np.mean(sparsities)), 5),
            "method": way.method,
            "global": way.global_ranking,
            "weight_bits": way.weight_bits,
            "fp32": round(wanted, 5),
            "score": round(found, 5),
            "change": round(found - wanted, 5),
            "error": round(float(changes.std()), 5),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sst2-model", help="folder of a BERT that was fine-tuned on SST-2")
    parser.add_argument("--stsb-model", help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--data", type=Path, required=True, help="folder of the three files")
    parser.add_argument("--only", type=int, nargs="+", default=range(len(WAYS)), help="numbers of the ways to measure")
    parser.add_argument("--halves", action="store_true", help="STS-B: prune on the sentences of the other half")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=BASELINE)
    arguments = parser.parse_args()
    table = known_rows(arguments.output, key_of)
    for task, folder in (("sst2", arguments.sst2_model), ("stsb", arguments.stsb_model)):
        if folder is None:
            continue
        bench = Bench(task, Path(folder).name if task == "sst2" else "all-MiniLM-L6-v2", folder, arguments)
        for number in arguments.only:
            print(task, number, WAYS[number], flush=True)
            row = bench.measure(WAYS[number], halves=arguments.halves and task == "stsb")
            table[key_of(row)] = row
            write(arguments.output, list(table.values()))
            print("  ", row, flush=True)


if __name__ == "__main__":
    main()
