"""Reports that are printed as JSON."""

import json
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from ..spec.base import Configuration

__all__ = ["Report"]


class Report:
    """Base of the dataclasses that are printed as JSON.

    Attributes
    ----------
    derived : tuple of str
        Properties that JSON holds beside the fields.
    hidden : tuple of str
        Fields that JSON does not hold.
    """

    derived: ClassVar[tuple[str, ...]] = ()
    hidden: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and text, for JSON."""
        names = (*vars(self), *self.derived)
        return {name: _plain(getattr(self, name)) for name in names if name not in self.hidden}


def _plain(value: Any) -> Any:
    match value:
        case Report():
            return value.to_dict()
        case Configuration():
            return json.loads(value.to_json())
        case dict():
            return {name: _plain(entry) for name, entry in value.items()}
        case tuple() | list():
            return [_plain(entry) for entry in value]
        case Path() | Enum():
            return str(value)
    return value
