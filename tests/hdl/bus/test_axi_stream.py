"""Units on AXI4-Stream, at the sources and sinks of cocotbext-axi."""

import json
from pathlib import Path

import pytest
from thresher.hdl.bus.axi_stream import AxiStreamUnit
from thresher.hdl.emit import emit, interface
from thresher.hdl.lib.packets import is_framed
from thresher.hdl.unit_files import make_unit
from thresher.hdl.vector.unit import VectorUnit
from thresher.sim.attention import HeadBatch
from thresher.sim.batch import Run
from thresher.sim.bridge import pack_all, unpack
from thresher.sim.cocotb_runner import run_cocotb_module
from thresher.sim.spmm_job import SpmmBatch
from thresher.spec import PRESETS, SPMM_PRESETS, VectorConfig
from thresher.spec.buses import Bus, clock_names

from ...heads import check_heads, random_heads
from ...products import check_products, random_jobs
from ..verilog_ports import declared_ports

SEED = 3


def heads():
    work = random_heads(PRESETS["tiny"], seed=SEED, count=6)
    return HeadBatch(PRESETS["tiny"], work), work


def products():
    work = random_jobs(SPMM_PRESETS["tiny"], seed=SEED, count=6)
    return SpmmBatch(SPMM_PRESETS["tiny"], work), work


UNITS = {
    "attention": (PRESETS["tiny"], heads, check_heads),
    "spmm": (SPMM_PRESETS["tiny"], products, check_products),
}


def packets_of(port, values) -> list[str]:
    """Packets as bytes. A command is a packet."""
    packets, size = [b""], -(-data_width(port) // 8)
    for bits in pack_all(port.shape, values, path=port.name):
        packets[-1] += (bits & ~(-1 << data_width(port))).to_bytes(size, "little")
        if not is_framed(port.shape) or bits >> data_width(port):
            packets.append(b"")
    return [packet.hex() for packet in packets[:-1]]


def data_width(port) -> int:
    """Bits of a payload without ``last``."""
    return port.width - is_framed(port.shape)


def test_ports_have_whole_bytes():
    unit = VectorUnit(VectorConfig(lanes=1, max_channels=40))
    declared = declared_ports(emit(AxiStreamUnit(unit), name="top"), "top")
    streams, _ = interface(unit)
    assert len(streams) == 6
    for name, stream in streams.items():
        prefix = f"{'s' if name[0] == 'i' else 'm'}_axis_{name[2:]}"
        there, back = ("input", "output") if name[0] == "i" else ("output", "input")
        width = -(-data_width(stream) // 8) * 8
        assert declared[f"{prefix}_tdata"] == (there, width)
        assert declared[f"{prefix}_tvalid"] == (there, 1)
        assert declared[f"{prefix}_tready"] == (back, 1)
        assert (f"{prefix}_tlast" in declared) == (name != "i_command")
    assert len(declared) == 4 * len(streams) - 1 + 2  # the command has no tlast; clock and reset


@pytest.mark.slow
@pytest.mark.parametrize("name", UNITS)
def test_a_unit_computes(name, tmp_path):
    """Operands and results as bytes, with pauses of all sources and sinks. ``tlast`` ends the packets of a command."""
    config, make, check = UNITS[name]
    batch, work = make()
    streams, _ = interface(batch.design.signature.create())
    inputs = batch.inputs()
    given = {
        stream: packets_of(port, inputs.get(stream, ())) for stream, port in streams.items() if port.direction == "in"
    }
    counts = batch.counts()
    packets = {"data": sum(1 for each in batch.beats() if each), "statistics": counts["o_statistics"]}
    task, answer = tmp_path / "task.json", tmp_path / "answer.json"
    task.write_text(json.dumps({"inputs": given, "packets": packets}))
    run_cocotb_module(
        "tests.hdl.bus.axi_stream_bench",
        emit(make_unit(config, Bus.AXI_STREAM), name="dut", clocks=clock_names(Bus.AXI_STREAM)),
        build_dir=tmp_path / "build",
        folder=Path(__file__).parents[3],
        environment={"COCOTB_LOG_LEVEL": "WARNING", "THRESHER_TASK": str(task), "THRESHER_ANSWER": str(answer)},
        what=name,
    )
    values, lengths = {}, {}
    for stream, found in json.loads(answer.read_text()).items():
        port = streams[f"o_{stream}"]
        size = -(-port.width // 8)
        packets = [bytes.fromhex(text) for text in found]
        beats = [packet[start : start + size] for packet in packets for start in range(0, len(packet), size)]
        values[f"o_{stream}"] = [unpack(port.shape, int.from_bytes(beat, "little")) for beat in beats]
        lengths[stream] = [len(packet) // size for packet in packets]
    assert lengths["data"] == [each for each in batch.beats() if each]
    assert lengths["statistics"] == [1] * counts["o_statistics"]
    runs, end = [], 0
    for output, found in batch.results(values):
        # No cycles were counted outside: the unit's own count stands for them.
        runs.append(Run(output=output, statistics=found, accepted=end, finished=end + found.cycles))
        end += found.cycles
    check(config, work, runs, SEED)
