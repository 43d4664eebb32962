"""References for the families of encoders: outputs of small random models by the library transformers, in float64.

    python bench/references.py            how the outputs differ from the committed ones
    python bench/references.py --write    record them

This needs the extra ``reference``. The tests in tests/model/test_families.py need the record alone: weights come from
a seed, so it holds no weights.
"""

import argparse
import json
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from baseline import read, write
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

RECORD = Path(__file__).parents[1] / "tests" / "model" / "references.json"
TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Case:
    """A small random model and its input.

    Attributes
    ----------
    changes : mapping of str to value
        Parameters of ``config.json`` in addition to :data:`SMALL`.
    length : int
        Tokens of a text.
    pair : bool
        Whether the last third of the tokens has type 1.
    padding : int or None
        Token that stands in the middle of the first text.
    image : int or None
        Side of an image in pixels, for models of images; ``length`` is then the number of its tokens.
    """

    architecture: str
    model_type: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    length: int = 9
    pair: bool = False
    padding: int | None = None
    image: int | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.architecture}, seed {self.seed}"


def _cases(model_type: str, name: str, *cases: tuple[str, dict[str, Any]]) -> list[Case]:
    made = []
    for seed, (suffix, settings) in enumerate(cases, start=1):
        own = {key: settings.pop(key) for key in ("length", "pair", "padding", "image") if key in settings}
        made.append(Case(architecture=name + suffix, model_type=model_type, changes=settings, seed=seed, **own))
    return made


CLASSIFIER = "ForSequenceClassification"
IMAGES = "ForImageClassification"
TEACHER = f"{IMAGES}WithTeacher"
LOGITS = (CLASSIFIER, IMAGES, TEACHER, "LMHeadModel")
"""Ends of the names of architectures whose logits are compared."""
SMALL: dict[str, Any] = {
    "vocab_size": 12,
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "layer_norm_eps": 1e-3,
}
THREE = {"id2label": {0: "no", 1: "perhaps", 2: "yes"}}
ONE = {"id2label": {0: "score"}}
CASES = [
    *_cases(
        "bert",
        "Bert",
        ("Model", {"num_hidden_layers": 2, "hidden_act": "gelu_new"}),
        ("ForMaskedLM", {"hidden_act": "silu"}),
        ("ForPreTraining", {"hidden_act": "relu", "pair": True}),
        (CLASSIFIER, {"pair": True, **THREE}),
        (CLASSIFIER, {"pair": True, "type_vocab_size": 3, "problem_type": "regression", **ONE}),
    ),
    *_cases(
        "distilbert",
        "DistilBert",
        ("Model", {"n_heads": 2, "dim": 8, "hidden_dim": 10, "n_layers": 3, "activation": "relu"}),
        ("ForMaskedLM", {"hidden_dim": 20, "sinusoidal_pos_embds": True}),
        (CLASSIFIER, {"hidden_dim": 20}),
        (CLASSIFIER, {"hidden_dim": 20, **ONE}),
    ),
    *_cases(
        "roberta",
        "Roberta",
        ("Model", {"type_vocab_size": 1, "num_hidden_layers": 2, "padding": 1}),
        ("ForMaskedLM", {"hidden_act": "gelu_pytorch_tanh", "length": 14}),
        (CLASSIFIER, {"type_vocab_size": 1, **THREE}),
        (CLASSIFIER, {"pad_token_id": 3, "padding": 3, **ONE}),
    ),
    *_cases("xlm-roberta", "XLMRoberta", ("Model", {"type_vocab_size": 1}), (CLASSIFIER, {})),
    *_cases("camembert", "Camembert", ("ForMaskedLM", {"type_vocab_size": 1}), (CLASSIFIER, {})),
    *_cases(
        "electra",
        "Electra",
        ("Model", {"embedding_size": 6, "num_hidden_layers": 2}),
        ("ForMaskedLM", {"embedding_size": 12, "pair": True}),
        ("ForPreTraining", {"embedding_size": 16, "hidden_act": "gelu_new"}),
        (CLASSIFIER, {"embedding_size": 6, "hidden_act": "relu", "pair": True, **THREE}),
        (CLASSIFIER, {"embedding_size": 12, **ONE}),
    ),
    *_cases(
        "gpt2",
        "GPT2",
        ("Model", {"n_inner": 20, "num_hidden_layers": 2}),
        ("LMHeadModel", {"activation_function": "relu", "layer_norm_epsilon": 1e-3, "length": 14}),
    ),
    *_cases(
        "vit",
        "ViT",
        ("Model", {"num_hidden_layers": 2, "image_size": 8, "patch_size": 4, "image": 8, "length": 5}),
        (IMAGES, {"image_size": 12, "patch_size": 4, "image": 12, "length": 10, **THREE}),
    ),
    *_cases(
        "deit",
        "DeiT",
        ("Model", {"image_size": 8, "patch_size": 2, "image": 8, "length": 18, "hidden_act": "relu"}),
        (IMAGES, {"image_size": 8, "patch_size": 4, "image": 8, "length": 6, **THREE}),
        (TEACHER, {"image_size": 8, "patch_size": 4, "image": 8, "length": 6, **THREE}),
    ),
    *_cases(
        "mpnet",
        "MPNet",
        ("Model", {"max_position_embeddings": 202, "length": 200}),
        ("ForMaskedLM", {"num_hidden_layers": 2, "num_attention_heads": 2, "padding": 1}),
        (CLASSIFIER, {"pad_token_id": 0, "padding": 0, **THREE}),
        (CLASSIFIER, {"length": 14, **ONE}),
    ),
]


def tensors(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights of these names and shapes. They are the same with every version of NumPy."""
    made = {}
    for name, shape in shapes.items():
        raw = np.random.PCG64([seed, zlib.crc32(name.encode())]).random_raw(int(np.prod(shape, dtype=np.int64)))
        values = (np.asarray(raw, np.uint64) >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - 1
        scale, centre = (np.float32(0.5), np.float32(1)) if name.lower().endswith("norm.weight") else (0.8, 0)
        made[name] = (centre + scale * values).reshape(shape).astype(np.float32)
    return made


def inputs(case: Case) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """(2, length) token ids and types; for images, (2, 3, size, size) pixels and no types."""
    if case.image is not None:
        shape = (2, 3, case.image, case.image)
        return tensors({"pixels": shape}, case.seed)["pixels"], np.zeros((2, 0), np.int64)
    raw = np.random.PCG64([case.seed, case.length]).random_raw(2 * case.length)
    ids = (np.asarray(raw, np.uint64) % np.uint64(SMALL["vocab_size"])).astype(np.int64).reshape(2, case.length)
    if case.padding is not None:
        ids[0, case.length // 2] = case.padding
    types = np.zeros_like(ids)
    if case.pair:
        types[:, -(case.length // 3) :] = 1
    return ids, types


def places(length: int) -> list[int]:
    """Tokens whose last hidden states are compared."""
    return [0, 1, length // 2, length - 1]


def write_model(case: Case, folder: Path) -> dict[str, Any]:
    """Write ``config.json`` and ``model.safetensors`` as transformers writes them, with weights from the seed.

    Returns
    -------
    dict
        Parameters of ``config.json``, and shapes of the tensors.
    """
    import transformers  # pyright: ignore[reportMissingImports]

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    config = transformers.AutoConfig.for_model(case.model_type, **(SMALL | dict(case.changes)))
    getattr(transformers, case.architecture)(config).save_pretrained(folder)
    weights = folder / "model.safetensors"
    shapes = {name: list(tensor.shape) for name, tensor in sorted(load_file(weights).items())}
    save_file(tensors(shapes, case.seed), weights, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return {"config": config, "shapes": shapes}


def reference(case: Case, folder: Path) -> dict[str, Any]:
    """Last hidden states of some tokens, and logits of a classifier or, at the same tokens, of a causal model."""
    import torch  # pyright: ignore[reportMissingImports]
    import transformers  # pyright: ignore[reportMissingImports]

    model = getattr(transformers, case.architecture).from_pretrained(folder, dtype=torch.float64).eval()
    ids, types = inputs(case)
    given = {"input_ids": torch.tensor(ids), "attention_mask": torch.ones(ids.shape, dtype=torch.int64)}
    if case.image is not None:
        given = {"pixel_values": torch.tensor(ids.astype(np.float64))}
    if case.pair:
        given["token_type_ids"] = torch.tensor(types)
    with torch.no_grad():
        states = model.base_model(**given).last_hidden_state[:, places(case.length)]
        logits = model(**given).logits if case.architecture.endswith(LOGITS) else None
        if logits is not None and logits.ndim == 3:
            logits = logits[:, places(case.length)]
    return {"states": states.numpy(), "logits": None if logits is None else logits.numpy()}


def row(case: Case) -> dict[str, Any]:
    """What the record says about a case."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_model(case, Path(folder))
        outputs = reference(case, Path(folder))
    del files["config"]["transformers_version"]
    ids, types = inputs(case)
    rounded = {name: None if x is None else np.round(x, 7).tolist() for name, x in outputs.items()}
    given = [] if case.image is not None else ids.tolist()  # pixels come from the seed
    return {"name": case.name, **files, "ids": given, "types": types.tolist(), **rounded}


def _differs(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    outputs = ("states", "logits")
    names = [name for name in first if name not in outputs and first[name] != second.get(name)]
    for name in outputs:
        a, b = (np.array(row[name] or [], float) for row in (first, second))
        if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=TOLERANCE):
            names.append(name)
    return names


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="replace the committed record")
    arguments = parser.parse_args()
    rows = [row(case) for case in CASES]
    if arguments.write:
        write(RECORD, rows)
        return 0
    known = {before["name"]: before for before in read(RECORD)}
    changed = [(now["name"], _differs(now, known.get(now["name"], now | {"ids": None}))) for now in rows]
    for name, fields in changed:
        if fields:
            print(f"{name}: {', '.join(fields)}")
    differences = sum(bool(fields) for _, fields in changed)
    print(f"{differences} differences" if differences else "no difference")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
