"""Scores of heads with one output, such as regressions and rerankers."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ..spec.errors import ConfigError
from ..spec.inputs import read_json

__all__ = ["ScoreActivation", "activate", "read_activation"]

ScoreActivation = Literal["sigmoid", "identity"]
"""What makes a score of the output."""

NAMES: dict[str, ScoreActivation] = {"Sigmoid": "sigmoid", "Identity": "identity"}
"""By the names of PyTorch's classes."""


def activate(outputs: NDArray[np.float64], activation: ScoreActivation) -> NDArray[np.float64]:
    """Scores of outputs."""
    return expit(outputs) if activation == "sigmoid" else outputs


def read_activation(root: Path, folder: Path) -> ScoreActivation:
    """The activation that a model's files name.

    Where they are silent, it is the identity for the problem type ``regression`` and the sigmoid for others, as in the
    pipelines of the library transformers.

    Parameters
    ----------
    root, folder : Path
        Folders of ``config_sentence_transformers.json`` and of ``config.json``.

    Raises
    ------
    ConfigError
        It is another activation; the message names it.
    """
    beside = root / "config_sentence_transformers.json"
    config = read_json(folder / "config.json", dict)
    found = _named(read_json(beside, dict) if beside.is_file() else {}, "activation_fn")
    found = found or _named(config.get("sentence_transformers") or {}, "activation_fn")
    found = found or _named(config, "sbert_ce_default_activation_function")
    return found or ("identity" if config.get("problem_type") == "regression" else "sigmoid")


def _named(found: Any, name: str) -> ScoreActivation | None:
    value = found.get(name) if isinstance(found, dict) else None
    if value is None:
        return None
    package, _, activation = value.rpartition(".") if isinstance(value, str) else ("", "", "")
    if package.split(".")[0] != "torch" or activation not in NAMES:
        raise ConfigError(name, value, "supported are PyTorch's " + ", ".join(NAMES))
    return NAMES[activation]
