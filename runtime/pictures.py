"""Labelled images from a tab-separated file, for a model that classifies images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..model.datasets import Dataset, read_dataset
from ..model.images import Picture
from ..model.load import Model
from ..model.tasks import Columns, Kind, Task, as_task
from ..spec.attention_config import AttentionConfig
from ..spec.errors import InputError
from .attention import check_fits

__all__ = ["calibration_images", "task_images"]

CALIBRATION_IMAGES = 64
COLUMNS = Columns(("image",), "label")


def task_images(
    model: Model, task: str | Task, data: Path, config: AttentionConfig, limit: int | None = None
) -> tuple[Dataset, list[Picture]]:
    """Read the file of a task and check every image.

    The file has the columns ``image``, a path that is relative to the file's folder, and ``label``, or those of the
    task.

    Raises
    ------
    InputError
        The model gives no classes or does not fit the hardware, or an image cannot be read; the message names the line.
        Otherwise as :func:`~thresher.model.datasets.read_dataset`.
    """
    task, shape, reader = as_task(task), model.config, model.images
    assert reader is not None
    if task.kind is not Kind.CLASSES or len(shape.labels) < 2:
        raise InputError(f"task {task.name} needs texts, or a model that classifies images: use --task classification")
    check_fits(config, shape.head_dim, score_bias=shape.has_score_bias)
    if shape.max_length > config.max_length:
        raise InputError(
            f"an image has {shape.max_length} tokens, but this hardware takes at most {config.max_length}: "
            "choose a larger preset"
        )
    task = replace(task, columns=(COLUMNS, *task.columns), headless=())
    dataset = read_dataset(data, task, limit, classes=len(shape.labels), labels=shape.labels)
    if dataset.has_pairs:
        raise InputError(f"{str(data)!r} has two texts a line: give it the columns {', '.join(COLUMNS.names)}")
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
