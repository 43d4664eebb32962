"""cocotb tests of the Wishbone master at the model of cocotbext-wishbone. They run inside the simulator's process."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge
from cocotbext.wishbone.monitor import WishboneSlave
from thresher.hdl.bus.wishbone import WishboneSignature

from .cocotb_traffic import SOURCES, Port, reset, watch
from .rules import WishboneRules
from .tops import WISHBONE
from .traffic import WORD, Traffic

ACK, ERR, RTY = 1, 2, 3
"""Answers of the model."""


class Target:
    """Memory behind the model, which asks for an answer and then for the word that is read."""

    def __init__(self, dut: Any, prefix: str, traffic: Traffic, random: Random, *, retry: float):
        self.memory, self.errors = bytearray(traffic.before), traffic.errors
        self.random, self.retry = random, retry
        self.we, self.adr, self.dat_w = (getattr(dut, f"{prefix}_{name}") for name in ("we", "adr", "dat_w"))
        self.retries = 0

    @property
    def address(self) -> int:
        return WORD * int(self.adr.value)

    def words(self):
        while True:
            yield int.from_bytes(self.memory[self.address : self.address + WORD], "little")

    def answers(self):
        while True:
            if self.random.random() < self.retry:
                self.retries += 1
                yield RTY
            elif self.address in self.errors:
                yield ERR
            else:
                if int(self.we.value):
                    word = int(self.dat_w.value).to_bytes(WORD, "little")
                    self.memory[self.address : self.address + WORD] = word
                yield ACK


def waits(random: Random, probability: float):
    """Cycles before each answer."""
    while True:
        yield random.randrange(1, 9) if random.random() < probability else 0


@cocotb.test()
@cocotb.parametrize(
    ("burst", [False, True]),
    (("seed", "port", "wait", "retry"), [(1, 0.0, 0.0, 0.0), (2, 0.5, 0.5, 0.0), (3, 0.3, 0.2, 0.2)]),
)
async def random_traffic(dut: Any, burst: bool, seed: int, port: float, wait: float, retry: float) -> None:
    """The port stalls, and the model waits, at random. Some words are errors, and some are to be retried."""
    prefix = WISHBONE[burst]
    traffic = Traffic.random(seed=seed, count=100, errors=True)
    random = Random(f"{seed}/model")
    target = Target(dut, prefix, traffic, random, retry=retry)
    names = ("cyc", "stb", "we", "adr", "ack")
    WishboneSlave(
        dut,
        prefix,
        dut.clk,
        width=64,
        signals_dict={name: name for name in names} | {"datwr": "dat_w", "datrd": "dat_r"},
        datgen=target.words(),
        ackgen=target.answers(),
        waitreplygen=waits(random, wait),
    )
    rules = WishboneRules(f"seed {seed}", burst=burst)
    cocotb.start_soon(watch(dut, prefix, WishboneSignature().members, rules))
    await reset(dut, prefix)
    # A burst cannot wait for its answers, so these two streams do not stall.
    stalls = {name: port for name in SOURCES}
    await Port(dut, prefix, traffic, seed=seed, stalls=stalls).run(60_000)
    await FallingEdge(dut.clk)
    assert target.memory == traffic.memory, f"seed {seed}"
    assert (target.retries > 0) == (retry > 0)
    bursts = (*traffic.reads, *traffic.writes)
    words = [address for each in bursts for address in each.addresses]
    assert len(rules.moved) == sum(address not in traffic.errors for address in words), f"seed {seed}"
