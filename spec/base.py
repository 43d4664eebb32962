"""Base class of configurations: JSON in and out, a hash, and checks of fields."""

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
    "digest",
    "look_up",
    "powers_of_two",
]

Kind = TypeVar("Kind", bound=StrEnum)
Item = TypeVar("Item")


def digest(*parts: str) -> str:
    """SHA-256 of a sequence of texts, in hexadecimal."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part.encode()).digest())
    return whole.hexdigest()


def powers_of_two(low: int, high: int) -> tuple[int, ...]:
    """Powers of two from ``low``, which must be one, up to and including ``high``."""
    return tuple(low << i for i in range((high // low).bit_length()))


def check_one_of(field: str, value: Any, allowed: tuple[int, ...]) -> None:
    """Raise :class:`ConfigError` unless ``value`` is one of the allowed integers."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise ConfigError(field, value, "must be one of " + ", ".join(map(str, allowed)))


def check_flag(field: str, value: Any) -> None:
    """Raise :class:`ConfigError` unless ``value`` is ``True`` or ``False``."""
    if not isinstance(value, bool):
        raise ConfigError(field, value, "must be true or false")


def check_range(field: str, value: Any, low: int, high: int) -> None:
    """Raise :class:`ConfigError` unless ``value`` is an integer from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(field, value, f"must be an integer from {low} to {high}")


def check_enum(field: str, value: Any, kind: type[Kind]) -> Kind:
    """Convert a member of ``kind``, or its string, to the member. Raise :class:`ConfigError` for other values."""
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(field, value, "must be one of " + ", ".join(kind)) from None


def look_up(field: str, name: str, items: Mapping[str, Item]) -> Item:
    """The named item. Raise :class:`ConfigError` for an unknown name."""
    if name not in items:
        raise ConfigError(field, name, "must be one of " + ", ".join(items))
    return items[name]


def check_encodable(command: object, widths: Mapping[str, tuple[int, bool]]) -> None:
    """Check that each field of a command is an integer that fits its bits.

    Parameters
    ----------
    command : object
        Has one attribute for each name in ``widths``.
    widths : dict of (bits, signed)

    Raises
    ------
    CommandValueError
        A field does not fit. The message names the field, its value and its range.
    """
    for name, (bits, signed) in widths.items():
        value = getattr(command, name)
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CommandValueError(name, value, f"must be an integer from {low} to {high}")


def distinct_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of a JSON object. Raise :class:`ConfigError` if a name occurs twice."""
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ConfigError(name, value, "occurs twice: give one of them")
        members[name] = value
    return members


class Configuration:
    """Base class of the frozen dataclasses that describe hardware."""

    def to_json(self) -> str:
        """Write the configuration as JSON. :meth:`from_json` reads it back."""
        assert dataclasses.is_dataclass(self)
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a configuration from JSON.

        Raises
        ------
        ConfigError
            The text is not a JSON object, or a field is unknown, missing or illegal.
        """
        try:
            fields = json.loads(text, object_pairs_hook=distinct_members)
        except ConfigError:
            raise
        except json.JSONDecodeError as error:
            message = f"must be JSON ({error.msg} in line {error.lineno})"
            raise ConfigError("configuration", text[:40], message) from None
        except (ValueError, RecursionError):  # a number with too many digits, or nesting that is too deep
            raise ConfigError("configuration", text[:40], "must be JSON without huge numbers or deep nesting") from None
        if not isinstance(fields, dict):
            raise ConfigError("configuration", type(fields).__name__, "must be a JSON object of fields")
        return cls.from_fields(fields)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Make a configuration of named fields.

        Raises
        ------
        ConfigError
            A field is unknown, missing or illegal.
        """
        assert dataclasses.is_dataclass(cls)
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in fields.items():
            if name not in known:
                raise ConfigError(name, value, "the known fields are " + ", ".join(known))
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in fields:
                raise ConfigError(name, None, "must be given")
        return cls(**fields)

    def hash(self) -> str:
        """SHA-256 of the configuration's JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
