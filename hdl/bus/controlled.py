"""A co-processor with its registers."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.coprocessor_config import CoprocessorConfig
from ..coprocessor.control import control_signature
from ..coprocessor.coprocessor import Coprocessor
from ..coprocessor.memory_streams import MemoryPort
from .ports import FlatInterface
from .registers import RegisterFile, RegisterPort

__all__ = ["ControlledCoprocessor"]


class ControlledCoprocessor(wiring.Component):
    """A co-processor that a host controls by registers.

    Parameters
    ----------
    config : CoprocessorConfig

    Members
    -------
    registers : In(RegisterPort)
    memory : Out(MemoryPort)
    irq : Out(1)
        The interrupt.
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__({"registers": In(RegisterPort()), "memory": Out(MemoryPort()), "irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = RegisterFile(self._config.hash())
        m.submodules.coprocessor = coprocessor = Coprocessor(self._config)
        control = control_signature()
        connect(m, flipped(self.registers), registers.port)
        connect(m, registers.control, FlatInterface(coprocessor, control, {name: name for name in control.members}))
        connect(m, coprocessor.memory, flipped(self.memory))
        m.d.comb += self.irq.eq(registers.interrupt)
        return m
