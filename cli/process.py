"""The process of the command line: its environment, how it is interrupted, and how it ends."""

import contextlib
import os
import signal
import sys
import warnings
from typing import Any

from ..spec.cache import CacheError, home_variables
from ..spec.processes import ENDING_SIGNALS, Interrupted, interruptible, raise_soon
from .frame import reported, unusable
from .terminal import prepare_streams, say

__all__ = ["execute"]

ENDED = [128 + number for number in ENDING_SIGNALS]
"""Exit codes after Ctrl-C and other signals."""


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
        from .commands import app  # takes a second, in which the user may press Ctrl-C

        app()
    except KeyboardInterrupt as end:
        sys.exit(reported(end))
    except OSError as error:  # of a help text or the version; BrokenPipeError is handled by Typer
        say(f"error: {unusable(error)}", error=True)
        sys.exit(1)
    except SystemExit as end:
        # Typer turns an interruption outside of the commands into an exit without a message.
        cause = getattr(end.__context__, "__cause__", None)
        if isinstance(cause, KeyboardInterrupt):
            sys.exit(reported(cause))
        raise


def _unraisable(unraisable: Any) -> None:
    """Raise interruptions again that came while an object was destroyed, where Python drops exceptions."""
    if isinstance(unraisable.exc_value, Interrupted):
        raise_soon(unraisable.exc_value.number)
    else:
        sys.__unraisablehook__(unraisable)
