"""Signals that end a run, and child processes that end with it."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

__all__ = ["ENDING_SIGNALS", "Interrupted", "child", "interruptible", "raise_soon", "shielded"]

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CLEANING_SECONDS = 2.0
"""After a signal, further ones are ignored for this long, so that an impatient user does not interrupt the clean-up."""


class Interrupted(KeyboardInterrupt):
    """A signal ends this run.

    Attributes
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number

    def __str__(self):
        return {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}.get(signal.Signals(self.number), "hung up")


class _Handler:
    """Handler that raises :class:`Interrupted`, or waits while a block is shielded."""

    def __init__(self):
        self._shields, self._waiting, self._last = 0, None, -CLEANING_SECONDS

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._shields:
            self._waiting = number
        elif time.monotonic() - self._last >= CLEANING_SECONDS:
            self._last = time.monotonic()
            raise Interrupted(number)

    def again(self, number: int) -> None:
        self._last = -CLEANING_SECONDS
        self(number, None)

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
            if not self._shields and self._waiting is not None:
                number, self._waiting = self._waiting, None
                self(number, None)


_handler = _Handler()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise :class:`Interrupted` in the block when a signal would end this process, so that clean-up code runs.

    Handlers that the application has set, and signals that it ignores (as under ``nohup``), stay. Only the main thread
    receives signals; elsewhere this does nothing.
    """
    before: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                current = signal.getsignal(number)
                if current in (signal.SIG_DFL, signal.default_int_handler):
                    before[number] = current
                    signal.signal(number, _handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_soon(number: int) -> None:
    """Raise :class:`Interrupted` in the main thread in a moment, for a signal whose exception was dropped."""
    signal.signal(signal.SIGALRM, lambda *_: _handler.again(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Delay :class:`Interrupted` to the end of a short block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handler.shield():
        yield


@contextlib.contextmanager
def child(command: Sequence[str], **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """Context manager of a process in a process group of its own. At the end of the block the whole group is killed.

    So nothing lives on after an interrupt, a signal that ends this process, or an exception in the block.

    Parameters
    ----------
    **settings
        Of :class:`subprocess.Popen`. By default there is no input, and output is UTF-8 text in which malformed bytes
        are replaced.

    Raises
    ------
    OSError
        The program does not start.
    """
    settings = {"stdin": subprocess.DEVNULL, "encoding": "utf-8", "errors": "replace"} | settings
    process = None
    with interruptible():
        try:
            with shielded():
                process = subprocess.Popen(command, start_new_session=True, **settings)
            yield process
        finally:
            if process is not None:
                with shielded():
                    _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a process and its group, and wait for it."""
    # Once a process was waited for, its number may belong to another group.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # input that the process did not take
                stream.close()
