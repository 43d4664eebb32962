"""Defects of the hardware, told like everything else: in one line."""

import contextlib
from collections.abc import Iterator

from ..sim.verilator import SimulationError
from ..spec import ThresherError

__all__ = ["HardwareError", "defects"]


class HardwareError(ThresherError):
    """The hardware misbehaved, which no input may make it do."""


@contextlib.contextmanager
def defects() -> Iterator[None]:
    """What goes wrong in hardware that runs in here is told in one line.

    Raises
    ------
    HardwareError
        In place of a SimulationError.
    """
    try:
        yield
    except SimulationError as error:
        raise HardwareError(
            f"the hardware misbehaved ({error}): this is a defect of thresher, please report it with the command line"
        ) from None
