"""A very small BERT with random weights, written as files."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from thresher.model import Model, load_model
from tokenizers import Tokenizer, models, pre_tokenizers, processors

SEED = 20240
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh"]
HIDDEN, HEADS, LAYERS, WIDE, POSITIONS = 12, 2, 2, 20, 24

MakeModel = Callable[..., Path]


def bert_parameters(**changes: object) -> dict[str, object]:
    parameters: dict[str, object] = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": len(WORDS),
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": WIDE,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "id2label": {"0": "negative", "1": "positive"},
    }
    return {name: value for name, value in (parameters | changes).items() if value is not None}


def bert_tensors(prefix: str = "bert.") -> dict[str, np.ndarray]:
    random = np.random.default_rng(SEED)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
    }
    for layer in range(LAYERS):
        part = f"encoder.layer.{layer}."
        for name, outputs, inputs in (
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", WIDE, HIDDEN),
            ("output.dense", HIDDEN, WIDE),
        ):
            shapes |= {f"{part}{name}.weight": (outputs, inputs), f"{part}{name}.bias": (outputs,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{part}{name}.weight": (HIDDEN,), f"{part}{name}.bias": (HIDDEN,)}
    shapes |= {"pooler.dense.weight": (HIDDEN, HIDDEN), "pooler.dense.bias": (HIDDEN,)}
    named = {prefix + name: shape for name, shape in shapes.items()}
    named |= {"classifier.weight": (2, HIDDEN), "classifier.bias": (2,)}
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in named.items()}


def write_tokenizer(path: Path, words: list[str] = WORDS) -> None:
    ids = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.save(str(path))


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Write a model folder. Parameters of config.json can be changed, or removed with ``None``."""

    def make(tensors: dict[str, np.ndarray] | None = None, **parameters: object) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(bert_parameters(**parameters)))
        save_file(bert_tensors() if tensors is None else tensors, folder / "model.safetensors")
        write_tokenizer(folder / "tokenizer.json")
        return folder

    return make


@pytest.fixture
def make_scorer(make_model) -> MakeModel:
    """Write a model folder with a head of one output."""
    tensors = bert_tensors()
    tensors |= {f"classifier.{name}": tensors[f"classifier.{name}"][:1] for name in ("weight", "bias")}
    return partial(make_model, tensors, id2label={"0": "score"})


@pytest.fixture(scope="session")
def default_model() -> Model:
    return load_model()
