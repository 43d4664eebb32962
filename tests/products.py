"""Sparse products for tests of the SpMM engine, and the comparison of their results with the golden model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from thresher.golden.spmm.engine import SpmmResult, sparse_product
from thresher.golden.spmm.packing import PackedWeights, pack
from thresher.sim.spmm_job import SpmmJob, SpmmRun
from thresher.spec import Activation, SpmmCommand, SpmmConfig, SpmmError, WeightFormat
from thresher.spec.formats import ceil_div
from thresher.spec.spmm_command import FORMAT_CODES

from .operands import int8, random_corner


def _bank_pattern(banks: int, rows: int, columns: int, density: float, rng: np.random.Generator) -> np.ndarray:
    """The same number of weights in every bank of every row; a shorter last bank holds at most its length."""
    length = ceil_div(columns, banks)
    count = round(density * length)
    rank = rng.permuted(np.tile(np.arange(length), (rows, banks, 1)), axis=2)
    pattern = np.zeros((rows, banks * length), bool)
    pattern[:] = (rank < count).reshape(rows, -1)
    for start in range(0, columns, length):
        width = min(length, columns - start)
        if width < length:
            short = rng.permuted(np.tile(np.arange(width), (rows, 1)), axis=1)
            pattern[:, start : start + width] = short < count
    return pattern[:, :columns]


def _group_pattern(kept: int, group: int, rows: int, columns: int, density: float, rng: np.random.Generator):
    """At most ``kept`` weights in each group."""
    groups = ceil_div(columns, group)
    rank = rng.permuted(np.tile(np.arange(group), (rows, groups, 1)), axis=2)
    pattern = (rank < kept) & (rng.random(rank.shape) < 2 * density)
    return pattern.reshape(rows, -1)[:, :columns]


def random_weights(
    config: SpmmConfig,
    weight_format: WeightFormat,
    rows: int,
    columns: int,
    rng: np.random.Generator,
    *,
    density: float = 0.3,
    corner: str = "random",
) -> PackedWeights:
    """A packed matrix of about this density. Some rows are empty where the format allows it."""
    match weight_format:
        case WeightFormat.BBS:
            pattern = _bank_pattern(config.banks, rows, columns, density, rng)
        case WeightFormat.NM:
            pattern = _group_pattern(config.kept, config.group, rows, columns, density, rng)
        case _:
            pattern = rng.random((rows, columns)) < density * rng.choice([0, 0.3, 1, 1, 2], (rows, 1))
    stored = np.nonzero(pattern)
    values = int8(rng, len(stored[0]), corner=corner)
    matrix = sparse.csr_array((values, stored), shape=(rows, columns))
    settings = {}
    if weight_format is WeightFormat.BBS:
        settings = {"banks": config.banks}
    elif weight_format is WeightFormat.NM:
        settings = {"kept": config.kept, "group": config.group}
    return pack(matrix, weight_format, **settings)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a product: M rows and K columns of weights, N tokens."""

    rows: int
    columns: int
    tokens: int


def random_shape(config: SpmmConfig, rng: np.random.Generator, *, largest: int = 20) -> Shape:
    """A random size: often the smallest or the largest, with tokens that just fill a pass or just miss it."""
    most = min(config.max_columns, 2 * largest)
    lanes, spread = config.lanes, config.spread_tokens
    ends = {
        "rows": ([1, config.rows, config.rows + 1], largest),
        "columns": ([1, most], most),
        "tokens": ([1, spread, spread + 1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1], 2 * lanes),
    }
    sizes = {}
    for name, (special, limit) in ends.items():
        size = special[rng.integers(len(special))] if rng.random() < 0.6 else int(rng.integers(1, limit + 1))
        sizes[name] = min(max(1, size), getattr(config, f"max_{name}"))
    return Shape(**sizes)


def random_job(
    config: SpmmConfig,
    rng: np.random.Generator,
    *,
    weight_format: WeightFormat | None = None,
    spread: bool | None = None,
    activation: Activation | None = None,
    table_loaded: bool = False,
    shape: Shape | None = None,
    corner: str | None = None,
) -> SpmmJob:
    """An accepted product. Whatever is not given is random."""
    shape = shape or random_shape(config, rng)
    weight_format = weight_format or config.formats[rng.integers(len(config.formats))]
    activation = Activation(int(rng.integers(3))) if activation is None else activation
    corner = corner or random_corner(rng)
    density = float(rng.choice([0, 0.1, 0.3, 0.6, 1]))
    weights = random_weights(config, weight_format, shape.rows, shape.columns, rng, density=density, corner=corner)
    if spread is None and weight_format is WeightFormat.BBS:
        spread = bool(rng.integers(2))
    # Results reach from well inside to far outside of INT8.
    shift = rng.integers(0, 14, shape.rows) if rng.random() < 0.8 else rng.integers(0, 32, shape.rows)
    peak = int(rng.choice([100, 1 << 16, 1 << 31]))
    bias = rng.integers(-peak, peak, shape.rows)
    if rng.random() < 0.2:
        bias[0] = rng.choice([-(1 << 31), (1 << 31) - 1])
    load = activation is Activation.TABLE and (not table_loaded or rng.random() < 0.5)
    return SpmmJob(
        weights=weights,
        x=int8(rng, shape.columns, shape.tokens, corner="random" if rng.random() < 0.5 else corner),
        bias=bias.astype(np.int32),
        multiplier=rng.integers(0, 1 << 16, shape.rows),
        shift=shift,
        activation=activation,
        table=int8(rng, 256) if load or rng.random() < 0.1 else None,
        spread=spread,
    )


def random_jobs(config: SpmmConfig, *, count: int, seed: int) -> list[SpmmJob | SpmmCommand]:
    """Products of every format of the engine; every fifth is refused."""
    rng = np.random.default_rng(seed)
    refused = refused_commands(config)
    jobs: list[SpmmJob | SpmmCommand] = []
    table_loaded = False
    for index in range(count):
        if index % 5 == 3:
            jobs.append(refused[int(rng.integers(len(refused)))])
            continue
        job = random_job(config, rng, table_loaded=table_loaded)
        table_loaded |= job.table is not None
        jobs.append(job)
    return jobs


def refused_commands(config: SpmmConfig) -> list[SpmmCommand]:
    """A command for every reason to refuse, except a missing table. Fields are just out of range, or at their ends."""
    good = {"rows": 1, "columns": 1, "tokens": 1, "format": FORMAT_CODES[config.formats[0]]}
    commands = []
    for name in ("rows", "columns", "tokens"):
        largest = getattr(config, f"max_{name}")
        for value in {0, largest + 1, (1 << largest.bit_length()) - 1}:
            if value == 0 or largest < value < 1 << largest.bit_length():
                commands.append(SpmmCommand(**{**good, name: value}))
    known = {FORMAT_CODES[item] for item in config.formats}
    commands += [SpmmCommand(**{**good, "format": code}) for code in range(8) if code not in known]
    unbanked = {**good, "format": next((code for code in known if code != FORMAT_CODES[WeightFormat.BBS]), 7)}
    commands.append(SpmmCommand(**unbanked, spread=1))
    commands.append(SpmmCommand(**good, activation=3, load_table=1))
    assert all(command.rejection(config) is not SpmmError.NONE for command in commands)
    return commands


def golden_results(config: SpmmConfig, jobs: list[SpmmJob | SpmmCommand]) -> list[SpmmResult | None]:
    """The results of the golden model; None for a refused product."""
    results: list[SpmmResult | None] = []
    table = None
    for job in jobs:
        if isinstance(job, SpmmCommand) or job.command(config).rejection(config, table_loaded=table is not None):
            results.append(None)
            continue
        table = job.table if job.table is not None else table
        assert isinstance(job.weights, PackedWeights)
        results.append(
            sparse_product(
                config,
                job.weights,
                job.x,
                job.bias,
                job.multiplier,
                job.shift,
                activation=job.activation,
                table=None if table is None or job.activation is not Activation.TABLE else np.asarray(table),
            )
        )
    return results


def check_products(
    config: SpmmConfig, jobs: Sequence[SpmmJob | SpmmCommand], runs: Sequence[SpmmRun], seed: int
) -> None:
    """Compare outputs and statistics with the golden model, and cycles with each other."""
    assert len(runs) == len(jobs)
    for index, (job, run, result) in enumerate(zip(jobs, runs, golden_results(config, list(jobs)), strict=True)):
        command = job if isinstance(job, SpmmCommand) else job.command(config)
        where = f"seed {seed}, product {index}: {command}"
        if result is None:
            reasons = {command.rejection(config, table_loaded=loaded) for loaded in (False, True)} - {SpmmError.NONE}
            assert run.output is None, where
            assert run.statistics.error in reasons, where
            assert run.statistics.saturations == 0, where
        else:
            assert run.output is not None, where
            assert run.output.dtype == np.int8, where
            np.testing.assert_array_equal(run.output, result.output, err_msg=where)
            assert run.statistics.error is SpmmError.NONE, where
            assert run.statistics.saturations == result.saturations, where
            assert run.statistics.cycles == run.finished - run.accepted, where
    finished = [run.finished for run in runs]
    assert finished == sorted(finished), f"seed {seed}"
