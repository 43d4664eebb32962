"""Text to token ids."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from ..spec.errors import InputError
from ..spec.inputs import read_text
from .tokenizer_config import apply_settings, check_templates

__all__ = ["Text", "TextTokenizer", "Tokens", "TooLongError"]

Text = str | tuple[str, str]
"""A text, or a pair of texts that a model reads together."""


class TooLongError(InputError):
    """A text has more tokens than are possible.

    Parameters
    ----------
    tokens, limit : int
        Tokens of the text, and most tokens that are possible.
    """

    def __init__(self, tokens: int, limit: int):
        super().__init__(tokens, limit)
        self.tokens, self.limit = tokens, limit

    def __str__(self):
        return (
            f"the text has {self.tokens} tokens, but at most {self.limit} are possible: shorten it, or use --truncate"
        )


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A tokenised text or pair, special tokens included.

    Attributes
    ----------
    types : tuple of int
        0, and 1 in the second text of a pair, if the tokenizer says so.
    truncated : bool
        Whether tokens of the text are missing.
    """

    ids: tuple[int, ...]
    words: tuple[str, ...]
    types: tuple[int, ...]
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)


class TextTokenizer:
    """A model's tokenizer, without padding or silent truncation.

    Parameters
    ----------
    folder : Path
        Holds ``tokenizer.json`` of the ``tokenizers`` library, and files that change it; see
        :func:`~thresher.model.tokenizer_config.apply_settings`.
    vocab_size : int
        Rows of the model's word embedding.
    prompt : str
        Stands before every text, of a pair before the first.
    tokenizer_class : str
        The class in transformers where ``tokenizer_config.json`` names none.
    has_types : bool
        Whether the model has token types.

    Attributes
    ----------
    max_length : int or None
        Most tokens of a text, if the files limit them.

    Raises
    ------
    InputError
        A file is damaged or does not belong to the model.
    ConfigError
        A setting is illegal; the message names it.
    """

    def __init__(
        self,
        folder: Path,
        vocab_size: int,
        prompt: str = "",
        *,
        tokenizer_class: str = "BertTokenizer",
        has_types: bool = True,
    ):
        path = folder / "tokenizer.json"
        text = read_text(path)
        with _library_errors(f"{str(path)!r} is truncated or damaged", "fetch it again"):
            self._tokenizer = Tokenizer.from_str(text)
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            check_templates(self._tokenizer)
            rules = apply_settings(self._tokenizer, folder, tokenizer_class)
        self.max_length, self._side, self._prompt = rules.max_length, rules.side, prompt
        self._types, self._vocab_size = rules.types if has_types else False, vocab_size
        self._check_ids(self._tokenizer.get_vocab(with_added_tokens=True).items())
        for second in (None, ""):
            self._encoded("", second)  # the special tokens alone

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens."""
        with _library_errors("tokenizer.json cannot make a text of tokens"):
            return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def _check_ids(self, ids: Iterable[tuple[str, int]]) -> None:
        token, largest = max(ids, key=lambda each: each[1], default=("", -1))
        if largest >= self._vocab_size:
            raise InputError(
                f"tokenizer.json gives the token {token!r} the id {largest}, but config.json says "
                f"vocab_size={self._vocab_size}: ids must be below it"
            )

    def _encoded(self, first: str, second: str | None) -> Encoding:
        with _library_errors(f"tokenizer.json cannot tokenise {first[:20]!r}"):
            encoding = self._tokenizer.encode(first, second)
        if not len(encoding.ids) == len(encoding.tokens) == len(encoding.type_ids):
            raise InputError("tokenizer.json gives a special token more ids than names, or fewer: correct the file")
        self._check_ids(zip(encoding.tokens, encoding.ids, strict=True))
        return encoding

    def encode(self, text: Text, *, max_length: int, truncate: bool = False) -> Tokens:
        """Token ids of a text or pair.

        Parameters
        ----------
        max_length : int
            Most tokens that model and hardware take.
        truncate : bool
            Truncate a longer text instead of raising an error. Of a pair, the longer text loses its tokens first.

        Raises
        ------
        InputError
            A text is empty, holds no token of its own, or is not valid Unicode, or there is no rule for pairs, or
            no room for words.
        TooLongError
            The text is too long.
        """
        texts = (text,) if isinstance(text, str) else text
        _check_texts(texts)
        specials = self._tokenizer.num_special_tokens_to_add(len(texts) == 2)
        if len(texts) == 2 and specials <= self._tokenizer.num_special_tokens_to_add(False):
            raise InputError("tokenizer.json has no rule for pairs of texts: give single texts")
        first, second = self._prompt + texts[0], texts[1] if len(texts) == 2 else None
        encoding = self._encoded(first, second)
        for number, each in enumerate(texts):
            if number not in encoding.sequence_ids:
                raise InputError(f"the text {each[:20]!r} holds no token that the model knows: give at least one word")
        truncated = len(encoding.ids) > max_length
        if truncated:
            if not truncate:
                raise TooLongError(len(encoding.ids), max_length)
            if max_length < specials + len(texts):
                raise InputError(
                    f"at most {max_length} tokens are possible, but {specials} special tokens and a word of each text "
                    f"need {specials + len(texts)}: raise max_length of the configuration, or take another model"
                )
            self._tokenizer.enable_truncation(max_length, direction=self._side)
            encoding = self._encoded(first, second)
            self._tokenizer.no_truncation()
            if len(encoding.ids) > max_length:
                raise InputError(f"tokenizer.json adds more special tokens than {specials}: correct the file")
        types = encoding.type_ids
        if self._types is None and any(types):
            raise InputError(
                "tokenizer_config.json does not say whether pairs have token types: give it model_input_names, with "
                "token_type_ids or without"
            )
        return Tokens(
            ids=tuple(encoding.ids),
            words=tuple(encoding.tokens),
            types=tuple(types) if self._types else (0,) * len(types),
            truncated=truncated,
        )


@contextmanager
def _library_errors(what: str, remedy: str = "correct the file") -> Iterator[None]:
    """Turn errors of the library ``tokenizers`` into an :class:`InputError`.

    They have no class of their own: they are plain ``Exception``, or the ``PanicException`` of a library written in
    Rust, which cannot be imported.
    """
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise InputError(f"{what} ({error}): {remedy}") from None


def _check_texts(texts: tuple[str, ...]) -> None:
    for text in texts:
        if not text.strip():
            raise InputError("the text is empty: give at least one word")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError("the text is not valid Unicode: give UTF-8, without lone surrogates") from None
