"""What became of a change."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Outcome", "Result"]


class Result(StrEnum):
    """What noticed a change."""

    NONE = "none"
    """Nothing had to: the hardware is the same, or Amaranth rejects it."""
    TESTS = "tests"
    PROOFS = "proofs"
    SURVIVED = "survived"


@dataclass(frozen=True)
class Outcome:
    """A change that was tried.

    Attributes
    ----------
    module : str
        Below ``hdl``.
    line : int
    shown : str
        Old and new.
    kind : str
        In a few words.
    result : Result
    by : str
        The test that failed, or the claim that was refuted.
    seconds : float
    """

    module: str
    line: int
    shown: str
    kind: str
    result: Result
    by: str
    seconds: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "result", Result(self.result))
