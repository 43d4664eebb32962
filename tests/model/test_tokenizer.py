"""Files that change how a text becomes tokens.

Expected ids are those that ``AutoTokenizer`` of transformers 4.57.6 and 5.24.0 gives for the same folder. Both agree.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from thresher.model.tokenizer import TextTokenizer
from thresher.spec import ThresherError
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from .conftest import WORDS, write_tokenizer
from .tokenizers import VOCABULARY, change, configure, folder, ids, refusal

__all__ = ["folder"]


def normalise(folder: Path, normalizer: Any) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizer
    tokenizer.save(str(folder / "tokenizer.json"))


# -- tokenizer_config.json ---------------------------------------------------------------------

LOWER, CASED = [101, 1037, 2204, 2143, 102], [101, 100, 100, 100, 102]

LOW, CAPITALS = [1037, 2204], [100, 100]
PLAIN, ACCENTED = [7668], [100]
CHARACTERS, WORD = [100, 100], [100]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("lower", "accents", "chinese", "expected"),
    [
        (True, None, True, LOW + PLAIN + CHARACTERS),
        (True, None, False, LOW + PLAIN + WORD),
        (True, True, True, LOW + PLAIN + CHARACTERS),
        (True, True, False, LOW + PLAIN + WORD),
        (True, False, True, LOW + ACCENTED + CHARACTERS),
        (True, False, False, LOW + ACCENTED + WORD),
        (False, None, True, CAPITALS + ACCENTED + CHARACTERS),
        (False, None, False, CAPITALS + ACCENTED + WORD),
        (False, True, True, CAPITALS + PLAIN + CHARACTERS),
        (False, True, False, CAPITALS + PLAIN + WORD),
        (False, False, True, CAPITALS + ACCENTED + CHARACTERS),
        (False, False, False, CAPITALS + ACCENTED + WORD),
    ],
)
def test_settings_of_bert(folder, own, lower, accents, chinese, expected):
    """Whatever ``tokenizer.json`` says about them."""
    normalise(folder, normalizers.BertNormalizer(lowercase=own, strip_accents=not own, handle_chinese_chars=own))
    configure(
        folder,
        tokenizer_class="BertTokenizer",
        do_lower_case=lower,
        strip_accents=accents,
        tokenize_chinese_chars=chinese,
    )
    assert ids(folder, "A GOOD café 电影") == [101, *expected, 102]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("named", "obeys"),
    [
        (None, True),
        ("BertTokenizer", True),
        ("BertTokenizerFast", True),
        ("DistilBertTokenizer", True),
        ("ElectraTokenizerFast", True),
        ("MPNetTokenizer", True),
        ("PreTrainedTokenizerFast", False),
    ],
)
def test_classes_that_obey_the_settings(folder, own, named, obeys):
    normalise(folder, normalizers.BertNormalizer(lowercase=own))
    settings = {} if named is None else {"tokenizer_class": named}
    configure(folder, **settings, do_lower_case=not own)
    lowers = (not own) if obeys else own
    assert ids(folder) == (LOWER if lowers else CASED)
    configure(folder, **settings)
    assert ids(folder) == (LOWER if obeys or own else CASED)  # true is the default of these classes


def test_without_settings_the_tokenizer_says_everything(folder):
    assert ids(folder) == LOWER
    normalise(folder, normalizers.BertNormalizer(lowercase=False))
    assert ids(folder) == CASED


STRIPPING = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
DECOMPOSING = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])


@pytest.mark.parametrize(
    ("normalizer", "settings", "fault"),
    [
        (None, {"do_lower_case": True}, "do_lower_case=True"),
        (None, {"do_lower_case": False}, None),
        (None, {}, None),
        (None, {"strip_accents": True}, "strip_accents=True"),
        (normalizers.Lowercase(), {"do_lower_case": True}, None),
        (normalizers.Lowercase(), {"do_lower_case": False}, "do_lower_case=False"),
        (
            DECOMPOSING,
            {"strip_accents": True},
            "strip_accents=True",
        ),
        (STRIPPING, {"strip_accents": True}, None),
        (
            STRIPPING,
            {"strip_accents": False},
            "strip_accents=False",
        ),
        (normalizers.Sequence([normalizers.BertNormalizer()]), {"do_lower_case": True, "strip_accents": True}, None),
    ],
)
def test_settings_that_cannot_be_applied_must_agree(folder, normalizer, settings, fault):
    """Versions of transformers differ here, so a contradiction is refused."""
    normalise(folder, normalizer)
    before = ids(folder)
    configure(folder, tokenizer_class="BertTokenizer", **settings)
    if fault is None:
        assert ids(folder) == before
    else:
        assert f"{fault} is not allowed: tokenizer.json does the opposite" in refusal(folder)


@pytest.mark.parametrize("settings", [{}, {"tokenizer_class": "RobertaTokenizer"}])
def test_settings_without_a_meaning_are_ignored(tmp_path, settings):
    """Byte-level tokenizers have no such settings, and transformers ignores them."""
    tokenizer = Tokenizer(BPE({"a": 0, "A": 1}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    configure(tmp_path, **settings, do_lower_case=True, strip_accents=True)
    assert ids(tmp_path, "aA", size=2) == [0, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("do_lower_case", "false"),
        ("do_lower_case", None),
        ("strip_accents", 0),
        ("tokenize_chinese_chars", "yes"),
        ("model_max_length", 0),
        ("model_max_length", "512"),
        ("model_max_length", True),
        ("model_max_length", float("nan")),
        ("truncation_side", "both"),
    ],
)
def test_illegal_settings_are_named(folder, name, value):
    configure(folder, **{name: value})
    assert f"{name}={value!r} is not allowed" in refusal(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"do_lower_case": tru'])
def test_damaged_settings(folder, text):
    (folder / "tokenizer_config.json").write_text(text)
    assert "tokenizer_config.json" in refusal(folder)


def test_lower_case_of_sentence_transformers(folder):
    """Before the other steps: accents stay, as they would not in a tokenizer that lowercases by itself."""
    normalise(folder, normalizers.BertNormalizer(lowercase=False))
    configure(folder, "sentence_bert_config.json", do_lower_case=True)
    assert ids(folder) == LOWER
    assert ids(folder, "CAFÉ") == [101, 100, 102]
    configure(folder, "sentence_bert_config.json", do_lower_case=False)
    assert ids(folder) == CASED
    configure(folder, "sentence_bert_config.json", do_lower_case="no")
    assert "do_lower_case='no'" in refusal(folder)


# -- length ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "limit"), [(None, None), (8, 8), (8.0, 8), (10**30, None), (1e30, None), (float("inf"), None)]
)
def test_length_limit_of_the_settings(folder, tokens, limit):
    configure(folder, model_max_length=tokens)
    assert TextTokenizer(folder, VOCABULARY).max_length == limit
    configure(folder, "sentence_bert_config.json", max_seq_length=6)
    assert TextTokenizer(folder, VOCABULARY).max_length == 6
    configure(folder, "sentence_bert_config.json", max_seq_length=12)
    assert TextTokenizer(folder, VOCABULARY).max_length == 12  # it replaces the other
    processing = {"text": {"max_length": 5, "truncation": True}}
    configure(folder, "sentence_bert_config.json", max_seq_length=12, processing_kwargs=processing)
    assert TextTokenizer(folder, VOCABULARY).max_length == 5
    configure(folder, "sentence_bert_config.json", max_seq_length=None)
    assert TextTokenizer(folder, VOCABULARY).max_length == limit


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"text": {"max_length": 5, "stride": 2}}, "processing_kwargs="),
        ({"common": {"max_length": 5}}, "processing_kwargs="),
        ({"text": 5}, "processing_kwargs="),
        ([5], "processing_kwargs="),
        ({"text": {"max_length": "5"}}, "max_length='5'"),
        ({"text": {"truncation": "only_first"}}, "truncation='only_first'"),
    ],
)
def test_settings_of_the_processor_that_are_not_supported(folder, settings, fault):
    configure(folder, "sentence_bert_config.json", processing_kwargs=settings)
    assert f"{fault}" in refusal(folder)


@pytest.mark.parametrize(("side", "words"), [("right", "one two"), ("left", "four five")])
def test_side_of_truncation(folder, side, words):
    configure(folder, truncation_side=side)
    tokens = TextTokenizer(folder, VOCABULARY).encode("one two three four five", max_length=4, truncate=True)
    assert " ".join(tokens.words) == f"[CLS] {words} [SEP]"


# -- pairs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "most", "words", "types"),
    [
        ("a good film", "the worst film", 512, "[CLS] a good film [SEP] the worst film [SEP]", "000001111"),
        ("a good film", "the worst film of all time", 9, "[CLS] a good film [SEP] the worst film [SEP]", "000001111"),
        ("a good film of all time", "the worst", 8, "[CLS] a good film [SEP] the worst [SEP]", "00000111"),
        ("one two three four five", "six seven eight nine", 6, "[CLS] one two [SEP] six [SEP]", "000011"),
    ],
)
def test_pairs(folder, first, second, most, words, types):
    """Of a pair that is too long, the longer text loses its tokens first."""
    tokens = TextTokenizer(folder, VOCABULARY).encode((first, second), max_length=most, truncate=True)
    assert " ".join(tokens.words) == words
    assert "".join(map(str, tokens.types)) == types
    assert tokens.truncated == (most < 512)


@pytest.mark.parametrize("pair", [("a", ""), (" ", "a"), ("a", "\u200d"), ("\u200d", "a"), ("a", "\ud800")])
def test_both_texts_of_a_pair_must_hold_tokens(folder, pair):
    with pytest.raises(ThresherError, match=r"the text (is empty|is not valid Unicode|.* holds no token)"):
        TextTokenizer(folder, VOCABULARY).encode(pair, max_length=512)


@pytest.mark.parametrize(("pair", "limit"), [(("a b", "c"), 4), ("a b", 2)])
def test_a_limit_without_room_for_words(folder, pair, limit):
    with pytest.raises(ThresherError, match=f"at most {limit} are possible: .* use --truncate"):
        TextTokenizer(folder, VOCABULARY).encode(pair, max_length=limit)
    with pytest.raises(ThresherError, match=f"at most {limit} tokens are possible, .* raise max_length") as caught:
        TextTokenizer(folder, VOCABULARY).encode(pair, max_length=limit, truncate=True)
    assert "--truncate" not in str(caught.value)


def test_a_tokenizer_without_a_rule_for_pairs(folder):
    """It would leave out the special tokens of pairs."""
    settings = json.loads((folder / "tokenizer.json").read_text())
    single = settings["post_processor"]["single"]
    settings["post_processor"] |= {"pair": [*single[1:2], {"Sequence": {"id": "B", "type_id": 1}}]}
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    assert ids(folder) == LOWER
    with pytest.raises(ThresherError, match="no rule for pairs"):
        TextTokenizer(folder, VOCABULARY).encode(("a", "b"), max_length=512)


# -- token ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["[NEW]", "[/neg]", "neu\n"])
def test_a_token_without_a_row_of_the_embedding(folder, token):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([token])
    tokenizer.save(str(folder / "tokenizer.json"))
    message = refusal(folder)
    assert f"the token {token!r} the id 30522" in message
    assert "vocab_size=30522" in message
    assert ids(folder, size=VOCABULARY + 1) == LOWER


def test_ids_with_gaps_are_compared_too(tmp_path):
    """There are as many tokens as rows, but the last id is beyond them."""
    write_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["h"] = 99
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "the token 'h' the id 99" in refusal(tmp_path, size=len(WORDS))


@pytest.mark.parametrize("part", ["single", "pair"])
def test_a_special_token_without_a_row_of_the_embedding(folder, part):
    def replace(found):
        template = found["post_processor"]
        template["special_tokens"]["[NEW]"] = {"id": "[NEW]", "ids": [99999], "tokens": ["[CLS]"]}
        template[part][0]["SpecialToken"]["id"] = "[NEW]"

    change(folder, replace)
    assert "the token '[CLS]' the id 99999" in refusal(folder)


def test_a_special_token_of_bert_without_a_row_of_the_embedding(folder):
    processor = {"type": "BertProcessing", "sep": ["[SEP]", 99999], "cls": ["[CLS]", 101]}
    change(folder, lambda found: found.update(post_processor=processor))
    assert "the token '[SEP]' the id 99999" in refusal(folder)


def test_an_unknown_token_that_the_vocabulary_lacks(folder):
    change(folder, lambda found: found["model"].update(unk_token="[FOO]"))
    assert ids(folder) == LOWER
    for text in ("a 电", ("a", "电")):
        message = refusal(folder, text=text)
        assert "tokenizer.json cannot tokenise 'a" in message
        assert "Missing [UNK] token from the vocabulary" in message
    configure(folder, unk_token="[UNK]")
    assert "unk_token='[UNK]' is not allowed: tokenizer.json uses '[FOO]'" in refusal(folder)


def test_a_token_that_only_the_settings_have(folder):
    configure(folder, added_tokens_decoder={"0": {"content": "[PAD]"}, "30522": {"content": "[NEW]"}})
    assert "adds the token '[NEW]', which is not in tokenizer.json" in refusal(folder)
    for content in (None, 3, "\ud800"):
        configure(folder, added_tokens_decoder={"30522": {"content": content}})
        assert f"adds the token {content!r}" in refusal(folder)
    for added in ({"0": {"content": "[PAD]"}}, {}, None, []):
        configure(folder, added_tokens_decoder=added)
        assert ids(folder) == LOWER
