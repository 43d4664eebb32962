"""The command line's frame: the programs that commands are registered with, their common options, and their ends."""

import functools
import json
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from thresher import __version__

from ..spec import POLICIES, PRESETS, ThresherError

# What a command needs beyond this is imported where it runs, so that `thresher --help` answers at once.

__all__ = [
    "EDGE",
    "THRESHER",
    "BaudOption",
    "ConfigOption",
    "JsonOption",
    "ModelOption",
    "PolicyName",
    "PolicyOption",
    "PresetName",
    "PresetOption",
    "SeedOption",
    "UnitName",
    "UnitPolicyOption",
    "app",
    "bench_app",
    "command",
    "main",
    "print_json",
    "require_bit_exact",
]

app = typer.Typer(
    help="Sparse INT8 transformers: trained models on generated hardware, bit for bit.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
bench_app = typer.Typer(help="Measure the generated hardware.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")

# Any: the type checker takes no enumeration made at run time. Both units have presets of the same names.
PresetName: Any = StrEnum("PresetName", {name: name for name in PRESETS})
PolicyName: Any = StrEnum("PolicyName", {name: name for name in POLICIES})


class UnitName(StrEnum):
    """What hardware is generated."""

    ATTENTION = "attention"
    SPMM = "spmm"


ModelOption = Annotated[
    str, typer.Option("--model", help="Model folder, a name on the Hugging Face hub, or 'default': the packaged one.")
]
PresetOption = Annotated[PresetName, typer.Option("--preset", help="Size of the hardware.")]
PolicyOption = Annotated[PolicyName, typer.Option("--policy", help="Rules of pruning and scoring.")]
UnitPolicyOption = Annotated[
    PolicyName | None, typer.Option("--policy", help="Rules of pruning and scoring (attention; default thresher).")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="JSON whose fields take the place of the preset's.")
]
BaudOption = Annotated[int, typer.Option("--baud", min=1, help="Bits per second on the board's serial line.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else on standard output.")]

EDGE, THRESHER = PresetName("edge"), PolicyName("thresher")


def command(owner: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose errors are one line on standard error, and an exit code."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except ThresherError as error:
                _fail(str(error), 1)
            except KeyboardInterrupt:
                _fail("interrupted", 130)
            except BrokenPipeError:
                raise  # whoever reads our output has seen enough; the library ends quietly
            except OSError as error:
                place = f" {error.filename!r}" if error.filename else ""
                _fail(f"cannot read or write{place} ({error.strerror or error}): check the path and the free space", 1)

        return owner.command(name)(guarded)

    return register


def _fail(message: str, code: int) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """The whole of a command's standard output, under ``--json``."""
    print(json.dumps(value, indent=2), flush=True)


def require_bit_exact(equal: bool | None) -> None:
    """End with an error if hardware and golden differ; ``None`` where nothing was compared."""
    if equal is False:
        _fail("hardware and golden differ: this is a defect of thresher, please report it with the command line", 1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"thresher {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the command ``thresher``."""
    # Before NumPy is loaded: the matrices here are small, and BLAS threads that wait for each other on busy cores have
    # made calibration sixty times slower. `eval` uses processes instead.
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    app()
