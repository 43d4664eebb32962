"""Jobs of a study on the workers of a Dask cluster."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...spec.base import digest
from ...spec.errors import ConfigError, InputError, ThresherError
from .plan import Job, StudySpec
from .work import StudyWork

__all__ = ["run_on_cluster"]

TIMEOUT = 10
"""Seconds in which a scheduler must answer."""

_works: dict[str, StudyWork] = {}  # of a worker of the cluster: its last study
_starting = threading.Lock()


def _run(spec: StudySpec, job: Job) -> dict[str, Any]:
    """Run a job on a worker, which loads the model once for each study."""
    name = digest(*spec.identity.values())
    with _starting:
        if name not in _works:
            _works.clear()
            _works[name] = StudyWork(spec)
        work = _works[name]
        _ = work.model
    return work.run(job)


def run_on_cluster(
    address: str, spec: StudySpec, jobs: Sequence[Job], finished: Callable[[int, dict[str, Any]], None]
) -> None:
    """Run jobs on a cluster. The workers have the model under the same path, and the same version of this package.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://host:8786``.
    finished : function
        Called with the number of a job and its result, as they become ready.

    Raises
    ------
    ConfigError
        The library distributed is missing, or nothing answers at the address.
    InputError
        A worker cannot run the jobs.
    """
    try:
        from distributed import Client, as_completed
        from distributed.comm.core import connect
    except ImportError:
        raise ConfigError(
            "scheduler", address, "needs the package distributed: run `pip install 'thresher[study]'`"
        ) from None

    async def knock() -> None:
        comm = await connect(address, timeout=TIMEOUT)
        await comm.close()

    try:
        # A client that does not come about prints errors of its own when it is deleted. The thread has no event loop,
        # as that of a notebook has.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, knock()).result()
        client = Client(address, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigError(
            "scheduler", address, f"no Dask scheduler answers ({error}): give an address such as tcp://host:8786"
        ) from None
    with client:
        shared = client.scatter(spec, broadcast=True, hash=False)
        futures = {client.submit(_run, shared, job, pure=False): number for number, job in enumerate(jobs)}
        try:
            for future in as_completed(list(futures), loop=client.loop):
                finished(futures[future], future.result())
        except ThresherError:
            raise
        except Exception as error:
            raise InputError(
                f"a worker of the cluster failed ({type(error).__name__}: {' '.join(str(error).split())}): "
                "install the same version of thresher there, and the model under the same path"
            ) from None
        finally:
            client.cancel(list(futures))
