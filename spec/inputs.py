"""Files that users give: text and JSON."""

import json
from pathlib import Path
from typing import TypeVar

from .errors import InputError

__all__ = ["LONGEST_NAME", "read_json", "read_text"]

LONGEST_NAME = 200
"""Characters in the name of a file that another file names. Systems fail at names of more than 255."""

Kind = TypeVar("Kind", dict, list)

NAMES = {dict: "object", list: "list"}


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises
    ------
    InputError
        The file cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{str(path)!r} is not UTF-8 text: convert it") from None


def read_json(path: Path, kind: type[Kind]) -> Kind:
    """A JSON file of this kind (``dict`` or ``list``). A byte order mark is allowed, and so is UTF-16.

    Raises
    ------
    InputError
        The file cannot be read, or holds no JSON of this kind.
    """
    try:
        found = json.loads(path.read_bytes())  # of bytes, Python finds the encoding
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, kind):
        raise InputError(f"{str(path)!r} is not a JSON {NAMES[kind]}: fetch it again")
    return found
