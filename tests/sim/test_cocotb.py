"""The emitted units under cocotb match the golden model, and a broken stream is detected."""

import dataclasses

import pytest
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.sim.attention import HeadBatch
from thresher.sim.build import Design
from thresher.sim.cocotb_runner import cocotb_exchange, run_cocotb
from thresher.sim.spmm_job import SpmmBatch
from thresher.spec import preset, spmm_preset

from ..heads import check_heads, random_heads
from ..products import check_products, random_jobs
from .samples import Broken

SEED = 11
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("causal", [False, True])
def test_heads_match_golden(causal, tmp_path):
    config = dataclasses.replace(preset("tiny"), causal=causal)
    heads = random_heads(config, count=8, seed=SEED)
    check_heads(config, heads, run_cocotb(HeadBatch(config, heads), build_dir=tmp_path, seed=SEED), SEED)


def test_products_match_golden(tmp_path):
    config = spmm_preset("tiny")
    jobs = random_jobs(config, count=15, seed=SEED)
    check_products(config, jobs, run_cocotb(SpmmBatch(config, jobs), build_dir=tmp_path, seed=SEED), SEED)


def test_a_payload_that_changes_is_detected(tmp_path):
    signature = wiring.Signature({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})
    design = Design(signature=signature, make=lambda: Broken("payload"), key="Broken payload")
    values = {"i": [1, 2] * 20}
    with pytest.raises(AssertionError, match="changed before ready"):
        cocotb_exchange(
            design, values, {"o": 40}, build_dir=tmp_path, seed=SEED, stall=0.5, max_cycles=1000, waves=True
        )
    assert (tmp_path / "dump.vcd").stat().st_size > 0
