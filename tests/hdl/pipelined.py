"""A pipeline with an ``enable`` between two streams, so that the stream bench can stall it."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class Pipelined(wiring.Component):
    """The plain inputs of ``pipeline`` but ``enable`` as payload of ``i``, its outputs as that of ``o``."""

    def __init__(self, pipeline: wiring.Component):
        self.pipeline = pipeline
        members = {name: member for name, member in pipeline.signature.members.items() if name != "enable"}
        self.sides = {
            side: data.StructLayout({n: m.shape for n, m in members.items() if m.flow is flow})
            for side, flow in (("i", In), ("o", Out))
        }
        super().__init__({"i": In(stream.Signature(self.sides["i"])), "o": Out(stream.Signature(self.sides["o"]))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.pipeline = pipeline = self.pipeline
        valid = Signal(pipeline.latency)
        m.d.comb += [
            pipeline.enable.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(pipeline.enable),
            self.o.valid.eq(valid[-1]),
            *(getattr(pipeline, name).eq(self.i.payload[name]) for name in self.sides["i"].members),
            *(self.o.payload[name].eq(getattr(pipeline, name)) for name in self.sides["o"].members),
        ]
        with m.If(pipeline.enable):
            m.d.sync += valid.eq(Cat(self.i.valid, valid))
        return m
