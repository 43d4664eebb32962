"""The command line. Each command is a file that parses its options, calls a function and prints the result."""

import signal
import sys

__all__ = ["main"]


WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}


def main() -> None:
    """Entry point of the command ``thresher``."""
    early = [number for number in WORDS if signal.getsignal(number) == signal.SIG_DFL]
    try:
        for number in early:
            signal.signal(number, _end)
        from .process import execute  # takes most of a second, in which the user may press Ctrl-C

        for number in early:
            signal.signal(number, signal.SIG_DFL)
        execute()
    except KeyboardInterrupt as end:
        number = end.args[0] if end.args else signal.SIGINT
        print(f"error: {WORDS[number]}", file=sys.stderr)
        sys.exit(128 + number)


def _end(number: int, frame: object) -> None:
    raise KeyboardInterrupt(number)
