"""A co-processor with its registers and its memory on the chip."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from ...spec.on_chip_config import OnChipConfig
from ..bus.controlled import ControlledCoprocessor
from ..coprocessor.block_memory import BlockMemory
from .host_access import HostAccess, access_members

__all__ = ["OnChipCoprocessor", "on_chip_signature"]


def on_chip_signature() -> wiring.Signature:
    """Streams of the host; see :func:`~thresher.hdl.link.host_access.access_members`."""
    return wiring.Signature(access_members())


class OnChipCoprocessor(wiring.Component):
    """A co-processor whose host has streams.

        streams ── host access ──┬── registers ── co-processor
                                 └──────── memory ─────┘

    Parameters
    ----------
    config : OnChipConfig
    """

    def __init__(self, config: OnChipConfig):
        self._config = config
        super().__init__(on_chip_signature())

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.access = access = HostAccess(config.memory_bytes)
        m.submodules.core = core = ControlledCoprocessor(config.coprocessor)
        m.submodules.memory = memory = BlockMemory(config.banks, masters=2)
        for name in access_members():
            if name.startswith("i_"):
                connect(m, flipped(getattr(self, name)), getattr(access, name))
            else:
                connect(m, getattr(access, name), flipped(getattr(self, name)))
        connect(m, access.registers, core.registers)
        connect(m, core.memory, memory.ports[0])
        connect(m, access.memory, memory.ports[1])
        return m
