"""What the user names on the command line, turned into configurations."""

import json
from pathlib import Path
from typing import Any

from ..spec import POLICIES, PRESETS, AttentionConfig, InputError, preset

__all__ = ["configuration", "preset_list"]


def configuration(name: str, policy: str, file: Path | None = None) -> AttentionConfig:
    """A preset under a policy, with the fields of a JSON file in place of its own.

    Raises
    ------
    InputError
        The file cannot be read.
    ConfigError
        It is no JSON object, or a field is unknown or illegal.
    """
    config = preset(name, policy=policy)
    if file is None:
        return config
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"cannot read {str(file)!r} ({reason}): give a JSON file") from None
    try:
        changes = json.loads(text)
    except (ValueError, RecursionError):
        changes = None
    if not isinstance(changes, dict):
        return AttentionConfig.from_json(text)  # which says what is wrong with it
    return AttentionConfig.from_json(json.dumps(json.loads(config.to_json()) | changes))


def preset_list() -> dict[str, Any]:
    """Presets with their configurations, and policies, as plain dictionaries."""
    return {
        "presets": {
            name: {"multipliers": config.multipliers, "configuration": json.loads(config.to_json())}
            for name, config in PRESETS.items()
        },
        "policies": {name: {field: str(value) for field, value in rules.items()} for name, rules in POLICIES.items()},
    }
