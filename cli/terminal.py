"""Text on the terminal. Strings are shown as they are: nothing in them is markup, or controls the terminal.

Characters that the terminal cannot encode are replaced by ASCII.
"""

import codecs
import re
import sys
from io import TextIOWrapper
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["decoded", "make_console", "make_table", "prepare_streams", "say", "shown", "visible"]

WIDTH = 160
"""Columns of tables where there is no terminal whose width would cut them."""

# Control characters, halves of surrogate pairs (bytes of a command line that are no UTF-8), and what reorders lines.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

ASCII = {
    "…": "...",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "±": "+-",
    "→": "->",
    "·": "*",
    "“": '"',
    "”": '"',
    "’": "'",
}
"""Replacements for terminals without the character. Others are written as escape sequences."""
_HANDLER = "thresher-ascii"


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Error handler of encoders."""
    assert isinstance(error, UnicodeEncodeError)
    characters = error.object[error.start : error.end]
    return "".join(ASCII.get(each) or each.encode("unicode_escape").decode() for each in characters), error.end


codecs.register_error(_HANDLER, _replaced)


def prepare_streams() -> None:
    """Let standard output and error replace what they cannot encode, unless the user has chosen how."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape", "backslashreplace"):
            stream.reconfigure(errors=_HANDLER)


def decoded(text: str) -> str:
    """A string of the command line whose bytes the locale could not decode, as UTF-8.

    In the locale C without UTF-8 mode, Python writes them as halves of surrogate pairs. Other strings stay.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # another half
        return text


def visible(text: object, *, lines: bool = False) -> str:
    """A string whose control characters are escape sequences; with ``lines``, except ends of lines."""

    def escaped(match: re.Match[str]) -> str:
        return match[0] if lines and match[0] == "\n" else match[0].encode("unicode_escape").decode()

    return _CONTROL.sub(escaped, decoded(str(text)))


def shown(text: object, *, lines: bool = False) -> str:
    """A :func:`visible` string that the terminal can encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return visible(text, lines=lines).encode(encoding, _HANDLER).decode(encoding)


class _PlainConsole(Console):
    """Console whose strings, also those in tables, are shown as they are."""

    def render_str(self, text: str, **options: Any) -> Text:
        """See :class:`rich.console.Console`."""
        return super().render_str(shown(text, lines=True), **options)


class _PlainTable(Table):
    """Table with one line per row."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """See :class:`rich.table.Table`."""
        super().add_row(*map(shown, cells), **options)


def make_console(*, stderr: bool = False) -> Console:
    """Console on standard output or error."""
    settings: dict[str, Any] = {"stderr": stderr, "markup": False, "emoji": False, "highlight": False}
    console = _PlainConsole(**settings)
    return console if console.is_terminal else _PlainConsole(**settings, width=WIDTH)


def make_table(*columns: str, right: int) -> Table:
    """Table whose columns from number ``right`` on are aligned right."""
    table = _PlainTable(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        table.add_column(shown(name), justify="right" if i >= right else "left", no_wrap=i > 0)
    return table


def say(line: str, *, error: bool = False) -> None:
    """Print one line, of any length, on standard output or error."""
    stream = sys.stderr if error else sys.stdout
    if stream is not None:  # it is closed otherwise, and print() would write to the other one
        print(shown(line), file=stream, flush=True)
