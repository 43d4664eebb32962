"""Random residual sums with LayerNorm, and the comparison of their results with the golden model."""

from collections.abc import Sequence

import numpy as np
from thresher.golden.vector.layer_norm import LayerNorm, add_and_normalise
from thresher.sim.vector import VectorJob, VectorRun
from thresher.spec import VectorCommand, VectorConfig, VectorError

CORNERS = ("random", "low", "high", "mixed", "equal")


def operand(rng: np.random.Generator, channels: int, tokens: int, corner: str) -> np.ndarray:
    """INT8 values: random, all −128, all 127, both, or one value for all channels of a token."""
    shape = channels, tokens
    match corner:
        case "low":
            values = np.full(shape, -128)
        case "high":
            values = np.full(shape, 127)
        case "mixed":
            values = rng.choice([-128, 127], shape)
        case "equal":
            values = np.tile(rng.integers(-128, 128, tokens), (channels, 1))
        case _:
            values = rng.integers(-128, 128, shape)
    return values.astype(np.int8)


def random_norm(rng: np.random.Generator, channels: int, **replaced) -> LayerNorm:
    """Parameters of which some results saturate."""
    shift = int(rng.integers(0, 12))
    top = 1 << (shift + 6)
    given = {
        "x_shift": rng.integers(0, 10, channels),
        "y_shift": rng.integers(0, 10, channels),
        "gain": rng.integers(-min(top, 1 << 15), min(top, 1 << 15), channels),
        "bias": rng.integers(-top, top, channels) << 10,
        "shift": shift,
        "epsilon": int(rng.choice([0, 1, 1000, (1 << 32) - 1])),
    }
    return LayerNorm(**given | replaced)


def extreme_norm(rng: np.random.Generator, channels: int) -> LayerNorm:
    """Every parameter at one end of its range."""

    def ends(bits: int) -> np.ndarray:
        return rng.choice([-(1 << (bits - 1)), (1 << (bits - 1)) - 1], channels)

    return LayerNorm(
        x_shift=rng.choice([0, 9], channels),
        y_shift=rng.choice([0, 9], channels),
        gain=ends(16),
        bias=ends(32),
        shift=int(rng.choice([0, 31])),
        epsilon=int(rng.choice([0, (1 << 32) - 1])),
    )


def norm_job(rng: np.random.Generator, channels: int, tokens: int, *, corner: str = "random", **replaced) -> VectorJob:
    """A job of this size; ``replaced`` are parameters."""
    x, y = (operand(rng, channels, tokens, corner) for _ in "xy")
    return VectorJob(parameters=random_norm(rng, channels, **replaced), x=x, y=y)


def refused_commands(config: VectorConfig) -> list[VectorCommand]:
    """Every reason to reject a command that its fields can express."""
    good = {"channels": 1, "tokens": 1, "shift": 3}
    wrong = [{"channels": 0}, {"tokens": 0}, {"channels": 0, "tokens": 0}]
    for name, most in (("channels", config.max_channels), ("tokens", config.max_tokens)):
        if (most + 1).bit_length() == most.bit_length():
            wrong.append({name: most + 1})
    return [VectorCommand(**good | fields) for fields in wrong]


def check_norms(
    config: VectorConfig, jobs: Sequence[VectorJob | VectorCommand], runs: Sequence[VectorRun], seed: int
) -> None:
    """Compare outputs and statistics with those of the golden model."""
    for index, (job, run) in enumerate(zip(jobs, runs, strict=True)):
        where = f"seed {seed}, command {index}"
        command = job if isinstance(job, VectorCommand) else job.command
        assert run.statistics.error is command.rejection(config), where
        if run.statistics.error is not VectorError.NONE:
            assert run.output is None
            assert run.statistics.saturations == 0, where
            continue
        assert isinstance(job, VectorJob)
        assert isinstance(job.parameters, LayerNorm)
        assert run.output is not None
        output, saturations = add_and_normalise(job.parameters, job.x, job.y)
        np.testing.assert_array_equal(run.output, output, err_msg=f"{where}: {command}")
        assert run.statistics.saturations == saturations, where
        assert run.statistics.cycles == run.finished - run.accepted, where
