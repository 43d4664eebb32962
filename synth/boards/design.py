"""Verilog and constraints of a core with its link and clock on a board."""

import os
import pkgutil
import re
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any
from unittest import mock

from amaranth import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

from ...hdl.emit import tidy
from ...hdl.link.linked_core import LinkedUnit, linked_core
from ...spec.errors import ConfigError
from ...spec.link import LinkConfig, link_config
from ...spec.on_chip_config import OnChipConfig
from ..devices import Family, device
from ..steps import Told, check_clock
from ..tools import Source, SynthesisError
from . import Board
from .pll import Pll, make_pll

__all__ = ["BoardDesign", "design", "small_memories_in_luts"]

TOP = "board"
SAME_CLOCK = 1e-3
"""Largest relative difference from the board's clock that needs no PLL."""
POWER_ON_SECONDS = 15e-6
"""Reset time. Memories of an iCE40 read as zero for some microseconds after configuration."""
SMALL_MEMORY_BITS, SMALL_MEMORY_WORDS = 4096, 256
"""Most bits and words of a memory that is made of look-up tables if the memory of the co-processor takes the block
memories. With more words, the multiplexers behind the look-up tables are large."""


@dataclass(frozen=True, kw_only=True)
class BoardDesign:
    """Inputs of the tools.

    Attributes
    ----------
    board : Board
    clock_mhz : float
        Clock of the core, as the PLL makes it.
    baud : int
        Requested baud rate.
    link : LinkConfig
    top, verilog : str
    constraints : str
        Pins and clocks: content of an LPF file (ECP5) or a PCF file (iCE40).
    """

    board: Board
    clock_mhz: float
    baud: int
    link: LinkConfig
    top: str
    verilog: str
    constraints: str

    @property
    def achieved_baud(self) -> float:
        """Baud rate that the clock divides to."""
        return self.clock_mhz * 1e6 / self.link.clocks_per_bit


def design(
    board: Board,
    config: LinkedUnit,
    *,
    folder: Path,
    clock_mhz: float | None = None,
    baud: int,
    source: Source = Source.AUTO,
    tell: Told = lambda text: None,
) -> BoardDesign:
    """Generate the design of a board.

    Parameters
    ----------
    folder : Path
        The tool that computes the PLL works here.
    clock_mhz : float, optional
        Clock of the core. Default: that of the board.
    baud : int
        Baud rate of the link.
    source : Source, optional
        Where the tool comes from.
    tell : function of a line of text, optional
        Called before the core is generated, after all parameters have been checked.

    Raises
    ------
    ConfigError
        No PLL makes the clock, the clock does not divide to the baud rate, a beat of the core is too long for the
        link's payload, or the chip has too few block memories for the memory of a co-processor.
    SynthesisError
        amaranth-boards or the PLL's tool is missing.
    """
    if util.find_spec("amaranth_boards") is None:
        raise SynthesisError("amaranth-boards not found: run `pip install 'thresher[boards]'`")
    platform = pkgutil.resolve_name(board.platform)()
    input_mhz = platform.default_clk_frequency / 1e6
    wanted_mhz = board.clock_mhz if clock_mhz is None else clock_mhz
    check_clock(wanted_mhz)
    family = device(board.device).family
    pll = None
    if abs(wanted_mhz / input_mhz - 1) >= SAME_CLOCK:
        pll = make_pll(family, input_mhz, wanted_mhz, folder=folder, source=source)
    achieved = input_mhz if pll is None else pll.output_mhz
    if isinstance(config, OnChipConfig):
        _check_memory(board, config)
    link = link_config(achieved * 1e6, baud, payload_bytes=board.payload_bytes)
    tell(f"generating {board.title}")
    top = _Top(linked_core(config, link), pll)
    with mock.patch.dict(os.environ, AMARANTH_USE_YOSYS="builtin"):
        plan = platform.build(top, name=TOP, do_build=False, debug_verilog=True, emit_src=False)
    suffix = "lpf" if family is Family.ECP5 else "pcf"
    verilog = tidy(_text(plan, f"{TOP}.debug.v"))
    return BoardDesign(
        board=board,
        clock_mhz=achieved,
        baud=baud,
        link=link,
        top=TOP,
        verilog=small_memories_in_luts(verilog) if isinstance(config, OnChipConfig) else verilog,
        constraints=_text(plan, f"{TOP}.{suffix}"),
    )


BLOCK_BYTES = {Family.ECP5: 2048, Family.ICE40: 512}
"""Of a block memory, without parity."""


def _check_memory(board: Board, config: OnChipConfig) -> None:
    chip = device(board.device)
    assert chip.capacity is not None
    needed, there = config.memory_bytes // BLOCK_BYTES[chip.family], chip.capacity.bram
    if needed > there:
        raise ConfigError(
            "memory",
            config.memory_kib,
            f"takes {needed} block memories, and {board.title} has {there} for all: choose a smaller memory",
        )


def small_memories_in_luts(verilog: str) -> str:
    """Verilog whose small memories must not use block memories."""

    def marked(found: re.Match[str]) -> str:
        width, depth = int(found["width"] or 0) + 1, int(found["depth"]) + 1
        small = width * depth <= SMALL_MEMORY_BITS and 1 < depth <= SMALL_MEMORY_WORDS
        return f'{found["indent"]}(* ram_style = "distributed" *)\n{found[0]}' if small else found[0]

    memory = r"^(?P<indent> *)reg (?:signed )?(?:\[(?P<width>\d+):0\] )?\S+ \[(?P<depth>\d+):0\];$"
    return re.sub(memory, marked, verilog, flags=re.MULTILINE)


def _text(plan: Any, name: str) -> str:
    content = plan.files[name]
    return content if isinstance(content, str) else content.decode()


class _Top(Elaboratable):
    """A linked core with its pins. The clock is that of the board or of a PLL."""

    def __init__(self, core: Any, pll: Pll | None):
        self._core, self._pll = core, pll

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self._pll is not None:
            _clock(m, platform, self._pll)
        m.submodules.linked = self._core
        uart = platform.request("uart", dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [self._core.rx.eq(rx.i), tx.o.eq(self._core.tx)]
        return m


def _clock(m: Module, platform: Any, pll: Pll) -> None:
    """Make domain ``sync`` from a PLL. It stays in reset for a while after the PLL locks."""
    clock = Signal()
    locked = Signal()
    steady = Signal()
    pin = platform.request(platform.default_clk, dir="-")
    if pll.family is Family.ECP5:
        m.submodules.clock_buffer = buffer = io.Buffer("i", pin)
        m.submodules.pll = _ehxplll(pll, buffer.i, clock, locked)
    else:
        m.submodules.pll = _sb_pll40(pll, pin.io, clock, locked)
    m.domains.sync = ClockDomain()
    m.domains.por = ClockDomain(local=True, reset_less=True)
    m.d.comb += [ClockSignal("sync").eq(clock), ClockSignal("por").eq(clock)]
    m.submodules.lock_synchronizer = FFSynchronizer(locked, steady, o_domain="por")
    last = round(POWER_ON_SECONDS * pll.output_mhz * 1e6)
    timer = Signal(range(last + 1))
    reset = Signal(init=1)
    with m.If(~steady):
        m.d.por += timer.eq(0)
    with m.Elif(timer != last):
        m.d.por += timer.eq(timer + 1)
    m.d.por += reset.eq(timer != last)
    if platform.default_rst is None:
        m.d.comb += ResetSignal("sync").eq(reset)
        return
    button = Signal()
    m.submodules.reset_buffer = pressed = io.Buffer("i", platform.request(platform.default_rst, dir="-"))
    m.submodules.reset_synchronizer = FFSynchronizer(pressed.i, button, o_domain="por")
    m.d.comb += ResetSignal("sync").eq(reset | button)


def _ehxplll(pll: Pll, source: Any, clock: Signal, locked: Signal) -> Instance:
    return Instance(
        "EHXPLLL",
        # Current and filter of the loop; nextpnr writes them into the bitstream.
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_FEEDBK_PATH="CLKOP",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_FPHASE=0,
        **_as_parameters(pll),
        i_CLKI=source,
        i_CLKFB=clock,
        i_RST=0,
        i_STDBY=0,
        i_ENCLKOP=0,
        o_CLKOP=clock,
        o_LOCK=locked,
    )


def _as_parameters(pll: Pll) -> dict[str, Any]:
    return {f"p_{name}": value for name, value in pll.parameters.items()}


def _sb_pll40(pll: Pll, pin: Any, clock: Signal, locked: Signal) -> Instance:
    return Instance(
        "SB_PLL40_PAD",
        p_FEEDBACK_PATH="SIMPLE",
        **_as_parameters(pll),
        i_PACKAGEPIN=pin,
        i_RESETB=1,
        i_BYPASS=0,
        o_PLLOUTGLOBAL=clock,
        o_LOCK=locked,
    )
