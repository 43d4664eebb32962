"""The ``modules.json`` of sentence-transformers: the parts of a sentence-embedding model, and their folders."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..spec.errors import ConfigError, InputError
from ..spec.inputs import LONGEST_NAME, read_json

__all__ = ["MODULES", "Module", "read_modules", "transformer_folder", "transformer_settings"]

MODULES = "modules.json"
TRANSFORMER = "Transformer"


@dataclass(frozen=True, kw_only=True)
class Module:
    """One part of a model.

    Attributes
    ----------
    kind : str
        Name of its class, such as ``"Pooling"``. Versions of the library differ in the package before it. A class of
        another library keeps its whole name.
    path : str
        Its folder, relative to that of ``modules.json``; empty for the same folder.
    folder : Path
        The same, to be opened.
    """

    kind: str
    path: str
    folder: Path


def read_modules(root: Path) -> list[Module]:
    """The parts of a model in the order in which they run; none without a ``modules.json``.

    Raises
    ------
    InputError
        The file is damaged, or names a folder outside the model's.
    ConfigError
        The first part, and only the first, must be a transformer.
    """
    file = root / MODULES
    if not file.is_file():
        return []
    modules = [_module(root, entry) for entry in read_json(file, list)]
    kinds = [module.kind for module in modules]
    if kinds[:1] != [TRANSFORMER] or TRANSFORMER in kinds[1:]:
        raise ConfigError(MODULES, ", ".join(kinds), "supported is one Transformer, at the start")
    return modules


def _module(root: Path, entry: Any) -> Module:
    kind, path = (entry.get(name) if isinstance(entry, dict) else None for name in ("type", "path"))
    if not isinstance(kind, str) or not isinstance(path, str):
        raise InputError(f"{str(root / MODULES)!r} has an entry without type or path: fetch it again")
    inside = PurePosixPath(path.replace("\\", "/"))  # as Windows writes it
    if inside.is_absolute() or ".." in inside.parts or "\0" in path or ":" in path or len(path) > LONGEST_NAME:
        raise InputError(f"{str(root / MODULES)!r} names {path!r}, which is not below the model's folder")
    own = kind.startswith("sentence_transformers.")  # a class from elsewhere is another class, whatever its name
    return Module(
        kind=kind.rpartition(".")[2] if own else kind,
        path="" if inside == PurePosixPath() else str(inside),
        folder=root / inside,
    )


def transformer_folder(root: Path) -> Path:
    """Folder with the transformer's config.json, weights and tokenizer; raises as :func:`read_modules`."""
    modules = read_modules(root)
    return modules[0].folder if modules else root


def transformer_settings(folder: Path) -> dict[str, Any]:
    """What sentence-transformers notes beside a transformer's files, in ``sentence_bert_config.json`` (or the same with
    the name of another family); empty without such a file.

    Raises
    ------
    InputError
        The file is not a JSON object.
    """
    files = sorted(folder.glob("sentence_*_config.json"))
    return read_json(files[0], dict) if files else {}
