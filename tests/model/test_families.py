"""Every family of encoders against outputs of an independent implementation, see bench/references.py."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from thresher.golden.spmm.packing import unpack
from thresher.model import Model, load_model
from thresher.model.families import FAMILIES
from thresher.model.pack import pack_model
from thresher.model.positions import distance_buckets
from thresher.spec import ThresherError, WeightFormat, spmm_preset

from ..bench_scripts import bench_script
from .conftest import write_tokenizer

references = bench_script("references")
ROWS: dict[str, dict[str, Any]] = {row["name"]: row for row in json.loads(references.RECORD.read_text("utf-8"))}
CASES = {case.name: case for case in references.CASES}
FIRST = {case.model_type: case.name for case in reversed(references.CASES)}
"""A case of each family."""
CLASSIFIERS = {
    CASES[name].model_type: name
    for name, row in ROWS.items()
    if name.partition(",")[0].endswith("ForSequenceClassification") and len(row["logits"][0]) > 1
}
"""A case of each family with two or more classes."""
TOLERANCE = 1e-5


def write_case(folder: Path, name: str, **changes: Any) -> Path:
    """A model folder of a case. Parameters of config.json can be changed, or removed with ``None``."""
    row = ROWS[name]
    folder.mkdir(exist_ok=True)
    config = {key: value for key, value in (row["config"] | changes).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(references.tensors(row["shapes"], CASES[name].seed), folder / "model.safetensors")
    if CASES[name].image is None:
        write_tokenizer(folder / "tokenizer.json")
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps({"size": CASES[name].image}))
    return folder


def check(model: Model, name: str, states: Any, logits: Any) -> None:
    case = CASES[name]
    ids, types = references.inputs(case)
    found = model.encoder.hidden_states(ids, types=types)
    assert found.dtype == np.float32
    assert found[:, references.places(case.length)] == pytest.approx(np.array(states), abs=TOLERANCE, rel=0)
    if model.predicts_tokens:
        if logits is not None:
            scores = model.encoder.next_tokens(found[:, references.places(case.length)])
            assert scores == pytest.approx(np.array(logits), abs=TOLERANCE, rel=0)
        return
    assert model.is_classifier == (logits is not None)
    if model.is_classifier:
        found = model.encoder.logits(ids, types=types)
        assert found == pytest.approx(np.array(logits), abs=TOLERANCE, rel=0)


def test_every_family_has_cases():
    assert set(FIRST) == set(FAMILIES)
    for model_type, family in FAMILIES.items():
        covered = {case.architecture for case in references.CASES if case.model_type == model_type}
        assert family.classifier in covered or family.classifier is None
        assert covered & set(family.encoders)


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_record(name, tmp_path):
    row, case = ROWS[name], CASES[name]
    ids, types = references.inputs(case)
    assert ([] if case.image else ids.tolist(), types.tolist()) == (row["ids"], row["types"])
    check(load_model(write_case(tmp_path / "model", name)), name, row["states"], row["logits"])


@pytest.fixture
def transformers(monkeypatch):
    """The library, where the extra ``reference`` is installed."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other projects' warnings at import
        pytest.importorskip("torch")
        return pytest.importorskip("transformers")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_outputs_are_those_of_the_installed_library(name, tmp_path, transformers):
    folder = tmp_path / "model"
    files = references.write_model(CASES[name], folder)
    write_tokenizer(folder / "tokenizer.json")
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": CASES[name].image or 8}))
    assert files["shapes"] == ROWS[name]["shapes"]
    check(load_model(folder), name, **references.reference(CASES[name], folder))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_buckets_are_those_of_the_installed_library(transformers):
    import torch  # pyright: ignore[reportMissingImports]
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder  # pyright: ignore[reportMissingImports]

    place = torch.arange(1000)
    expected = MPNetEncoder.relative_position_bucket(place[None, :] - place[:, None])
    assert np.array_equal(distance_buckets(1000), expected.numpy())


def test_buckets():
    buckets = distance_buckets(300)
    assert buckets[299, [299, 298, 292, 291, 288, 287, 284, 283]].tolist() == [0, 1, 7, 8, 8, 9, 9, 10]
    assert buckets[299, [209, 208, 0]].tolist() == [14, 15, 15]
    assert buckets[0, 1:].tolist() == (buckets[1:, 0] + 16).tolist()


# -- what the files may say ----------------------------------------------------------------------


def refusal(folder: Path) -> str:
    with pytest.raises(ThresherError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("model_type", FAMILIES)
def test_what_is_refused_carries_the_name_in_the_file(model_type, tmp_path):
    folder, name = tmp_path / "model", FIRST[model_type]
    keys = FAMILIES[model_type].keys
    for size in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
        key = keys.get(size, size)
        for value in (None, 0, "12", True):
            if value is None and size == "intermediate_size" and FAMILIES[model_type].widening:
                continue
            assert f"{key}={value!r}" in refusal(write_case(folder, name, **{key: value}))
    heads, hidden = (keys.get(size, size) for size in ("num_attention_heads", "hidden_size"))
    assert f"must divide {hidden}=" in refusal(write_case(folder, name, **{heads: 5}))
    act = keys.get("hidden_act", "hidden_act")
    message = refusal(write_case(folder, name, **{act: "mish"}))
    assert f"{act}='mish'" in message
    assert "'gelu_new'" in message
    for other in ("ForTokenClassification", "ForQuestionAnswering"):
        architectures = [FAMILIES[model_type].encoders[0].removesuffix("Model") + other]
        message = refusal(write_case(folder, name, architectures=architectures))
        assert f"architectures={architectures}" in message
        assert (FAMILIES[model_type].classifier or FAMILIES[model_type].encoders[0]) in message


def test_model_type_decides_which_architectures_there_are(tmp_path):
    message = refusal(write_case(tmp_path / "model", FIRST["roberta"], model_type="distilbert"))
    assert "architectures=['RobertaModel']" in message
    message = refusal(write_case(tmp_path / "model", FIRST["roberta"], model_type="longformer"))
    assert all(repr(name) in message for name in ("longformer", *FAMILIES))


@pytest.mark.parametrize(
    ("model_type", "parameter", "value"),
    [
        ("mpnet", "relative_attention_num_buckets", 64),
        ("roberta", "pad_token_id", -1),
        ("roberta", "max_position_embeddings", 2),
        ("xlm-roberta", "is_decoder", True),
        ("electra", "embedding_size", None),
        ("electra", "position_embedding_type", "relative_key"),
        ("camembert", "type_vocab_size", None),
    ],
)
def test_parameters_of_one_family(model_type, parameter, value, tmp_path):
    folder = write_case(tmp_path / "model", FIRST[model_type], **{parameter: value})
    assert f"{parameter}={value!r}" in refusal(folder)


@pytest.mark.parametrize("name", ["BertModel", "MPNetForSequenceClassification", "ElectraForSequenceClassification"])
def test_missing_tensors_carry_the_name_in_the_file(name, tmp_path):
    name = next(case for case in CASES if case.startswith(name))
    folder = write_case(tmp_path / "model", name)
    tensors = references.tensors(ROWS[name]["shapes"], CASES[name].seed)
    unused = {"pooler.dense"} if name.startswith("BertModel") else set()
    for missing in tensors:
        if missing.rpartition(".")[0] in unused:
            continue
        save_file({key: tensor for key, tensor in tensors.items() if key != missing}, folder / "model.safetensors")
        if "word_embeddings" in missing:
            continue  # without it, the prefix is unknown
        assert repr(missing) in refusal(folder)


# -- inputs ----------------------------------------------------------------------------------------


TEXTS = [name for name, family in FAMILIES.items() if family.layout.image is None]


@pytest.mark.parametrize("model_type", TEXTS)
def test_the_longest_text_uses_every_position(model_type, tmp_path):
    model = load_model(write_case(tmp_path / "model", FIRST[model_type]))
    positions = model.config.max_position_embeddings
    longest = positions - {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "mpnet": 2}.get(model_type, 0)
    tokens = model.encode("a " * (longest - 2))
    assert len(tokens) == longest
    assert np.isfinite(model.encoder.hidden_states(np.array([tokens.ids]))).all()
    with pytest.raises(ThresherError, match=f"at most {longest} are possible"):
        model.encode("a " * (longest - 1))


@pytest.mark.parametrize("model_type", TEXTS)
def test_types_of_a_pair(model_type, tmp_path):
    model = load_model(write_case(tmp_path / "model", FIRST[model_type]))
    tokens = model.encode(("a", "b"))
    typed = model_type in ("bert", "electra")
    assert tokens.types == ((0, 0, 0, 1, 1) if typed else (0, 0, 0, 0, 0))
    ids, types = np.array([tokens.ids]), np.array([tokens.types])
    without = model.encoder.hidden_states(ids)
    assert np.array_equal(without, model.encoder.hidden_states(ids, types=types)) == (not typed)
    if model.encoder.types is None:
        assert np.array_equal(without, model.encoder.hidden_states(ids, types=types + 1))


def test_types_of_a_model_that_could_do_without(tmp_path):
    """Transformers gives RoBERTa types if its tokenizer is that of BERT."""
    name = next(name for name, row in ROWS.items() if "Roberta" in name and row["config"].get("type_vocab_size") == 2)
    model = load_model(write_case(tmp_path / "model", name, tokenizer_class="BertTokenizer"))
    tokens = model.encode(("a", "b"))
    assert tokens.types == (0, 0, 0, 1, 1)
    ids = np.array([tokens.ids])
    assert not np.allclose(
        model.encoder.hidden_states(ids), model.encoder.hidden_states(ids, types=np.array([tokens.types]))
    )


def test_types_that_the_model_lacks(tmp_path):
    model = load_model(write_case(tmp_path / "model", FIRST["bert"]))
    ids = np.array([[2, 4, 5, 3]])
    with pytest.raises(ThresherError, match="type 2"):
        model.encoder.hidden_states(ids, types=ids // 2)


# -- weights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_matrix_of_every_layer_is_packed(name, tmp_path):
    row, config = ROWS[name], spmm_preset("tiny")
    if FAMILIES[CASES[name].model_type].layout.final_norm is not None:
        with pytest.raises(ThresherError, match="encoders of texts"):
            pack_model(
                write_case(tmp_path / "model", name), config=config, weight_format=WeightFormat.CSR, sparsity=0.5
            )
        return
    packed = pack_model(
        write_case(tmp_path / "model", name),
        config=config,
        weight_format=WeightFormat.CSR,
        sparsity=0.5,
        method="magnitude",
    )
    # The only matrices in the layers of a file are those of projections and feed-forward layers.
    in_file = {key for key, shape in row["shapes"].items() if ".layer." in key and len(shape) == 2}
    prefix = next(iter(in_file)).partition(".")[0] + "."
    prefix = prefix if f"{prefix}embeddings.word_embeddings.weight" in row["shapes"] else ""
    assert {f"{prefix}{matrix}.weight" for matrix in packed.matrices} == in_file
    tensors = references.tensors(row["shapes"], CASES[name].seed)
    for matrix, found in packed.matrices.items():
        weight = tensors[f"{prefix}{matrix}.weight"]
        values = unpack(found.weights).toarray() * found.scales[:, None]
        kept = values != 0
        assert values[kept] == pytest.approx(weight[kept], abs=float(found.scales.max())), matrix
        assert np.array_equal(found.biases, tensors[f"{prefix}{matrix}.bias"]), matrix
