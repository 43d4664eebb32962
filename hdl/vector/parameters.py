"""Memory of the parameters of all channels."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ...spec.formats import unsigned_bits
from ...spec.vector_config import VectorConfig
from ..lib.packets import PacketReceiver, fault_layout, framed_layout
from ..lib.scratchpad import Scratchpad
from .vector_streams import parameters_layout

__all__ = ["READ_CYCLES", "ParameterMemory", "scales_layout", "shifts_layout"]

READ_CYCLES = 2
"""Cycles from a channel to its parameters. Block RAM is slow, so a register follows it."""


def shifts_layout(config: VectorConfig) -> data.StructLayout:
    """What a channel needs in both passes."""
    return _part(config, "x_shift", "y_shift")


def scales_layout(config: VectorConfig) -> data.StructLayout:
    """What a channel needs in the second pass only, a few cycles later."""
    return _part(config, "gain", "bias")


def _part(config: VectorConfig, *names: str) -> data.StructLayout:
    return data.StructLayout({name: parameters_layout(config)[name].shape for name in names})


class ParameterMemory(wiring.Component):
    """Two memories, because a channel's shifts and scales are needed at different times.

    It is undefined to read a channel in the cycle that stores it.

    Members
    -------
    i_parameters : In(stream(framed_layout(parameters_layout)))
    load : In(1)
        Asserted for one cycle: accept the parameters of ``channels`` channels. All earlier ones are lost.
    channels : In
        Stable while parameters are accepted; at least 1.
    drop : In(1)
        Asserted for one cycle to drop a packet.
    dropping : Out(1)
        Beats are being dropped; neither ``load`` nor ``drop`` may be asserted.
    fault : Out(fault_layout)
        Asserted with the last parameters, if their packet is too short or too long.
    stored : Out(1)
        Asserted when the parameters of the next channel are accepted. They may be read from the next cycle on.
    shifts_channel, scales_channel : In
    shifts, scales : Out
        :data:`READ_CYCLES` cycles later.
    """

    def __init__(self, config: VectorConfig):
        self._config = config
        bits = config.channel_bits
        super().__init__(
            {
                "i_parameters": In(stream.Signature(framed_layout(parameters_layout(config)))),
                "drop": In(1),
                "dropping": Out(1),
                "fault": Out(fault_layout()),
                "load": In(1),
                "channels": In(unsigned_bits(config.max_channels)),
                "stored": Out(1),
                "shifts_channel": In(bits),
                "scales_channel": In(bits),
                "shifts": Out(shifts_layout(config)),
                "scales": Out(scales_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        channel = Signal(self._config.channel_bits)
        left = Signal.like(self.channels)
        accepting = Signal()
        m.submodules.packet = packet = PacketReceiver(parameters_layout(self._config))
        connect(m, flipped(self.i_parameters), packet.i)
        m.d.comb += [
            packet.o.ready.eq(accepting),
            packet.final.eq(left == 1),
            packet.drop.eq(self.drop),
            self.dropping.eq(packet.dropping),
            self.stored.eq(accepting & packet.o.valid),
            self.fault.eq(packet.fault),
        ]
        with m.If(self.load):
            m.d.sync += [accepting.eq(1), channel.eq(0), left.eq(self.channels)]
        with m.Elif(self.stored):
            m.d.sync += [channel.eq(channel + 1), left.eq(left - 1), accepting.eq(left != 1)]
        for name, address, read_data in (
            ("shift_memory", self.shifts_channel, self.shifts),
            ("scale_memory", self.scales_channel, self.scales),
        ):
            memory = Scratchpad(address_bits=self._config.channel_bits, layout=read_data.shape())
            m.submodules[name] = memory
            m.d.comb += [
                memory.write.address.eq(channel),
                memory.write.enable.eq(self.stored),
                memory.read.address.eq(address),
                memory.read.enable.eq(1),
            ]
            m.d.comb += [memory.write.data[part].eq(packet.o.payload[part]) for part in read_data.shape().members]
            m.d.sync += read_data.eq(memory.read.data)
        return m
