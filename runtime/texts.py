"""Tokens of many texts, with one error for all that are too long; and of images."""

from collections.abc import Sequence
from pathlib import Path

from ..model.load import Model
from ..model.tokenizer import Text, Tokens, TooLongError
from ..spec.errors import InputError

__all__ = ["Input", "check_image_size", "encode_inputs", "encode_texts"]

Input = Text | Path
"""A text or pair, or the file of an image."""

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


def check_image_size(model: Model, max_length: int) -> None:
    """Raise :class:`~thresher.spec.errors.InputError` if an image has more tokens than the hardware takes."""
    tokens = model.config.max_length
    if tokens > max_length:
        raise InputError(
            f"an image has {tokens} tokens, but this hardware takes at most {max_length}: choose a larger preset, or "
            "raise max_length with --config"
        )


def encode_inputs(
    model: Model, inputs: Sequence[Input], *, max_length: int, truncate: bool = False
) -> Sequence[Tokens]:
    """Tokens of every text or pair, or every image.

    Parameters
    ----------
    max_length, truncate
        See :func:`encode_texts`.

    Raises
    ------
    InputError
        A text is empty or invalid, some are too long, or an image cannot be read. Or the model does not read what is
        given.
    """
    files = [each for each in inputs if isinstance(each, Path)]
    texts = [each for each in inputs if not isinstance(each, Path)]
    if model.images is None:
        if files:
            raise InputError("the model reads texts: give texts (--text), or choose a vision transformer")
        return encode_texts(model, texts, range(1, len(texts) + 1), max_length=max_length, truncate=truncate)
    if texts:
        raise InputError("the model reads images: give files of images (--image)")
    check_image_size(model, max_length)
    return [model.images.picture(file) for file in files]
