"""Progress of long work, on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["Steps", "steps"]


class Steps:
    """Says on standard error what is going on: a spinner or bar on a terminal, elsewhere only what takes long."""

    def __init__(self, progress: Progress | None = None):
        self._progress = progress
        self._task = None if progress is None else progress.add_task("starting", total=None)

    def tell(self, what: str) -> None:
        """Name the step that begins."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=what, total=None, completed=0)

    def announce(self, what: str) -> None:
        """Name a step that takes long."""
        self.tell(what)
        if self._progress is None:
            print(what, file=sys.stderr)

    def count(self, done: int, total: int) -> None:
        """How much of the step is done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def steps() -> Iterator[Steps]:
    """Progress for the length of a command."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Steps()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Steps(progress)
