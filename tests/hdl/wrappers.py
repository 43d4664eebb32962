"""Components that put a block between streams and memories, so that a stream bench can drive it."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class WithMemories(wiring.Component):
    """A component whose read ports are connected to memories with given contents.

    Parameters
    ----------
    dut : wiring.Component
    contents : dict of lists
        Words by address for each read port of ``dut``.
    """

    def __init__(self, dut: wiring.Component, contents: dict[str, list]):
        self._dut = dut
        self._contents = contents
        super().__init__({name: member for name, member in dut.signature.members.items() if name not in contents})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._dut
        for name, words in self._contents.items():
            port = getattr(dut, name)
            memory = Memory(shape=port.data.shape(), depth=1 << len(port.address), init=words)
            m.submodules[name] = memory
            read = memory.read_port(transparent_for=())
            m.d.comb += [read.addr.eq(port.address), read.en.eq(port.enable), port.data.eq(read.data)]
        for name, member in self.signature.members.items():
            outer, inner = getattr(self, name), getattr(dut, name)
            if isinstance(member.signature if member.is_signature else None, stream.Signature):
                source, sink = (outer, inner) if member.flow is In else (inner, outer)
                m.d.comb += [
                    sink.valid.eq(source.valid),
                    sink.payload.eq(source.payload),
                    source.ready.eq(sink.ready),
                ]
            elif member.flow is Out:
                m.d.comb += outer.eq(inner)
            else:
                m.d.comb += inner.eq(outer)
        return m


class StreamPipeline(wiring.Component):
    """A pipeline with an ``enable`` between two streams, so that a stream bench can stall it.

    Its inputs, except ``enable``, are the payload of ``i``; its outputs are the payload of ``o``.
    """

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
