"""Registers of a co-processor: what the host reads and writes, and what the co-processor sees."""

from random import Random

import pytest
from amaranth import Shape
from thresher.hdl.bus.registers import FINISH_FIELDS, UNIT_EVENTS
from thresher.hdl.coprocessor.program_streams import finish_layout
from thresher.spec.program import UNITS, FaultCode, Region
from thresher.spec.registers import BY_NAME, REGISTERS, SPACE_BYTES, Access, hash_words

from .register_bench import HASH, Bench, simulate

SETTINGS = [each.name for each in REGISTERS if each.needs_idle]
PLAIN = [each.name for each in REGISTERS if all(field.access is Access.READ_WRITE for field in each.fields)]
READ_ONLY = [each.name for each in REGISTERS if not each.writable]


def reset_values() -> dict[str, int]:
    found = {each.name: sum(field.reset << field.offset for field in each.fields) for each in REGISTERS}
    low, high = hash_words(HASH)
    return found | {"HASH_LOW": low, "HASH_HIGH": high, "STATUS": BY_NAME["STATUS"].encode(idle=1)}


def test_values_after_reset():
    async def test(host: Bench):
        await host.write("PROGRAM_INSTRUCTIONS", 0)
        assert {each.name: await host.read(each.name) for each in REGISTERS} == reset_values()

    simulate(test)


def test_written_bytes_are_kept_and_others_stay():
    random = Random(1)

    async def test(host: Bench):
        values = {name: await host.read(name) for name in PLAIN}
        for _ in range(300):
            name, word, mask = random.choice(PLAIN), random.getrandbits(32), random.getrandbits(4)
            bits = sum(0xFF << 8 * i for i in range(4) if mask >> i & 1) & BY_NAME[name].mask
            assert await host.write(name, word, mask)
            values[name] = values[name] & ~bits | word & bits
            assert await host.read(name) == values[name]
        assert {name: await host.read(name) for name in PLAIN} == values

    simulate(test)


def test_a_read_gives_the_value_before_a_write_of_the_same_cycle():
    async def test(host: Bench):
        offset = BY_NAME["WATCHDOG"].offset
        await host.write("WATCHDOG", 5)
        await host.access(write=(offset, 6, 15), read=offset)
        assert host.ctx.get(host.dut.port.read_data) == 5
        assert await host.read("WATCHDOG") == 6

    simulate(test)


def test_offsets_without_a_register_are_errors():
    mapped = {each.offset for each in REGISTERS}

    async def test(host: Bench):
        port = host.dut.port
        for offset in range(0, SPACE_BYTES, 4):
            await host.access(read=offset)
            assert host.ctx.get(port.read_error) == (offset not in mapped)
            if offset not in mapped:
                assert host.ctx.get(port.read_data) == 0
                await host.access(write=(offset, 0xFFFF_FFFF, 15))
                assert host.ctx.get(port.write_error) == 1
        await host.write("PROGRAM_INSTRUCTIONS", 0)
        assert {each.name: await host.read(each.name) for each in REGISTERS} == reset_values()

    simulate(test)


def test_writes_to_read_only_registers_are_errors():
    async def test(host: Bench):
        for name in READ_ONLY:
            before = await host.read(name)
            assert not await host.write(name, 0xFFFF_FFFF)
            assert await host.read(name) == before

    simulate(test)


def test_answers_stay_until_the_next_access():
    async def test(host: Bench):
        port = host.dut.port
        await host.read("IDENTITY")
        assert not await host.write("IDENTITY", 0)
        for _ in range(3):
            await host.tick()
            assert (host.get(port.write_error), host.get(port.read_error)) == (1, 0)
            assert host.get(port.read_data) == 0x54485253

    simulate(test)


def test_settings_reach_the_coprocessor():
    async def test(host: Bench):
        random = Random(2)
        words = {name: random.getrandbits(32) for name in SETTINGS}
        for name, word in words.items():
            await host.write(name, word)
        await host.start()
        control = host.control
        program = control.i_program
        assert host.get(program.valid) == 1
        assert host.get(program.payload.address) == words["PROGRAM_ADDRESS"] & 0xFFFF_FFF8
        assert host.get(program.payload.instructions) == words["PROGRAM_INSTRUCTIONS"] & 0xFFFF
        assert host.get(control.watchdog) == words["WATCHDOG"]
        for region in Region:
            place = control.regions[region.name.lower()]
            assert host.get(place.base) == words[f"{region.name}_BASE"] & 0xFFFF_FF80
            assert host.get(place.size) == words[f"{region.name}_SIZE"] & 0x7FFF_FFF8

    simulate(test)


def test_a_program_is_offered_until_its_end():
    async def test(host: Bench):
        assert host.get(host.control.i_program.valid) == 0
        assert await host.start()
        for _ in range(20):
            assert host.get(host.control.i_program.valid) == 1
            assert await host.fields("STATUS") == {"busy": 1, "idle": 0, "finished": 0, "fault": 0}
        await host.end()
        assert host.get(host.control.i_program.valid) == 0
        assert await host.fields("STATUS") == {"busy": 0, "idle": 1, "finished": 1, "fault": 0}
        assert await host.start()
        assert await host.fields("STATUS") == {"busy": 1, "idle": 0, "finished": 0, "fault": 0}

    simulate(test)


@pytest.mark.parametrize("reason", ["busy", "outstanding"])
def test_settings_and_starts_are_refused_unless_idle(reason):
    """They have no effect, also not later."""

    async def test(host: Bench):
        before = {name: await host.read(name) for name in SETTINGS}
        if reason == "busy":
            await host.start()
        else:
            host.ctx.set(host.control.ready, 0)
        for name in SETTINGS:
            assert not await host.write(name, 0x7654_3210)
        assert not await host.start()
        assert {name: await host.read(name) for name in SETTINGS} == before
        if reason == "busy":
            await host.end()
            assert host.get(host.control.i_program.valid) == 0
            assert (await host.fields("STATUS"))["finished"] == 1
        else:
            assert await host.fields("STATUS") == {"busy": 0, "idle": 0, "finished": 0, "fault": 0}
            host.ctx.set(host.control.ready, 1)
            await host.tick(2)
            assert host.get(host.control.i_program.valid) == 0
        assert await host.start()

    simulate(test)


def test_a_program_without_instructions_is_refused():
    async def test(host: Bench):
        assert await host.write("PROGRAM_INSTRUCTIONS", 0)
        assert not await host.start()
        assert host.get(host.control.i_program.valid) == 0

    simulate(test)


def test_a_start_needs_its_byte():
    async def test(host: Bench):
        assert await host.write("CONTROL", 1, mask=0b1110)
        assert host.get(host.control.i_program.valid) == 0
        assert await host.write("CONTROL", 0)
        assert host.get(host.control.i_program.valid) == 0
        assert await host.read("CONTROL") == 0

    simulate(test)


def test_an_abort_lasts_until_the_end():
    async def test(host: Bench):
        abort = BY_NAME["CONTROL"].encode(abort=1)
        assert await host.write("CONTROL", abort)
        assert host.get(host.control.abort_program) == 0  # no program runs
        await host.start()
        await host.tick(3)
        assert host.get(host.control.abort_program) == 0
        assert await host.write("CONTROL", abort)
        assert not await host.write("CONTROL", abort | 1)
        for _ in range(5):
            assert host.get(host.control.abort_program) == 1
            await host.tick()
        await host.end(error=FaultCode.ABORT)
        assert host.get(host.control.abort_program) == 0
        assert (await host.fields("FAULT"))["code"] == FaultCode.ABORT
        await host.start()
        assert host.get(host.control.abort_program) == 0

    simulate(test)


def test_an_abort_with_a_start_is_refused_with_it():
    async def test(host: Bench):
        await host.start()
        assert not await host.write("CONTROL", BY_NAME["CONTROL"].encode(start=1, abort=1))
        await host.tick(3)
        assert host.get(host.control.abort_program) == 0

    simulate(test)


def test_an_abort_in_the_last_cycle_does_not_stop_the_next_program():
    async def test(host: Bench):
        await host.start()
        host.finish()
        await host.write("CONTROL", BY_NAME["CONTROL"].encode(abort=1))
        host.ctx.set(host.control.o_finish.valid, 0)
        assert await host.start()
        assert host.get(host.control.abort_program) == 0

    simulate(test)


def test_every_member_of_an_end_is_read():
    members = finish_layout().members
    assert set(members) <= set(FINISH_FIELDS)
    random = Random(3)

    async def test(host: Bench):
        for _ in range(5):
            end = {name: random.getrandbits(Shape.cast(shape).width) for name, shape in members.items()}
            end["error"] = random.randint(1, max(FaultCode))
            assert await host.start()
            await host.tick(3)
            await host.end(**end)
            found = {}
            for member, place in FINISH_FIELDS.items():
                register, field = place.split(".")
                found[member] = (await host.fields(register))[field]
            assert found == dict.fromkeys(FINISH_FIELDS, 0) | end
            assert await host.fields("STATUS") == {"busy": 0, "idle": 1, "finished": 0, "fault": 1}
        assert await host.start()
        assert [await host.read(name) for name in ("FAULT", "FAULT_INSTRUCTION", "FAULT_ADDRESS")] == [0, 0, 0]
        assert await host.fields("STATUS") == {"busy": 1, "idle": 0, "finished": 0, "fault": 0}

    simulate(test)


@pytest.mark.parametrize(("event", "error"), [("finished", FaultCode.NONE), ("fault", FaultCode.BUS)])
def test_events_interrupt_if_enabled(event, error):
    bit = BY_NAME["INTERRUPT_PENDING"].encode(**{event: 1})
    other = BY_NAME["INTERRUPT_PENDING"].mask ^ bit

    async def test(host: Bench):
        interrupt = host.dut.interrupt
        assert await host.write("INTERRUPT_ENABLE", other)
        await host.start()
        await host.end(error=error)
        assert await host.read("INTERRUPT_PENDING") == bit
        assert host.get(interrupt) == 0
        await host.write("INTERRUPT_ENABLE", bit)
        assert host.get(interrupt) == 1
        await host.write("INTERRUPT_PENDING", other)
        await host.write("INTERRUPT_PENDING", bit, mask=0b1110)
        assert host.get(interrupt) == 1
        await host.start()
        assert host.get(interrupt) == 1
        await host.write("INTERRUPT_PENDING", bit)
        assert host.get(interrupt) == 0
        await host.end(error=error)
        assert host.get(interrupt) == 1

    simulate(test)


@pytest.mark.parametrize(("event", "error"), [("finished", FaultCode.NONE), ("fault", FaultCode.COMMAND)])
@pytest.mark.parametrize("pending", [False, True])
def test_an_event_wins_over_a_clear_in_the_same_cycle(event, error, pending):
    bit = BY_NAME["INTERRUPT_PENDING"].encode(**{event: 1})

    async def test(host: Bench):
        if pending:
            await host.start()
            await host.end(error=error)
        await host.start()
        host.finish(error=error)
        await host.write("INTERRUPT_PENDING", 0b11)
        host.ctx.set(host.control.o_finish.valid, 0)
        assert await host.read("INTERRUPT_PENDING") == bit
        await host.write("INTERRUPT_PENDING", bit)
        assert await host.read("INTERRUPT_PENDING") == 0

    simulate(test)


def test_counters_count_while_a_program_runs():
    """From the cycle after the start, up to and including the cycle of the end."""
    random = Random(4)

    async def play(host: Bench, cycles: int) -> dict[str, int]:
        activity = host.control.activity
        counts = {each.name: 0 for each in REGISTERS if each.offset >= BY_NAME["CYCLES"].offset}
        for _ in range(cycles):
            counts["CYCLES"] += 1
            for name, bit in (("WORDS_READ", activity.word_read), ("WORDS_WRITTEN", activity.word_written)):
                value = random.randint(0, 1)
                host.ctx.set(bit, value)
                counts[name] += value
            for unit in UNITS:
                for counter, member in UNIT_EVENTS.items():
                    value = random.randint(0, 1)
                    host.ctx.set(activity[unit.name.lower()][member], value)
                    counts[f"{unit.name}_{counter}"] += value
            await host.tick()
        return counts

    async def test(host: Bench):
        await play(host, 10)
        for cycles in (40, 7):
            assert await host.start()
            counts = await play(host, cycles)
            host.finish()
            last = await play(host, 1)
            host.ctx.set(host.control.o_finish.valid, 0)
            await play(host, 9)
            wanted = {name: count + last[name] for name, count in counts.items()}
            assert {name: await host.read(name) for name in wanted} == wanted

    simulate(test)


def test_a_start_directly_after_an_end_counts_from_zero():
    async def test(host: Bench):
        host.ctx.set(host.control.activity.word_read, 1)
        await host.start()
        await host.tick(5)
        await host.end()
        await host.start()
        await host.tick(3)
        await host.end()
        await host.tick(1)
        assert (await host.read("CYCLES"), await host.read("WORDS_READ")) == (4, 4)

    simulate(test)
