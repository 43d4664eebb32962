"""The command line. Each command is a file that parses its options, calls a function and prints the result."""

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the command ``thresher``."""
    try:
        from .frame import execute  # takes most of a second, in which the user may press Ctrl-C

        execute()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
