"""Progress of long work, on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..runtime.steps import Steps

__all__ = ["ShownSteps", "steps"]


class ShownSteps(Steps):
    """Shows a spinner or a bar on a terminal. Elsewhere it prints only the steps that take long."""

    def __init__(self, progress: Progress | None = None):
        self._progress = progress
        self._task = None if progress is None else progress.add_task("starting", total=None)

    def tell(self, what: str) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=what, total=None, completed=0)

    def announce(self, what: str) -> None:
        self.tell(what)
        if self._progress is None:
            print(what, file=sys.stderr)

    def count(self, done: int, total: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def steps() -> Iterator[ShownSteps]:
    """Show progress while a command runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield ShownSteps()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield ShownSteps(progress)
