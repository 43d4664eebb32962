"""The Wishbone slave: every transfer ends once, with ack or err."""

from random import Random

from amaranth.sim import Simulator
from thresher.hdl.bus.wishbone_slave import WishboneSlave
from thresher.spec.registers import BY_NAME

from .register_model import RegisterModel, Transfer, random_transfers
from .register_tops import RegistersOnBus


def simulate(test) -> None:
    dut = RegistersOnBus("wishbone")
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def bench(ctx):
        ctx.set(dut.control.ready, 1)
        await test(ctx, dut.bus)

    simulator.add_testbench(bench)
    simulator.run()


async def transfer(ctx, bus, each: Transfer) -> tuple[int, bool]:
    """Run a transfer. Return the word and whether it is an error. ``cyc`` and ``stb`` stay asserted."""
    writes = each.mask is not None
    for signal, value in (
        (bus.cyc, 1),
        (bus.stb, 1),
        (bus.we, writes),
        (bus.adr, each.offset // 4),
        (bus.sel, each.mask if writes else 15),
        (bus.dat_w, each.data),
    ):
        ctx.set(signal, value)
    _, _, ack, err = await ctx.tick().sample(bus.ack, bus.err)
    assert (ack, err) == (0, 0)
    _, _, ack, err, data = await ctx.tick().sample(bus.ack, bus.err, bus.dat_r)
    assert ack + err == 1
    return (0 if writes else data), bool(err)


def test_random_transfers_with_and_without_pauses():
    seed = 30
    random = Random(seed)
    transfers = random_transfers(random, 150, writes=True) + random_transfers(random, 150, writes=False)
    random.shuffle(transfers)
    model = RegisterModel()

    async def test(ctx, bus):
        for each in transfers:
            assert await transfer(ctx, bus, each) == model.apply(each), f"{each}, seed {seed}"
            if random.random() < 0.5:
                ctx.set(bus.stb, 0)
                ctx.set(bus.cyc, random.randint(0, 1))
                for _ in range(random.randint(1, 3)):
                    _, _, ack, err = await ctx.tick().sample(bus.ack, bus.err)
                    assert (ack, err) == (0, 0)

    simulate(test)


def test_each_transfer_reaches_the_registers_once():
    dut, strobes = WishboneSlave(), []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def bench(ctx):
        for writes in (0, 1, 1, 0, 0):
            await transfer(ctx, dut.bus, Transfer(8, mask=15 if writes else None))

    async def count(ctx):
        async for _, _, read, write in ctx.tick().sample(dut.port.read, dut.port.write):
            if read or write:
                strobes.append((read, write))

    simulator.add_testbench(bench)
    simulator.add_testbench(count, background=True)
    simulator.run()
    assert strobes == [(1, 0), (0, 1), (0, 1), (1, 0), (1, 0)]


def test_a_master_that_gives_up_gets_no_answer():
    async def test(ctx, bus):
        watchdog = Transfer(BY_NAME["WATCHDOG"].offset)
        ctx.set(bus.cyc, 1)
        ctx.set(bus.stb, 1)
        await ctx.tick()
        ctx.set(bus.stb, 0)
        _, _, ack, err = await ctx.tick().sample(bus.ack, bus.err)
        assert (ack, err) == (0, 0)
        assert await transfer(ctx, bus, watchdog) == (1 << 28, False)

    simulate(test)
