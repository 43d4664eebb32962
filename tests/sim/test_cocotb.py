"""The emitted attention core in a cocotb bench, compared with the golden model."""

import dataclasses

import numpy as np
import pytest
from thresher.sim.cocotb_runner import run_attention_bench
from thresher.sim.cocotb_tasks import ExpectedRun, HeadsTask, heads_from_json, heads_to_json
from thresher.spec import preset

from ..heads import golden_results, random_heads

SEED = 11
COMPARED = ("error", "pruned", "kept_blocks", "saturations")


def expected_of(config, heads):
    results = golden_results(config, heads)
    return [
        ExpectedRun(
            output=None if result.output is None else result.output.tolist(),
            statistics={name: int(getattr(result.statistics, name)) for name in COMPARED},
        )
        for result in results
    ]


@pytest.fixture(scope="module")
def build_dir(tmp_path_factory):
    """A folder that all tests here share, so that the simulator is built once."""
    return tmp_path_factory.mktemp("cocotb")


@pytest.mark.slow
def test_heads_match_golden(build_dir):
    config = preset("tiny")
    heads = random_heads(config, count=8, seed=SEED)
    task = HeadsTask(config=config, heads=heads, expected=expected_of(config, heads), seed=SEED, stall=0.3)
    run_attention_bench(task, build_dir=build_dir, waves=True)
    assert (build_dir / "dump.vcd").stat().st_size > 0


@pytest.mark.slow
def test_wrong_results_are_reported(build_dir):
    config = preset("tiny")
    heads = random_heads(config, count=2, seed=SEED)
    expected = expected_of(config, heads)
    output = np.array(expected[1].output)
    output[-1, -1] ^= 1
    expected[1] = dataclasses.replace(expected[1], output=output.tolist())
    task = HeadsTask(config=config, heads=heads, expected=expected, seed=SEED, stall=0.0)
    with pytest.raises(AssertionError, match=rf"head 1, seed {SEED}: output differs"):
        run_attention_bench(task, build_dir=build_dir, waves=True)


def test_tasks_survive_json():
    config = preset("tiny", policy="hdp")
    heads = random_heads(config, count=3, seed=1)
    task = HeadsTask(config=config, heads=heads, expected=expected_of(config, heads), seed=3, stall=0.25)
    again = heads_from_json(heads_to_json(task))
    assert heads_to_json(again) == heads_to_json(task)
    assert again.config == config
    assert again.heads[0][1].dtype == np.int8
