"""Simulation of a board: a core behind its serial link, with the serial line on a pseudo-terminal."""

import contextlib
import os
import pty
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import AbstractContextManager

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..hdl.link.linked_core import LinkedUnit, linked_core
from ..hdl.link.uart import Receiver, Transmitter
from ..spec.link import LinkConfig
from .build import Design, Progress
from .verilator import VerilatorSimulator

__all__ = ["SIMULATED_LINK", "BoardSimulator", "BoardTerminal", "OnLine"]

SIMULATED_LINK = LinkConfig(clocks_per_bit=4, payload_bytes=256, silence_bits=12)
"""Link with the fewest cycles per bit, because most of the simulation's time goes into the line."""

STEP = 500
"""Cycles to simulate before the terminal is read again."""
LISTEN_SECONDS = 0.2
"""Longest wait for the terminal before the simulation checks whether it must end."""


class OnLine(wiring.Component):
    """A linked core, with the transmitter and receiver of a host at the other end of its line.

    Parameters
    ----------
    config : AttentionConfig, SpmmConfig or OnChipConfig
    link : LinkConfig

    Members
    -------
    i : In(stream(8))
        Bytes from the host.
    o : Out(stream(8))
        Bytes to the host. A byte that is not taken before the next one arrives is lost, as on a real line.
    """

    SIGNATURE = wiring.Signature({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def __init__(self, config: LinkedUnit, link: LinkConfig):
        self._config, self._link = config, link
        super().__init__(self.SIGNATURE)

    def elaborate(self, platform):
        m = Module()
        m.submodules.board = board = linked_core(self._config, self._link)
        m.submodules.transmitter = transmitter = Transmitter(self._link.clocks_per_bit)
        m.submodules.receiver = receiver = Receiver(self._link.clocks_per_bit)
        connect(m, flipped(self.i), transmitter.i)
        m.d.comb += [board.rx.eq(transmitter.tx), receiver.rx.eq(board.tx)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(receiver.byte_valid & (~self.o.valid | self.o.ready)):
            m.d.sync += [self.o.payload.eq(receiver.byte), self.o.valid.eq(1)]
        return m


class BoardSimulator(AbstractContextManager["BoardSimulator"]):
    """Simulator of a linked core, under Verilator, with bytes in and out.

    Parameters
    ----------
    config : AttentionConfig, SpmmConfig or OnChipConfig
    link : LinkConfig
    on_progress : function of a line of text, optional
        Called before a step that takes seconds.

    Raises
    ------
    ToolError
        A tool is missing or fails, or the cache cannot be written.
    ConfigError
        A beat of the core does not fit a payload of the link.
    """

    def __init__(
        self,
        config: LinkedUnit,
        *,
        link: LinkConfig = SIMULATED_LINK,
        on_progress: Progress | None = None,
    ):
        self.link = link
        kind = type(config).__name__
        design = Design(
            signature=OnLine.SIGNATURE,
            make=lambda: OnLine(config, link),
            key=f"OnLine {kind} {config.to_json()} {link.to_json()}",
        )
        self._simulator = VerilatorSimulator(design, on_progress=on_progress)

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """End the simulation."""
        self._simulator.close()

    def exchange(self, data: bytes, *, cycles: int) -> bytes:
        """Queue bytes for the line, run for ``cycles`` cycles, and return the bytes that came over the line."""
        transfers = self._simulator.advance({"i": list(data)}, cycles=cycles)
        return bytes(transfers.values["o"])


class BoardTerminal(AbstractContextManager["BoardTerminal"]):
    """A simulated board at a pseudo-terminal. Programs open it as a serial port.

    Parameters
    ----------
    simulator : BoardSimulator

    Attributes
    ----------
    path : str
        Path of the terminal.
    """

    def __init__(self, simulator: BoardSimulator):
        self._simulator = simulator
        # The program's end stays open here too, so that the terminal survives when a program closes it.
        self._line, self._end = pty.openpty()
        tty.setraw(self._end)
        os.set_blocking(self._line, False)
        self.path = os.ttyname(self._end)

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Remove the terminal, as if the board was unplugged."""
        for descriptor in (self._line, self._end):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def serve(self, stop: threading.Event | None = None) -> None:
        """Run until ``stop`` is set, or for ever. The simulation pauses while the line is silent."""
        # After this silence the link waits for a request. Its earlier state does not matter.
        rest = 2 << self._simulator.link.silence_bits
        quiet = rest
        while stop is None or not stop.is_set():
            ready, _, _ = select.select([self._line], [], [], LISTEN_SECONDS if quiet >= rest else 0)
            data = os.read(self._line, 4096) if ready else b""
            if not data and quiet >= rest:
                continue
            answer = self._simulator.exchange(data, cycles=max(STEP, self._cycles(data)))
            if answer:
                with contextlib.suppress(BlockingIOError):  # no program reads the terminal: the bytes are lost
                    os.write(self._line, answer)
            quiet = 0 if data or answer else quiet + STEP

    def _cycles(self, data: bytes) -> int:
        """Cycles that the bytes take on the line."""
        return 10 * len(data) * self._simulator.link.clocks_per_bit

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Context manager that serves in a thread. Its value is the path of the terminal."""
        stop = threading.Event()
        thread = threading.Thread(target=self.serve, args=(stop,), daemon=True)
        thread.start()
        try:
            yield self.path
        finally:
            stop.set()
            thread.join()
