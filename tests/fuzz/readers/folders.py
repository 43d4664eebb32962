"""The files of a model's folder."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from thresher.model import load_model
from thresher.model.pack import encoder_matrices
from thresher.model.tokenizer import TextTokenizer
from thresher.model.weights import read_weights
from thresher.spec.errors import InputError
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from ...model.conftest import bert_parameters, bert_tensors, write_tokenizer
from ..reader import FuzzReader
from ..trees import json_bytes, json_tree
from .bundle import unbundle

__all__ = ["READERS"]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh"]
VOCABULARY = 64

# -- config.json and what stands beside it -------------------------------------------------------

SENTENCE = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 12, "pooling_mode_mean_tokens": True, "include_prompt": True},
    "2_Dense/config.json": {
        "in_features": 12,
        "out_features": 2,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    },
    "config_sentence_transformers.json": {"prompts": {"query": "a "}, "default_prompt_name": "query"},
    "sentence_bert_config.json": {"max_seq_length": 16, "do_lower_case": False},
}
GPT2 = {"model_type": "gpt2", "n_embd": 12, "n_layer": 1, "n_head": 2, "n_positions": 8, "vocab_size": 12}
DISTILBERT = {
    "model_type": "distilbert",
    "dim": 12,
    "n_heads": 2,
    "n_layers": 1,
    "hidden_dim": 20,
    "vocab_size": 12,
    "max_position_embeddings": 24,
}
VIT = {
    "model_type": "vit",
    "architectures": ["ViTForImageClassification"],
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "image_size": 4,
    "patch_size": 2,
}


@cache
def _weights() -> tuple[bytes, bytes, bytes]:
    """Weights of a small BERT, of a dense layer behind it, and its tokenizer."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "tokenizer.json"
        write_tokenizer(path)
        tokenizer = path.read_bytes()
    dense = {"linear.weight": np.ones((2, 12), np.float32), "linear.bias": np.zeros(2, np.float32)}
    return save(bert_tensors()), save(dense), tokenizer


def _read_config(data: bytes, folder: Path) -> None:
    weights, dense, tokenizer = _weights()
    unbundle(data, folder, "config.json")
    for name, content in (("model.safetensors", weights), ("tokenizer.json", tokenizer)):
        (folder / name).write_bytes(content)
    if (folder / "2_Dense").is_dir():
        (folder / "2_Dense" / "model.safetensors").write_bytes(dense)
    model = load_model(folder)
    if not model.config.pre_norm:
        encoder_matrices(model.config, read_weights(folder))
    model.encode("a b")


def _config_seeds() -> dict[str, bytes]:
    head, body = bert_parameters(), bert_parameters(architectures=["BertModel"])
    scorer = bert_parameters(id2label={"0": "score"}, sbert_ce_default_activation_function="torch.nn.Sigmoid")
    families = {
        "head": {"config.json": head},
        "scorer": {"config.json": scorer, "config_sentence_transformers.json": {"activation_fn": "torch.nn.Identity"}},
        "sentence": {"config.json": body, **SENTENCE},
        "gpt2": {"config.json": GPT2},
        "vit": {"config.json": VIT, "preprocessor_config.json": {"size": {"height": 4, "width": 4}}},
        "roberta": {"config.json": head | {"model_type": "roberta", "architectures": ["RobertaModel"]}},
        "distilbert": {"config.json": DISTILBERT},
        "electra": {
            "config.json": head | {"model_type": "electra", "architectures": ["ElectraModel"], "embedding_size": 12}
        },
        "mpnet": {"config.json": body | {"model_type": "mpnet", "architectures": ["MPNetModel"]}},
    }
    return {name: json.dumps(files).encode() for name, files in families.items()}


CONFIG_WORDS = [
    *("bert", "roberta", "xlm-roberta", "gpt2", "vit", "deit", "mpnet", "electra", "distilbert", "camembert"),
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings"),
    *("vocab_size", "type_vocab_size", "layer_norm_eps", "hidden_act", "pad_token_id", "id2label", "num_labels"),
    *("problem_type", "regression", "architectures", "BertModel", "DeiTForImageClassificationWithTeacher"),
    *("quantization_config", "quant_method", "embedding_size", "tokenizer_class", "position_embedding_type"),
    *("path", "type", "pooling_mode", "cls", "mean", "default_prompt_name", "prompts", "n_inner", "image_size"),
    *("modules.json", "tokenizer_config.json", "preprocessor_config.json", "max_seq_length", "processing_kwargs"),
]

# -- tokenizers ----------------------------------------------------------------------------------


def _tokenizer(model: Any, **parts: Any) -> dict[str, Any]:
    tokenizer = Tokenizer(model)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return json.loads(tokenizer.to_str())


def _tokenizer_seeds() -> dict[str, bytes]:
    ids = {word: i for i, word in enumerate(WORDS)}
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    template = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ends)
    letters = {"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5, "Ġ": 6, "c": 7}
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0), ("a", -2.0), ("▁a", -1.5)]
    kinds = {
        "word-piece": _tokenizer(
            models.WordPiece(ids | {"##a": 12}, unk_token="[UNK]"),
            normalizer=normalizers.BertNormalizer(),
            pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
            post_processor=template,
            decoder=decoders.WordPiece(),
        ),
        "word-level": _tokenizer(
            models.WordLevel(ids, unk_token="[UNK]"),
            normalizer=normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]),
            pre_tokenizer=pre_tokenizers.Whitespace(),
            post_processor=template,
        ),
        "bpe": _tokenizer(
            models.BPE(letters, [("a", "b")]),
            pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False),
            post_processor=processors.RobertaProcessing(("</s>", 2), ("<s>", 0)),
            decoder=decoders.ByteLevel(),
        ),
        "unigram": _tokenizer(
            models.Unigram(pieces, unk_id=3),
            normalizer=normalizers.Replace(" {2,}", " "),
            pre_tokenizer=pre_tokenizers.Metaspace(),
            post_processor=processors.TemplateProcessing(
                "<s> $A </s>", "<s> $A </s> $B </s>", [("<s>", 0), ("</s>", 2)]
            ),
        ),
    }
    beside = {
        "word-piece": {
            "tokenizer_config.json": {
                "tokenizer_class": "BertTokenizer",
                "do_lower_case": True,
                "model_max_length": 32,
                "cls_token": "[CLS]",
                "added_tokens_decoder": {"2": {"content": "[CLS]", "special": True, "normalized": False}},
            },
        },
        "word-level": {
            "special_tokens_map.json": {"cls_token": "[CLS]", "unk_token": {"content": "[UNK]", "lstrip": True}},
            "added_tokens.json": {"a": 4},
            "tokenizer_config.json": {"model_input_names": ["input_ids"], "truncation_side": "left"},
        },
        "bpe": {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}},
        "unigram": {"sentence_bert_config.json": {"processing_kwargs": {"text": {"max_length": 9}}}},
    }
    return {name: json_bytes({"tokenizer.json": kind, **beside[name]}) for name, kind in kinds.items()}


TEXTS = ("a b", "Ab  é电 c", ("a", "b"), ("a " * 40, "b"))


def _read_tokenizer(data: bytes, folder: Path) -> None:
    unbundle(data, folder, "tokenizer.json")
    tokenizer = TextTokenizer(folder, VOCABULARY)
    refused = None
    for text in TEXTS:
        try:
            tokens = tokenizer.encode(text, max_length=16, truncate=True)
            assert len(tokens) <= 16
            assert all(0 <= each < VOCABULARY for each in tokens.ids)
            tokenizer.text(tokens.ids)
        except InputError as error:
            refused = error
    if refused is not None:
        raise refused


TOKENIZER_WORDS = [
    *("Sequence", "NFC", "NFKD", "Lowercase", "StripAccents", "Replace", "Prepend", "Precompiled", "BertNormalizer"),
    *("ByteLevel", "Metaspace", "Split", "Digits", "Punctuation", "Whitespace", "CharDelimiterSplit", "UnicodeScripts"),
    *("TemplateProcessing", "BertProcessing", "RobertaProcessing", "WordPiece", "BPE", "Unigram", "WordLevel"),
    *(
        "type",
        "pattern",
        "Regex",
        "String",
        "behavior",
        "Isolated",
        "Removed",
        "MergedWithPrevious",
        "content",
        "vocab",
    ),
    *("merges", "unk_token", "unk_id", "byte_fallback", "dropout", "max_input_chars_per_word", "prepend_scheme"),
    *("added_tokens", "id", "special", "single_word", "normalized", "truncation", "padding", "max_length", "stride"),
    *(
        "direction",
        "strategy",
        "LongestFirst",
        "Fixed",
        "pad_to_multiple_of",
        "(a+)+$",
        "(?=(a*))*b",
        ".*",
        "[",
        "a{9999}",
    ),
    *(
        "do_lower_case",
        "strip_accents",
        "tokenize_chinese_chars",
        "model_max_length",
        "cls_token",
        "extra_special_tokens",
    ),
    *("continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "ignore_merges", "precompiled_charsmap", "AAAA"),
]

READERS = {
    "config": FuzzReader(
        name="config",
        what="config.json, modules.json and settings of sentence-transformers, with a model's weights",
        read=_read_config,
        seeds=_config_seeds,
        split=json_tree,
        join=json_bytes,
        words=CONFIG_WORDS,
    ),
    "tokenizer": FuzzReader(
        name="tokenizer",
        what="tokenizer.json, tokenizer_config.json, special and added tokens; texts are encoded",
        read=_read_tokenizer,
        seeds=_tokenizer_seeds,
        split=json_tree,
        join=json_bytes,
        words=TOKENIZER_WORDS,
    ),
}
