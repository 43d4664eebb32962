"""Sentence embeddings as ``modules.json`` describes them."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from thresher.model import load_model
from thresher.model.source import locate_model
from thresher.spec import ThresherError

from .conftest import HIDDEN

IDS = np.array([[2, 4, 5, 6, 3], [2, 11, 1, 7, 3]])
OLD = "sentence_transformers.models."
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}
MEAN = {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
CLS = {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
OUTPUTS = 5

Part = tuple[str, str, dict[str, Any] | None]
"""Class, folder, and content of its config.json."""


def write_parts(folder: Path, *parts: Part, types: Callable[[str], str] = lambda kind: OLD + kind) -> None:
    """Write ``modules.json``, the folders it names, and weights of dense layers."""
    modules = [{"idx": 0, "name": "0", "path": "", "type": types("Transformer")}]
    for i, (kind, path, config) in enumerate(parts, start=1):
        modules.append({"idx": i, "name": str(i), "path": path, "type": types(kind)})
        (folder / path).mkdir()
        if config is not None:
            (folder / path / "config.json").write_text(json.dumps(config))
        if kind == "Dense":
            save_file(dense_tensors(config or {}), folder / path / "model.safetensors")
    (folder / "modules.json").write_text(json.dumps(modules))


def dense(activation: str = "Tanh", inputs: int = HIDDEN, bias: object = True, **changes: Any) -> dict[str, Any]:
    named = {"activation_function": f"torch.nn.modules.activation.{activation}"}
    return {"in_features": inputs, "out_features": OUTPUTS, "bias": bias} | named | changes


def dense_tensors(config: dict[str, Any]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(config["in_features"])
    tensors = {"linear.weight": random.normal(0, 0.5, (OUTPUTS, config["in_features"])).astype(np.float32)}
    return tensors | ({"linear.bias": np.arange(OUTPUTS, dtype=np.float32) / 7} if config["bias"] else {})


@pytest.fixture
def embedder(make_model) -> Path:
    return make_model(architectures=["BertModel"], id2label=None)


def states(folder: Path) -> np.ndarray:
    """(batch, length, hidden) float64 hidden states."""
    return load_model(folder).encoder.hidden_states(IDS).astype(np.float64)


def refusal(folder: Path) -> str:
    with pytest.raises(ThresherError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- pooling and unit length -------------------------------------------------------------------


@pytest.mark.parametrize("types", [lambda kind: OLD + kind, NEW.__getitem__])
@pytest.mark.parametrize("path", ["1_Pooling", "2_Pooling", "pooled"])
@pytest.mark.parametrize(
    ("config", "pooled"),
    [
        (MEAN, "mean"),
        (CLS, "cls"),
        ({"embedding_dimension": HIDDEN, "pooling_mode": "mean"}, "mean"),
        ({"embedding_dimension": HIDDEN, "pooling_mode": "cls"}, "cls"),
        ({"embedding_dimension": HIDDEN, "pooling_mode": ["cls"], "include_prompt": True}, "cls"),
        ({"word_embedding_dimension": HIDDEN}, "mean"),
    ],
)
def test_pooling(embedder, types, path, config, pooled):
    write_parts(embedder, ("Pooling", path, config), types=types)
    expected = states(embedder)[:, 0] if pooled == "cls" else states(embedder).mean(axis=1)
    assert load_model(embedder).outputs(IDS) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("config", [None, {"module_input_name": "sentence_embedding"}])
def test_unit_length_is_a_part_of_its_own(embedder, config):
    write_parts(embedder, ("Pooling", "1_Pooling", CLS), ("Normalize", "2_Normalize", config))
    expected = states(embedder)[:, 0]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert load_model(embedder).outputs(IDS) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("config", [None, MEAN, CLS, {"embedding_dimension": HIDDEN, "pooling_mode": "cls"}])
def test_without_modules_embeddings_have_unit_length(embedder, config):
    if config is not None:
        (embedder / "1_Pooling").mkdir()
        (embedder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    expected = states(embedder).mean(axis=1) if config in (None, MEAN) else states(embedder)[:, 0]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert load_model(embedder).outputs(IDS) == pytest.approx(expected, abs=1e-6)


# -- dense layers ------------------------------------------------------------------------------

ACTIVATIONS = {
    "Identity": lambda x: x,
    "Tanh": math.tanh,
    "ReLU": lambda x: max(x, 0.0),
    "GELU": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "SiLU": lambda x: x / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_layers(embedder, activation, bias):
    second = dense(activation, inputs=OUTPUTS, bias=False, module_output_name=None)
    write_parts(
        embedder,
        ("Pooling", "1_Pooling", MEAN),
        ("Dense", "2_Dense", dense(activation, bias=bias)),
        ("Dense", "dense again", second),
    )
    x = states(embedder).mean(axis=1)
    for path in ("2_Dense", "dense again"):
        config = json.loads((embedder / path / "config.json").read_text())
        tensors = dense_tensors(config)
        x = np.vectorize(ACTIVATIONS[activation])(x @ tensors["linear.weight"].T + tensors.get("linear.bias", 0))
    found = load_model(embedder).outputs(IDS)
    assert found.dtype == np.float32
    assert found == pytest.approx(x, abs=1e-5)


def test_pickled_dense_layers_are_not_read(embedder):
    write_parts(embedder, ("Pooling", "1_Pooling", MEAN), ("Dense", "2_Dense", dense()))
    (embedder / "2_Dense" / "model.safetensors").rename(embedder / "2_Dense" / "pytorch_model.bin")
    message = refusal(embedder)
    assert "2_Dense" in message
    assert "pickled weights are never read" in message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (dense(inputs=8), ["in_features=8", "supported is 12"]),
        (dense(out_features=0), ["out_features=0"]),
        (dense(bias="yes"), ["bias='yes'"]),
        (dense("Softmax"), ["Softmax", "GELU"]),
        (dense(activation_function="os.system"), ["os.system"]),
        (dense(activation_function=None), ["activation_function=None"]),
        (dense(module_input_name="token_embeddings"), ["token_embeddings"]),
        (dense(module_output_name="other"), ["module_output_name='other'"]),
        (dense(use_residual=True), ["use_residual=True"]),
    ],
)
def test_other_dense_layers_are_named(embedder, config, words):
    write_parts(embedder, ("Pooling", "1_Pooling", MEAN), ("Normalize", "between", None))
    modules = json.loads((embedder / "modules.json").read_text())
    (embedder / "2_Dense").mkdir()
    (embedder / "2_Dense" / "config.json").write_text(json.dumps(config))
    (embedder / "modules.json").write_text(json.dumps([*modules, {"path": "2_Dense", "type": OLD + "Dense"}]))
    message = refusal(embedder)
    for word in words:
        assert word in message


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["LSTM", "CNN", "WordWeights", "WeightedLayerPooling", "Dropout", "LayerNorm", "Asym", "Transformer", "Pooling"],
)
def test_other_parts_are_named(embedder, kind):
    write_parts(embedder, ("Pooling", "1_Pooling", MEAN), (kind, "2", None))
    assert kind in refusal(embedder)


def test_parts_of_another_library_are_named(embedder):
    write_parts(embedder, ("Pooling", "1_Pooling", MEAN), types=lambda kind: f"custom_{kind.lower()}.{kind}")
    assert "custom_transformer.Transformer" in refusal(embedder)


@pytest.mark.parametrize(
    "kinds", [[], ["Pooling"], ["WordEmbeddings", "Pooling"], ["Transformer"], ["Transformer", "Dense"]]
)
def test_other_orders_are_refused(embedder, kinds):
    entries = [{"path": "", "type": OLD + kind} for kind in kinds]
    (embedder / "modules.json").write_text(json.dumps(entries))
    assert f"modules.json={', '.join(kinds)!r}" in refusal(embedder)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (MEAN | CLS | {"pooling_mode_mean_tokens": True}, "pooling_mode='cls, mean'"),
        (MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}, "pooling_mode='max'"),
        ({"pooling_mode": "lasttoken"}, "pooling_mode='lasttoken'"),
        ({"pooling_mode": ["mean", "cls"]}, "pooling_mode='mean, cls'"),
        ({"pooling_mode": 3}, "pooling_mode=3"),
        (MEAN | {"word_embedding_dimension": 384}, "word_embedding_dimension=384"),
        ({"embedding_dimension": 384, "pooling_mode": "mean"}, "embedding_dimension=384"),
    ],
)
@pytest.mark.parametrize("modules", [True, False])
def test_other_pooling_is_named(embedder, config, words, modules):
    write_parts(embedder, ("Pooling", "1_Pooling", config))
    if not modules:
        (embedder / "modules.json").unlink()
    assert words in refusal(embedder)


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]", '[{"type": "x"}]', '[{"path": "", "type": 3}]'])
def test_damaged_modules(embedder, content):
    (embedder / "modules.json").write_text(content)
    message = refusal(embedder)
    assert "modules.json" in message
    assert "fetch it again" in message


@pytest.mark.parametrize("path", ["..", "../other", "/etc", "a/../../b", "C:\\models", "..\\x"])
def test_folders_elsewhere_are_not_read(embedder, path):
    (embedder / "modules.json").write_text(json.dumps([{"path": path, "type": OLD + "Transformer"}]))
    assert "not below the model's folder" in refusal(embedder)


def test_part_without_its_files(embedder):
    write_parts(embedder, ("Pooling", "1_Pooling", None))
    message = refusal(embedder)
    assert "cannot read" in message
    assert "1_Pooling" in message


@pytest.mark.parametrize(("name", "value"), [("transformer_task", "fill-mask"), ("module_output_name", "scores")])
def test_other_outputs_of_the_transformer_are_named(embedder, name, value):
    write_parts(embedder, ("Pooling", "1_Pooling", MEAN))
    (embedder / "sentence_bert_config.json").write_text(json.dumps({name: value}))
    assert f"{name}={value!r}" in refusal(embedder)


# -- files beside the parts --------------------------------------------------------------------


def test_transformer_in_a_folder_of_its_own(embedder):
    expected = load_model(embedder).outputs(IDS)
    write_parts(embedder, ("Pooling", "1_Pooling", MEAN), ("Normalize", "2_Normalize", None))
    modules = json.loads((embedder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (embedder / "modules.json").write_text(json.dumps(modules))
    assert "lacks config.json" in refusal(embedder)
    (embedder / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (embedder / name).rename(embedder / "0_Transformer" / name)
    assert np.array_equal(load_model(embedder).outputs(IDS), expected)
    assert load_model(embedder).folder == embedder
    assert locate_model(embedder) == embedder / "0_Transformer"


def test_length_limit(embedder):
    (embedder / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    model = load_model(embedder)
    assert len(model.encode("a b c d")) == 6
    with pytest.raises(ThresherError, match="7 tokens, but at most 6"):
        model.encode("a b c d e")
    assert len(model.encode("a b c d e", truncate=True)) == 6


def test_default_prompt_stands_before_every_text(embedder):
    notes = {"prompts": {"query": "a b", "other": "c"}, "default_prompt_name": "query"}
    (embedder / "config_sentence_transformers.json").write_text(json.dumps(notes))
    assert load_model(embedder).encode(" c").words == ("[CLS]", "a", "b", "c", "[SEP]")
    (embedder / "config_sentence_transformers.json").write_text(json.dumps(notes | {"default_prompt_name": None}))
    assert load_model(embedder).encode(" c").words == ("[CLS]", "c", "[SEP]")
    (embedder / "config_sentence_transformers.json").write_text(json.dumps(notes | {"default_prompt_name": "mine"}))
    assert "default_prompt_name='mine'" in refusal(embedder)


def test_classifiers_have_no_sentence_embedding(make_model):
    """A classifier that was trained from a sentence-embedding model may still have its files."""
    folder = make_model()
    expected = load_model(folder).outputs(IDS)
    write_parts(folder, ("Pooling", "1_Pooling", MEAN))
    assert np.array_equal(load_model(folder).outputs(IDS), expected)


MARKED = ("config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json")
MARKED += ("1_Pooling/config.json", "2_Dense/config.json", "config_sentence_transformers.json")


@pytest.mark.parametrize("name", MARKED)
def test_byte_order_marks_are_read(embedder, name):
    write_parts(embedder, ("Pooling", "1_Pooling", CLS), ("Dense", "2_Dense", dense()))
    expected = load_model(embedder).outputs(IDS)
    file = embedder / name
    text = file.read_text() if file.exists() else "{}"
    file.write_text(text, encoding="utf-8-sig")
    assert np.array_equal(load_model(embedder).outputs(IDS), expected)
    file.write_bytes(b"\xff\xfe\xff")
    assert name in refusal(embedder)


def test_pooling_without_the_prompt(embedder):
    """Sentence-transformers would leave the prompt's tokens out of the mean."""
    pooling = {"embedding_dimension": HIDDEN, "pooling_mode": "mean", "include_prompt": False}
    write_parts(embedder, ("Pooling", "1_Pooling", pooling))
    load_model(embedder)  # there is no prompt
    notes = {"prompts": {"query": "a b"}, "default_prompt_name": "query"}
    (embedder / "config_sentence_transformers.json").write_text(json.dumps(notes))
    assert "include_prompt=False" in refusal(embedder)
    (embedder / "modules.json").unlink()
    assert "include_prompt=False" in refusal(embedder)
