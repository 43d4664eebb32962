"""A component as top module, with a clock and a reset that have chosen names."""

from typing import Any

from amaranth import ClockDomain, Elaboratable, Signal, Value
from amaranth.hdl import Fragment
from amaranth.lib import wiring

from ..spec.verilog_names import ClockNames, Reset

__all__ = ["Clocked"]


class Clocked(Elaboratable):
    """A component whose domain ``sync`` has the clock and the reset of ``names``.

    Parameters
    ----------
    component : wiring.Component
        It gets no further level of hierarchy.
    names : ClockNames
        Differ from the names of its ports.

    Attributes
    ----------
    ports : dict
        All ports of the top module, as Amaranth's back ends take them: the direction follows from the use.
    """

    def __init__(self, component: wiring.Component, names: ClockNames):
        self._component, self._names = component, names
        self._clock = Signal(name=names.clock)
        self._reset = Signal(name=names.reset_name)
        self.ports: dict[str, Any] = {}
        for path, _, value in component.signature.flatten(component):
            self.ports["__".join(map(str, path))] = (Value.cast(value), None)
        for signal in (self._clock, self._reset):
            assert signal.name not in self.ports
            self.ports[signal.name] = (signal, None)

    def elaborate(self, platform: object) -> Fragment:
        fragment = Fragment.get(self._component, platform)
        domain = ClockDomain("sync")
        domain.clk = self._clock
        if self._names.reset is Reset.LOW:
            fragment.add_statements("comb", domain.rst.eq(~self._reset))
        else:
            domain.rst = self._reset
        fragment.add_domains(domain)
        return fragment
