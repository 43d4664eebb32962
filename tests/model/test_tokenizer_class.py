"""What the class of a tokenizer decides. Expected values are those of ``AutoTokenizer`` of transformers 5.24.0."""

from pathlib import Path

import numpy as np
import pytest
from thresher.model import load_model
from thresher.spec import ThresherError
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram

from .tokenizers import configure, folder, ids, refusal, types

__all__ = ["folder"]

PAIR = ("a good", "film")
NONE, PAIRED = [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]
WITH, WITHOUT = ["input_ids", "token_type_ids", "attention_mask"], ["input_ids", "attention_mask"]


@pytest.mark.parametrize(
    ("settings", "default", "expected"),
    [
        ({}, "BertTokenizer", PAIRED),
        ({}, "DistilBertTokenizer", NONE),
        ({"tokenizer_class": "BertTokenizer"}, "RobertaTokenizer", PAIRED),
        ({"tokenizer_class": "BertTokenizer", "model_input_names": WITHOUT}, "BertTokenizer", NONE),
        ({"tokenizer_class": "DistilBertTokenizer"}, "BertTokenizer", NONE),
        ({"tokenizer_class": "DistilBertTokenizer", "model_input_names": WITH}, "BertTokenizer", PAIRED),
        ({"tokenizer_class": "ConvBertTokenizer"}, "BertTokenizer", PAIRED),
        ({"tokenizer_class": "LayoutLMTokenizerFast"}, "BertTokenizer", PAIRED),
        ({"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": WITH}, "BertTokenizer", PAIRED),
    ],
)
def test_types_of_pairs(folder, settings, default, expected):
    configure(folder, **settings)
    assert types(folder, PAIR, tokenizer_class=default) == expected
    assert types(folder, PAIR, tokenizer_class=default, has_types=False) == NONE


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "TokenizersBackend", "MyTokenizer"])
def test_classes_that_do_not_decide_types(folder, name):
    """Versions of transformers differ."""
    configure(folder, tokenizer_class=name)
    assert ids(folder) == [101, 1037, 2204, 2143, 102]
    assert "give it model_input_names" in refusal(folder, text=PAIR)
    assert types(folder, PAIR, has_types=False) == NONE


@pytest.mark.parametrize("names", ["input_ids", [], ["token_type_ids"], 3])
def test_illegal_input_names(folder, names):
    configure(folder, model_input_names=names)
    assert f"model_input_names={names!r} is not allowed" in refusal(folder)


def test_types_reach_the_model(make_model):
    """By the class that config.json names, too."""
    folder = make_model()
    plain = load_model(folder)
    pair, (row,) = plain.encode(("a b", "c d")), plain.outputs_of([plain.encode(("a b", "c d"))])
    assert pair.types == (0, 0, 0, 0, 1, 1, 1)
    without = load_model(make_model(tokenizer_class="DistilBertTokenizer"))
    assert without.encode(("a b", "c d")).types == (0,) * 7
    (other,) = without.outputs_of([without.encode(("a b", "c d"))])
    assert other == pytest.approx(plain.outputs(np.array([pair.ids]))[0])
    assert not np.allclose(row, other, atol=1e-3)
    with pytest.raises(ThresherError, match="tokenizer_class=3 is not allowed"):
        load_model(make_model(tokenizer_class=3))


@pytest.mark.parametrize("name", ["LayoutLMTokenizerFast", "ConvBertTokenizer", "MobileBertTokenizer"])
def test_other_classes_like_bert_obey_the_settings(folder, name):
    configure(folder, tokenizer_class=name, do_lower_case=False)
    assert ids(folder) == [101, 100, 100, 100, 102]


@pytest.mark.parametrize(
    ("setting", "value"), [("do_lower_case", False), ("strip_accents", False), ("tokenize_chinese_chars", False)]
)
def test_settings_of_unknown_classes_must_agree(folder, setting, value):
    configure(folder, "tokenizer_config.json", tokenizer_class="MyTokenizer", **{setting: value})
    assert f"{setting}={value} is not allowed: tokenizer.json does the opposite" in refusal(folder)
    configure(folder, "tokenizer_config.json", tokenizer_class="MyTokenizer", **{setting: True})
    assert ids(folder) == [101, 1037, 2204, 2143, 102]


@pytest.mark.parametrize("name", ["RobertaTokenizer", "XLMRobertaTokenizerFast", 3])
def test_a_class_that_cannot_hold_the_tokenizer(folder, name):
    """Transformers would make another tokenizer of the vocabulary."""
    configure(folder, tokenizer_class=name)
    assert f"tokenizer_class={name!r} is not allowed: tokenizer.json holds WordPiece" in refusal(folder)


# -- the space before the first word -----------------------------------------------------------


def write(folder: Path, prefix: bool, unigram: bool = False) -> None:
    if unigram:
        pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("a", -1.0), ("▁", -2.0), ("▁a", -1.5)]
        tokenizer = Tokenizer(Unigram(pieces, 3))
        marks = pre_tokenizers.Metaspace(prepend_scheme="always" if prefix else "never")
        cutter = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), marks])
    else:
        words = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "Ġ": 5, "Ġa": 6}
        tokenizer = Tokenizer(BPE(words, [("Ġ", "a")]))
        cutter = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.pre_tokenizer = cutter  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))  # pyright: ignore
    tokenizer.save(str(folder / "tokenizer.json"))


SPACE, BARE = [0, 6, 6, 2], [0, 4, 6, 2]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("settings", [{}, {"tokenizer_class": "RobertaTokenizerFast"}])
@pytest.mark.parametrize(("value", "expected"), [(True, SPACE), (False, BARE), (None, BARE)])
def test_the_class_of_roberta_sets_it(tmp_path, own, settings, value, expected):
    """Whatever ``tokenizer.json`` says. The default is none."""
    write(tmp_path, own)
    assert ids(tmp_path, "a a", size=7) == (SPACE if own else BARE)
    configure(tmp_path, **settings, **({} if value is None else {"add_prefix_space": value}))
    assert ids(tmp_path, "a a", size=7, tokenizer_class="RobertaTokenizer") == expected


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "XLMRobertaTokenizer"])
def test_other_classes_must_agree(tmp_path, own, name):
    unigram = name == "XLMRobertaTokenizer"
    write(tmp_path, own, unigram)
    configure(tmp_path, tokenizer_class=name, add_prefix_space=own)
    assert ids(tmp_path, "a a", size=7) == (SPACE if own else [0, 4, 4, 2] if unigram else BARE)
    configure(tmp_path, tokenizer_class=name, add_prefix_space=not own)
    assert f"add_prefix_space={not own} is not allowed: tokenizer.json does the opposite" in refusal(tmp_path, size=7)


def test_it_means_nothing_to_bert(folder):
    configure(folder, tokenizer_class="BertTokenizer", add_prefix_space=True)
    assert ids(folder) == [101, 1037, 2204, 2143, 102]
