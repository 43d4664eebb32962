"""Registration of commands, and their errors and exit codes."""

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from thresher import __version__

from ..spec.errors import SimulationError, ThresherError

# Commands import the other rooms when they run, so that `thresher --help` is fast.

__all__ = ["app", "bench_app", "command", "main", "note", "print_json", "require_bit_exact"]

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
