"""Registers that carry a value alongside a pipeline."""

from amaranth import Module, Signal

__all__ = ["delay", "index_bits"]


def index_bits(count: int) -> int:
    """Bits of an index 0…count − 1; 0 for a single item."""
    return (count - 1).bit_length()


def delay(m: Module, value, cycles: int, *, enable, name: str, reset_less: bool = False) -> list:
    """``value`` and its copies, delayed by 1…cycles enabled cycles.

    Use ``reset_less`` for data that means nothing without a valid bit beside it. A reset that reaches every register of
    a large design is hard to route, and multiplier blocks absorb only operands without reset.
    """
    stages = [value]
    options = {"reset_less": True} if reset_less else {}
    for i in range(cycles):
        stage = Signal.like(value, name=f"{name}_{i + 1}", **options)
        with m.If(enable):
            m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages
