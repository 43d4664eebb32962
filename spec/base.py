"""What every configuration can do: check its fields, and travel as JSON."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self, TypeVar

from .errors import CommandValueError, ConfigError

__all__ = [
    "Configuration",
    "check_encodable",
    "check_enum",
    "check_flag",
    "check_one_of",
    "check_range",
    "powers_of_two",
]

Kind = TypeVar("Kind", bound=StrEnum)


def powers_of_two(low: int, high: int) -> tuple[int, ...]:
    """Powers of two from ``low`` to ``high``, both included; ``low`` is one."""
    return tuple(low << i for i in range((high // low).bit_length()))


def check_one_of(field: str, value: Any, allowed: tuple[int, ...]) -> None:
    """Refuse an integer that is not among the allowed ones."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise ConfigError(field, value, "must be one of " + ", ".join(map(str, allowed)))


def check_flag(field: str, value: Any) -> None:
    """Refuse what is neither ``True`` nor ``False``."""
    if not isinstance(value, bool):
        raise ConfigError(field, value, "must be true or false")


def check_range(field: str, value: Any, low: int, high: int) -> None:
    """Refuse what is no integer from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(field, value, f"must be an integer from {low} to {high}")


def check_enum(field: str, value: Any, kind: type[Kind]) -> Kind:
    """The member of ``kind`` that a value, or its plain string, stands for."""
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(field, value, "must be one of " + ", ".join(kind)) from None


def check_encodable(command: object, widths: Mapping[str, tuple[int, bool]]) -> None:
    """Refuse a command with a field that is no integer or does not fit its bits and signedness.

    Raises
    ------
    CommandValueError
        Names the field, its value and its range.
    """
    for name, (bits, signed) in widths.items():
        value = getattr(command, name)
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CommandValueError(name, value, f"must be an integer from {low} to {high}")


class Configuration:
    """Base of the frozen dataclasses that hardware is generated from."""

    def to_json(self) -> str:
        """Text that :meth:`from_json` turns back into an equal configuration."""
        assert dataclasses.is_dataclass(self)
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a configuration. Unknown and missing fields are errors.

        Raises
        ------
        ConfigError
            The text is not a JSON object, or a field is unknown, missing or illegal.
        """
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError("configuration", f"line {error.lineno}", f"must be JSON ({error.msg})") from None
        except (ValueError, RecursionError):  # numbers and nesting without end
            raise ConfigError("configuration", "text", "must be JSON of small numbers and no depth") from None
        if not isinstance(fields, dict):
            raise ConfigError("configuration", type(fields).__name__, "must be a JSON object of fields")
        assert dataclasses.is_dataclass(cls)
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in fields.items():
            if name not in known:
                raise ConfigError(name, value, "must be a known field: " + ", ".join(known))
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in fields:
                raise ConfigError(name, None, "must be given")
        return cls(**fields)

    def hash(self) -> str:
        """Hexadecimal SHA-256 of the configuration's content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
