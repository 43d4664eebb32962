"""Several files as one input: a JSON object with the content of each by its name."""

import json
from pathlib import Path
from typing import Any

from ..trees import json_tree

__all__ = ["unbundle"]


def unbundle(data: bytes, folder: Path, first: str) -> None:
    """Write the files of an input into a folder.

    A text is the content of a file, and any other value is written as JSON. An input that is no bundle is the content
    of the file ``first``.
    """
    try:
        files: Any = json_tree(data)
        contents = {
            name: (content if isinstance(content, str) else json.dumps(content)).encode("utf-8", "surrogatepass")
            for name, content in files.items()
        }
    except (ValueError, RecursionError, AttributeError):
        contents = {first: data}
    for name, content in contents.items():
        inside = [part for part in name.split("/") if part not in ("", ".", "..")]
        if inside and "\0" not in name and len(name) < 200 and name.isascii():
            path = folder.joinpath(*inside)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            except OSError:  # another file has the name of its folder
                continue
