"""Files beside ``tokenizer.json`` that change how a text becomes tokens, applied as the library transformers does."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram

from ..spec.errors import ConfigError, InputError
from ..spec.inputs import read_json
from .added_tokens import SpecialToken, add_tokens, check_added_tokens, special_tokens
from .modules import transformer_settings
from .tokenizer_class import TokenizerClass, find_class

__all__ = ["TokenizerRules", "apply_settings", "check_templates"]

BESIDE = "sentence_bert_config.json"
OPPOSITE = "tokenizer.json does the opposite, make tokenizer_config.json agree"


@dataclass(frozen=True, kw_only=True)
class TokenizerRules:
    """What is to be known when a text is cut.

    Attributes
    ----------
    max_length : int or None
        Most tokens of a text, special ones included, if the files give a number.
    side : "right" or "left"
        Where a text that is too long is cut.
    types : bool or None
        Whether pairs have token types; ``None`` if the files do not decide it.
    """

    max_length: int | None
    side: Literal["right", "left"]
    types: bool | None


def check_templates(tokenizer: Tokenizer) -> None:
    """Check the templates that put special tokens around a text or a pair.

    A text that occurs in a template several times takes memory without a limit in the library when it is truncated, and
    a special token without an id ends the library with a message of its own.

    Raises
    ------
    InputError
        A template has a text more than once, or a special token without as many ids as names.
    """
    own = tokenizer.post_processor
    parts = [] if own is None else [json.loads(own.__getstate__())]
    while parts:
        part = parts.pop()
        parts += part.get("processors", [])
        for pieces in (part[name] for name in ("single", "pair") if part["type"] == "TemplateProcessing"):
            texts = [piece["Sequence"]["id"] for piece in pieces if "Sequence" in piece]
            if len(set(texts)) < len(texts):
                raise InputError("tokenizer.json has a template with the same text several times: correct the file")
            for token in (piece["SpecialToken"]["id"] for piece in pieces if "SpecialToken" in piece):
                entry = part["special_tokens"].get(token)
                if entry is None or len(entry["ids"]) != len(entry["tokens"]):
                    raise InputError(
                        f"tokenizer.json has a template with {token!r}, but no ids for it: correct the file"
                    )


def apply_settings(tokenizer: Tokenizer, folder: Path, default_class: str) -> TokenizerRules:
    """Change a tokenizer as the files beside ``tokenizer.json`` ask for.

    These are ``tokenizer_config.json``, ``special_tokens_map.json``, ``added_tokens.json`` and the settings of
    sentence-transformers. Without a ``tokenizer_config.json``, the normaliser and the pre-tokeniser stay as they are.

    Parameters
    ----------
    default_class : str
        Name of the class in transformers where ``tokenizer_config.json`` names none.

    Raises
    ------
    ConfigError
        A parameter has an illegal value, or disagrees with a ``tokenizer.json`` in which it cannot be applied.
    InputError
        A file is damaged, or a token that it names contradicts ``tokenizer.json``.
    """
    file = folder / "tokenizer_config.json"
    found = read_json(file, dict) if file.is_file() else {}
    kind = find_class(tokenizer, found.get("tokenizer_class"), default_class)
    if not kind.generic:
        check_added_tokens(tokenizer, found)
        _check_special_tokens(tokenizer, special_tokens(folder, found))
    add_tokens(tokenizer, folder, found)
    if file.is_file():
        _set_normaliser(tokenizer, found, kind)
        _set_prefix_space(tokenizer, found, kind)
    beside = transformer_settings(folder)
    if _flag(beside, "do_lower_case", False) and not _lowers(tokenizer):
        own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])  # pyright: ignore
    side = found.get("truncation_side", "right")
    if side not in ("right", "left"):
        raise ConfigError("truncation_side", side, "tokenizer_config.json must say right or left")
    return TokenizerRules(max_length=_max_length(found, beside), side=side, types=_types(found, kind))


def _types(found: dict[str, Any], kind: TokenizerClass) -> bool | None:
    names = found.get("model_input_names")
    if names is not None and (not isinstance(names, list) or "input_ids" not in names):
        raise ConfigError("model_input_names", names, "tokenizer_config.json must give a list with input_ids")
    return kind.types if names is None else "token_type_ids" in names


def _max_length(found: dict[str, Any], beside: dict[str, Any]) -> int | None:
    """The limit that holds in sentence-transformers. ``max_seq_length`` replaces that of ``tokenizer_config.json``."""
    kwargs = beside.get("processing_kwargs") or {}
    text = (kwargs.get("text") or {}) if isinstance(kwargs, dict) else None
    if not isinstance(text, dict) or kwargs.get("common") or set(text) - {"max_length", "truncation", "padding"}:
        raise ConfigError(
            "processing_kwargs", kwargs, f"{BESIDE}: supported is text with max_length, truncation, padding"
        )
    if text.get("truncation", True) not in (True, "longest_first"):
        raise ConfigError("truncation", text["truncation"], f"{BESIDE}: supported is true or 'longest_first'")
    given = ((text, "max_length"), (beside, "max_seq_length"), (found, "model_max_length"))
    limits = [_limit(settings, name) for settings, name in given if settings.get(name) is not None]
    return limits[0] if limits else None


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


def _check_special_tokens(tokenizer: Tokenizer, named: list[SpecialToken]) -> None:
    """Refuse other special tokens than those that ``tokenizer.json`` uses. Versions of transformers differ there."""
    ends = tokenizer.encode("").tokens
    used: dict[str, str | None] = {"cls_token": ends[0], "sep_token": ends[-1]} if ends else {}
    used["unk_token"] = getattr(tokenizer.model, "unk_token", None)
    for token in named:
        own = used.get(token.name)
        if own is not None and token.content != own:
            raise ConfigError(token.name, token.content, f"tokenizer.json uses {own!r}, change it or {token.file}")


def _set_normaliser(tokenizer: Tokenizer, found: dict[str, Any], kind: TokenizerClass) -> None:
    if kind.generic or isinstance(tokenizer.model, BPE | Unigram):
        return
    lower, chinese = bool(_flag(found, "do_lower_case", True)), bool(_flag(found, "tokenize_chinese_chars", True))
    accents = _flag(found, "strip_accents", None)
    own = tokenizer.normalizer
    if kind.bert and isinstance(own, normalizers.BertNormalizer):
        tokenizer.normalizer = normalizers.BertNormalizer(  # pyright: ignore[reportAttributeAccessIssue]
            clean_text=own.clean_text, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lower
        )
        return
    # Versions of transformers disagree about other normalisers: only what all of them agree on is accepted.
    if "do_lower_case" in found and lower != _lowers(tokenizer):
        raise ConfigError("do_lower_case", lower, OPPOSITE)
    if accents is not None and accents != _strips(tokenizer):
        raise ConfigError("strip_accents", accents, OPPOSITE)
    if "tokenize_chinese_chars" in found and not kind.bert and chinese != (" " in _normalised(tokenizer, "电")):
        raise ConfigError("tokenize_chinese_chars", chinese, OPPOSITE)


def _set_prefix_space(tokenizer: Tokenizer, found: dict[str, Any], kind: TokenizerClass) -> None:
    """Whether texts begin with a space. Other pre-tokenisers than these two have no such setting."""
    own, space = tokenizer.pre_tokenizer, _flag(found, "add_prefix_space", None)
    if kind.byte_level and isinstance(own, pre_tokenizers.ByteLevel):
        own.add_prefix_space = bool(space)
        return
    if space is None or not any(name in str(own) for name in ("ByteLevel", "Metaspace")):
        return
    ((first, _), *_) = own.pre_tokenize_str(_normalised(tokenizer, "a"))
    if space != first.startswith(("Ġ", "▁")):
        raise ConfigError("add_prefix_space", space, OPPOSITE)


def _lowers(tokenizer: Tokenizer) -> bool:
    return "A" not in _normalised(tokenizer, "A")


def _strips(tokenizer: Tokenizer) -> bool:
    return not {"é", "\u0301"} & set(_normalised(tokenizer, "é"))


def _normalised(tokenizer: Tokenizer, text: str) -> str:
    return text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
