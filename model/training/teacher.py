"""Outputs of a teacher for many texts, which are computed once and kept."""

import hashlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save

from ...spec.cache import cache_folder
from ...spec.errors import InputError
from ...spec.files import write_whole
from ..load import Model
from ..source import model_digest
from ..tokenizer import Tokens
from ..weights import Float32, decode_arrays
from .data import Examples
from .evaluator import Evaluator
from .forward import run

__all__ = ["teacher_logits"]


def teacher_logits(
    teacher: Model, tokens: list[Tokens], progress: Callable[[int, int], None] = lambda done, total: None
) -> Float32:
    """(texts, labels) outputs of a teacher's head, from the cache if it has them.

    Parameters
    ----------
    teacher : Model
    tokens : list of Tokens
        Of the teacher's tokenizer.
    progress : callable
        Is given the number of texts done and of all.
    """
    path = cache_folder() / "teachers" / f"{_digest(teacher, tokens)}.safetensors"
    try:
        logits = decode_arrays(path.read_bytes())[0]["logits"]
        if logits.dtype == np.float32 and logits.shape == (len(tokens), len(teacher.config.labels)):
            return logits
    except (OSError, InputError, KeyError):  # there is none, or it is damaged
        pass
    examples = Examples(teacher.encoder, tokens, np.zeros(len(tokens), np.int32))
    evaluator = Evaluator(
        examples, lambda parameters, batch: run(teacher.encoder.with_parameters(parameters), batch)[0]
    )
    logits = evaluator.logits(jax.tree.map(jnp.asarray, teacher.encoder.parameters()), progress)
    write_whole({path: save({"logits": logits})})
    return logits


def _digest(teacher: Model, tokens: list[Tokens]) -> str:
    digest = hashlib.sha256(model_digest(teacher.folder).encode())
    for text in tokens:
        digest.update(np.array([len(text), *text.ids, *text.types], np.int64).tobytes())
    return digest.hexdigest()
