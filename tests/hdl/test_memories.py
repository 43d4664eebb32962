"""What memories show of a word while it is written is used by nobody: the emitted Verilog leaves it open."""

import numpy as np
import pytest
from amaranth import Module, Mux, Signal
from amaranth.hdl import Cat, MemoryInstance, Shape, Value
from amaranth.lib import memory
from thresher.hdl.attention.core import AttentionCore
from thresher.hdl.emit import emit
from thresher.hdl.lib.scratchpad import NEVER_BOTH
from thresher.hdl.spmm.engine import Spmm
from thresher.sim.attention import simulate_heads
from thresher.sim.spmm import simulate_products
from thresher.spec import preset, spmm_preset

from .. import heads as attention
from .. import products
from .common import tiny


@pytest.fixture
def poisoned(monkeypatch):
    """Memories with NEVER_BOTH show the complement of a word that was being written; counts how many there are."""
    made = []
    plain = memory.Memory.elaborate

    def elaborate(self, platform):
        if not NEVER_BOTH.items() <= self.attrs.items():
            return plain(self, platform)
        made.append(self)
        self._frozen = True
        self.data.freeze()
        m = Module()
        m.submodules.instance = instance = MemoryInstance(data=self.data, attrs=self.attrs)
        for port in self.write_ports:
            instance.write_port(domain=port.domain, addr=port.addr, data=port.data, en=port.en)
        for index, port in enumerate(self.read_ports):
            assert port.domain == "sync"
            shown = Signal(Shape.cast(self.shape).width, name=f"shown_{index}")
            instance.read_port(domain=port.domain, data=shown, addr=port.addr, en=port.en, transparent_for=())
            both = Signal(name=f"both_{index}")
            with m.If(port.en):
                m.d.sync += both.eq(Cat(w.en.any() & (w.addr == port.addr) for w in self.write_ports).any())
            m.d.comb += Value.cast(port.data).eq(Mux(both, ~shown, shown))
        return m

    monkeypatch.setattr(memory.Memory, "elaborate", elaborate)
    return made


@pytest.mark.parametrize("config", [tiny(), preset("tiny")], ids=["plain", "compact"])
def test_attention_core_uses_no_word_that_is_being_written(poisoned, config):
    seed = 11
    rng = np.random.default_rng(seed)
    edges, random = attention.edge_heads(config, rng), [attention.random_head(config, rng) for _ in range(8)]
    for heads, stall in ((edges, 0.0), (random, 0.4)):
        runs = simulate_heads(config, heads, seed=seed, stall=stall)
        for index, (run, result) in enumerate(zip(runs, attention.golden_results(config, heads), strict=True)):
            np.testing.assert_array_equal(run.output, result.output, err_msg=f"head {index}, seed {seed}")
    assert poisoned


@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.4), (2, 0.4)])
def test_spmm_engine_uses_no_word_that_is_being_written(poisoned, seed, stall):
    config = spmm_preset("tiny")
    jobs = products.random_jobs(config, count=8, seed=seed)
    runs = simulate_products(config, jobs, seed=seed, stall=stall)
    for index, (run, result) in enumerate(zip(runs, products.golden_results(config, jobs), strict=True)):
        if result is not None:
            np.testing.assert_array_equal(run.output, result.output, err_msg=f"product {index}, seed {seed}")
    assert poisoned


def test_synthesis_is_told():
    for component in (AttentionCore(preset("tiny")), Spmm(spmm_preset("tiny"))):
        assert "(* no_rw_check" in emit(component, name="dut")
