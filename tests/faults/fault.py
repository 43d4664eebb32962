"""A fault: where it is injected, what the documents promise, and the test of this promise."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Fault"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A row of the table of faults.

    Attributes
    ----------
    part : str
        What has the fault: a unit, a program, a bus, a frame or an image.
    fault : str
        What is wrong, and where it is injected.
    answer : str
        What the documents promise.
    afterwards : str
        What the next job shows.
    inject : function without parameters
        Injects the fault in every place, and checks answer and next job. Returns the number of cases.
    slow : bool
        It simulates hardware for seconds.
    """

    part: str
    fault: str
    answer: str
    afterwards: str
    inject: Callable[[], int]
    slow: bool = True

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """What the table says about the fault, except the number of cases."""
        return self.part, self.fault, self.answer, self.afterwards

    @property
    def name(self) -> str:
        """Names it in tests."""
        return f"{self.part}: {self.fault}"
