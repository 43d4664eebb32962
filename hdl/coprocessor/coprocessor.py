"""The co-processor without registers and bus."""

from amaranth import Cat, Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from ...spec.coprocessor_config import CoprocessorConfig
from .control import control_signature
from .execution import Execution
from .memory_streams import MemoryPort
from .supervisor import Supervisor

__all__ = ["Coprocessor", "coprocessor_signature"]


def coprocessor_signature() -> wiring.Signature:
    """Members of :func:`~thresher.hdl.coprocessor.control.control_signature`, and ``memory``, an Out(MemoryPort)."""
    return wiring.Signature({**control_signature().members, "memory": Out(MemoryPort())})


class Coprocessor(wiring.Component):
    """Executes programs on a memory, one after another.

        i_program ── supervisor ── execution ── memory
                         │             │
                      o_finish      activity

    Parameters
    ----------
    config : CoprocessorConfig
    """

    def __init__(self, config: CoprocessorConfig):
        self._config = config
        super().__init__(coprocessor_signature())

    def elaborate(self, platform):
        m = Module()
        m.submodules.supervisor = supervisor = Supervisor()
        execution = Execution(self._config)
        m.submodules.execution = ResetInserter(supervisor.reset)(execution)
        connect(m, flipped(self.i_program), supervisor.i_program)
        connect(m, supervisor.o_finish, flipped(self.o_finish))
        connect(m, supervisor.o_program, execution.i_program)
        connect(m, execution.o_finish, supervisor.i_finish)
        connect(m, execution.memory, flipped(self.memory))
        completes = [unit.completes for unit in (self.activity.product, self.activity.attention, self.activity.vector)]
        m.d.comb += [
            supervisor.watchdog.eq(self.watchdog),
            supervisor.abort_program.eq(self.abort_program),
            self.ready.eq(supervisor.ready),
            supervisor.memory_fault.eq(execution.memory_fault),
            supervisor.number.eq(execution.number),
            supervisor.oldest.eq(execution.oldest),
            supervisor.waiting.eq(execution.waiting),
            supervisor.completes.eq(Cat(completes).any()),
            supervisor.idle.eq(execution.idle),
            execution.regions.eq(self.regions),
            execution.stop.eq(supervisor.stop),
            self.activity.eq(execution.activity),
        ]
        return m
