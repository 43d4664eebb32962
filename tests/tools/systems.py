"""A whole co-processor in Icarus Verilog, with a host and a memory whose idle buses are unknown."""

import subprocess
from pathlib import Path

import numpy as np
from thresher.host.registers import Registers
from thresher.spec import CoprocessorConfig
from thresher.spec.buses import Bus
from thresher.spec.memory import memory_map
from thresher.spec.program import Region

from ..icarus import INITIAL, UNKNOWN_MEMORIES
from ..images import ImageRun, random_image

__all__ = ["check_program", "simulate"]

BASE = 0x1000_0F80
"""Address of the memory, shortly before a boundary of 4 KB."""
LIMIT = 200_000
"""Most cycles of a program."""
STALL = 30
"""Probability in percent, in each cycle, that a side of a bus waits."""

FRAME = """\
`timescale 1ns/1ns
module bench;
  reg clk = 0, rst = 1;
  integer seed = {seed}, cycle = 0, next = 0;
  reg [43:0] writes [0:{writes} - 1];
  reg [63:0] memory [0:{words} - 1];
  wire irq;
  wire [11:0] offset = writes[next][43:32];
  wire [31:0] value = writes[next][31:0];
  function moves(input unused); moves = $dist_uniform(seed, 1, 100) > {stall}; endfunction
  task unknown(input [8 * 20:1] what); begin $display("unknown %0s in cycle %0d", what, cycle); $finish; end endtask
{body}
  always #5 clk = ~clk;
  initial begin $readmemh("writes.hex", writes); $readmemh("before.hex", memory); end
  always @(posedge clk) begin
    cycle <= cycle + 1;
    rst <= 0;
    if (!rst) begin
      if (irq === 1'bx) unknown("irq");
      if (irq === 1) begin $writememh("after.hex", memory); $display("finished"); $finish; end
      if (cycle == {limit}) begin $display("limit"); $finish; end
    end
  end
endmodule
"""

WISHBONE = """\
  wire cyc, stb, we, answer, refusal;
  wire [28:0] address;
  wire [63:0] out;
  wire [31:0] word = address - {base} / 8;
  reg go = 0, ack = 0;
  dut dut(.clk_i(clk), .rst_i(rst), .irq(irq),
    .wbs_cyc_i(go), .wbs_stb_i(go ? 1'b1 : 1'bx), .wbs_we_i(go ? 1'b1 : 1'bx), .wbs_sel_i(go ? 4'd15 : 4'bx),
    .wbs_adr_i(go ? offset[11:2] : 10'bx), .wbs_dat_i(go ? value : 32'bx), .wbs_ack_o(answer), .wbs_err_o(refusal),
    .wbm_cyc_o(cyc), .wbm_stb_o(stb), .wbm_we_o(we), .wbm_adr_o(address), .wbm_dat_o(out), .wbm_ack_i(ack),
    .wbm_err_i(1'b0), .wbm_rty_i(1'b0), .wbm_dat_i(ack & ~we ? memory[word] : 64'bx));
  always @(negedge clk) ack = !rst & cyc & stb & moves(0);
  always @(posedge clk) if (!rst) begin
    if (^{{answer, refusal}} === 1'bx) unknown("answer");
    if (refusal) begin $display("refused %h", offset); $finish; end
    if (go & answer) begin go <= 0; next <= next + 1; end
    else if (!go) go <= next < {writes} && moves(0);
    if (cyc === 1'bx || cyc & stb === 1'bx) unknown("strobe");
    if (cyc & stb & ^{{we, address}} === 1'bx) unknown("address");
    if (ack & we) begin if (^out === 1'bx) unknown("data"); memory[word] <= out; end
  end
"""

AXI4 = """\
  wire awready, wready, bvalid, m_awvalid, m_wvalid, m_arvalid, m_wlast, m_bready, m_rready;
  wire [31:0] m_awaddr, m_araddr;
  wire [7:0] m_awlen, m_arlen, m_wstrb;
  wire [63:0] m_wdata;
  wire [1:0] bresp;
  reg go_address = 0, answered = 1, go_data = 0, took_aw = 0, took_w = 0, took_ar = 0, gave_r = 0, gave_b = 0;
  reg [31:0] reads [0:15], writing [0:15];
  reg [7:0] lengths [0:15];
  integer reads_in = 0, reads_out = 0, writes_in = 0, writes_out = 0, answers = 0, beat = 0, written = 0;
  wire [31:0] read_word = reads[reads_out % 16] - {base} / 8 + beat;
  wire [31:0] write_word = writing[writes_out % 16] - {base} / 8 + written;
  wire last = beat == lengths[reads_out % 16];
  dut dut(.aclk(clk), .aresetn(~rst), .irq(irq),
    .s_axi_awvalid(go_address), .s_axi_awready(awready), .s_axi_awaddr(go_address ? offset : 12'bx),
    .s_axi_awprot(go_address ? 3'd0 : 3'bx), .s_axi_wvalid(go_data), .s_axi_wready(wready),
    .s_axi_wdata(go_data ? value : 32'bx), .s_axi_wstrb(go_data ? 4'd15 : 4'bx),
    .s_axi_bvalid(bvalid), .s_axi_bready(1'b1), .s_axi_bresp(bresp),
    .s_axi_arvalid(1'b0), .s_axi_araddr(12'bx), .s_axi_arprot(3'bx), .s_axi_rready(1'b1),
    .m_axi_awvalid(m_awvalid), .m_axi_awready(took_aw), .m_axi_awaddr(m_awaddr), .m_axi_awlen(m_awlen),
    .m_axi_wvalid(m_wvalid), .m_axi_wready(took_w), .m_axi_wdata(m_wdata), .m_axi_wstrb(m_wstrb),
    .m_axi_wlast(m_wlast),
    .m_axi_bvalid(gave_b), .m_axi_bready(m_bready), .m_axi_bid(gave_b ? 1'b0 : 1'bx),
    .m_axi_bresp(gave_b ? 2'd0 : 2'bx),
    .m_axi_arvalid(m_arvalid), .m_axi_arready(took_ar), .m_axi_araddr(m_araddr), .m_axi_arlen(m_arlen),
    .m_axi_rvalid(gave_r), .m_axi_rready(m_rready), .m_axi_rdata(gave_r ? memory[read_word] : 64'bx),
    .m_axi_rid(gave_r ? 1'b0 : 1'bx), .m_axi_rresp(gave_r ? 2'd0 : 2'bx), .m_axi_rlast(gave_r ? last : 1'bx));
  always @(negedge clk) begin
    took_aw = writes_in - writes_out < 16 && moves(0);
    took_w = writes_in > writes_out && moves(0);
    took_ar = reads_in - reads_out < 16 && moves(0);
    gave_r = reads_in > reads_out && moves(0);
    gave_b = answers > 0 && moves(0);
  end
  always @(posedge clk) if (!rst) begin
    if (^{{awready, wready, bvalid}} === 1'bx || bvalid & ^bresp === 1'bx) unknown("answer");
    if (bvalid & bresp != 0) begin $display("refused %h", offset); $finish; end
    if (go_address & awready) go_address <= 0;
    if (go_data & wready) go_data <= 0;
    if (bvalid) next <= next + 1;
    if (!go_address & !go_data & answered & next + bvalid < {writes} & moves(0)) begin
      go_address <= 1; go_data <= 1; answered <= 0;
    end else if (bvalid) answered <= 1;
    if (^{{m_awvalid, m_wvalid, m_arvalid, m_bready, m_rready}} === 1'bx) unknown("valid");
    if (~m_bready | ~m_rready) begin $display("not ready"); $finish; end
    if (m_awvalid & ^{{m_awaddr, m_awlen}} === 1'bx || m_arvalid & ^{{m_araddr, m_arlen}} === 1'bx) unknown("address");
    if (m_wvalid & ^{{m_wdata, m_wstrb, m_wlast}} === 1'bx) unknown("data");
    if (m_awvalid & took_aw) begin writing[writes_in % 16] <= m_awaddr >> 3; writes_in <= writes_in + 1; end
    if (m_arvalid & took_ar) begin
      reads[reads_in % 16] <= m_araddr >> 3; lengths[reads_in % 16] <= m_arlen; reads_in <= reads_in + 1;
    end
    if (m_wvalid & took_w) begin
      memory[write_word] <= m_wdata;
      written <= m_wlast ? 0 : written + 1;
      if (m_wlast) writes_out <= writes_out + 1;
    end
    answers <= answers + (m_wvalid & took_w & m_wlast) - gave_b;
    if (gave_r) begin beat <= last ? 0 : beat + 1; if (last) reads_out <= reads_out + 1; end
  end
"""


def simulate(folder: Path, bench: str) -> str:
    """Run a bench with ``dut.v`` of the folder, with unknown memories and registers. Returns its output."""
    text = (folder / "dut.v").read_text(encoding="utf-8")
    (folder / "unknown.v").write_text(INITIAL.sub("", text), encoding="utf-8")
    (folder / "bench.v").write_text(bench, encoding="utf-8")
    command = ["iverilog", "-g2005", UNKNOWN_MEMORIES, "-s", "bench", "-o", "bench.vvp", "bench.v", "unknown.v"]
    subprocess.run(command, cwd=folder, check=True)
    return subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True).stdout


class _Writes:
    """A transport of registers that keeps what is written."""

    def __init__(self):
        self.kept: list[tuple[int, int]] = []

    def read(self, offset: int) -> int:
        raise AssertionError(f"the bench reads no register, not {offset:#x}")

    def write(self, offset: int, value: int) -> None:
        self.kept.append((offset, value))


def _start(program: ImageRun) -> list[tuple[int, int]]:
    """The register accesses that start a program."""
    transport = _Writes()
    registers = Registers(transport)
    places = memory_map(program.image.sizes, program_bytes=0, base=BASE)
    for region in Region:
        registers.write(f"{region.name}_BASE", places.bases[region])
        registers.write(f"{region.name}_SIZE", places.sizes[region])
    registers.write("PROGRAM_ADDRESS", program.image.program)
    registers.write("PROGRAM_INSTRUCTIONS", program.image.instructions)
    registers.write_fields("INTERRUPT_ENABLE", finished=1, fault=1)
    registers.write_fields("CONTROL", start=1)
    return transport.kept


def check_program(config: CoprocessorConfig, bus: Bus, verilog: Path, *, seed: int) -> None:
    """Run a short random program; compare every byte that it may write with the golden model."""
    folder = verilog.parent
    program = random_image(config, seed, length=4, most=24)
    places = memory_map(program.image.sizes, program_bytes=0, base=BASE)
    memory = np.zeros(places.size, np.uint8)
    held = {
        Region.CONSTANTS: program.image.data,
        Region.SCRATCH: program.scratch,
        Region.INPUT: program.input,
    }
    for region, data in held.items():
        start = places.bases[region] - BASE
        memory[start : start + len(data)] = np.frombuffer(data, np.uint8)
    words = memory.view("<u8")
    writes = _start(program)
    (folder / "before.hex").write_text("".join(f"{word:016x}\n" for word in words.tolist()))
    (folder / "writes.hex").write_text("".join(f"{offset:03x}{value:08x}\n" for offset, value in writes))
    sizes = {"seed": seed, "writes": len(writes), "words": len(words), "base": BASE, "stall": STALL, "limit": LIMIT}
    body = (AXI4 if bus is Bus.AXI4 else WISHBONE).format(**sizes)
    said = simulate(folder, FRAME.format(body=body, **sizes))
    assert said.strip() == "finished", f"seed {seed}: {said[-500:]}"
    lines = [line for line in (folder / "after.hex").read_text().splitlines() if not line.startswith("//")]
    after = np.array([int(line, 16) for line in lines], "<u8").tobytes()
    for region, wanted in program.after.items():
        start = places.bases[region] - BASE
        assert after[start : start + len(wanted)] == wanted, f"seed {seed}, {region.name}"
