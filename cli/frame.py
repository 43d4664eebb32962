"""Registration of commands, and their errors and exit codes."""

import contextlib
import functools
import json
import re
import signal
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ..spec.errors import ConfigError, SimulationError, ThresherError
from ..spec.processes import Interrupted
from .option_errors import option_message
from .terminal import decoded, say

# Commands import the other rooms when they run, so that `thresher --help` is fast.

__all__ = ["app", "bench_app", "command", "note", "print_json", "reported", "require_bit_exact", "unusable"]

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
            except ConfigError as error:
                _fail(option_message(error, function), 1)
            except ThresherError as error:
                _fail(str(error), 1)
            except KeyboardInterrupt as end:
                raise typer.Exit(reported(end)) from None
            except BrokenPipeError:
                raise  # the reader of our output has ended; Typer exits without a message
            except OSError as error:
                _fail(unusable(error), 1)

        return owner.command(name)(guarded)

    return register


def unusable(error: OSError) -> str:
    """Message about a file that the system cannot read or write."""
    place = f" {error.filename!r}" if error.filename else ""
    return f"cannot read or write{place} ({error.strerror or error}): check the path and the free space"


def _fail(message: str, code: int) -> None:
    # A name in quotes already has escape sequences in place of the bytes that the locale cannot decode.
    plain = re.sub(r"(?<!\\)\\u(dc[89a-f][0-9a-f])", lambda match: chr(int(match[1], 16)), message)
    say(f"error: {' '.join(plain.split())}", error=True)
    raise typer.Exit(code)


def reported(end: KeyboardInterrupt) -> int:
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
