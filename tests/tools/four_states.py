"""Icarus Verilog with four states: no unknown bit leaves a design, while its inputs have them where nothing is valid.

Memories, registers and the payloads of idle inputs are unknown. The reset takes one cycle.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from thresher.sim.attention import HeadBatch
from thresher.sim.spmm_job import SpmmBatch
from thresher.sim.vector import VectorBatch
from thresher.spec import (
    Activation,
    AttentionConfig,
    CoprocessorConfig,
    Head,
    SpmmConfig,
    VectorConfig,
    WeightFormat,
    head_command,
)
from thresher.spec.buses import Bus

from ..hdl.vector.norms import check_norms, norm_job
from ..heads import check_heads, refused_heads, sized_heads
from ..icarus import four_states
from ..operands import int8
from ..products import Shape, check_products, random_job, refused_commands
from .designs import Design
from .systems import check_program, simulate

__all__ = ["check_four_states", "check_idle"]

SEED = 7

IDLE = """\
`timescale 1ns/1ns
module bench;
  reg clk = 0, rst = 1;
  integer seed = {seed}, cycle = 0;
{declarations}
  dut dut({pins});
  always #5 clk = ~clk;
  always @(negedge clk) begin
{draws}
  end
  always @(posedge clk) begin
    cycle <= cycle + 1;
    rst <= 0;
    if (!rst) begin
{checks}
      if (cycle == 300) begin $display("idle"); $finish; end
    end
  end
endmodule
"""
QUIET = ("valid", "wbs_cyc_i", "wbm_ack_i", "wbm_err_i", "wbm_rty_i")
"""Ends of the names of inputs that say that nothing is valid."""
CONTROL = ("valid", "ready", "wbs_ack_o", "wbs_err_o", "wbm_cyc_o", "irq")
"""Ends of the names of outputs that always count."""


def _ports(description: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Name in Verilog, direction and width of every port but clock and reset."""
    other = {"in": "out", "out": "in"}
    for port in description["ports"]:
        name, direction = port["name"], port["direction"]
        if port["kind"] == "port":
            yield name, direction, port["width"]
            continue
        yield f"{name}__payload", direction, port["width"]
        yield f"{name}__valid", direction, 1
        yield f"{name}__ready", other[direction], 1


def _idle_bench(description: dict[str, Any]) -> str:
    """A bench that offers nothing to a design, and is ready at random."""
    reset = "rst" if description["reset_active"] == "high" else "~rst"
    declarations, draws, checks = [], [], []
    pins = [f".{description['clock']}(clk)", f".{description['reset']}({reset})"]
    for name, direction, width in _ports(description):
        size = f"[{width - 1}:0] " if width > 1 else ""
        pins.append(f".{name}({name})")
        if direction == "out":
            declarations.append(f"  wire {size}{name};")
            if name.endswith(CONTROL):
                checks.append(f'      if (^{name} === 1\'bx) begin $display("unknown {name}"); $finish; end')
            continue
        known = name.endswith((*QUIET, "ready"))
        declarations.append(f"  reg {size}{name} = {f'{width}' + chr(39) + ('d0' if known else 'bx')};")
        if name.endswith("ready"):
            draws.append(f"    {name} = $dist_uniform(seed, 0, 1);")
    lines = {"declarations": declarations, "draws": draws, "checks": checks}
    return IDLE.format(seed=SEED, pins=", ".join(pins), **{name: "\n".join(parts) for name, parts in lines.items()})


def check_idle(verilog: Path) -> None:
    """No control output is unknown after the reset."""
    folder = verilog.parent
    description = json.loads(verilog.with_suffix(".json").read_text(encoding="utf-8"))
    said = simulate(folder, _idle_bench(description)).strip()
    assert said == "idle", said


def _heads(config: AttentionConfig, rng: np.random.Generator) -> list[Head]:
    """Short heads, dense and sparse, odd and even, causal if the core has them, and a rejected one."""
    most, deepest = min(6, config.max_length), min(16, config.max_head_dim)
    sizes = [(most, most, deepest, -1.0), (1, 1, 1, 0.5), (1, most, deepest, 0.5), (most - 1, most - 1, 1, 0.7)]
    heads = [*sized_heads(config, rng, sizes), refused_heads(config)[0]]
    for lq, lk in ((most, most), (most - 1, most)) if config.causal else ():
        command = head_command(
            config,
            query_length=lq,
            key_length=lk,
            head_dim=deepest,
            score_scale=1e-3,
            output_scale=1.0,
            rho=0.5,
            causal=True,
        )
        heads.append((command, int8(rng, lq, deepest), int8(rng, lk, deepest), int8(rng, lk, deepest)))
    return heads


def _check_attention(config: AttentionConfig, folder: Path) -> None:
    heads = _heads(config, np.random.default_rng(SEED))
    runs = four_states(HeadBatch(config, heads), folder, edition="2005", seed=SEED)
    check_heads(config, heads, runs, SEED)


def _check_spmm(config: SpmmConfig, folder: Path) -> None:
    rng = np.random.default_rng(SEED)
    most = min(config.max_columns, 44)
    ways = [(item, spread) for item in config.formats for spread in {False, item is WeightFormat.BBS}]
    shapes = [Shape(rows=5, columns=columns, tokens=tokens) for columns, tokens in ((1, 1), (most, 5))]
    jobs: list = [
        random_job(config, rng, weight_format=item, spread=spread, activation=Activation.RELU, shape=shape)
        for item, spread in ways
        for shape in shapes
    ]
    jobs += [refused_commands(config)[0], random_job(config, rng, activation=Activation.TABLE, shape=shapes[1])]
    runs = four_states(SpmmBatch(config, jobs), folder, edition="2005", seed=SEED)
    check_products(config, jobs, runs, SEED)


def _check_vector(config: VectorConfig, folder: Path) -> None:
    rng = np.random.default_rng(SEED)
    jobs = [norm_job(rng, channels, tokens) for channels in (1, 5, 13) for tokens in (1, 5)]
    runs = four_states(VectorBatch(config, jobs), folder, edition="2005", seed=SEED)
    check_norms(config, jobs, runs, SEED)


def check_four_states(design: Design, verilog: Path) -> None:
    """Without work, and with it: heads, products and LayerNorms on the streams of units, programs on co-processors.

    A unit on AXI4-Stream is the one on streams with other names of ports, so it has no work.
    """
    check_idle(verilog)
    folder = verilog.parent / "work"
    folder.mkdir()
    match design.config:
        case CoprocessorConfig():
            check_program(design.config, design.bus, verilog, seed=SEED)
        case _ if design.bus is not Bus.STREAMS:
            return
        case AttentionConfig():
            _check_attention(design.config, folder)
        case SpmmConfig():
            _check_spmm(design.config, folder)
        case VectorConfig():
            _check_vector(design.config, folder)
