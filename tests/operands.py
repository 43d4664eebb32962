"""INT8 operands at random and at their corners."""

import numpy as np

CORNERS = {
    "random": np.arange(-128, 128),
    "low": [-128],
    "high": [127],
    "zero": [0],
    "mixed": [-128, 127, 0, -1],
    "ties": [-16, 16],
    "lonely": [0] * 15 + [127],
}
"""The values that an operand of each kind is drawn from."""


def int8(rng: np.random.Generator, *shape: int, corner: str = "random") -> np.ndarray:
    """An INT8 array, its values drawn from one of ``CORNERS``."""
    return rng.choice(np.array(CORNERS[corner], np.int8), shape)


def random_corner(rng: np.random.Generator) -> str:
    """``random`` in half of the cases, otherwise one of the other corners."""
    others = len(CORNERS) - 1
    return str(rng.choice(list(CORNERS), p=[0.5, *others * [0.5 / others]]))
