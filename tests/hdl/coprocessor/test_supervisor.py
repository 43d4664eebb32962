"""The end of a program whose memory does not answer."""

import pytest
from amaranth.sim import Simulator
from thresher.hdl.coprocessor.supervisor import Supervisor
from thresher.spec.program import FaultCode

LIMIT = 300
"""In place of ``STOP_CYCLES``, for which a simulation takes long."""
MARGIN = 8
"""Cycles of registers and states."""


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr("thresher.hdl.coprocessor.supervisor.STOP_CYCLES", LIMIT)


async def wait(ctx, signal, *, most: int) -> int:
    """Cycles until a signal is asserted."""
    for cycle in range(most):
        if ctx.get(signal):
            return cycle
        await ctx.tick()
    pytest.fail(f"{signal.name} is not asserted in {most} cycles")


def simulate(test) -> None:
    dut = Supervisor()
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def process(ctx) -> None:
        ctx.set(dut.idle, 1)
        ctx.set(dut.o_finish.ready, 1)
        ctx.set(dut.i_program.valid, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.idle, 0)
        await test(ctx, dut)

    simulator.add_testbench(process)
    simulator.run()


@pytest.mark.parametrize(("watchdog", "limit"), [(0, LIMIT), (2 * LIMIT, LIMIT), (50, 50)])
def test_an_abort_ends_although_the_memory_does_not_answer(watchdog, limit):
    """The end comes after a limited time; the next program waits for the memory."""

    async def test(ctx, dut) -> None:
        ctx.set(dut.watchdog, watchdog)
        ctx.set(dut.abort_program, 1)
        cycles = await wait(ctx, dut.o_finish.valid, most=limit + MARGIN)
        assert cycles >= limit
        assert ctx.get(dut.o_finish.payload.error) == FaultCode.ABORT
        ctx.set(dut.abort_program, 0)
        ctx.set(dut.i_program.valid, 0)
        await ctx.tick().repeat(100)
        assert not ctx.get(dut.o_finish.valid)
        assert not ctx.get(dut.ready)
        ctx.set(dut.idle, 1)
        await wait(ctx, dut.ready, most=MARGIN)

    simulate(test)


def test_an_abort_ends_as_soon_as_the_memory_has_answered():
    async def test(ctx, dut) -> None:
        ctx.set(dut.watchdog, 0)
        ctx.set(dut.abort_program, 1)
        await ctx.tick().repeat(100)
        assert not ctx.get(dut.o_finish.valid)
        assert ctx.get(dut.stop)
        ctx.set(dut.idle, 1)
        await wait(ctx, dut.o_finish.valid, most=MARGIN)

    simulate(test)


def test_a_program_that_stands_still_ends_a_limited_time_after_the_watchdog():
    watchdog = LIMIT + 1000

    async def test(ctx, dut) -> None:
        ctx.set(dut.watchdog, watchdog)
        cycles = await wait(ctx, dut.o_finish.valid, most=watchdog + LIMIT + 2 * MARGIN)
        assert cycles >= watchdog + LIMIT
        assert ctx.get(dut.o_finish.payload.error) == FaultCode.WATCHDOG

    simulate(test)
