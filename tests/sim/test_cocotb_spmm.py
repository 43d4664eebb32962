"""The emitted SpMM engine in a cocotb bench, compared with the golden model."""

import dataclasses

import numpy as np
import pytest
from thresher.sim.cocotb_runner import run_spmm_bench
from thresher.sim.cocotb_tasks import ExpectedRun, ProductsTask, products_from_json, products_to_json
from thresher.sim.spmm import SpmmJob
from thresher.spec import SpmmCommand, SpmmConfig, WeightFormat

from ..products import golden_results, random_jobs

SEED = 12
CONFIG = SpmmConfig(
    rows=2, lanes=2, drain_lanes=1, max_columns=16, result_rows=2, formats=(WeightFormat.CSR, WeightFormat.DENSE)
)


def task_of(*, count, seed, stall):
    jobs = random_jobs(CONFIG, count=count, seed=seed)
    expected = []
    for job, result in zip(jobs, golden_results(CONFIG, jobs), strict=True):
        if result is None:
            assert isinstance(job, SpmmCommand)
            expected.append(
                ExpectedRun(output=None, statistics={"error": int(job.rejection(CONFIG)), "saturations": 0})
            )
        else:
            statistics = {"error": 0, "saturations": result.saturations}
            expected.append(ExpectedRun(output=result.output.tolist(), statistics=statistics))
    return ProductsTask(config=CONFIG, jobs=jobs, expected=expected, seed=seed, stall=stall)


@pytest.fixture(scope="module")
def build_dir(tmp_path_factory):
    """A folder that all tests here share, so that the simulator is built once."""
    return tmp_path_factory.mktemp("cocotb")


@pytest.mark.slow
def test_products_match_golden(build_dir):
    run_spmm_bench(task_of(count=8, seed=SEED, stall=0.3), build_dir=build_dir)


@pytest.mark.slow
def test_wrong_results_are_reported(build_dir):
    task = task_of(count=2, seed=SEED, stall=0.0)
    output = np.array(task.expected[1].output)
    output[-1, -1] ^= 1
    wrong = [task.expected[0], dataclasses.replace(task.expected[1], output=output.tolist())]
    with pytest.raises(AssertionError, match=rf"product 1, seed {SEED}: output differs"):
        run_spmm_bench(dataclasses.replace(task, expected=wrong), build_dir=build_dir)


def test_tasks_survive_json():
    task = task_of(count=30, seed=5, stall=0.25)
    again = products_from_json(products_to_json(task))
    assert products_to_json(again) == products_to_json(task)
    assert again.config == CONFIG
    assert any(isinstance(job, SpmmCommand) for job in again.jobs)
    job = next(job for job in again.jobs if isinstance(job, SpmmJob))
    assert job.x.dtype == np.int8
