"""Nothing depends on unknown bits: of memories and registers before they are written, of payloads without ``valid``.

A netlist of a chip shows it when something does: in simulation with four states, zero times unknown is unknown.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from thresher.sim.attention import HeadBatch
from thresher.sim.spmm_job import SpmmBatch
from thresher.sim.vector import VectorBatch
from thresher.spec import Activation, Fill, Normalise, VectorConfig, WeightFormat, preset, spmm_preset
from thresher.spec.attention_config import Score

from ..heads import check_heads, edge_heads, random_head, refused_heads
from ..icarus import EDITIONS, four_states
from ..products import Shape, check_products, random_job, refused_commands
from .attention.test_visible import causal_head
from .configs import both_kinds, tiny
from .packet_cases import AlteredPackets
from .vector.norms import check_norms, norm_job

pytestmark = pytest.mark.slow

SMALL = {"max_length": 6}
OPTIONS = {
    f"{fill.value}-{mode.value}": tiny(fill=fill, normalise=mode, **SMALL)
    for fill, mode in itertools.product(Fill, Normalise)
}
POLICIES = {
    name: dataclasses.replace(preset("tiny", policy=name), compact=False, lanes=2, predictor_lanes=4, **SMALL)
    for name in ("hdp", "probability")
}
CAUSAL = {f"causal-{fill.value}": tiny(causal=True, fill=fill, **SMALL) for fill in (Fill.BACKGROUND, Fill.SKIP)}
CORES = both_kinds({**OPTIONS, **CAUSAL, "approx": tiny(score=Score.APPROX, **SMALL)}) | POLICIES


def check_core(config, folder, *, edition, seed):
    """Odd and even lengths, dense and sparse heads, and a rejected one."""
    rng = np.random.default_rng(seed)
    heads = [*edge_heads(config, rng), refused_heads(config)[0], random_head(config, rng)]
    if config.causal:
        heads += [
            causal_head(config, rng, lq, lk, rho=rho) for lq, lk in ((5, 5), (3, 6), (6, 6)) for rho in (-1.0, 0.5)
        ]
    check_heads(config, heads, four_states(HeadBatch(config, heads), folder, edition=edition, seed=seed), seed)


@pytest.mark.parametrize("name", CORES)
def test_attention_core(name, tmp_path):
    check_core(CORES[name], tmp_path, edition="2005", seed=1)


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_edition_of_verilog(edition, tmp_path):
    check_core(CORES["compact-skip-late"], tmp_path, edition=edition, seed=2)


def without_most_beats(batch, folder, *, seed):
    """The answers to two commands. The packets of the first one have a single beat each."""
    changes = {(0, name): -1000 for name in batch.packets(0) if name != "i_table"}
    AlteredPackets(batch, changes, np.random.default_rng(seed))
    spoiled, right = four_states(batch, folder, edition="2005", seed=seed)
    assert spoiled.statistics.error.name == "MISSING"
    return [right]


@pytest.mark.parametrize("name", both_kinds({"core": tiny(**SMALL)}))
def test_a_head_without_most_of_its_beats(name, tmp_path):
    """The beats that are made up leave nothing unknown behind."""
    config, seed = both_kinds({"core": tiny(**SMALL)})[name], 5
    rng = np.random.default_rng(seed)
    heads = [random_head(config, rng) for _ in range(2)]
    check_heads(config, heads[1:], without_most_beats(HeadBatch(config, heads), tmp_path, seed=seed), seed)


def test_a_product_without_most_of_its_beats(tmp_path):
    """The beats that are made up leave nothing unknown behind."""
    config, seed = spmm_preset("tiny"), 5
    rng = np.random.default_rng(seed)
    jobs = [random_job(config, rng, shape=Shape(rows=5, columns=9, tokens=6)) for _ in range(2)]
    check_products(config, jobs[1:], without_most_beats(SpmmBatch(config, jobs), tmp_path, seed=seed), seed)


@pytest.mark.parametrize("most", [64, 44])
def test_spmm_engine(most, tmp_path):
    """Products of every format, with empty rows, groups and banks that end beyond X, and a rejected one."""
    config, seed = dataclasses.replace(spmm_preset("tiny"), max_columns=most), 3
    rng = np.random.default_rng(seed)
    ways = [(item, spread) for item in config.formats for spread in {False, item is WeightFormat.BBS}]
    shapes = [Shape(rows=5, columns=columns, tokens=tokens) for columns, tokens in ((1, 1), (most - 1, 5), (most, 4))]
    jobs: list = [
        random_job(config, rng, weight_format=item, spread=spread, activation=Activation.RELU, shape=shape)
        for item, spread in ways
        for shape in shapes
    ]
    jobs += [refused_commands(config)[0], random_job(config, rng, activation=Activation.TABLE)]
    check_products(config, jobs, four_states(SpmmBatch(config, jobs), tmp_path, edition="2005", seed=seed), seed)


def test_vector_unit(tmp_path):
    config, seed = VectorConfig(lanes=4, max_channels=13, max_tokens=9), 4
    rng = np.random.default_rng(seed)
    jobs = [norm_job(rng, channels, tokens) for channels in (1, 5, 13) for tokens in (1, 5, 9)]
    check_norms(config, jobs, four_states(VectorBatch(config, jobs), tmp_path, edition="2005", seed=seed), seed)
