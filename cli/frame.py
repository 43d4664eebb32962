"""Registration of commands, and their errors and exit codes."""

import contextlib
import functools
import json
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..spec.cache import CacheError, home_variables
from ..spec.errors import ConfigError, SimulationError, ThresherError
from ..spec.processes import ENDING_SIGNALS, Interrupted, interruptible, raise_soon
from .option_errors import option_message
from .terminal import decoded, prepare_streams, say

# Commands import the other rooms when they run, so that `thresher --help` is fast.

__all__ = ["app", "bench_app", "command", "execute", "note", "print_json", "require_bit_exact"]

DEFECT = "this is a defect of thresher, please report it with the command line"

ENDED = [128 + number for number in ENDING_SIGNALS]
"""Exit codes after Ctrl-C and other signals."""

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
            except ConfigError as error:
                _fail(option_message(error, function), 1)
            except ThresherError as error:
                _fail(str(error), 1)
            except KeyboardInterrupt as end:
                raise typer.Exit(_reported(end)) from None
            except BrokenPipeError:
                raise  # the reader of our output has ended; Typer exits without a message
            except OSError as error:
                _fail(_unusable(error), 1)

        return owner.command(name)(guarded)

    return register


def _unusable(error: OSError) -> str:
    place = f" {error.filename!r}" if error.filename else ""
    return f"cannot read or write{place} ({error.strerror or error}): check the path and the free space"


def _fail(message: str, code: int) -> None:
    # A name in quotes already has escape sequences in place of the bytes that the locale cannot decode.
    plain = re.sub(r"(?<!\\)\\u(dc[89a-f][0-9a-f])", lambda match: chr(int(match[1], 16)), message)
    say(f"error: {' '.join(plain.split())}", error=True)
    raise typer.Exit(code)


def _reported(end: KeyboardInterrupt) -> int:
    """Print that the run was ended by Ctrl-C or a signal. Return the exit code."""
    with contextlib.suppress(OSError):  # a closed terminal cannot show the message
        say(f"error: {end if isinstance(end, Interrupted) else 'interrupted'}", error=True)
    return 128 + getattr(end, "number", signal.SIGINT)


def print_json(value: Any) -> None:
    """Print JSON as the whole standard output of a command."""
    text = decoded(json.dumps(value, ensure_ascii=False))
    print(json.dumps(json.loads(text), indent=2), flush=True)


def note(message: str | None) -> None:
    """Print a remark on standard error."""
    if message is not None:
        say(f"note: {message}", error=True)


def require_bit_exact(equal: bool | None) -> None:
    """End with an error if hardware and golden model differ; ``None`` means that nothing was compared."""
    if equal is False:
        _fail(f"hardware and golden model differ: {DEFECT}", 1)


def _version(wanted: bool) -> None:
    if wanted:
        from thresher import __version__

        print(f"thresher {__version__}", flush=True)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def execute() -> None:
    """Run the command line of this process."""
    # This comes before NumPy is loaded. The matrices are small, and BLAS threads that wait for each other on busy cores
    # made calibration sixty times slower. `eval` uses processes instead.
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    with contextlib.suppress(CacheError):  # reported by the commands that need the cache
        os.environ.update(home_variables())
    # Warnings are for developers. Amaranth's would follow every interruption.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    sys.unraisablehook = _unraisable
    prepare_streams()
    try:
        with interruptible():
            _run_app()
    except SystemExit as end:
        # While Python shuts down, Ctrl-C ends it at once, and changes nothing after an interruption.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_IGN if end.code in ENDED else signal.SIG_DFL)
        raise


def _run_app() -> None:
    try:
        from .commands import app

        app()
    except KeyboardInterrupt as end:
        sys.exit(_reported(end))
    except OSError as error:  # of a help text or the version; BrokenPipeError is handled by Typer
        say(f"error: {_unusable(error)}", error=True)
        sys.exit(1)
    except SystemExit as end:
        # Typer turns an interruption outside of the commands into an exit without a message.
        cause = getattr(end.__context__, "__cause__", None)
        if isinstance(cause, KeyboardInterrupt):
            sys.exit(_reported(cause))
        raise


def _unraisable(unraisable: Any) -> None:
    """Raise interruptions again that came while an object was destroyed, where Python drops exceptions."""
    if isinstance(unraisable.exc_value, Interrupted):
        raise_soon(unraisable.exc_value.number)
    else:
        sys.__unraisablehook__(unraisable)
