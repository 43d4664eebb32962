"""Text to token ids."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from ..spec.errors import InputError
from ..spec.inputs import read_text
from .tokenizer_config import apply_settings

__all__ = ["TextTokenizer", "Tokens"]


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A tokenised text, special tokens included."""

    ids: tuple[int, ...]
    words: tuple[str, ...]

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
        Stands before every text.

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

    def __init__(self, folder: Path, vocab_size: int, prompt: str = ""):
        path = folder / "tokenizer.json"
        text = read_text(path)
        try:
            self._tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises plain Exception
            raise InputError(f"{str(path)!r} is truncated or damaged ({error}): fetch it again") from None
        self._check_ids(vocab_size)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        rules = apply_settings(self._tokenizer, folder)
        self.max_length, self._side, self._prompt = rules.max_length, rules.side, prompt

    def _check_ids(self, vocab_size: int) -> None:
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        token = max(ids, key=lambda name: ids[name], default=None)
        if token is not None and ids[token] >= vocab_size:
            raise InputError(
                f"tokenizer.json gives the token {token!r} the id {ids[token]}, but config.json says "
                f"vocab_size={vocab_size}: ids must be below it"
            )

    def encode(self, text: str, *, max_length: int, truncate: bool = False) -> Tokens:
        """Token ids of a text.

        Parameters
        ----------
        max_length : int
            Most tokens that model and hardware take.
        truncate : bool
            Truncate a longer text instead of raising an error.

        Raises
        ------
        InputError
            The text is empty, holds no token of its own, is not valid Unicode, or is too long.
        """
        if not text.strip():
            raise InputError("the text is empty: give at least one word")
        text = self._prompt + text
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError("the text is not valid Unicode: remove lone surrogates") from None
        encoding = self._tokenizer.encode(text)
        if all(encoding.special_tokens_mask):
            raise InputError(f"the text {text[:20]!r} holds no token that the model knows: give at least one word")
        if len(encoding.ids) > max_length:
            if not truncate:
                raise InputError(
                    f"the text has {len(encoding.ids)} tokens, but at most {max_length} are possible: shorten it"
                )
            self._tokenizer.enable_truncation(max_length, direction=self._side)
            encoding = self._tokenizer.encode(text)
            self._tokenizer.no_truncation()
        return Tokens(ids=tuple(encoding.ids), words=tuple(encoding.tokens))
