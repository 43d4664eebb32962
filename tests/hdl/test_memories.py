"""Units ignore what a memory reads from a word that is being written; the emitted Verilog leaves it undefined."""

import numpy as np
import pytest
from amaranth import Module, Mux, Signal
from amaranth.hdl import Cat, MemoryInstance, Shape, Value
from amaranth.lib import memory
from thresher.hdl.lib.scratchpad import NEVER_BOTH
from thresher.sim.attention import HeadBatch
from thresher.sim.batch import simulate
from thresher.sim.spmm_job import SpmmBatch
from thresher.sim.vector import VectorBatch
from thresher.spec import VectorConfig, spmm_preset

from ..heads import check_heads, edge_heads, random_head
from ..products import check_products, random_jobs
from .attention.test_visible import causal_head
from .configs import compact, tiny
from .coprocessor.movers import check, random_job, run_job
from .coprocessor.vector.instructions import COPY, GATHER, NORMALISE, ROWS, SUM, TILES, Author, make_config
from .vector.norms import check_norms, norm_job


@pytest.fixture
def poisoned(monkeypatch):
    """Make memories with NEVER_BOTH read the complement of a word that is being written; lists these memories."""
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


@pytest.mark.slow
@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("make", [lambda config: config, compact], ids=["pipelined", "compact"])
def test_attention_core_uses_no_word_that_is_being_written(poisoned, make, stall):
    config, seed = make(tiny(max_length=10)), 11
    rng = np.random.default_rng(seed)
    heads = [random_head(config, rng) for _ in range(4)] if stall else edge_heads(config, rng)
    check_heads(config, heads, simulate(HeadBatch(config, heads), seed=seed, stall=stall), seed)
    assert poisoned


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda config: config, compact], ids=["pipelined", "compact"])
def test_causal_core_uses_no_word_that_is_being_written(poisoned, make):
    """Heads that follow each other: one loads its sums of V while the sums of another are read."""
    config, seed = make(tiny(max_length=10, causal=True)), 12
    rng = np.random.default_rng(seed)
    heads = [causal_head(config, rng, lq, lk, rho=0.3) for lq, lk in ((10, 10), (1, 3), (4, 9), (9, 9), (10, 10))]
    check_heads(config, heads, simulate(HeadBatch(config, heads), seed=seed, stall=0.0), seed)
    assert poisoned


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.4)])
def test_spmm_engine_uses_no_word_that_is_being_written(poisoned, seed, stall):
    config = spmm_preset("tiny")
    jobs = random_jobs(config, count=8, seed=seed)
    check_products(config, jobs, simulate(SpmmBatch(config, jobs), seed=seed, stall=stall), seed)
    assert poisoned


@pytest.mark.parametrize("stall", [0.0, {"i_parameters": 0.6}, {"i_x": 0.4, "i_y": 0.4, "o_data": 0.4}])
def test_vector_unit_uses_no_word_that_is_being_written(poisoned, stall):
    """The first pass of a command follows the parameters as they arrive."""
    config, seed = VectorConfig(lanes=2, max_channels=16), 3
    jobs = [norm_job(np.random.default_rng(seed), channels, 3) for channels in (1, 2, 16)]
    check_norms(config, jobs, simulate(VectorBatch(config, jobs), seed=seed, stall=stall), seed)
    assert poisoned


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_readers_and_writers_use_no_word_that_is_being_written(poisoned, stall):
    seed = 5
    job = random_job(np.random.default_rng(seed), readers=1, writers=1, count=8)
    check(job, run_job(job, seed=seed, stall=stall), seed)
    assert poisoned


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.4)])
def test_vector_executor_uses_no_word_that_is_being_written(poisoned, seed, stall):
    """Also with a single channel, where tiles and passes follow each other closely."""
    author = Author(make_config(tile=8, max_channels=9), seed)
    items = [author.instruction(COPY, GATHER, ROWS), author.instruction(NORMALISE, TILES, TILES)]
    items += [author.instruction(kind, ROWS, channels=1, tokens=19) for kind in (COPY, SUM, NORMALISE)]
    author.check(items, seed=seed, stall=stall)
    assert poisoned
