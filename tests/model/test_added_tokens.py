"""Added and special tokens that files beside ``tokenizer.json`` name.

Expected ids are those that ``AutoTokenizer`` of transformers 5.24.0 gives for the same folder.
"""

from typing import Any

import pytest

from .tokenizers import change, configure, folder, ids, refusal

__all__ = ["folder"]

TEXT = "goodness is good"
WORDS, ADDED = [101, 15003, 2003, 2204, 102], [101, 2204, 23384, 2003, 2204, 102]
PLAIN: dict[str, Any] = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
GOOD = {"content": "good", **PLAIN}
PAD = {"content": "[PAD]", **PLAIN}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tokenizer_config.json", {"added_tokens_decoder": {"2204": GOOD}}),
        ("tokenizer_config.json", {"additional_special_tokens": ["good"]}),
        ("tokenizer_config.json", {"extra_special_tokens": ["good"]}),
        ("tokenizer_config.json", {"extra_special_tokens": {"foo_token": "good"}}),
        ("tokenizer_config.json", {"foo_token": "good"}),
        ("special_tokens_map.json", {"additional_special_tokens": ["good"]}),
        ("special_tokens_map.json", {"extra_special_tokens": ["good"]}),
        ("special_tokens_map.json", {"mask_token": {"content": "good", "lstrip": False}}),
        ("added_tokens.json", {"good": 2204}),
    ],
)
def test_named_tokens_are_added(folder, name, settings):
    """They are found inside of words, too."""
    configure(folder, tokenizer_class="BertTokenizer")
    assert ids(folder, TEXT) == WORDS
    configure(folder, name, **settings)
    assert ids(folder, TEXT) == ADDED
    assert ids(folder, TEXT.upper()) == (ADDED if name == "added_tokens.json" else WORDS)


def test_only_whole_words(folder):
    configure(folder, added_tokens_decoder={"2204": GOOD | {"single_word": True}})
    assert ids(folder, TEXT) == WORDS


def test_a_decoder_replaces_the_older_files(folder):
    configure(folder, added_tokens_decoder={"0": PAD})
    configure(folder, "special_tokens_map.json", additional_special_tokens=["good"])
    configure(folder, "added_tokens.json", good=2204)
    assert ids(folder, TEXT) == WORDS


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("tokenizer_config.json", {"added_tokens_decoder": {"30522": {"content": "<foo>"}}}),
        ("tokenizer_config.json", {"additional_special_tokens": ["<foo>"]}),
        ("tokenizer_config.json", {"extra_special_tokens": {"foo_token": "<foo>"}}),
        ("tokenizer_config.json", {"mask_token": "<foo>"}),
        ("special_tokens_map.json", {"additional_special_tokens": ["<foo>"]}),
        ("added_tokens.json", {"<foo>": 30522}),
    ],
)
def test_tokens_that_the_tokenizer_lacks(folder, name, settings):
    configure(folder, name, **settings)
    assert f"{name} adds the token '<foo>', which is not in tokenizer.json: add it" in refusal(folder)


@pytest.mark.parametrize("entry", [None, 3, ["a"], {"content": {}}, {}])
def test_entries_that_are_no_tokens(folder, entry):
    configure(folder, additional_special_tokens=[entry])
    assert "which is not in tokenizer.json" in refusal(folder)
    configure(folder, added_tokens_decoder={"5": entry})
    assert "which is not in tokenizer.json" in refusal(folder)


def test_contradictions_are_refused(folder):
    configure(folder, added_tokens_decoder={"2143": GOOD})
    assert "gives 'good' the id 2143, tokenizer.json 2204" in refusal(folder)
    change(folder, lambda found: found["added_tokens"].append({"id": 2204, **GOOD, "special": False}))
    configure(folder)
    assert ids(folder, TEXT) == ADDED
    configure(folder, added_tokens_decoder={"2204": GOOD | {"single_word": True}})
    assert "gives 'good' single_word=True, tokenizer.json the opposite" in refusal(folder)
    configure(folder, added_tokens_decoder={"0": PAD})
    assert "lacks 'good' of tokenizer.json: add it" in refusal(folder)
    configure(folder, added_tokens_decoder={"0": PAD}, tokenizer_class="PreTrainedTokenizerFast")
    assert ids(folder, TEXT) == ADDED


@pytest.mark.parametrize(
    ("name", "token", "own"),
    [("cls_token", "[MASK]", "[CLS]"), ("sep_token", "good", "[SEP]"), ("unk_token", "[MASK]", "[UNK]")],
)
def test_other_special_tokens_than_those_in_use(folder, name, token, own):
    """Transformers 4 ignores them, version 5 uses them."""
    configure(folder, **{name: token})
    assert f"{name}={token!r} is not allowed: tokenizer.json uses {own!r}" in refusal(folder)
    configure(folder, "special_tokens_map.json", **{name: {"content": own}})
    assert ids(folder, TEXT) == WORDS
    configure(folder, "special_tokens_map.json", **{name: token})
    assert "change it or special_tokens_map.json" in refusal(folder)
