"""Registers that carry a value alongside a pipeline."""

from amaranth import Module, Signal

__all__ = ["delay", "index_bits"]


def index_bits(count: int) -> int:
    """Bits of an index 0…count − 1; none for a single item."""
    return (count - 1).bit_length()


def delay(m: Module, value, cycles: int, *, enable, name: str, reset_less: bool = False) -> list:
    """``value`` and its copies 1…cycles enabled cycles later.

    Operands of multipliers are best ``reset_less``, as those of a value that is: multiplier blocks can take such
    registers in.
    """
    stages = [value]
    options = {"reset_less": True} if reset_less else {}
    for i in range(cycles):
        stage = Signal.like(value, name=f"{name}_{i + 1}", **options)
        with m.If(enable):
            m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages
