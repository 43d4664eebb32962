"""Sentence embeddings from hidden states, as the library sentence-transformers computes them: pooling over the tokens,
dense layers, unit length."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from ..spec.errors import ConfigError, InputError
from ..spec.inputs import read_json
from .activations import gelu, relu, silu
from .modules import Module, read_modules, transformer_settings
from .weights import Float32, read_weights, weights_file

__all__ = ["Step", "pools_sums", "read_prompt", "read_steps", "run_steps"]

Step = Callable[[Float32], Float32]
"""The first step takes (batch, length, hidden) to (batch, hidden), the others (batch, inputs) to (batch, outputs)."""

POOLING: dict[str, Step] = {
    "mean": lambda states: states.mean(axis=1),
    "cls": lambda states: states[:, 0],
}
"""Ways to make one vector of a text's tokens. Texts are not padded, so every token counts."""

ACTIVATIONS: dict[str, Step] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": relu,
    "GELU": gelu,
    "Sigmoid": expit,
    "SiLU": silu,
}
"""Activations of dense layers, by the names of PyTorch's classes."""

SENTENCE = "sentence_embedding"


def pools_sums(steps: tuple[Step, ...]) -> bool:
    """Whether embeddings need only the sums over the tokens of a text, not its first token."""
    return steps[0] is POOLING["mean"]


def run_steps(steps: tuple[Step, ...], states: Float32) -> Float32:
    """(batch, length, hidden) hidden states to (batch, outputs) embeddings."""
    for step in steps:
        states = step(states)
    return states


def read_steps(root: Path, hidden: int) -> tuple[Step, ...]:
    """The steps after a model's transformer.

    Without a ``modules.json``, pooling is that of ``1_Pooling`` or else the mean, and embeddings have unit length.

    Parameters
    ----------
    root : Path
        Folder of ``modules.json``.
    hidden : int
        Values per token.

    Raises
    ------
    ConfigError
        A part of the model, or a parameter of a part, is not supported. The message names it.
    InputError
        A file is missing or damaged.
    """
    modules = read_modules(root)
    if not modules:
        pooling = root / "1_Pooling" / "config.json"
        return (_pooling(root, pooling, hidden) if pooling.is_file() else POOLING["mean"]), _normalise
    _check_transformer(modules[0])
    if [module.kind for module in modules[:2]] != ["Transformer", "Pooling"]:
        raise ConfigError("modules.json", ", ".join(m.kind for m in modules), "supported is Pooling after Transformer")
    steps, width = [_pooling(root, modules[1].folder / "config.json", hidden)], hidden
    for module in modules[2:]:
        if module.kind == "Dense":
            dense = _dense(module, width)
            steps.append(dense)
            width = len(dense.weight)
        elif module.kind == "Normalize":
            _check_normalise(module)
            steps.append(_normalise)
        else:
            raise ConfigError("modules.json", module.kind, "supported after Pooling are Dense, Normalize")
    return tuple(steps)


def read_prompt(root: Path) -> str:
    """What stands before every text by default, from ``config_sentence_transformers.json``; mostly nothing.

    Raises
    ------
    InputError
        The file is not a JSON object.
    ConfigError
        It names a prompt that it lacks, or one that is not valid Unicode.
    """
    file = root / "config_sentence_transformers.json"
    found = read_json(file, dict) if file.is_file() else {}
    name, prompts = found.get("default_prompt_name"), found.get("prompts") or {}
    if name is None:
        return ""
    if not isinstance(prompts, dict) or not isinstance(name, str) or not isinstance(prompts.get(name), str):
        raise ConfigError("default_prompt_name", name, "must be one of the prompts of the same file")
    try:
        prompts[name].encode()
    except UnicodeEncodeError:
        raise ConfigError("prompts", prompts[name], "must be valid Unicode, without lone surrogates") from None
    return prompts[name]


def _normalise(x: Float32) -> Float32:
    """Vectors of unit length along the last axis; zeros stay."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), np.float32(1e-12))


def _check_transformer(module: Module) -> None:
    found = transformer_settings(module.folder)
    _expect(found, "transformer_task", "feature-extraction")
    _expect(found, "module_output_name", "token_embeddings")


def _expect(found: dict[str, Any], name: str, *supported: object) -> None:
    """Check a parameter that may be missing. The first value is what a missing one means."""
    value = found.get(name, supported[0])
    if value not in supported:
        raise ConfigError(name, value, "supported is " + " or ".join(map(repr, supported)))


# -- pooling -----------------------------------------------------------------------------------

OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Switches that older files have in place of ``pooling_mode``, and its values."""


def _pooling(root: Path, path: Path, hidden: int) -> Step:
    found = read_json(path, dict)
    if found.get("include_prompt", True) is not True and read_prompt(root):
        fault = f"supported in {path.parent.name}/{path.name} is true if there is a default_prompt_name, remove one"
        raise ConfigError("include_prompt", found["include_prompt"], fault)
    for name in ("embedding_dimension", "word_embedding_dimension"):
        _expect(found, name, hidden)
    modes = found.get("pooling_mode")
    if modes is None:
        modes = [mode for switch, mode in OLD_MODES.items() if found.get(switch)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or len(modes) != 1 or modes[0] not in list(POOLING):
        named = isinstance(modes, list) and all(isinstance(each, str) for each in modes)
        told = ", ".join(modes) if named else modes
        raise ConfigError("pooling_mode", told, "supported is one of " + ", ".join(POOLING))
    return POOLING[modes[0]]


# -- dense layers ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Dense:
    weight: Float32
    bias: Float32 | None
    activation: Step

    def __call__(self, x: Float32) -> Float32:
        y = x @ self.weight.T
        return self.activation(y if self.bias is None else y + self.bias)


def _dense(module: Module, inputs: int) -> _Dense:
    found = read_json(module.folder / "config.json", dict)
    _expect(found, "in_features", inputs)
    _expect(found, "bias", True, False)
    _expect(found, "module_input_name", SENTENCE)
    _expect(found, "module_output_name", SENTENCE, None)
    _expect(found, "use_residual", False)
    outputs = found.get("out_features")
    if isinstance(outputs, bool) or not isinstance(outputs, int) or outputs < 1:
        raise ConfigError("out_features", outputs, f"{module.path}/config.json must give a positive integer")
    named = found.get("activation_function", "torch.nn.modules.activation.Tanh")
    package, _, activation = named.rpartition(".") if isinstance(named, str) else ("", "", "")
    if package.split(".")[0] != "torch" or activation not in ACTIVATIONS:
        raise ConfigError("activation_function", named, "supported are PyTorch's " + ", ".join(ACTIVATIONS))
    if weights_file(module.folder) is None:
        raise InputError(
            f"{module.path} lacks model.safetensors, and pickled weights are never read: convert them to it"
        )
    linear = read_weights(module.folder).below("linear.")
    return _Dense(
        linear.take("weight", outputs, inputs),
        linear.take("bias", outputs) if found.get("bias", True) else None,
        ACTIVATIONS[activation],
    )


def _check_normalise(module: Module) -> None:
    path = module.folder / "config.json"
    found = read_json(path, dict) if path.is_file() else {}  # older versions write no file
    _expect(found, "module_input_name", SENTENCE)
    _expect(found, "module_output_name", SENTENCE, None)
