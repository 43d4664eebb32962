"""Faults of frames on the serial line: the hardware ignores altered requests, the host altered answers."""

from collections.abc import Iterator
from functools import cache
from types import ModuleType
from unittest.mock import patch

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.hdl.link.linked_core import LinkedCore
from thresher.hdl.link.uart import Receiver, Transmitter
from thresher.host import link as link_module
from thresher.host.link import Link
from thresher.sim.verilator import VerilatorSimulator
from thresher.spec.link import IDENTITY_PORT, LinkConfig

from ..hdl.link.link_bench import CLOCKS, IDENTITY, TwoQueues
from .fault import Fault

LINK = LinkConfig(clocks_per_bit=CLOCKS, payload_bytes=128, silence_bits=12)
BAUD = 12_000
"""Of the simulated line, so that a quarter of a second is longer than the silence after which a frame is dropped."""
BITS_OF_BYTE = 10
WIDE, BYTE = 0, 1


class Line(wiring.Component):
    """Two queues behind a link, with the host's end of the line as bytes."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.board = board = LinkedCore(TwoQueues(), LINK, identity=IDENTITY)
        m.submodules.transmitter = transmitter = Transmitter(CLOCKS)
        m.submodules.receiver = receiver = Receiver(CLOCKS)
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        m.d.comb += [board.rx.eq(transmitter.tx), receiver.rx.eq(board.tx)]
        m.d.comb += [self.o.valid.eq(receiver.byte_valid), self.o.payload.eq(receiver.byte)]
        return m


class Clock:
    """Stands for the module ``time``: the time of the simulation."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class SpoiledPort:
    """A simulated line that spoils one frame: the request of this number, counted from 0, or its first answer.

    A bit is flipped, or a byte is lost.
    """

    name, baud = "simulation", BAUD
    STEP = 400
    """Cycles after which the host looks again."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._simulator = VerilatorSimulator(Line())
        self._coming: list[int] = []
        self._asked: list[bytes] = []
        self._answered = 0
        self.attempts: list[int] = []
        self._spoil: tuple[int, bool, int, bool] | None = None

    def spoil(self, request: int, *, answer: bool, place: int, lost: bool) -> None:
        """Spoil a bit, or lose a byte, of a request from now on, or of its answer."""
        self._spoil = (request, answer, place, lost)
        self._asked, self.attempts = [], []

    def heal(self) -> None:
        self._spoil, self._asked, self.attempts = None, [], []

    def write(self, data: bytes) -> None:
        if not self._asked or self._asked[-1] != data:
            self._asked.append(data)
            self.attempts.append(0)
        self.attempts[-1] += 1
        self._answered = 0
        sent = [item for place, byte in enumerate(data) for item in self._altered(byte, place, answer=False)]
        self._run(sent, len(sent) * BITS_OF_BYTE * CLOCKS)

    def read(self, timeout: float) -> bytes:
        end = self._clock.now + timeout
        while not self._coming and self._clock.now < end:
            self._run([], self.STEP)
        found, self._coming = bytes(self._coming), []
        return found

    def close(self) -> None:
        self._simulator.close()

    def _run(self, data: list[int], cycles: int) -> None:
        for byte in self._simulator.advance({"i": data}, cycles=cycles).values["o"]:
            self._coming += self._altered(int(byte), self._answered, answer=True)
            self._answered += 1
        self._clock.now += cycles / (BAUD * CLOCKS)

    def _altered(self, byte: int, place: int, *, answer: bool) -> list[int]:
        """What becomes of a byte of a frame."""
        if self._spoil is None or self.attempts[-1:] != [1]:
            return [byte]
        request, of_answer, spoiled, lost = self._spoil
        if (len(self._asked) - 1, of_answer) != (request, answer) or place != spoiled // (1 if lost else 8):
            return [byte]
        return [] if lost else [byte ^ 1 << spoiled % 8]


WIDE_BEATS, BYTES = bytes([0x45, 0x23, 0x01, 0xCB, 0xED, 0x0F]), b"\xa5\x5a\xc3"


def session(link: Link) -> None:
    """Every operation. The queues give each payload once."""
    assert link.read(IDENTITY_PORT, len(IDENTITY)) == IDENTITY
    link.reset()
    assert link.write(WIDE, WIDE_BEATS) == len(WIDE_BEATS)
    assert link.write(BYTE, BYTES, last=True) == len(BYTES)
    assert link.read(WIDE, len(WIDE_BEATS)) == WIDE_BEATS
    assert link.read(BYTE, len(BYTES)) == BYTES
    assert link.read(WIDE, len(WIDE_BEATS)) == link.read(BYTE, len(BYTES)) == b""


REQUESTS = (0, 0, len(WIDE_BEATS), len(BYTES), 0, 0, 0, 0)
ANSWERS = (len(IDENTITY), 0, 0, 0, len(WIDE_BEATS), len(BYTES), 0, 0)
"""Bytes of the payloads in a session."""
FRAME_BYTES = 10
"""Of a frame without a payload."""


@cache
def line() -> tuple[Clock, SpoiledPort]:
    clock = Clock()
    return clock, SpoiledPort(clock)


def places(*, answer: bool, lost: bool) -> Iterator[tuple[int, int]]:
    """Each frame of a session with each of its bits or bytes."""
    for number, payload in enumerate(ANSWERS if answer else REQUESTS):
        for place in range((FRAME_BYTES + payload) * (1 if lost else 8)):
            yield number, place


def spoiled(*, answer: bool, lost: bool = False) -> int:
    """A session for each place. Exactly one frame must be sent again."""
    clock, port = line()
    cases = 0
    module: ModuleType = link_module
    with patch.object(module, "time", clock):
        port.heal()
        link = Link(port)
        for number, place in places(answer=answer, lost=lost):
            port.spoil(number, answer=answer, place=place, lost=lost)
            session(link)
            wanted = [1 + (request == number) for request in range(len(REQUESTS))]
            assert port.attempts == wanted, f"frame {number}, place {place}: {port.attempts}"
            port.heal()
            session(link)
            cases += 1
    return cases


def _row(fault: str, answer: str, inject) -> Fault:
    afterwards = "the session is right, and no request is executed twice"
    return Fault(part="frame", fault=fault, answer=answer, afterwards=afterwards, inject=inject)


FAULTS = [
    _row(
        "each bit of each request of a session flipped",
        "the hardware ignores the request; the host repeats it",
        lambda: spoiled(answer=False),
    ),
    _row(
        "each bit of each answer flipped",
        "the host ignores the answer, and repeats the request; the hardware answers the same again",
        lambda: spoiled(answer=True),
    ),
    _row(
        "each byte of each request lost",
        "the hardware drops the request after a silence; the host repeats it",
        lambda: spoiled(answer=False, lost=True),
    ),
    _row(
        "each byte of each answer lost",
        "the host repeats the request; the hardware answers the same again",
        lambda: spoiled(answer=True, lost=True),
    ),
]
