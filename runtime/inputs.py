"""What a model reads, and what it is calibrated with: texts, pairs of texts, or images."""

from collections.abc import Sequence
from pathlib import Path

from ..model.images import Picture
from ..model.load import CALIBRATION_SENTENCES, Model, calibration_pairs, calibration_sentences
from ..model.tasks import CLASSIFICATION, Task, chosen_task
from ..model.tokenizer import Text, Tokens
from ..spec.attention_config import AttentionConfig
from ..spec.errors import InputError
from .pictures import calibration_images, check_image_size
from .texts import encode_texts
from .windows import windows_of

__all__ = ["Input", "are_pairs", "calibration_inputs", "calibration_source", "calibration_texts", "encode_inputs"]

Input = Text | Path
"""A text or pair, or the file of an image."""


def are_pairs(inputs: Sequence[Input]) -> bool:
    """Whether there are pairs among the inputs."""
    return any(isinstance(each, tuple) for each in inputs)


def encode_inputs(
    model: Model, inputs: Sequence[Input], *, max_length: int, truncate: bool = False
) -> Sequence[Tokens]:
    """Tokens of every text or pair, or every image.

    Parameters
    ----------
    max_length, truncate
        See :func:`~.texts.encode_texts`.

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


def calibration_texts(path: Path | None = None, *, pairs: bool) -> Sequence[Text]:
    """Sentences or pairs to calibrate a model with; see :func:`~thresher.model.load.calibration_sentences`."""
    return calibration_pairs(path) if pairs else calibration_sentences(path)


def calibration_inputs(
    model: Model,
    tokens: Sequence[Tokens],
    config: AttentionConfig,
    path: Path | None = None,
    *,
    pairs: bool,
    task: Task | None = None,
) -> Sequence[Text] | Sequence[Tokens]:
    """Sentences, pairs, images or windows to calibrate a model with.

    A causal model reads the sentences as one text, in windows, as it reads its data.

    Parameters
    ----------
    tokens : sequence of Tokens
        What the model will read. Images among them are used if no file is given.
    path : Path, optional
        See :func:`calibration_texts` and :func:`~.pictures.calibration_images`.
    pairs : bool
        Whether the model reads pairs of texts.
    task : Task, optional
        Says the columns of a table of images. By default they are ``image`` and ``label``.
    """
    pictures = [each for each in tokens if isinstance(each, Picture)]
    if pictures:
        return calibration_images(model, task or chosen_task(CLASSIFICATION), config, pictures, path)
    if model.predicts_tokens:
        text = "\n".join(calibration_sentences(path))
        return windows_of(model, text, config, CALIBRATION_SENTENCES, source=calibration_source(model, path))
    return calibration_texts(path, pairs=pairs)


def calibration_source(model: Model, path: Path | None = None) -> str:
    """Where :func:`calibration_inputs` come from."""
    return str(path or ("packaged sentences" if model.images is None else "the first images"))
