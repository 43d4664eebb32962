"""Post-synthesis simulation: heads, products and LayerNorms match the golden model bit for bit."""

import dataclasses

import numpy as np
import pytest
from thresher.sim.attention import AttentionSimulator
from thresher.sim.spmm import SpmmSimulator
from thresher.sim.vector import VectorSimulator
from thresher.spec import WeightFormat, preset, spmm_preset, vector_preset

from ..hdl.vector.norms import CORNERS, check_norms, extreme_norm, norm_job, refused_commands
from ..heads import check_heads, edge_heads, random_heads
from ..products import check_products, random_job, random_jobs
from .gates import gates

pytestmark = pytest.mark.slow

# Each unit on one family, and one on two. All families have block memories, multipliers and carry chains.
# `make gates` does the same with a whole co-processor on each family.
ICE40, ECP5, XILINX7 = "ice40up5k", "lfe5u-25f", "xc7a35t"
STALLS = [(0.0, 0), (0.4, 1)]


def test_attention(tmp_path):
    """Heads of every length, with and without pruned blocks, take the cycles of the emitted Verilog."""
    config = preset("tiny")
    netlist = gates("attention", config, name=ICE40, folder=tmp_path)
    heads = [*random_heads(config, count=40, seed=0), *edge_heads(config, np.random.default_rng(0))]
    for stall, seed in STALLS:
        with (
            AttentionSimulator(config, stall=stall, seed=seed, verilog=netlist) as simulator,
            AttentionSimulator(config, stall=stall, seed=seed) as emitted,
        ):
            runs = simulator.run(heads)
            check_heads(config, heads, runs, seed)
            assert times(runs) == times(emitted.run(heads))


def test_spmm(tmp_path):
    """Products of every weight format take the cycles of the emitted Verilog."""
    config = spmm_preset("tiny")
    netlist = gates("spmm", config, name=ECP5, folder=tmp_path)
    assert netlist.count("DCCA") == 2, "the buffer of the reset, and its model"
    rng = np.random.default_rng(0)
    ways = [(item, spread) for item in WeightFormat for spread in {False, item is WeightFormat.BBS}]
    jobs = [random_job(config, rng, weight_format=item, spread=spread) for item, spread in ways for _ in range(4)]
    jobs += random_jobs(config, count=40, seed=0)
    for stall, seed in STALLS:
        with (
            SpmmSimulator(config, stall=stall, seed=seed, verilog=netlist) as simulator,
            SpmmSimulator(config, stall=stall, seed=seed) as emitted,
        ):
            runs = simulator.run(jobs)
            check_products(config, jobs, runs, seed)
            assert times(runs) == times(emitted.run(jobs))


@pytest.mark.parametrize("name", [ECP5, XILINX7])
def test_vector(name, tmp_path):
    """Residual sums of every corner take the cycles of the emitted Verilog, with registers inside multipliers."""
    config = vector_preset("tiny")
    netlist = gates("vector", config, name=name, folder=tmp_path)
    rng = np.random.default_rng(0)
    jobs: list = [norm_job(rng, channels, 3, corner=corner) for channels in (1, 5, 64) for corner in CORNERS]
    jobs += [dataclasses.replace(job, parameters=extreme_norm(rng, 64)) for job in jobs[-len(CORNERS) :]]
    jobs += [*refused_commands(config), jobs[0]]
    for stall, seed in STALLS:
        with (
            VectorSimulator(config, stall=stall, seed=seed, verilog=netlist) as simulator,
            VectorSimulator(config, stall=stall, seed=seed) as emitted,
        ):
            runs = simulator.run(jobs)
            check_norms(config, jobs, runs, seed)
            assert times(runs) == times(emitted.run(jobs))


def times(runs):
    return [(run.accepted, run.finished) for run in runs]
