"""Windows of a plain text, for a causal model. They do not overlap."""

from pathlib import Path

from ..model.datasets import Dataset
from ..model.load import Model
from ..model.tasks import Task
from ..model.tokenizer import Tokens
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError, InputError
from ..spec.inputs import read_text
from .attention import check_fits

__all__ = ["text_windows", "windows_of"]

WHOLE = 1 << 40
"""More tokens than any text has."""


def text_windows(
    model: Model, task: Task, data: Path, config: AttentionConfig, limit: int | None = None
) -> tuple[Dataset, list[Tokens]]:
    """The tokens of a text file, in windows; see :func:`windows_of`.

    Parameters
    ----------
    limit : int, optional
        At most so many windows, from the start.

    Raises
    ------
    InputError
        The model does not predict tokens, does not fit the hardware, or the file cannot be read or is too short.
    ConfigError
        The limit is not allowed.
    """
    if not model.config.causal:
        raise InputError(f"task {task.name} needs a model that predicts the next token, such as GPT-2")
    shape = model.config
    check_fits(config, shape.head_dim, score_bias=shape.has_score_bias, causal=shape.causal)
    if limit is not None and limit < 1:
        raise ConfigError("limit", limit, "must be at least 1")
    windows = windows_of(model, read_text(data), config, limit, source=str(data))
    dataset = Dataset(
        task=task,
        targets=(0.0,) * len(windows),
        texts=tuple("".join(each.words) for each in windows),
        lines=tuple(range(1, len(windows) + 1)),
    )
    return dataset, windows


def windows_of(
    model: Model, text: str, config: AttentionConfig, limit: int | None = None, *, source: str
) -> list[Tokens]:
    """The tokens of a text, in windows as long as model and hardware allow.

    The last window may be shorter. A last token by itself is left out: nothing predicts it.

    Parameters
    ----------
    limit : int, optional
        At most so many windows, from the start.
    source : str
        Where the text comes from, for messages.

    Raises
    ------
    InputError
        The text cannot be tokenised or is too short.
    """
    try:
        tokens = model.tokenizer.encode(text, max_length=WHOLE)
    except InputError as error:
        raise InputError(f"{source!r}: {error}") from None
    limits = (model.config.max_length, model.tokenizer.max_length, config.max_length)
    length = min(each for each in limits if each is not None)
    starts = range(0, len(tokens) - 1, length)[:limit]
    if not starts:
        raise InputError(f"{source!r} has only one token: give a longer text")
    return [
        Tokens(**{name: getattr(tokens, name)[start : start + length] for name in ("ids", "words", "types")})
        for start in starts
    ]
