"""cocotb tests of registers on Wishbone, with the master of cocotbext-wishbone. They run inside the simulator's
process."""

import warnings
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, with_timeout
from cocotbext.wishbone.driver import WBOp, WishboneMaster

from .register_model import RegisterModel, Transfer, random_transfers

warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(cocotbext|cocotb_bus)\b")

PERIOD_NS = 10
ACK, ERR = 1, 2
SIGNALS = {"datwr": "dat_w", "datrd": "dat_r"} | {name: name for name in ("cyc", "stb", "we", "adr", "ack")}


async def watch(dut: Any) -> None:
    """There is at most one answer, and only to a request."""
    while True:
        await FallingEdge(dut.clk)
        await ReadOnly()
        cyc, stb, ack, err = (int(getattr(dut, f"bus__{name}").value) for name in ("cyc", "stb", "ack", "err"))
        assert ack + err <= (cyc & stb)


@cocotb.test()
@cocotb.parametrize(seed=range(3))
async def random_transfers_in_cycles(dut: Any, seed: int) -> None:
    """Several transfers while ``cyc`` stays asserted, with and without pauses between them."""
    random = Random(seed)
    Clock(dut.clk, PERIOD_NS, "ns").start()
    for name, value in (("ready", 1), ("o_finish__valid", 0), ("o_finish__payload", 0), ("activity", 0)):
        getattr(dut, f"control__{name}").value = value
    dut.control__i_program__ready.value = 0
    master = WishboneMaster(dut, "bus_", dut.clk, timeout=50, signals_dict=SIGNALS)
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    cocotb.start_soon(watch(dut))
    transfers = random_transfers(random, 150, writes=True) + random_transfers(random, 150, writes=False)
    random.shuffle(transfers)
    model = RegisterModel()

    def operation(each: Transfer) -> WBOp:
        idle = random.choice((0, 0, 1, 5))
        data, mask = (None, 15) if each.mask is None else (each.data, each.mask)
        return WBOp(adr=each.offset // 4, dat=data, sel=mask, idle=idle, acktimeout=20)

    while transfers:
        count = random.randint(1, 8)
        group, transfers = transfers[:count], transfers[count:]
        results = await with_timeout(master.send_cycle([operation(each) for each in group]), 1000 * PERIOD_NS, "ns")
        for each, result in zip(group, results, strict=True):
            word, error = model.apply(each)
            assert result.ack == (ERR if error else ACK), f"{each}, seed {seed}"
            assert each.mask is not None or int(result.datrd) == word, f"{each}, seed {seed}"
