"""WHAT the hardware is: number formats, configurations, presets, commands. Standard library only."""

from .command import CommandError, HeadCommand, head_command
from .config import AttentionConfig, Fill, HeadRule, Importance, Normalise, Score, Split
from .errors import CommandValueError, ConfigError, InputError, ThresherError
from .presets import POLICIES, PRESETS, preset

__all__ = [
    "POLICIES",
    "PRESETS",
    "AttentionConfig",
    "CommandError",
    "CommandValueError",
    "ConfigError",
    "Fill",
    "HeadCommand",
    "HeadRule",
    "Importance",
    "InputError",
    "Normalise",
    "Score",
    "Split",
    "ThresherError",
    "head_command",
    "preset",
]
