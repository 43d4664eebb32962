"""The schedule of gradual pruning, for training loops. Nothing is trained here."""

from ...spec.errors import ConfigError
from .patterns import check_size, check_sparsity

__all__ = ["gradual_sparsity"]


def gradual_sparsity(step: int, *, start: int, end: int, initial: float, final: float, frequency: int = 1) -> float:
    """Target sparsity at a training step. It rises fast at first and slowly toward the end.

    The cubic schedule of Zhu and Gupta, "To prune, or not to prune" (arXiv 1710.01878):
    s(t) = final + (initial − final) · (1 − (t − start) / (end − start))³, updated every ``frequency`` steps from
    ``start`` on.

    Parameters
    ----------
    step : int
        The sparsity is ``initial`` before ``start`` and ``final`` from ``end`` on.
    start, end : int
        0 ≤ start < end.
    initial, final : float
        0 ≤ initial ≤ final < 1.
    frequency : int
        Steps between two updates, 1 … end − start.

    Raises
    ------
    ConfigError
        A parameter is out of range.
    """
    for name, value, low in (("step", step, 0), ("start", start, 0), ("end", end, start + 1)):
        check_size(name, value, smallest=low)
    check_size("frequency", frequency, end - start)
    check_sparsity("initial", initial)
    check_sparsity("final", final)
    if final < initial:
        raise ConfigError("final", final, f"must be at least initial={initial}")
    if step >= end:
        return float(final)
    updates = max(0, step - start) // frequency
    left = 1 - updates * frequency / (end - start)
    return float(final + (initial - final) * left**3)
