"""cocotb tests of registers on AXI4-Lite, with the master of cocotbext-axi. They run inside the simulator's process."""

import warnings
from itertools import repeat
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from thresher.spec.registers import BY_NAME, REGISTERS

from .register_model import RegisterModel, Transfer

# In this process, too, warnings are errors. The models use what newer versions of cocotb deprecate.
warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(cocotbext|cocotb_bus)\b")

PERIOD_NS = 10
ANSWERS = {"b": ("bresp",), "r": ("rdata", "rresp")}
CHANNELS: tuple[str, ...] = ("aw", "w", "b", "ar", "r")


class Rules:
    """Rules of the answers: they stay until they are taken, and none comes before its request is complete."""

    def __init__(self, dut: Any, where: str):
        self.dut, self.where = dut, where
        self.moved: dict[str, int] = dict.fromkeys(CHANNELS, 0)
        self.pending: dict[str, list[int]] = {}

    def value(self, name: str) -> int:
        return int(getattr(self.dut, f"bus__{name}").value)

    async def watch(self) -> None:
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            for channel, requests in (("b", ("aw", "w")), ("r", ("ar",))):
                valid, payload = self.value(f"{channel}valid"), [self.value(name) for name in ANSWERS[channel]]
                if channel in self.pending:
                    assert valid, f"{self.where}: {channel} withdrawn"
                    assert payload == self.pending.pop(channel), f"{self.where}: {channel} changed"
                if valid:
                    assert all(self.moved[each] > self.moved[channel] for each in requests), f"{self.where}: {channel}"
                    if not self.value(f"{channel}ready"):
                        self.pending[channel] = payload
            for channel in CHANNELS:
                self.moved[channel] += self.value(f"{channel}valid") & self.value(f"{channel}ready")


async def begin(dut: Any, *, seed: int, pauses: dict[str, float]) -> tuple[Any, Rules]:
    """Reset, with a co-processor that is idle."""
    Clock(dut.clk, PERIOD_NS, "ns").start()
    for name, handle in (("ready", 1), ("o_finish__valid", 0), ("o_finish__payload", 0), ("activity", 0)):
        getattr(dut, f"control__{name}").value = handle
    dut.control__i_program__ready.value = 0
    dut.rst.value = 1
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus_"), dut.clk, dut.rst)
    ends = (master.write_if, master.read_if)
    for channel, pause in pauses.items():
        random = Random(f"{seed}/{channel}")
        (end,) = (getattr(each, f"{channel}_channel") for each in ends if hasattr(each, f"{channel}_channel"))
        end.set_pause_generator(random.random() < probability for probability in repeat(pause))
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    rules = Rules(dut, f"seed {seed}")
    cocotb.start_soon(rules.watch())
    return master, rules


def random_write(random: Random) -> tuple[int, bytes]:
    """Address and bytes of a write to some bytes of a word. No program is made that could start."""
    register = random.choice([each for each in REGISTERS if each.name != "PROGRAM_INSTRUCTIONS"])
    offset = register.offset if random.random() < 0.9 else 0x200
    first = random.randrange(4)
    return offset + first, random.randbytes(random.randint(1, 4 - first))


def transfer_of(address: int, data: bytes) -> Transfer:
    place = address % 4
    mask = (1 << len(data)) - 1 << place
    return Transfer(address - place, int.from_bytes(data, "little") << 8 * place, mask)


PAUSES: list[dict[str, float]] = [{}, dict.fromkeys(CHANNELS, 0.5), *({channel: 0.9} for channel in CHANNELS)]


@cocotb.test()
@cocotb.parametrize(seed=range(len(PAUSES)))
async def random_accesses(dut: Any, seed: int) -> None:
    """Writes and reads of constants at the same time, many of each in flight; then all registers are read."""
    random = Random(seed)
    master, rules = await begin(dut, seed=seed, pauses=PAUSES[seed])
    model = RegisterModel()
    writes = [random_write(random) for _ in range(100)]
    reads = [random.choice((0, 4, 8, 12, 0xFFC)) for _ in range(100)]
    written = [cocotb.start_soon(master.write(address, data)) for address, data in writes]
    read = [cocotb.start_soon(master.read(address, 4)) for address in reads]

    async def finish() -> None:
        for task, (address, data) in zip(written, writes, strict=True):
            wanted = AxiResp.SLVERR if model.apply(transfer_of(address, data))[1] else AxiResp.OKAY
            assert (await task).resp == wanted, f"{address:#x}, seed {seed}"
        for task, address in zip(read, reads, strict=True):
            check(await task, address)
        for register in REGISTERS:
            check(await master.read(register.offset, 4), register.offset)

    def check(found: Any, address: int) -> None:
        word, error = model.apply(Transfer(address))
        assert found.resp == (AxiResp.SLVERR if error else AxiResp.OKAY), f"{address:#x}, seed {seed}"
        assert int.from_bytes(found.data, "little") == word, f"{address:#x}, seed {seed}"

    await with_timeout(finish(), 20_000 * PERIOD_NS, "ns")
    assert rules.moved == {"aw": 100, "w": 100, "b": 100, "ar": 100 + len(REGISTERS), "r": 100 + len(REGISTERS)}


@cocotb.test()
async def program_runs(dut: Any) -> None:
    """A host starts a program, and waits for the interrupt."""
    master, _ = await begin(dut, seed=0, pauses={})

    async def write(name: str, value: int) -> None:
        result = await master.write(BY_NAME[name].offset, value.to_bytes(4, "little"))
        assert result.resp == AxiResp.OKAY, name

    async def read(name: str) -> dict[str, int]:
        result = await master.read(BY_NAME[name].offset, 4)
        assert result.resp == AxiResp.OKAY, name
        return BY_NAME[name].decode(int.from_bytes(result.data, "little"))

    await write("PROGRAM_INSTRUCTIONS", 7)
    await write("INTERRUPT_ENABLE", 3)
    await write("CONTROL", 1)
    await FallingEdge(dut.clk)
    assert dut.control__i_program__valid.value == 1
    for register in (each for each in REGISTERS if each.needs_idle):
        refused = await master.write(register.offset, bytes(4))
        assert refused.resp == AxiResp.SLVERR
    assert (await read("PROGRAM_INSTRUCTIONS"))["count"] == 7
    assert dut.interrupt.value == 0
    await FallingEdge(dut.clk)
    dut.control__o_finish__valid.value = 1
    await FallingEdge(dut.clk)
    dut.control__o_finish__valid.value = 0
    assert dut.interrupt.value == 1
    assert await read("STATUS") == {"busy": 0, "idle": 1, "finished": 1, "fault": 0}
    await write("INTERRUPT_PENDING", 1)
    await FallingEdge(dut.clk)
    assert dut.interrupt.value == 0
