"""Files beside ``tokenizer.json`` that change how a text becomes tokens, applied as the library transformers does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer, normalizers
from tokenizers.models import BPE, Unigram

from ..spec.errors import ConfigError, InputError
from ..spec.inputs import read_json
from .modules import transformer_settings

__all__ = ["TokenizerRules", "apply_settings"]

BERT_CLASSES = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MPNetTokenizer")
"""Classes that make the normaliser from their own parameters. Others use the one of ``tokenizer.json``."""


@dataclass(frozen=True, kw_only=True)
class TokenizerRules:
    """What is to be known when a text is cut.

    Attributes
    ----------
    max_length : int or None
        Most tokens of a text, special ones included, if the files give a number.
    side : "right" or "left"
        Where a text that is too long is cut.
    """

    max_length: int | None
    side: Literal["right", "left"]


def apply_settings(tokenizer: Tokenizer, folder: Path) -> TokenizerRules:
    """Change a tokenizer as ``tokenizer_config.json`` and the settings of sentence-transformers ask for.

    Without a ``tokenizer_config.json``, ``tokenizer.json`` says everything.

    Raises
    ------
    ConfigError
        A parameter has an illegal value, or disagrees with a ``tokenizer.json`` in which it cannot be applied.
    InputError
        A file is damaged, or names a token that ``tokenizer.json`` lacks.
    """
    file = folder / "tokenizer_config.json"
    found = read_json(file, dict) if file.is_file() else None
    if found is not None:
        _check_added_tokens(tokenizer, found)
        if _is_bert(tokenizer, found):
            _set_normaliser(tokenizer, found)
    beside = transformer_settings(folder)
    if _flag(beside, "do_lower_case", False) and not _lowers(tokenizer):
        own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])  # pyright: ignore
    side = (found or {}).get("truncation_side", "right")
    if side not in ("right", "left"):
        raise ConfigError("truncation_side", side, "must be right or left")
    limits = [_limit(found or {}, "model_max_length"), _limit(beside, "max_seq_length")]
    return TokenizerRules(max_length=min((limit for limit in limits if limit is not None), default=None), side=side)


def _limit(found: dict[str, Any], name: str) -> int | None:
    value = found.get(name)
    # Files without a limit give a huge number, and some versions write it as a float.
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 3):
        raise ConfigError(name, value, "must be a number of tokens from 3")
    return None if value is None or value > 1e9 else int(value)


def _flag(found: dict[str, Any], name: str, default: bool | None) -> bool | None:
    value = found.get(name, default)
    if not isinstance(value, bool) and value is not default:
        raise ConfigError(name, value, "must be true or false")
    return value


def _check_added_tokens(tokenizer: Tokenizer, found: dict[str, Any]) -> None:
    added = found.get("added_tokens_decoder")
    entries = added.values() if isinstance(added, dict) else ()
    for token in [entry.get("content") for entry in entries if isinstance(entry, dict)]:
        try:
            known = isinstance(token, str) and tokenizer.token_to_id(token) is not None
        except UnicodeEncodeError:  # a lone surrogate
            known = False
        if not known:
            raise InputError(f"tokenizer_config.json adds the token {token!r}, which is not in tokenizer.json: add it")


def _is_bert(tokenizer: Tokenizer, found: dict[str, Any]) -> bool:
    """Whether transformers would use one of :data:`BERT_CLASSES`."""
    named = found.get("tokenizer_class")
    if isinstance(named, str):
        return named.removesuffix("Fast") in BERT_CLASSES
    return not isinstance(tokenizer.model, BPE | Unigram)


def _set_normaliser(tokenizer: Tokenizer, found: dict[str, Any]) -> None:
    lower, chinese = bool(_flag(found, "do_lower_case", True)), bool(_flag(found, "tokenize_chinese_chars", True))
    accents = _flag(found, "strip_accents", None)
    own = tokenizer.normalizer
    if isinstance(own, normalizers.BertNormalizer):
        tokenizer.normalizer = normalizers.BertNormalizer(  # pyright: ignore[reportAttributeAccessIssue]
            clean_text=own.clean_text, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lower
        )
        return
    # Versions of transformers disagree about other normalisers: only what all of them agree on is accepted.
    if "do_lower_case" in found and lower != _lowers(tokenizer):
        raise ConfigError("do_lower_case", lower, "tokenizer.json does the opposite, make the two files agree")
    if accents is not None and accents != _strips(tokenizer):
        raise ConfigError("strip_accents", accents, "tokenizer.json does the opposite, make the two files agree")


def _lowers(tokenizer: Tokenizer) -> bool:
    return "A" not in _normalised(tokenizer, "A")


def _strips(tokenizer: Tokenizer) -> bool:
    return not {"é", "\u0301"} & set(_normalised(tokenizer, "é"))


def _normalised(tokenizer: Tokenizer, text: str) -> str:
    return text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
