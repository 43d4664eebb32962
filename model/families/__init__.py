"""Families of transformers: how each writes its sizes, and how it names its tensors. One file per family."""

from pathlib import Path

from ...spec.errors import ConfigError
from ...spec.inputs import read_json
from ..config import EncoderConfig
from .bert import BERT
from .distilbert import DISTILBERT
from .electra import ELECTRA
from .gpt2 import GPT2
from .mpnet import MPNET
from .roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from .vit import DEIT, VIT

__all__ = ["FAMILIES", "read_config"]

FAMILIES = {
    family.model_type: family
    for family in (BERT, DISTILBERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, ELECTRA, MPNET, GPT2, VIT, DEIT)
}


def read_config(path: Path) -> EncoderConfig:
    """Read a Hugging Face ``config.json``.

    Raises
    ------
    InputError
        The file is not a JSON object.
    ConfigError
        A parameter is missing or says something unsupported; the message names it and what is supported.
    """
    found = read_json(path, dict)
    quantised = found.get("quantization_config")
    if quantised is not None:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise ConfigError("quantization_config", method, "choose the model that is not quantised")
    model_type = found.get("model_type")
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise ConfigError("model_type", model_type, "supported is " + ", ".join(map(repr, FAMILIES)))
    return family.config(found)
