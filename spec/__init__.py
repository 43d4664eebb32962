"""WHAT the hardware is: number formats, configurations, presets, commands. Standard library only."""

from .attention_command import CommandError, HeadCommand, head_command
from .attention_config import AttentionConfig, Fill, HeadRule, Importance, Normalise, Score, Split
from .errors import CommandValueError, ConfigError, InputError, ThresherError
from .heads import Head, HeadStatistics
from .presets import POLICIES, PRESETS, SPMM_PRESETS, preset, spmm_preset
from .spmm_command import Activation, SpmmCommand, SpmmError, row_scaling
from .spmm_config import SpmmConfig, WeightFormat

__all__ = [
    "POLICIES",
    "PRESETS",
    "SPMM_PRESETS",
    "Activation",
    "AttentionConfig",
    "CommandError",
    "CommandValueError",
    "ConfigError",
    "Fill",
    "Head",
    "HeadCommand",
    "HeadRule",
    "HeadStatistics",
    "Importance",
    "InputError",
    "Normalise",
    "Score",
    "Split",
    "SpmmCommand",
    "SpmmConfig",
    "SpmmError",
    "ThresherError",
    "WeightFormat",
    "head_command",
    "preset",
    "row_scaling",
    "spmm_preset",
]
