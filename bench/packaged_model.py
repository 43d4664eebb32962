"""Make the packaged model: train it with pruned weights, and measure the whole integer encoder.

    python bench/packaged_model.py --data FOLDER --start FOLDER --teacher FOLDER -o build/packaged
    python bench/packaged_model.py … --install    # also put it in place of model/default

``--data`` holds sst2_train.tsv and sst2_dev.tsv (sentence, label). ``--start`` is a BERT of 2 layers for SST-2, and
``--teacher`` a larger model, MiniLM of 6 layers. The script writes ``train.tsv``, the training texts and variants of
them, and then runs the commands ``thresher train`` and ``thresher eval --unit coprocessor`` that it prints, for three
models that differ only in their sparsity: the packaged one, one with more pruned weights, and a dense one. The settings
were hardly searched: only dropout was compared, with 1,500 sentences that were left out of the training file.
sst2_dev.tsv is evaluated once per model, at the end. The record keeps the rows that are not measured again.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from baseline import BASELINES, known_rows, write
from thresher.model.datasets import read_dataset
from thresher.model.source import DEFAULT_FOLDER

BASELINE = BASELINES / "packaged_model.json"
PACKAGED = 0.8
SPARSITIES = (PACKAGED, 0.9, None)
"""Of the packaged model, of a sparser one, and of their dense twin."""
SETTINGS = ("--epochs", "1.8", "--distil-weight", "1", "--quantise", "0.1")
SEED = 1
VARIANTS, LEAST, CHANGED = 2, 5, 0.2
"""Variants of each text of at least so many words, and share of the words that change."""
REPLACED = 0.6
"""Share of the changed words that another word of the training texts replaces. The others are left out."""


def variants(texts: list[str]) -> tuple[list[str], list[int]]:
    """Texts with some words replaced or left out, and the number of the text that each was made of.

    The teacher says what they mean; see Tang et al., "Distilling task-specific knowledge from BERT into simple neural
    networks" (arXiv 1903.12136).
    """
    random, words = np.random.default_rng(SEED), np.array([word for text in texts for word in text.split()])
    found, sources = [], []
    for number, text in enumerate(texts):
        own = text.split()
        for _ in range(VARIANTS if len(own) >= LEAST else 0):
            changed = []
            for word in own:
                chance = random.random()
                if chance < CHANGED * REPLACED:
                    changed.append(str(words[random.integers(len(words))]))
                elif chance >= CHANGED:
                    changed.append(word)
            if changed and changed != own:
                found.append(" ".join(changed))
                sources.append(number)
    return found, sources


def write_texts(data: Path, path: Path) -> None:
    """The training texts with their labels, then the variants. A variant has the label of its text."""
    dataset = read_dataset(data, "sst2")
    texts = [text for text in dataset.texts if isinstance(text, str)]
    found, sources = variants(texts)
    labels = [int(target) for target in dataset.targets]
    rows = [*zip(texts, labels, strict=True), *zip(found, (labels[each] for each in sources), strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\t{label}\n" for text, label in [("sentence", "label"), *rows]), "utf-8")


def thresher(*arguments: object) -> dict[str, Any]:
    """Run a command, after it was printed, and return its JSON."""
    words = [str(argument) for argument in arguments]
    print(f"thresher {shlex.join(words)}", flush=True)
    command = [sys.executable, "-P", "-m", "thresher", *words, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def measure(sparsity: float | None, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train a model, and evaluate its whole integer encoder."""
    out = arguments.folder / ("dense" if sparsity is None else f"sparse{round(100 * sparsity)}")
    dev = arguments.data / "sst2_dev.tsv"
    pruned = () if sparsity is None else ("--sparsity", sparsity, "--format", "csr-delta")
    models = ("--model", arguments.start, "--teacher", arguments.teacher)
    trained = thresher("train", "--data", arguments.folder / "train.tsv", *models, "-o", out, *SETTINGS, *pruned)
    keep = () if sparsity is None else ("--format", "csr-delta", "--weight-sparsity", "keep")
    task = ("--task", "sst2", "--data", dev)
    scored = thresher("eval", "--unit", "coprocessor", "--model", out, *task, *keep, "--rho", -1)
    return {
        "target": sparsity,
        "sparsity": round(trained["sparsity"], 5),
        "examples": scored["examples"],
        "fp32": round(scored["results"]["fp32"]["score"], 5),
        "integer": round(scored["results"]["integer"]["score"], 5),
        "steps": trained["settings"]["steps"],
        "minutes": round(trained["seconds"] / 60, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of sst2_train.tsv and sst2_dev.tsv")
    parser.add_argument("--start", required=True, help="folder of a BERT of 2 layers for SST-2")
    parser.add_argument("--teacher", required=True, help="folder of the teacher")
    parser.add_argument("-o", dest="folder", type=Path, required=True, help="folder of the trained models")
    parser.add_argument("--only", type=int, nargs="+", default=range(len(SPARSITIES)), help="numbers of the models")
    parser.add_argument("--install", action="store_true", help="copy the first model to model/default")
    parser.add_argument("--output", type=Path, default=BASELINE)
    arguments = parser.parse_args()
    write_texts(arguments.data / "sst2_train.tsv", arguments.folder / "train.tsv")
    table = known_rows(arguments.output, lambda row: (row["target"],))
    for number in arguments.only:
        row = measure(SPARSITIES[number], arguments)
        table[row["target"],] = row
        write(arguments.output, list(table.values()))
        print(row, flush=True)
    if arguments.install:
        for path in (arguments.folder / f"sparse{round(100 * PACKAGED)}").iterdir():
            if path.suffix == ".safetensors" or (DEFAULT_FOLDER / path.name).exists():
                shutil.copyfile(path, DEFAULT_FOLDER / path.name)


if __name__ == "__main__":
    main()
