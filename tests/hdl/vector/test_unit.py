"""The whole vector unit, compared with the golden model."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thresher.sim.batch import simulate
from thresher.sim.vector import VectorBatch, VectorJob, VectorSimulator
from thresher.spec import InputError, VectorCommand, VectorConfig, VectorError, vector_preset

from .norms import CORNERS, check_norms, extreme_norm, norm_job, operand, random_norm, refused_commands

TINY = vector_preset("tiny")
CONFIGS = {
    "tiny": TINY,
    "one_lane": VectorConfig(lanes=1, max_channels=20, max_tokens=7),
    "four_lanes": VectorConfig(lanes=4, max_channels=13, max_tokens=9),
    "eight_lanes": VectorConfig(lanes=8, max_channels=9),
    "one_channel": VectorConfig(lanes=2, max_channels=1, max_tokens=5),
}


def run(config, jobs, *, seed, stall):
    """Run commands back to back in Amaranth's simulator and compare every result."""
    runs = simulate(VectorBatch(config, jobs), seed=seed, stall=stall)
    check_norms(config, jobs, runs, seed)
    return runs


def sizes(config: VectorConfig) -> list[tuple[int, int]]:
    """Channels and tokens: one, few, most, and groups that are just full or have one token more."""
    channels = sorted({1, 2, config.max_channels} & set(range(config.max_channels + 1)))
    tokens = [n for n in (1, config.lanes, config.lanes + 1, 2 * config.lanes - 1) if n <= config.max_tokens]
    return [(c, n) for c in channels for n in sorted(set(tokens))]


@pytest.mark.parametrize("stall", [0.0, {"i_x": 0.3, "o_data": 0.6, "i_parameters": 0.5}])
def test_few_commands_match_golden(stall):
    """Small commands of each corner, and a rejected one."""
    config, seed = CONFIGS["four_lanes"], 1
    rng = np.random.default_rng(seed)
    jobs = [norm_job(rng, 5, 3 + i, corner=corner) for i, corner in enumerate(CORNERS)]
    run(config, [*jobs[:3], *refused_commands(config)[:1], *jobs[3:]], seed=seed, stall=stall)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("stall", "seed"), [(0.0, 2), (0.4, 3)])
def test_sizes_match_golden(name, stall, seed):
    config = CONFIGS[name]
    rng = np.random.default_rng(seed)
    jobs = [norm_job(rng, *size, corner=str(rng.choice(CORNERS))) for size in sizes(config)]
    run(config, jobs, seed=seed, stall=stall)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_rejected_commands_leave_no_trace(name):
    """Every reason to refuse, between accepted commands and two in a row."""
    config, seed = CONFIGS[name], 4
    rng = np.random.default_rng(seed)
    jobs: list = []
    for command in refused_commands(config):
        jobs += [command, command, norm_job(rng, config.max_channels, config.lanes)]
    runs = run(config, jobs, seed=seed, stall=0.2)
    assert runs[0].statistics.error is VectorError.CHANNELS
    assert VectorError.TOKENS in {run.statistics.error for run in runs}


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2, 63, 64])
def test_parameters_at_their_ends_match_golden(channels):
    seed = channels
    rng = np.random.default_rng(seed)
    jobs = []
    for corner in CORNERS:
        x, y = (operand(rng, channels, 3, corner) for _ in "xy")
        jobs.append(VectorJob(parameters=extreme_norm(rng, channels), x=x, y=y))
    run(TINY, jobs, seed=seed, stall=0.0)


@pytest.mark.slow
def test_other_data_in_lanes_without_a_token_changes_nothing(monkeypatch):
    """Lanes beyond the last token count no saturations and give zeros, whatever they carry."""
    config, seed = CONFIGS["four_lanes"], 6
    rng = np.random.default_rng(seed)
    jobs = [norm_job(rng, 6, tokens, gain=np.full(6, 32767), shift=0) for tokens in (1, 3, 4, 5)]
    found = []
    for padding in (-128, 0, 127):
        monkeypatch.setattr("thresher.sim.vector.PADDING", padding)
        found.append([run.statistics for run in run(config, jobs, seed=seed, stall=0.0)])
    assert found[0] == found[1] == found[2]
    assert found[0][0].saturations


@pytest.mark.slow
@settings(max_examples=6)
@given(st.data())
def test_any_configuration_matches_golden(data):
    config = VectorConfig(
        lanes=data.draw(st.sampled_from([1, 2, 4, 8])),
        max_channels=data.draw(st.integers(1, 12)),
        max_tokens=data.draw(st.integers(1, 20)),
    )
    seed = data.draw(st.integers(0, 999))
    rng = np.random.default_rng(seed)
    jobs = [
        norm_job(
            rng,
            data.draw(st.integers(1, config.max_channels)),
            data.draw(st.integers(1, min(config.max_tokens, 2 * config.lanes + 1))),
            corner=data.draw(st.sampled_from(CORNERS)),
        )
        for _ in range(3)
    ]
    run(config, jobs, seed=seed, stall=data.draw(st.sampled_from([0.0, 0.3, 0.7])))


@pytest.mark.parametrize(("lanes", "channels", "groups"), [(1, 1, 3), (4, 20, 1), (4, 20, 2)])
def test_cycles_without_stalls(lanes, channels, groups):
    """The formula of docs/blocks/vector.md."""
    jobs = [norm_job(np.random.default_rng(7), channels, lanes * groups)]
    (result,) = run(VectorConfig(lanes=lanes, max_channels=20), jobs, seed=7, stall=0.0)
    assert result.statistics.cycles == groups * (2 * channels + 12 * (lanes + 1) + 9) + 17


def widest_jobs(rng: np.random.Generator) -> list[VectorJob]:
    """1024 channels with shifts of 9: the largest sums, the largest variance, and n at both ends."""
    channels = 1024
    nines = np.full(channels, 9)
    steep = {"gain": np.full(channels, 1 << 10), "bias": np.zeros(channels, np.int64), "shift": 8}
    norm = random_norm(rng, channels, x_shift=nines, y_shift=nines, **steep, epsilon=0)
    half = np.repeat(np.array([[-128, 127], [127, -128]], np.int8), channels // 2, axis=0)
    single = np.full((channels, 2), -128, np.int8)
    single[7], single[:, 1] = 127, ~single[:, 0]
    equal = [operand(rng, channels, 2, corner) for corner in ("low", "high")]
    jobs = [VectorJob(parameters=norm, x=x, y=x) for x in (half, single, *equal)]
    return [*jobs, VectorJob(parameters=extreme_norm(rng, channels), x=half, y=half)]


@pytest.mark.slow
def test_edge_under_verilator_matches_golden():
    config, seed = vector_preset("edge"), 8
    rng = np.random.default_rng(seed)
    jobs = [norm_job(rng, channels, tokens) for channels, tokens in ((384, 25), (1024, 9), (1, 1), (128, 16))]
    jobs += [VectorCommand(channels=1025, tokens=1, shift=0), *widest_jobs(rng)]
    with VectorSimulator(config, stall=0.2, seed=seed) as simulator:
        check_norms(config, jobs, simulator.run(jobs), seed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.zeros((3, 2), np.int16)}, "command 0: x must be an int8 matrix"),
        ({"y": np.zeros((3, 1), np.int8)}, "command 0: y must be an int8 matrix, of one shape"),
        ({"x": np.zeros((4, 2), np.int8), "y": np.zeros((4, 2), np.int8)}, "command 0: x_shift must be 4 numbers"),
    ],
)
def test_operands_that_do_not_fit_are_rejected(changes, message):
    job = dataclasses.replace(norm_job(np.random.default_rng(0), 3, 2), **changes)
    with pytest.raises(InputError, match=message):
        VectorBatch(TINY, [job]).inputs()


def test_an_accepted_command_needs_operands():
    with pytest.raises(InputError, match="command 0: the unit accepts"):
        VectorBatch(TINY, [VectorCommand(channels=1, tokens=1, shift=0)])
