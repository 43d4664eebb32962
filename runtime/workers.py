"""Worker processes that end with their parent, in silence."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, connection, get_context, parent_process
from typing import Any, TypeVar

from ..spec.errors import ThresherError
from ..spec.processes import interruptible, shielded

__all__ = ["run_in_workers"]

Result = TypeVar("Result")

_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def run_in_workers(
    function: Callable[..., Result],
    calls: Iterable[tuple[Any, ...]],
    *,
    jobs: int,
    initialise: Callable[..., object],
    arguments: tuple[Any, ...],
    finished: Callable[[int, Result], None],
) -> None:
    """Call a function in new interpreters, which have one BLAS thread each.

    Parameters
    ----------
    calls : iterable of tuples
        Arguments of each call. The calls begin in this order.
    jobs : int
        Number of processes.
    initialise, arguments
        Function that each process calls first, and its arguments.
    finished : function
        Called with the number of a call and its result, as they become ready.

    Raises
    ------
    ThresherError
        A process died.
    """
    others = set(active_children())
    with interruptible():
        with _children_without(signal.SIGHUP):  # for the process that tracks semaphores
            pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start, (initialise, arguments))
        try:
            # Half a started process would report that its parent does not go on.
            with shielded(), _single_threaded_children(), _children_without(signal.SIGINT):
                futures = {pool.submit(function, *call): number for number, call in enumerate(calls)}
            waiting = set(futures)
            while waiting:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ready:
                    finished(futures[future], future.result())
        except BaseException as error:
            # Nobody waits for what the other workers are doing.
            for process in set(active_children()) - others:
                process.kill()
            if isinstance(error, BrokenProcessPool):
                reason = "a worker process died, perhaps for lack of memory"
                raise ThresherError(f"{reason}: try with one job") from None
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _start(initialise: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    initialise(*arguments)


def _end_with_parent() -> None:
    """End this process when its parent is gone, even if that was killed."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Give processes that are started meanwhile one BLAS thread each. Heads are too small for threads."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _children_without(number: signal.Signals) -> Iterator[None]:
    """Let processes that are started meanwhile not receive a signal. Their parent does, and reports it once."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
