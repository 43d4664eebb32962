"""Configurations from the options of the command line."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..spec import (
    COPROCESSOR_PRESETS,
    POLICIES,
    PRESETS,
    SPMM_PRESETS,
    VECTOR_PRESETS,
    AttentionConfig,
    ConfigError,
    CoprocessorConfig,
    InputError,
    SpmmConfig,
    VectorConfig,
    WeightFormat,
    coprocessor_preset,
    preset,
    spmm_preset,
    vector_preset,
)
from ..spec.base import distinct_members
from ..spec.on_chip_config import DEFAULT_MEMORY_KIB, OnChipConfig
from .options import RangeMethodName

if TYPE_CHECKING:
    from ..hdl.link.linked_core import LinkedUnit
    from ..model.pruning.patterns import Sparsity
    from ..model.ranges import Method
    from ..runtime.coprocessor import WholeEncoder

__all__ = [
    "AnyConfig",
    "any_configuration",
    "configuration",
    "coprocessor_configuration",
    "linked_configuration",
    "preset_list",
    "ranges",
    "spmm_configuration",
    "unit_configuration",
    "whole_encoder",
]

DEFAULT_POLICY = "thresher"

Config = TypeVar("Config", AttentionConfig, SpmmConfig, VectorConfig, CoprocessorConfig)
AnyConfig = AttentionConfig | SpmmConfig | VectorConfig | CoprocessorConfig


def configuration(name: str, policy: str, file: Path | None = None) -> AttentionConfig:
    """A preset under a policy. The fields of a JSON file replace its own.

    Raises
    ------
    InputError
        The file cannot be read, is not a JSON object, or has an unknown or illegal field. The message names the file.
    """
    return _changed(preset(name, policy=policy), file)


def spmm_configuration(name: str, file: Path | None = None) -> SpmmConfig:
    """An SpMM preset. The fields of a JSON file replace its own; raises as :func:`configuration`."""
    return _changed(spmm_preset(name), file)


def coprocessor_configuration(
    name: str, policy: str, file: Path | None = None, *, cores: int | None = None
) -> CoprocessorConfig:
    """A co-processor's preset under a policy. The fields of a JSON file, and ``cores``, replace its own; raises as
    :func:`configuration`."""
    config = _changed(coprocessor_preset(name, policy=policy), file)
    return config if cores is None else dataclasses.replace(config, cores=cores)


def whole_encoder(
    config: CoprocessorConfig,
    *,
    weights: Path | None,
    weight_format: WeightFormat,
    weight_sparsity: "Sparsity | None",
    weight_method: str | None = None,
    weight_bits: int = 8,
    method: RangeMethodName | None = None,
    percentile: float | None = None,
    per_tensor: bool = False,
    host_embeddings: bool = False,
) -> "WholeEncoder":
    """How an encoder is put into integers.

    Raises
    ------
    ConfigError
        The options contradict each other, or weights cannot have so many bits.
    """
    from ..model.pruning.method import DEFAULT_METHOD, check_method
    from ..runtime.coprocessor import WholeEncoder

    if weights is not None and (weight_format is not WeightFormat.DENSE or weight_sparsity is not None):
        raise ConfigError("weights", str(weights), "do not give it with --format or --weight-sparsity")
    if weight_method is not None and weight_format is WeightFormat.DENSE:
        raise ConfigError("weight_method", str(weight_method), "name the pattern with --format, such as csr")
    if weight_sparsity is not None and weight_format is WeightFormat.DENSE:
        raise ConfigError("weight_sparsity", weight_sparsity, "name the pattern with --format, such as csr")
    range_method, percentile = ranges(method, percentile, default="min-max")
    return WholeEncoder(
        config=config,
        weight_format=weight_format,
        weight_sparsity=weight_sparsity,
        weight_method=check_method("weight_method", DEFAULT_METHOD if weight_method is None else str(weight_method)),
        packed=weights,
        per_channel=not per_tensor,
        range_method=range_method,
        percentile=percentile,
        weight_bits=weight_bits,
        host_embeddings=host_embeddings,
    )


def ranges(method: RangeMethodName | None, percentile: float | None, *, default: "Method") -> tuple["Method", float]:
    """How calibration finds ranges: method and percentile.

    Raises
    ------
    ConfigError
        There is no such method, the percentile is not allowed, or the method takes none.
    """
    from ..model.ranges import DEFAULT_PERCENTILE, check_ranges

    chosen: Method = default if method is None else method.value
    if percentile is not None and chosen != "percentile":
        raise ConfigError("percentile", percentile, "give it with --method percentile")
    found = DEFAULT_PERCENTILE if percentile is None else percentile
    check_ranges(chosen, found)
    return chosen, found


def unit_configuration(
    preset_name: str, *, spmm: bool, policy: str | None = None, file: Path | None = None
) -> AttentionConfig | SpmmConfig:
    """The configuration of attention core or SpMM engine; raises as :func:`any_configuration`."""
    config = any_configuration(preset_name, unit="spmm" if spmm else "attention", policy=policy, file=file)
    assert isinstance(config, AttentionConfig | SpmmConfig)
    return config


def any_configuration(
    preset_name: str, *, unit: str, policy: str | None = None, file: Path | None = None, cores: int | None = None
) -> AnyConfig:
    """The configuration of a unit, "attention", "spmm", "vector" or "coprocessor".

    Raises
    ------
    InputError
        As :func:`configuration`.
    ConfigError
        SpMM engine or vector unit have a policy, or another unit than the co-processor has attention cores.
    """
    if cores is not None and unit != "coprocessor":
        raise ConfigError("cores", cores, "give it with --unit coprocessor")
    if unit == "attention":
        return configuration(preset_name, policy or DEFAULT_POLICY, file)
    if unit == "coprocessor":
        return coprocessor_configuration(preset_name, policy or DEFAULT_POLICY, file, cores=cores)
    if policy is not None:
        name = {"spmm": "SpMM engine", "vector": "vector unit"}[unit]
        raise ConfigError("policy", str(policy), f"only attention has policies, leave it out for the {name}")
    return spmm_configuration(preset_name, file) if unit == "spmm" else _changed(vector_preset(preset_name), file)


def linked_configuration(config: AnyConfig, memory_kib: int | None) -> "LinkedUnit":
    """The configuration of what a board holds: a co-processor has a memory.

    Raises
    ------
    ConfigError
        The size is illegal, there is a size without a co-processor, or boards do not hold this unit.
    """
    if isinstance(config, CoprocessorConfig):
        return OnChipConfig(coprocessor=config, memory_kib=DEFAULT_MEMORY_KIB if memory_kib is None else memory_kib)
    if memory_kib is not None:
        raise ConfigError("memory", memory_kib, "only the co-processor has one, give --unit coprocessor")
    if isinstance(config, VectorConfig):
        raise ConfigError("unit", "vector", "boards hold attention, spmm or coprocessor")
    return config


def _changed(config: Config, file: Path | None) -> Config:
    if file is None:
        return config
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"cannot read {str(file)!r} ({reason}): give a JSON file") from None
    try:
        changes = json.loads(text, object_pairs_hook=distinct_members)
    except ConfigError as error:
        raise InputError(f"{str(file)!r}: {error}") from None
    except (ValueError, RecursionError):
        changes = None
    if isinstance(changes, dict):
        fields = json.loads(config.to_json())
        for name, value in changes.items():
            # The fields of a unit of a co-processor replace that unit's own.
            both = isinstance(value, dict) and isinstance(fields.get(name), dict)
            fields[name] = fields[name] | value if both else value
        text = json.dumps(fields)
    try:
        return type(config).from_json(text)
    except ConfigError as error:  # it names a field of the file, not an option
        raise InputError(f"{str(file)!r}: {error}") from None


def preset_list() -> dict[str, Any]:
    """Presets of all units with their configurations, and the policies, as plain dictionaries."""

    def entries(presets: Mapping[str, AnyConfig]) -> dict[str, Any]:
        return {
            name: {"multipliers": config.multipliers, "configuration": json.loads(config.to_json())}
            for name, config in presets.items()
        }

    return {
        "presets": entries(PRESETS),
        "spmm_presets": entries(SPMM_PRESETS),
        "vector_presets": entries(VECTOR_PRESETS),
        "coprocessor_presets": entries(COPROCESSOR_PRESETS),
        "policies": {name: {field: str(value) for field, value in rules.items()} for name, rules in POLICIES.items()},
    }
