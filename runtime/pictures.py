"""Labelled images from a tab-separated file, for a model that classifies images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..model.datasets import Dataset, read_dataset
from ..model.images import Picture
from ..model.load import Model
from ..model.tasks import CLASSIFICATION, Columns, Task, as_task
from ..spec.attention_config import AttentionConfig
from ..spec.errors import InputError
from .attention import check_fits

__all__ = ["calibration_images", "check_image_size", "task_images"]

CALIBRATION_IMAGES = 64


def check_image_size(model: Model, max_length: int) -> None:
    """Raise :class:`~thresher.spec.errors.InputError` if an image has more tokens than the hardware takes."""
    tokens = model.config.max_length
    if tokens > max_length:
        raise InputError(
            f"an image has {tokens} tokens, but this hardware takes at most {max_length}: choose a larger preset, or "
            "raise max_length with --config"
        )


def task_images(
    model: Model, task: str | Task, data: Path, config: AttentionConfig, limit: int | None = None
) -> tuple[Dataset, list[Picture]]:
    """Read the file of a task and check every image.

    The file has the columns ``image``, a path that is relative to the file's folder, and ``label``, or others that the
    task names.

    Raises
    ------
    InputError
        The model gives no classes or does not fit the hardware, or an image cannot be read; the message names the line.
        Otherwise as :func:`~thresher.model.datasets.read_dataset`.
    """
    task, shape, reader = as_task(task), model.config, model.images
    assert reader is not None
    if task.name != CLASSIFICATION:
        raise InputError(f"task {task.name} is not for images: use --task {CLASSIFICATION}")
    if len(shape.labels) < 2:
        raise InputError("the model has no classification head: choose one that classifies images")
    check_fits(config, shape.head_dim, score_bias=shape.has_score_bias)
    check_image_size(model, config.max_length)
    names = {("sentence",): ("image",)}
    columns = [Columns(names.get(each.text, each.text), each.target) for each in task.columns if len(each.text) == 1]
    if not columns:
        raise InputError("an example is one image: leave out --second-text-column")
    dataset = read_dataset(
        data, replace(task, columns=tuple(columns)), limit, classes=len(shape.labels), labels=shape.labels
    )
    pictures = []
    for line, name in zip(dataset.lines, dataset.sentences, strict=True):
        try:
            pictures.append(reader.picture(data.parent / name))
        except InputError as error:
            raise InputError(f"{str(data)!r} line {line}: {error}") from None
    return dataset, pictures


def calibration_images(
    model: Model, task: str | Task, config: AttentionConfig, pictures: Sequence[Picture], path: Path | None = None
) -> Sequence[Picture]:
    """Images to calibrate with: the first ones of a file such as that of the task, or of the task itself."""
    if path is not None:
        pictures = task_images(model, task, path, config)[1]
    return pictures[:CALIBRATION_IMAGES]
