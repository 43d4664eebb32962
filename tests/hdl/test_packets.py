"""Packets of operands that are too short or too long, of rejected commands, and commands that are dropped."""

import dataclasses
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from thresher.golden.spmm.packing import pack
from thresher.sim.attention import AttentionSimulator, HeadBatch
from thresher.sim.batch import Batch, UnitSimulator
from thresher.sim.spmm import SpmmSimulator
from thresher.sim.spmm_job import SpmmBatch
from thresher.sim.vector import VectorBatch, VectorSimulator
from thresher.spec import (
    Activation,
    CommandError,
    SpmmError,
    VectorError,
    WeightFormat,
    preset,
    spmm_preset,
    vector_preset,
)

from ..heads import check_heads, random_head, refused_heads
from ..operands import int8
from ..products import Shape, check_products, random_job, refused_commands
from .configs import tiny
from .packet_cases import AlteredPackets, random_changes
from .vector import norms
from .vector.norms import check_norms, norm_job

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Case:
    """A unit, its commands, and its golden model."""

    codes: type[IntEnum]
    batch: Callable[[Sequence[Any]], Batch]
    simulator: Callable[..., UnitSimulator]
    good: Callable[[np.random.Generator], Any]
    rejected: Callable[[np.random.Generator], Any]
    check: Callable[[Sequence[Any], Sequence[Any], int], None]
    streams: tuple[str, ...]


def product(rng: np.random.Generator):
    """A product that depends on no earlier table."""
    config = SPMM
    job = random_job(config, rng)
    return dataclasses.replace(job, table=int8(rng, 256)) if job.activation is Activation.TABLE else job


def attention(config) -> Case:
    refused = refused_heads(config)
    return Case(
        codes=CommandError,
        batch=lambda work: HeadBatch(config, work),
        simulator=lambda **settings: AttentionSimulator(config, **settings),
        good=lambda rng: random_head(config, rng),
        rejected=lambda rng: refused[int(rng.integers(len(refused)))],
        check=lambda work, runs, seed: check_heads(config, work, runs, seed),
        streams=("i_data",),
    )


def norm(rng: np.random.Generator):
    channels, tokens = int(rng.integers(1, NORMS.max_channels + 1)), int(rng.integers(1, 9))
    return norm_job(rng, channels, tokens)


rejected_norms = norms.refused_commands(vector_preset("tiny"))
NORMS = vector_preset("tiny")
rejected_products = refused_commands(spmm_preset("tiny"))
SPMM = spmm_preset("tiny")
CASES = {
    "attention": attention(tiny()),
    "attention-compact": attention(preset("tiny")),
    "spmm": Case(
        codes=SpmmError,
        batch=lambda work: SpmmBatch(SPMM, work),
        simulator=lambda **settings: SpmmSimulator(SPMM, **settings),
        good=product,
        rejected=lambda rng: rejected_products[int(rng.integers(len(rejected_products)))],
        check=lambda work, runs, seed: check_products(SPMM, work, runs, seed),
        streams=("i_inputs", "i_rows", "i_weights__0", "i_weights__1", "i_table"),
    ),
    "vector": Case(
        codes=VectorError,
        batch=lambda work: VectorBatch(NORMS, work),
        simulator=lambda **settings: VectorSimulator(NORMS, **settings),
        good=norm,
        rejected=lambda rng: rejected_norms[int(rng.integers(len(rejected_norms)))],
        check=lambda work, runs, seed: check_norms(NORMS, work, runs, seed),
        streams=("i_x", "i_y", "i_parameters"),
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def run(case: Case, work: Sequence[Any], is_good: Sequence[bool], changes, *, seed: int, stall: float) -> None:
    """Stream commands through the unit. Check the errors of all, and all results of the others."""
    batch = case.batch(work)
    altered = AlteredPackets(batch, changes, np.random.default_rng(seed))
    with case.simulator(stall=stall, seed=seed) as simulator:
        runs = simulator._run(batch)
    right = []
    for index, (good, found) in enumerate(zip(is_good, runs, strict=True)):
        where = f"seed {seed}, command {index}"
        if not good:
            assert found.output is None, where
            assert found.statistics.error.name not in ("NONE", "MISSING", "SURPLUS"), where
            continue
        expected = altered.error(index, case.codes)
        assert found.statistics.error is expected, where
        assert found.output is not None, where
        if expected.name == "NONE":
            right.append(index)
    assert right
    case.check([work[index] for index in right], [runs[index] for index in right], seed)


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_a_wrong_packet_spoils_only_its_command(case, stall):
    """Each stream with a beat less, with one more, with a single one and with many, and rejected commands of any
    length."""
    seed = 1
    rng = np.random.default_rng(seed)
    work, is_good, changes = [case.good(rng)], [True], {}
    for name in case.streams:
        for more in (-1, 1, -1000, 30):
            for good in (True, False):
                changes[len(work), name] = more
                work.append(case.good(rng) if good else case.rejected(rng))
                is_good.append(good)
                if rng.random() < 0.7:
                    work.append(case.good(rng))
                    is_good.append(True)
    run(case, [*work, case.good(rng)], [*is_good, True], changes, seed=seed, stall=stall)


@pytest.mark.parametrize(("seed", "stall"), [(seed, 0.15 * (seed % 5)) for seed in range(10)])
def test_random_sequences(case, seed, stall):
    rng = np.random.default_rng(seed)
    is_good = [bool(rng.random() < 0.75) for _ in range(30)]
    work = [case.good(rng) if good else case.rejected(rng) for good in is_good]
    changes = random_changes(rng, case.batch(work), len(work), chance=0.3 / len(case.streams))
    run(case, work, is_good, changes, seed=seed, stall=stall)


@pytest.mark.parametrize("seed", range(3))
def test_a_row_with_the_wrong_engine(seed):
    """One engine gets too few words, the other too many. The products around are right."""
    rng = np.random.default_rng(seed)
    shape = Shape(rows=7, columns=9, tokens=6)
    work = [
        random_job(SPMM, rng, weight_format=WeightFormat.CSR, shape=shape, activation=Activation.NONE) for _ in "abc"
    ]
    dense = rng.integers(1, 9, (7, 9)).astype(np.int8)
    work[1] = dataclasses.replace(work[1], weights=pack(dense, WeightFormat.CSR))
    batch = SpmmBatch(SPMM, work)
    original = batch.packets

    def packets(index: int):
        found = original(index)
        if index == 1:
            engines = found["i_rows"]["data"]["engine"]
            engines[0, 0] = 1 - engines[0, 0]
        return found

    batch.packets = packets
    with SpmmSimulator(SPMM, stall=0.2, seed=seed) as simulator:
        runs = simulator._run(batch)
    assert runs[1].statistics.error is SpmmError.MISSING, f"seed {seed}"
    check_products(SPMM, work[::2], runs[::2], seed)


@pytest.mark.parametrize("blocked", [False, True])
def test_a_command_after_a_dropped_one(case, blocked):
    """The unit is reset for a cycle after any number of cycles. Some packets never end, and outputs may be blocked."""
    seed = 7
    rng = np.random.default_rng(seed)
    lost, good = [case.good(rng) for _ in range(4)], case.good(rng)
    batch = case.batch(lost)
    AlteredPackets(batch, {(0, case.streams[0]): 1000}, rng)
    inputs = batch.inputs()
    with case.simulator(stall=0.0, seed=seed) as simulator:
        (alone,) = simulator._run(case.batch([good]))
        cycles = [*range(40), *rng.integers(40, 3 * (alone.finished - alone.accepted) + 200, 150).tolist()]
        for count in cycles:
            simulator.abort()
            # The last beats never come.
            cut = {name: beats[: rng.integers(len(beats) + 1)] for name, beats in inputs.items()}
            if blocked:
                simulator._simulator.run(cut, {}, max_cycles=count)
            else:
                simulator._simulator.advance(cut, cycles=count)
            simulator.abort()
            (found,) = simulator._run(case.batch([good]))
            case.check([good], [found], seed)
            assert found.statistics.cycles == alone.statistics.cycles, f"seed {seed}, after {count} cycles"
