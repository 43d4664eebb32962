"""Queues and registers between blocks: order, capacity and throughput, with stalls on both sides."""

import numpy as np
import pytest
from amaranth import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from thresher.hdl.lib.streams import BlockQueue, HalfBuffer, PingPong, SkidBuffer, StreamFIFO, StreamRegister, nonzero
from thresher.sim.testbench import run_streams

LAYOUT = unsigned(9)
COUNT = 200


class Counted(wiring.Component):
    """A queue without back-pressure of its own, behind a counter of its free places."""

    def __init__(self, queue: wiring.Component, *, depth: int):
        self._queue, self._depth = queue, depth
        super().__init__({"i": In(stream.Signature(LAYOUT)), "o": Out(stream.Signature(LAYOUT))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self._queue
        taken, left = Signal(), Signal()
        room = nonzero(m, init=self._depth, limit=self._depth, up=left, down=taken, name="room")
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += [
            taken.eq(self.i.valid & room),
            left.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(room),
            queue.i.valid.eq(taken),
            queue.i.payload.eq(self.i.payload),
        ]
        return m


# Name: how to make it, its capacity, its latency, cycles from one payload to the next.
QUEUES = {
    "half buffer": (lambda: HalfBuffer(LAYOUT), 1, 1, 2),
    "register": (lambda: StreamRegister(LAYOUT), 2, 1, 1),
    "ping-pong": (lambda: PingPong(LAYOUT), 2, 1, 1),
    "skid buffer": (lambda: SkidBuffer(LAYOUT), 1, 0, 1),
    "queue of 1": (lambda: StreamFIFO(LAYOUT, depth=1), 1, 1, 2),
    "queue of 2": (lambda: StreamFIFO(LAYOUT, depth=2), 2, 1, 1),
    "queue of 5": (lambda: StreamFIFO(LAYOUT, depth=5), 5, 1, 1),
    "counted queue of 4": (lambda: Counted(StreamFIFO(LAYOUT, depth=4, counted=True), depth=4), 4, 1, 1),
    "block queue of 3": (lambda: Counted(BlockQueue(LAYOUT, depth=3), depth=3), 3, 2, 1),
    "block queue of 8": (lambda: Counted(BlockQueue(LAYOUT, depth=8), depth=8), 8, 2, 1),
}


def payloads(seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 512, COUNT).tolist()


@pytest.mark.parametrize("name", QUEUES)
@pytest.mark.parametrize("stalls", [(0.5, 0.5), (0, 0.7), (0.7, 0), (0, 0.3)])
def test_payloads_leave_in_order(name, stalls):
    make, *_ = QUEUES[name]
    seed = list(QUEUES).index(name)
    sent = payloads(seed)
    found = run_streams(
        make(), {"i": sent}, {"o": COUNT}, seed=seed, stall=dict(zip("io", stalls, strict=True)), settle=20
    )
    assert found.values["o"] == sent, f"seed {seed}"


@pytest.mark.parametrize("name", QUEUES)
def test_latency_and_throughput(name):
    make, _, latency, pace = QUEUES[name]
    found = run_streams(make(), {"i": payloads(0)}, {"o": COUNT}, seed=0, stall=0).cycles
    assert set(np.diff(found["o"]).tolist()) == {pace}
    assert found["o"][0] - found["i"][0] == latency


@pytest.mark.parametrize("name", QUEUES)
def test_capacity(name):
    """While no payload is taken, it accepts as many as it holds; then all of them leave."""
    make, capacity, *_ = QUEUES[name]
    dut = make()
    taken, given = [], []

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for cycle in range(4 * capacity + 8):
            ctx.set(dut.i.payload, cycle)
            *_, ready = await ctx.tick().sample(dut.i.ready)
            if ready:
                taken.append(cycle)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 1)
        for _ in range(4 * capacity + 8):
            *_, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                given.append(payload)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(taken) == capacity
    assert given == taken
