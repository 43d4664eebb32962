"""Faults of an SpMM engine and its products."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from thresher.sim.spmm import SpmmJob, SpmmSimulator
from thresher.sim.spmm_job import SpmmBatch
from thresher.spec import Activation, SpmmCommand, SpmmError, WeightFormat, spmm_preset
from thresher.spec.formats import ceil_div
from thresher.spec.spmm_command import FORMAT_CODES, spmm_command_widths

from ..operands import int8
from ..products import check_products, random_weights
from .stands import Stand, fits
from .unit_rows import rows_of

CONFIG = spmm_preset("tiny")
FORMATS = {code: item for item, code in FORMAT_CODES.items()}


def with_operands(sent: SpmmJob, command: SpmmCommand) -> Any:
    same = replace(sent.command(CONFIG), activation=command.activation) == command
    return replace(sent, activation=Activation(command.activation)) if same else None


def job(command: SpmmCommand, rng: np.random.Generator) -> SpmmJob | SpmmCommand:
    if command.rejection(CONFIG) is not SpmmError.NONE or not fits(command, spmm_command_widths(CONFIG)):
        return command
    rows, columns = command.rows, command.columns
    return SpmmJob(
        weights=random_weights(CONFIG, FORMATS[command.format], rows, columns, rng, density=0.4),
        x=int8(rng, columns, command.tokens),
        bias=rng.integers(-1000, 1000, rows).astype(np.int32),
        multiplier=rng.integers(1 << 15, 1 << 16, rows),
        shift=rng.integers(4, 12, rows),
        activation=Activation(command.activation),
        table=int8(rng, 256) if command.load_table else None,
        spread=bool(command.spread),
    )


def expected(command: SpmmCommand, sent: SpmmJob) -> dict[str, int]:
    """The rows that were sent say how many weight words there must be. If some are missing, that is the error."""
    passes = ceil_div(command.tokens, CONFIG.spread_tokens if command.spread else CONFIG.lanes)
    beats = ceil_div(command.rows, CONFIG.rows)
    rows = SpmmBatch(CONFIG, [sent]).packets(0)["i_rows"]["data"][: passes * beats]
    counts = dict.fromkeys(range(CONFIG.rows), 0)
    for place, (length, engine) in enumerate(zip(rows["length"].ravel(), rows["engine"].ravel(), strict=True)):
        if place % (beats * CONFIG.rows) < command.rows:
            counts[place % CONFIG.rows if command.spread else int(engine) % CONFIG.rows] += int(length)
    inputs = passes * ceil_div(command.columns, CONFIG.banks if command.spread else 1)
    weights = {f"i_weights__{engine}": max(1, count) for engine, count in counts.items()}
    return {"i_rows": passes * beats, "i_inputs": inputs, **weights, **({"i_table": 256} if command.load_table else {})}


@cache
def stand() -> Stand:
    """An engine with products of every format."""
    base = SpmmCommand(rows=5, columns=11, tokens=6, format=FORMAT_CODES[WeightFormat.CSR], activation=Activation.RELU)
    others = [
        replace(base, format=FORMAT_CODES[WeightFormat.CSR_DELTA], activation=Activation.TABLE, load_table=1),
        replace(base, format=FORMAT_CODES[WeightFormat.BBS], spread=1, tokens=3),
        replace(base, format=FORMAT_CODES[WeightFormat.NM], activation=Activation.NONE),
        replace(base, format=FORMAT_CODES[WeightFormat.DENSE]),
    ]
    return Stand(
        codes=SpmmError,
        widths=spmm_command_widths(CONFIG),
        limits={"rows": CONFIG.max_rows, "columns": CONFIG.max_columns, "tokens": CONFIG.max_tokens},
        make=lambda: SpmmSimulator(CONFIG),
        batch=lambda jobs: SpmmBatch(CONFIG, jobs),
        job=job,
        rejection=lambda command: command.rejection(CONFIG),
        expected=expected,
        with_operands=with_operands,
        check=lambda jobs, runs, seed: check_products(CONFIG, jobs, runs, seed),
        bases=[base, *others],
    )


FAULTS = rows_of("product", stand)
