"""Tokens of many texts, with one error for all that are too long."""

from collections.abc import Sequence

from ..model.load import Model
from ..model.tokenizer import Text, Tokens, TooLongError
from ..spec.errors import InputError

__all__ = ["encode_texts"]

NAMED = 5
"""Texts that an error names at most."""


def encode_texts(
    model: Model,
    texts: Sequence[Text],
    numbers: Sequence[int],
    *,
    max_length: int,
    truncate: bool = False,
    kind: str = "text",
    source: str = "",
) -> list[Tokens]:
    """Tokens of every text or pair.

    Parameters
    ----------
    numbers : sequence of int
        Number of each text, for errors.
    max_length : int
        Most tokens that the hardware takes.
    truncate : bool
        Truncate texts that are too long.
    kind, source : str
        What the numbers count, and what stands before them in errors.

    Raises
    ------
    InputError
        A text is empty or invalid, or some are too long; the message gives their numbers.
    """
    tokens: list[Tokens] = []
    long: dict[int, TooLongError] = {}
    for number, text in zip(numbers, texts, strict=True):
        try:
            tokens.append(model.encode(text, max_length=max_length, truncate=truncate))
        except TooLongError as error:
            long[number] = max(long.get(number, error), error, key=lambda each: each.tokens)
        except InputError as error:
            raise InputError(f"{source}{kind} {number}: {error}") from None
    if long:
        raise InputError(source + _told(kind, long))
    return tokens


def _told(kind: str, long: dict[int, TooLongError]) -> str:
    """Which texts are too long, by how much, and what to do."""
    numbers, errors = list(long), list(long.values())
    if len(long) == 1:
        return f"{kind} {numbers[0]}: {errors[0]}"
    more = f" and {len(long) - NAMED} more" if len(long) > NAMED else ""
    most = max(error.tokens for error in errors)
    return (
        f"{kind}s {', '.join(map(str, numbers[:NAMED]))}{more}: {len(long)} have up to {most} tokens, but at most "
        f"{errors[0].limit} are possible: shorten them, or use --truncate"
    )
