"""The AXI4-Lite slave: each channel stalls on its own, and every answer is right."""

from random import Random

import pytest
from amaranth.sim import Simulator
from thresher.spec.registers import REGISTERS, SPACE_BYTES

from .register_model import RegisterModel, Transfer, random_transfers
from .register_tops import RegistersOnBus

OKAY, SLVERR = 0, 2
CHANNELS = {
    "aw": ("awaddr", "awprot"),
    "w": ("wdata", "wstrb"),
    "b": ("bresp",),
    "ar": ("araddr", "arprot"),
    "r": ("rdata", "rresp"),
}


class Host:
    """A master with independent channels.

    Parameters
    ----------
    writes, reads : list of Transfer
    stalls : dict of float, optional
        Probability, by channel, of no transfer in a cycle.
    pauses : dict of int, optional
        Cycles before the first payload that the master offers, by channel.

    Attributes
    ----------
    answers : dict of list
        Payloads of the channels ``b`` and ``r``.
    cycles : dict of list of int
        Cycle of each transfer, by channel.
    """

    def __init__(self, seed: int, *, writes: list[Transfer], reads: list[Transfer], stalls=None, pauses=None):
        self.seed, self.stalls, self.pauses = seed, stalls or {}, pauses or {}
        random = Random(seed)
        self.offers = {
            "aw": [(each.offset | random.randrange(4), random.randrange(8)) for each in writes],
            "w": [(each.data, each.mask) for each in writes],
            "ar": [(each.offset | random.randrange(4), random.randrange(8)) for each in reads],
        }
        self.counts = {name: len(beats) for name, beats in self.offers.items()}
        self.counts |= {"b": len(writes), "r": len(reads)}
        self.answers = {"b": [], "r": []}
        self.cycles = {name: [] for name in CHANNELS}
        self.dut = RegistersOnBus("axi4_lite")

    def _bench(self, name: str):
        async def bench(ctx):
            await (self.take if name in self.answers else self.offer)(ctx, name)

        return bench

    async def offer(self, ctx, name: str) -> None:
        random, stall, bus = Random(f"{self.seed}/{name}"), self.stalls.get(name, 0), self.dut.bus
        valid, ready = getattr(bus, f"{name}valid"), getattr(bus, f"{name}ready")
        cycle = self.pauses.get(name, 0)
        for _ in range(cycle):
            await ctx.tick()
        for beat in self.offers[name]:
            while random.random() < stall:
                await ctx.tick()
                cycle += 1
            for member, value in zip(CHANNELS[name], beat, strict=True):
                ctx.set(getattr(bus, member), value)
            ctx.set(valid, 1)
            taken = False
            while not taken:
                _, _, taken = await ctx.tick().sample(ready)
                cycle += 1
            self.cycles[name].append(cycle)
            ctx.set(valid, 0)

    async def take(self, ctx, name: str) -> None:
        random, stall, bus = Random(f"{self.seed}/{name}"), self.stalls.get(name, 0), self.dut.bus
        valid, ready = getattr(bus, f"{name}valid"), getattr(bus, f"{name}ready")
        pending, cycle = None, 0
        while len(self.answers[name]) < self.counts[name]:
            accepts = random.random() >= stall
            ctx.set(ready, accepts)
            _, _, offered, *payload = await ctx.tick().sample(valid, *(getattr(bus, each) for each in CHANNELS[name]))
            cycle += 1
            where = f"{name}, cycle {cycle}, seed {self.seed}"
            assert cycle < 20_000, f"{where}: too few answers"
            assert pending is None or (offered and payload == pending), f"{where}: changed before ready"
            pending = payload if offered and not accepts else None
            if offered and accepts:
                self.answers[name].append(tuple(payload))
                self.cycles[name].append(cycle)
        ctx.set(ready, 0)

    def run(self) -> None:
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)

        async def settings(ctx):
            ctx.set(self.dut.control.ready, 1)

        simulator.add_testbench(settings)
        for name in CHANNELS:
            simulator.add_testbench(self._bench(name))
        simulator.run()


def check_writes(host: Host, writes: list[Transfer], model: RegisterModel) -> None:
    wanted = [(SLVERR if model.apply(each)[1] else OKAY,) for each in writes]
    assert host.answers["b"] == wanted, f"seed {host.seed}"


@pytest.mark.parametrize(
    "stalls",
    [{}, dict.fromkeys(CHANNELS, 0.5), *({name: 0.9} for name in CHANNELS)],
    ids=lambda stalls: "-".join(stalls) or "none",
)
def test_each_transfer_has_its_answer(stalls):
    """Reads of constants go on while there are writes."""
    seed = 10 + len(stalls)
    random = Random(seed)
    writes = random_transfers(random, 60, writes=True)
    reads = [Transfer(random.choice((0, 4, 8, 12, SPACE_BYTES - 4))) for _ in range(60)]
    host = Host(seed, stalls=stalls, writes=writes, reads=reads)
    host.run()
    model = RegisterModel()
    check_writes(host, writes, model)
    for each, (data, response) in zip(reads, host.answers["r"], strict=True):
        assert (data, response == SLVERR) == model.apply(each), f"seed {seed}"


@pytest.mark.parametrize("late", ["aw", "w"])
def test_written_values_are_read_back(late):
    """Also if all addresses come before the data, or the data before the addresses."""
    seed = 20
    writes = random_transfers(Random(seed), 150, writes=True)
    reads = [Transfer(each.offset) for each in REGISTERS]
    host = Host(seed, writes=writes, reads=reads, pauses={late: 20, "ar": 350})
    host.run()
    assert host.cycles["b"][-1] < 350
    model = RegisterModel()
    check_writes(host, writes, model)
    for each, (data, response) in zip(reads, host.answers["r"], strict=True):
        assert (data, response) == (model.apply(each)[0], OKAY), f"seed {seed}"


def test_a_read_and_a_write_per_two_cycles():
    writes, reads = [Transfer(0x28, i, 15) for i in range(40)], [Transfer(0x00)] * 40
    host = Host(1, writes=writes, reads=reads)
    host.run()
    for channel in CHANNELS:
        assert host.cycles[channel][-1] - host.cycles[channel][0] == 2 * 39


def test_an_answer_does_not_wait_for_ready():
    """It comes, and stays, while the master takes nothing. Meanwhile the other direction works."""
    dut = RegistersOnBus("axi4_lite")

    async def test(ctx):
        bus = dut.bus
        for name, value in (("awaddr", 0x28), ("wdata", 5), ("wstrb", 15), ("awvalid", 1), ("wvalid", 1)):
            ctx.set(getattr(bus, name), value)
        await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        await ctx.tick().repeat(5)
        assert ctx.get(bus.bvalid) == 1
        for expected in (0x54485253, 0x00010000):
            ctx.set(bus.arvalid, 1)
            ctx.set(bus.araddr, 0 if expected == 0x54485253 else 4)
            await ctx.tick()
            ctx.set(bus.arvalid, 0)
            await ctx.tick().repeat(5)
            assert (ctx.get(bus.rvalid), ctx.get(bus.rdata)) == (1, expected)
            ctx.set(bus.rready, 1)
            await ctx.tick()
            ctx.set(bus.rready, 0)
            assert (ctx.get(bus.rvalid), ctx.get(bus.bvalid)) == (0, 1)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(test)
    simulator.run()
