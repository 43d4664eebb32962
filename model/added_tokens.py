"""Added and special tokens that files beside ``tokenizer.json`` name. They are found before words are cut."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer

from ..spec.errors import ConfigError, InputError
from ..spec.inputs import read_json

__all__ = ["SpecialToken", "add_tokens", "check_added_tokens", "special_tokens"]

SETTINGS = "tokenizer_config.json"
SPECIAL_TOKENS, ADDED_TOKENS = "special_tokens_map.json", "added_tokens.json"
FLAGS = ("lstrip", "rstrip", "single_word", "normalized")


class _Named(NamedTuple):
    """A token that a file names: its text and flags, and where a file tells it, its id."""

    file: str
    content: Any
    id: Any
    flags: dict[str, bool]


class SpecialToken(NamedTuple):
    """A special token: the parameter and the file that name it, and its entry there."""

    name: str
    file: str
    entry: Any

    @property
    def content(self) -> Any:
        """Its text."""
        return self.entry.get("content") if isinstance(self.entry, dict) else self.entry


def special_tokens(folder: Path, found: dict[str, Any]) -> list[SpecialToken]:
    """The special tokens that the parameters of ``tokenizer_config.json`` (``found``) name.

    Those of ``special_tokens_map.json`` go before, unless there is an ``added_tokens_decoder``, as in transformers.

    Raises
    ------
    InputError
        A file is not a JSON object.
    ConfigError
        A parameter for several tokens gives no list.
    """
    named = {name: (SETTINGS, value) for name, value in found.items()}
    file = folder / SPECIAL_TOKENS
    if not found.get("added_tokens_decoder") and file.is_file():
        named |= {name: (SPECIAL_TOKENS, value) for name, value in read_json(file, dict).items()}
    if "extra_special_tokens" in named:
        named.pop("additional_special_tokens", None)
    tokens = []
    for name, (file, value) in named.items():
        if name in ("additional_special_tokens", "extra_special_tokens"):
            entries = value.values() if isinstance(value, dict) else value or []
            if not isinstance(entries, Iterable) or isinstance(entries, str):
                raise ConfigError(name, value, f"{file} must give a list of tokens")
            tokens += [SpecialToken(name, file, entry) for entry in entries]
        elif name.endswith("_token") and isinstance(value, str | dict):
            tokens.append(SpecialToken(name, file, value))
    return tokens


def add_tokens(tokenizer: Tokenizer, folder: Path, found: dict[str, Any]) -> None:
    """Add the tokens that the files name and that ``tokenizer.json`` has as plain entries of its vocabulary.

    Raises
    ------
    InputError
        A file is damaged, or a token, its id or its flags contradict ``tokenizer.json``.
    """
    for token in _named(folder, found):
        own = {each.content: each for each in tokenizer.get_added_tokens_decoder().values()}
        number = _id(tokenizer, token.content)
        if number is None:
            raise InputError(f"{token.file} adds the token {token.content!r}, which is not in tokenizer.json: add it")
        if token.id is not None and str(token.id) != str(number):
            raise InputError(
                f"{token.file} gives {token.content!r} the id {token.id}, tokenizer.json {number}: make the files agree"
            )
        if token.content not in own:
            tokenizer.add_tokens([AddedToken(token.content, **token.flags)])
            continue
        # Flags of special tokens without an id are those of tokenizer.json.
        for name, value in token.flags.items() if token.id is not None and token.file == SETTINGS else ():
            if value != getattr(own[token.content], name):
                raise InputError(
                    f"{token.file} gives {token.content!r} {name}={value}, tokenizer.json the opposite: make them agree"
                )


def check_added_tokens(tokenizer: Tokenizer, found: dict[str, Any]) -> None:
    """Refuse added tokens that an ``added_tokens_decoder`` lacks. Versions of transformers differ there.

    Raises
    ------
    InputError
        There is such a token; the message names it.
    """
    decoder = found.get("added_tokens_decoder")
    if not isinstance(decoder, dict) or not decoder:
        return
    contents = [entry.get("content") for entry in decoder.values() if isinstance(entry, dict)]
    for token in tokenizer.get_added_tokens_decoder().values():
        if not token.special and token.content not in contents:
            raise InputError(f"added_tokens_decoder of {SETTINGS} lacks {token.content!r} of tokenizer.json: add it")


def _named(folder: Path, found: dict[str, Any]) -> Iterator[_Named]:
    special, decoder, added = special_tokens(folder, found), found.get("added_tokens_decoder"), folder / ADDED_TOKENS
    if isinstance(decoder, dict) and decoder:
        for number, entry in decoder.items():
            content = entry.get("content") if isinstance(entry, dict) else entry
            yield _Named(SETTINGS, content, number, _flags(entry))
    elif added.is_file():
        contents = [token.content for token in special]
        for content, number in read_json(added, dict).items():
            yield _Named(ADDED_TOKENS, content, number, {"normalized": content not in contents})
    for token in special:
        yield _Named(token.file, token.content, None, {"normalized": False} | _flags(token.entry))


def _flags(entry: Any) -> dict[str, bool]:
    return {name: bool(entry[name]) for name in FLAGS if name in entry} if isinstance(entry, dict) else {}


def _id(tokenizer: Tokenizer, content: Any) -> int | None:
    try:
        return tokenizer.token_to_id(content) if isinstance(content, str) else None
    except UnicodeEncodeError:  # a lone surrogate
        return None
