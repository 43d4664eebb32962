"""A family of encoders, and what the families have in common."""

from dataclasses import dataclass
from typing import Any

from ...spec.errors import ConfigError
from ..config import EncoderConfig, Layout

__all__ = ["Family"]

MOST_LABELS = 10_000

_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)

_SUPPORTED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    # parameter: (its value where config.json is silent, what is supported)
    "position_embedding_type": ("absolute", ("absolute",)),
    "hidden_act": ("gelu", ("gelu",)),
    "is_decoder": (False, (False,)),
    "add_cross_attention": (False, (False,)),
    "problem_type": (None, (None, "single_label_classification")),
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models that share a ``config.json`` and tensor names.

    Attributes
    ----------
    model_type : str
        As in ``config.json``.
    encoders : tuple of str
        Supported architectures that are used as encoders. The first is assumed where ``config.json`` names none.
    classifier : str
        The architecture with a classification head.
    layout : Layout
    """

    model_type: str
    encoders: tuple[str, ...]
    classifier: str
    layout: Layout

    def config(self, found: dict[str, Any]) -> EncoderConfig:
        """Sizes from the parameters of a ``config.json``.

        Raises
        ------
        ConfigError
            A parameter is missing or says something unsupported; the message names it and what is supported.
        """
        self._check_supported(found)
        sizes = {name: _positive_int(found, name) for name in _SIZES}
        if sizes["hidden_size"] % sizes["num_attention_heads"]:
            raise ConfigError(
                "num_attention_heads", sizes["num_attention_heads"], f"must divide hidden_size={sizes['hidden_size']}"
            )
        eps = found.get("layer_norm_eps", 1e-12)
        if not isinstance(eps, float | int) or not 0 < eps < 1:
            raise ConfigError("layer_norm_eps", eps, "must be a number between 0 and 1")
        return EncoderConfig(**sizes, layer_norm_eps=float(eps), labels=self._labels(found), layout=self.layout)

    def _check_supported(self, found: dict[str, Any]) -> None:
        for name, (default, supported) in _SUPPORTED.items():
            value = found.get(name, default)
            if value not in supported:
                raise ConfigError(name, value, "supported is " + ", ".join(repr(s) for s in supported if s is not None))
        architectures = found.get("architectures") or [self.encoders[0]]
        known = (*self.encoders, self.classifier)
        if not isinstance(architectures, list) or architectures[0] not in known:
            raise ConfigError("architectures", architectures, "supported are " + ", ".join(known))

    def _labels(self, found: dict[str, Any]) -> tuple[str, ...]:
        if (found.get("architectures") or [None])[0] != self.classifier:
            return ()
        names = found.get("id2label")
        if not names:
            count = found.get("num_labels", 2)
            if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MOST_LABELS:
                raise ConfigError("num_labels", count, f"must be an integer from 2 to {MOST_LABELS}")
            names = {str(i): f"LABEL_{i}" for i in range(count)}
        if not isinstance(names, dict) or sorted(names) != sorted(map(str, range(len(names)))) or len(names) < 2:
            raise ConfigError("id2label", names, "must name two or more classes 0, 1, …")
        if not all(isinstance(name, str) for name in names.values()):
            raise ConfigError("id2label", names, "must give every class a name")
        return tuple(names[str(i)] for i in range(len(names)))


def _positive_int(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(name, value, "config.json must give a positive integer")
    return value
