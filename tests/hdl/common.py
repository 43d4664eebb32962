"""What the hardware tests share: configurations, random operands, memories with given contents."""

import dataclasses

import numpy as np
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from thresher.spec import AttentionConfig, HeadCommand, preset

SMALL = dataclasses.replace(preset("tiny"), compact=False, lanes=2, predictor_lanes=4, output_lanes=2)


def tiny(**changes) -> AttentionConfig:
    """The smallest preset as it would be with larger blocks of hardware, and some fields changed."""
    return dataclasses.replace(SMALL, **changes)


def compact(config: AttentionConfig) -> AttentionConfig:
    """The same as a compact core."""
    return dataclasses.replace(config, compact=True, output_lanes=1)


def head_payload(command: HeadCommand, slot: int) -> dict:
    """A command as a payload of the streams of heads inside the core."""
    return {"slot": slot, **dataclasses.asdict(command)}


def int8(rng: np.random.Generator, *shape: int, corner: str = "random") -> np.ndarray:
    """INT8 operands: ``random``, ``low`` (all −128), ``high`` (all 127), ``zero``, or ``mixed`` extremes."""
    match corner:
        case "low":
            return np.full(shape, -128, np.int8)
        case "high":
            return np.full(shape, 127, np.int8)
        case "zero":
            return np.zeros(shape, np.int8)
        case "mixed":
            return rng.choice(np.array([-128, 127, 0, -1], np.int8), shape)
    return rng.integers(-128, 128, shape).astype(np.int8)


CORNERS = ("random", "low", "high", "zero", "mixed")


class WithMemories(wiring.Component):
    """A component whose read ports look at memories with given contents.

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
