"""What components of :mod:`.stream_claims` rely on, and outputs that may be withdrawn: properties of each."""

from typing import Any

from amaranth import Cat, Mux, Value
from thresher.hdl.attention.selection.kept_blocks import KeptBlocks
from thresher.hdl.attention.softmax.denominator import Denominator
from thresher.hdl.bus.axi4 import Axi4Master
from thresher.hdl.bus.registers import RegisterFile
from thresher.hdl.coprocessor.arbiter import Arbiter
from thresher.hdl.coprocessor.attention.head_runner import HEADS_AHEAD
from thresher.hdl.coprocessor.gate import BurstGate
from thresher.hdl.coprocessor.supervisor import Supervisor
from thresher.hdl.coprocessor.vector.normaliser import Normaliser
from thresher.hdl.lib.packets import PacketReceiver
from thresher.hdl.link.host_access import HostAccess
from thresher.hdl.link.ports import WritePorts

from .claims import channel
from .properties import Always, Held, Level, Property, Stable, Steady

__all__ = [
    "arbiter",
    "counted",
    "gate",
    "heads_ahead",
    "kept_blocks",
    "operands",
    "packet",
    "packet_faults",
    "read_data",
    "registers",
    "rows_come",
    "rows_leave",
    "supervisor",
    "write_answers",
    "write_enable",
    "write_ports",
]


def kept_blocks(block: KeptBlocks) -> list[Property]:
    """The words of a head stay while it is listed."""
    return [Steady(name, getattr(block, name), when=~block.i_head.ready) for name in ("mask", "row")]


def rows_come(denominator: Denominator, *, floor: bool = False) -> list[Property]:
    """Rows come when they are accepted, and no more than the queues of a denominator hold."""
    rows, out = denominator.i, denominator.o_rows
    comes, leaves = rows.valid & rows.ready, out.valid & out.ready
    return [
        Always("i is accepted at once", rows.ready, rows.valid),
        Level("rows inside", comes, leaves, most=2, swaps=False, floor=floor),
    ]


def rows_leave(denominator: Denominator) -> list[Property]:
    """Rows leave after they come."""
    rows, out = denominator.i, denominator.o_rows
    return [Level("rows leave after they come", rows.valid & rows.ready, out.valid & out.ready, most=3)]


def heads_ahead(runner: Any) -> list[Property]:
    """The core keeps what it offers, and few heads end before they are reported."""
    core, written, done = runner.parts.core, runner.i_written, runner.o_done
    reported = done.valid & done.ready
    return [
        Stable("o_data of the core", core.o_data),
        Level("heads computed", core.o_statistics.valid, reported, most=HEADS_AHEAD, floor=False),
        Level("heads written", written.valid & written.ready, reported, most=HEADS_AHEAD, floor=False),
    ]


def write_answers(block: Axi4Master) -> list[Property]:
    """Answers of the subordinate are stable."""
    axi = block.axi
    return [
        Stable("r", channel(axi.rvalid, axi.rready, Cat(axi.rdata, axi.rresp, axi.rlast))),
        Stable("b", channel(axi.bvalid, axi.bready, axi.bresp)),
    ]


def gate(block: BurstGate) -> list[Property]:
    """Bursts end after they began."""
    return [Level("bursts that began", block.o.valid & block.o.ready, block.done, most=2)]


def arbiter(block: Arbiter) -> list[Property]:
    """The memory answers bursts that it has accepted."""
    port = block.port
    return [
        Level(
            "reads that began",
            port.read.valid & port.read.ready,
            port.read_data.valid & port.read_data.payload.last,
            most=2,
        ),
        Level("writes that began", port.write.valid & port.write.ready, port.written.valid, most=2),
    ]


def counted(block: Any, room: int) -> list[Property]:
    """The sender counts the room."""
    return [Level("payloads inside", block.i.valid, block.o.valid & block.o.ready, most=room)]


def registers(block: RegisterFile) -> dict[str, Property]:
    """The program stays until the co-processor reports its end."""
    control = block.control
    program = channel(control.i_program.valid, control.o_finish.valid, Value.cast(control.i_program.payload))
    return {"control__i_program": Stable("control__i_program", program)}


def supervisor(block: Supervisor) -> dict[str, Property]:
    """The program stays until the execution is stopped."""
    return {"o_program": Stable("o_program", block.o_program, withdrawn=block.stop)}


def read_data(block: HostAccess) -> list[Property]:
    """What is read from a register stays until the next read."""
    registers = block.registers
    return [Held("read data stays", ~registers.read, Cat(registers.read_data, registers.read_error))]


def operands(block: Normaliser) -> list[Property]:
    """Operands come for the places that were asked for. The operands of a tile come before its last result."""
    places, operands, tile = block.o_places, block.i_operands, block.i_tile
    asked, come = places.valid & places.ready, operands.valid & operands.ready
    return [
        Level("operands to come", asked, come, most=8),
        Always("all places were asked for before the end of a tile", ~places.valid, tile.valid & tile.ready),
    ]


def packet(block: PacketReceiver) -> dict[str, Property]:
    """A beat stays until it is accepted or its packet is dropped. A beat that is made up is undefined."""
    o = block.o
    return {"o": Stable("o", channel(o.valid, o.ready | block.drop, Mux(block.made_up, 0, o.payload)))}


def packet_faults(block: PacketReceiver) -> list[Property]:
    fault, ends = block.fault, block.o.valid & block.o.ready & block.final
    surplus = ends & ~block.made_up & ~block.i.payload.last
    return [
        Always("missing with the final beat, made up", fault.missing == (ends & block.made_up)),
        Always("surplus with the final beat, not the last", fault.surplus == surplus),
    ]


def write_enable(block: WritePorts) -> list[Property]:
    return [Always("bytes come when they are accepted", block.free, block.enable)]


def write_ports(block: WritePorts) -> dict[str, Property]:
    """A payload stays until all are cleared."""
    return {
        name: Stable(name, channel(o.valid, o.ready | block.clear, o.payload))
        for name, o in (("o0", block.o0), ("o1", block.o1))
    }
