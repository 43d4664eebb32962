"""Progress of long work, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..runtime.steps import Steps
from .terminal import make_console, say, shown

__all__ = ["ShownSteps", "steps"]


class ShownSteps(Steps):
    """Shows a spinner or a bar on a terminal. Elsewhere it prints only the steps that take long."""

    def __init__(self, progress: Progress | None = None):
        self._progress = progress
        self._task = None if progress is None else progress.add_task("starting", total=None)

    def tell(self, what: str) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=shown(what), total=None, completed=0)

    def announce(self, what: str) -> None:
        self.tell(what)
        if self._progress is None:
            say(what, error=True)

    def count(self, done: int, total: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def steps() -> Iterator[ShownSteps]:
    """Show progress while a command runs."""
    console = make_console(stderr=True)
    if not console.is_terminal:
        yield ShownSteps()
        return
    columns = (
        SpinnerColumn("line"),  # ASCII
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield ShownSteps(progress)
