"""A family of transformers, and what the families have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...spec.errors import ConfigError
from ..activations import ACTIVATIONS
from ..config import EncoderConfig, HeadLayout, ImageSizes, Layout

__all__ = ["Family"]

MOST_LABELS = 10_000
CHANNELS = 3
DISTILLED = "WithTeacher"

_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)

_SUPPORTED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    # parameter: (its value where config.json is silent, what is supported)
    "position_embedding_type": ("absolute", ("absolute",)),
    "hidden_act": ("gelu", tuple(ACTIVATIONS)),
    "is_decoder": (False, (False,)),
    "add_cross_attention": (False, (False,)),
    "problem_type": (None, (None, "single_label_classification", "regression")),
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
    classifier : str or None
        The architecture with a classification head, if one is supported.
    keys : mapping of str to str
        Names of parameters in ``config.json`` that are not those of BERT.
    fixed : mapping of str to value
        Parameters that ``config.json`` does not decide.
    defaults : mapping of str to value
        Parameters where ``config.json`` is silent and that are not those of BERT.
    widening : int or None
        Intermediate size over hidden size, where ``config.json`` is silent.
    causal : bool
        A token sees itself and those before it.
    supported : mapping of str to (default, values)
        Parameters of this family that have few supported values.
    tokenizer_class : str
        The class in transformers where no file names one.
    distilled : HeadLayout or None
        Head of the architecture whose name has ``WithTeacher`` at its end, if there is one.
    padded : bool
        Whether positions begin after the id of the padding token.
    layout : Layout
    """

    model_type: str
    encoders: tuple[str, ...]
    classifier: str | None = None
    causal: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    widening: int | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    supported: Mapping[str, tuple[Any, tuple[Any, ...]]] = field(default_factory=dict)
    tokenizer_class: str
    distilled: HeadLayout | None = None
    padded: bool = False
    layout: Layout

    def config(self, found: Mapping[str, Any]) -> EncoderConfig:
        """Sizes from the parameters of a ``config.json``.

        Raises
        ------
        ConfigError
            A parameter is missing or says something unsupported; the message names it and what is supported.
        """
        self._check_supported(found)
        image, layout = None, self.layout
        if layout.image is not None:
            image = self._image(found)
            tokens = (image.image // image.patch) ** 2 + len(layout.image.tokens)
            found = {**found, "max_position_embeddings": tokens}
        if self._is_distilled(found):
            layout = replace(layout, head=self.distilled)
        if self.widening is not None and found.get(self._key("intermediate_size")) is None:
            wide = self.widening * self._integer(found, "hidden_size")
            found = {**found, self._key("intermediate_size"): wide}
        sizes = {name: self._integer(found, name) for name in _SIZES}
        if sizes["hidden_size"] % sizes["num_attention_heads"]:
            raise ConfigError(
                self._key("num_attention_heads"),
                sizes["num_attention_heads"],
                f"must divide {self._key('hidden_size')}={sizes['hidden_size']}",
            )
        eps = self._value(found, "layer_norm_eps", 1e-12)
        if not isinstance(eps, float | int) or not 0 < eps < 1:
            raise ConfigError(self._key("layer_norm_eps"), eps, "must be a number between 0 and 1")
        padding = self._integer(found, "pad_token_id", default=1, smallest=0) if self.padded else None
        if padding is not None and sizes["max_position_embeddings"] < padding + 2:
            raise ConfigError(
                "max_position_embeddings", sizes["max_position_embeddings"], f"must be at least {padding + 2}"
            )
        return EncoderConfig(
            **sizes,
            embedding_size=self._integer(found, "embedding_size") if self.layout.projection else sizes["hidden_size"],
            type_vocab_size=self._integer(found, "type_vocab_size") if self.layout.types else 0,
            padding=padding,
            activation=self._value(found, "hidden_act", "gelu"),
            layer_norm_eps=float(eps),
            tokenizer_class=self._tokenizer_class(found),
            labels=self._labels(found),
            layout=layout,
            causal=self.causal,
            image=image,
        )

    def _image(self, found: Mapping[str, Any]) -> ImageSizes:
        defaults = {"image_size": 224, "patch_size": 16, "num_channels": 3}
        image, patch, channels = (self._integer(found, name, default) for name, default in defaults.items())
        if image % patch:
            raise ConfigError("patch_size", patch, f"must divide image_size={image}")
        if channels != CHANNELS:
            raise ConfigError("num_channels", channels, f"supported is {CHANNELS}")
        return ImageSizes(image=image, patch=patch, channels=channels)

    def _is_distilled(self, found: Mapping[str, Any]) -> bool:
        first = (found.get("architectures") or [None])[0]
        return self.distilled is not None and first == f"{self.classifier}{DISTILLED}"

    def _key(self, name: str) -> str:
        return self.keys.get(name, name)

    def _value(self, found: Mapping[str, Any], name: str, default: Any = None) -> Any:
        if name in self.fixed:
            return self.fixed[name]
        return found.get(self._key(name), self.defaults.get(name, default))

    def _integer(self, found: Mapping[str, Any], name: str, default: int | None = None, smallest: int = 1) -> int:
        value = self._value(found, name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            kind = "a positive integer" if smallest == 1 else f"an integer of at least {smallest}"
            raise ConfigError(self._key(name), value, f"config.json must give {kind}")
        return value

    def _tokenizer_class(self, found: Mapping[str, Any]) -> str:
        name = found.get("tokenizer_class") or self.tokenizer_class
        if not isinstance(name, str):
            raise ConfigError("tokenizer_class", name, "must be the name of a class")
        return name

    def _check_supported(self, found: Mapping[str, Any]) -> None:
        for name, (default, supported) in (_SUPPORTED | dict(self.supported)).items():
            value = self._value(found, name, default)
            if value not in supported:
                known = ", ".join(repr(s) for s in supported if s is not None)
                raise ConfigError(self._key(name), value, f"supported is {known}")
        architectures = found.get("architectures") or [self.encoders[0]]
        known = [name for name in (*self.encoders, self.classifier) if name is not None]
        known += [f"{self.classifier}{DISTILLED}"] * (self.distilled is not None)
        if not isinstance(architectures, list) or architectures[0] not in known:
            raise ConfigError("architectures", architectures, "supported are " + ", ".join(known))

    def _labels(self, found: Mapping[str, Any]) -> tuple[str, ...]:
        architectures = found.get("architectures") or self.encoders
        if self.classifier is None or not (architectures[0] == self.classifier or self._is_distilled(found)):
            return ()
        names = found.get("id2label")
        if not names:
            count = found.get("num_labels", 2)
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_LABELS:
                raise ConfigError("num_labels", count, f"must be an integer from 1 to {MOST_LABELS}")
            names = {str(i): f"LABEL_{i}" for i in range(count)}
        if not isinstance(names, dict) or sorted(names) != sorted(map(str, range(len(names)))):
            raise ConfigError("id2label", names, "must name the classes 0, 1, …")
        if not all(isinstance(name, str) for name in names.values()):
            raise ConfigError("id2label", names, "must give every class a name")
        if found.get("problem_type") == "regression" and len(names) > 1:
            raise ConfigError("problem_type", "regression", f"must have one label, not {len(names)}")
        return tuple(names[str(i)] for i in range(len(names)))
