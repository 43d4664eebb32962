"""Heads on the emitted core under Verilator, compared with the golden model bit for bit."""

import dataclasses

import numpy as np
import pytest
from thresher.sim import attention
from thresher.sim.attention import AttentionSimulator, HeadBatch
from thresher.sim.batch import simulate
from thresher.spec import CommandValueError, HeadCommand, InputError, preset
from thresher.spec.errors import SimulationError

from ..heads import check_heads, random_head, random_heads, refused_heads

pytestmark = pytest.mark.slow  # Verilator compiles the unit
TINY = preset("tiny")


@pytest.fixture(scope="module", params=["thresher", "hdp"])
def simulator(request):
    with AttentionSimulator(preset("tiny", policy=request.param)) as made:
        yield made


@pytest.mark.parametrize(("stall", "seed"), [(0.0, 0), (0.3, 1), (0.8, 2)])
def test_heads_match_golden(simulator, stall, seed):
    heads = random_heads(simulator.config, count=60, seed=seed)
    with AttentionSimulator(simulator.config, stall=stall, seed=seed) as stalled:
        check_heads(simulator.config, heads, stalled.run(heads), seed)


def test_causal_heads_match_golden():
    """Half of the heads are causal; those with more queries than keys are refused."""
    config, seed = dataclasses.replace(TINY, causal=True), 5
    heads = random_heads(config, count=60, seed=seed)
    with AttentionSimulator(config, stall=0.2, seed=seed) as simulator:
        check_heads(config, heads, simulator.run(heads), seed)


def test_state_lasts_between_runs(simulator):
    """Two runs are one run cut in two; reset starts again."""
    heads = random_heads(simulator.config, count=12, seed=3)
    simulator.reset()
    runs = [*simulator.run(heads[:5]), *simulator.run(heads[5:])]
    check_heads(simulator.config, heads, runs, 3)
    simulator.reset()
    assert simulator.cycle == 0
    again = simulator.run(heads[:1])
    assert again == [dataclasses.replace(runs[0], output=again[0].output)]
    assert simulator.run([]) == []


def test_amaranth_simulator_matches_golden():
    heads = random_heads(TINY, count=5, seed=4)
    check_heads(TINY, heads, simulate(HeadBatch(TINY, heads), seed=4, stall=0.2), 4)


def test_bad_operands_are_rejected_before_the_simulation(simulator):
    command, q, k, v = random_head(simulator.config, np.random.default_rng(1))
    before = simulator.cycle
    with pytest.raises(InputError, match="head 1: K must be an int8 array, not int64"):
        simulator.run([(command, q, k, v), (command, q, k.astype(np.int64), v)])
    with pytest.raises(InputError, match="head 0: V must be an int8 array, not list"):
        simulator.run([(command, q, k, v.tolist())])
    with pytest.raises(InputError, match="head 0: Q must have shape"):
        simulator.run([(command, q[:, :0], k, v)])
    with pytest.raises(CommandValueError, match="rho=256"):
        simulator.run([(dataclasses.replace(command, rho=256), q, k, v)])
    assert simulator.cycle == before
    check_heads(simulator.config, [(command, q, k, v)], simulator.run([(command, q, k, v)]), 1)


def test_operands_of_rejected_heads_are_ignored(simulator):
    nothing = np.zeros((), np.int8)
    for command, *_ in refused_heads(simulator.config):
        (run,) = simulator.run([(command, nothing, nothing, nothing)])
        assert run.statistics.error is command.rejection(simulator.config)
        assert run.output is None


def test_output_beyond_the_head_dimension_must_be_zero():
    rng = np.random.default_rng(0)
    config = dataclasses.replace(TINY, lanes=2)
    width = attention.output_layout(config).length
    command = HeadCommand(query_length=1, key_length=1, head_dim=1)
    beats = rng.integers(1, 5, (1, width)).astype(np.int8)
    fields = {"error": 0, "pruned": 0, "kept_blocks": 1, "saturations": 0, "cycles": 9}
    values = {"o_data": beats, "o_statistics": [fields]}
    cycles = {"i_command": [0], "o_data": [9], "o_statistics": [10]}
    one = np.zeros((1, 1), np.int8)
    with pytest.raises(SimulationError, match="head 0: output beyond head_dim=1 is not zero"):
        HeadBatch(config, [(command, one, one, one)]).runs(values, cycles)
