"""Families of encoders: how each writes its sizes, and how it names its tensors. One file per family."""

import json
from pathlib import Path

from ...spec.errors import ConfigError, InputError
from ..config import EncoderConfig
from .bert import BERT
from .distilbert import DISTILBERT
from .electra import ELECTRA
from .mpnet import MPNET
from .roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA

__all__ = ["FAMILIES", "read_config"]

FAMILIES = {family.model_type: family for family in (BERT, DISTILBERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, ELECTRA, MPNET)}


def read_config(path: Path) -> EncoderConfig:
    """Read a Hugging Face ``config.json``.

    Raises
    ------
    InputError
        The file is not a JSON object.
    ConfigError
        A parameter is missing or says something unsupported; the message names it and what is supported.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{str(path)!r} is not a JSON object: fetch it again")
    model_type = found.get("model_type")
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise ConfigError("model_type", model_type, "supported is " + ", ".join(map(repr, FAMILIES)))
    return family.config(found)
