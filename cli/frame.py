"""Registration of commands, their common options, and their errors and exit codes."""

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
from ..spec.errors import SimulationError

# Commands import the other rooms when they run, so that `thresher --help` is fast.

__all__ = [
    "DEFAULT_RHO",
    "EDGE",
    "THRESHER",
    "CalibrationOption",
    "ConfigOption",
    "DataOption",
    "JobsOption",
    "JsonOption",
    "LimitOption",
    "ModelOption",
    "PolicyName",
    "PolicyOption",
    "PresetName",
    "PresetOption",
    "RhoOption",
    "SeedOption",
    "SparsityOption",
    "TaskName",
    "TaskOption",
    "TauOption",
    "TokensOption",
    "UnitName",
    "UnitPolicyOption",
    "app",
    "bench_app",
    "command",
    "main",
    "note",
    "print_json",
    "require_bit_exact",
]

DEFECT = "this is a defect of thresher, please report it with the command line"

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


class TaskName(StrEnum):
    """What a model is evaluated on."""

    SST2 = "sst2"
    STSB = "stsb"


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
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
TokensOption = Annotated[
    int, typer.Option("--tokens", help="N, columns of X. A simulated product may stream 1 GiB of weights.")
]
SparsityOption = Annotated[
    float | None,
    typer.Option(
        "--sparsity", help="Share of weights to prune, 0 to below 1; 0.75 unless the format (nm, dense) has its own."
    ),
]
RhoOption = Annotated[float, typer.Option("--rho", help="Block threshold: -1 is pruning off, near 1 keeps the least.")]
TauOption = Annotated[float, typer.Option("--tau", help="Head threshold: 0 prunes no head.")]
TaskOption = Annotated[TaskName, typer.Option("--task", help="sst2: accuracy; stsb: Spearman.")]
DataOption = Annotated[Path, typer.Option("--data", help="Tab-separated file with a header.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first examples.")]
CalibrationOption = Annotated[
    Path | None, typer.Option("--calibration", help="Sentences to calibrate with, instead of the packaged ones.")
]
JobsOption = Annotated[int, typer.Option("--jobs", min=1, help="Processes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else on standard output.")]

EDGE, THRESHER = PresetName("edge"), PolicyName("thresher")
DEFAULT_RHO = 0.5


def command(owner: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command. Its errors become one line on standard error and an exit code."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except SimulationError as error:
                _fail(f"the hardware misbehaved ({error}): {DEFECT}", 1)
            except ThresherError as error:
                _fail(str(error), 1)
            except KeyboardInterrupt:
                _fail("interrupted", 130)
            except BrokenPipeError:
                raise  # the reader of our output has ended; Typer exits without a message
            except OSError as error:
                place = f" {error.filename!r}" if error.filename else ""
                _fail(f"cannot read or write{place} ({error.strerror or error}): check the path and the free space", 1)

        return owner.command(name)(guarded)

    return register


def _fail(message: str, code: int) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Print JSON as the whole standard output of a command."""
    print(json.dumps(value, indent=2), flush=True)


def note(message: str | None) -> None:
    """Print a remark on standard error."""
    if message is not None:
        print(f"note: {message}", file=sys.stderr)


def require_bit_exact(equal: bool | None) -> None:
    """End with an error if hardware and golden model differ; ``None`` means that nothing was compared."""
    if equal is False:
        _fail(f"hardware and golden differ: {DEFECT}", 1)


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
    # This comes before NumPy is loaded. The matrices are small, and BLAS threads that wait for each other on busy cores
    # made calibration sixty times slower. `eval` uses processes instead.
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    app()
