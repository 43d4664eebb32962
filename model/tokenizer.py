"""Text to token ids."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from ..spec.errors import InputError

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
    path : Path
        ``tokenizer.json`` of the ``tokenizers`` library.
    vocab_size : int
        Rows of the model's word embedding.

    Raises
    ------
    InputError
        The file is damaged or does not belong to the model.
    """

    def __init__(self, path: Path, vocab_size: int):
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise InputError(f"{str(path)!r} is truncated or damaged ({error}): fetch it again") from None
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if size > vocab_size:
            raise InputError(f"tokenizer.json has {size} tokens, but config.json says vocab_size={vocab_size}")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

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
            self._tokenizer.enable_truncation(max_length)
            encoding = self._tokenizer.encode(text)
            self._tokenizer.no_truncation()
        return Tokens(ids=tuple(encoding.ids), words=tuple(encoding.tokens))
