"""Bench of the co-processor: a model's encoder on simulated hardware, beside the same model with all its weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..cost.program import program_cycles
from ..model.load import Model, calibration_sentences
from ..sim.coprocessor import CoprocessorSimulator
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import InputError
from .compile import constants_of, program_of
from .coprocessor import WholeEncoder
from .program_run import Interval, ProgramReport, run_program
from .report import Report
from .steps import Steps

__all__ = ["CoprocessorBench", "bench_coprocessor"]


@dataclass(frozen=True, kw_only=True)
class CoprocessorBench(Report):
    """An encoder on simulated hardware.

    Attributes
    ----------
    model : str
    weights : str or None
        How the weights are pruned.
    weight_zeros : float
        Share of the layers' weights that are 0, those of the model among them.
    weight_bits : int
        Bits of each weight, in all runs.
    configuration : CoprocessorConfig
    memory_bytes_per_cycle, memory_latency : int
        Of the simulated memory, which reads and writes together at most so many bytes.
    program : ProgramReport
        The run; its fields stand beside the others in JSON.
    dense_cycles : int
        Cycles of the same texts with all weights, also those that are 0.
    estimate : int
        ``cycles`` by :func:`~thresher.cost.program.program_cycles`.
    bit_exact : bool
        Whether hardware and golden model leave the same bytes in the memory, in all runs.
    intervals : tuple of Interval
        When each instruction ran.
    """

    derived = ("speedup", "error")
    hidden = ("program", "intervals")

    model: str
    weights: str | None
    weight_zeros: float
    weight_bits: int
    configuration: CoprocessorConfig
    memory_bytes_per_cycle: int
    memory_latency: int
    rho: float
    tau: float
    seed: int
    program: ProgramReport
    dense_cycles: int
    estimate: int
    bit_exact: bool
    intervals: tuple[Interval, ...]

    @property
    def speedup(self) -> float:
        """Dense cycles over cycles."""
        return self.dense_cycles / self.program.cycles

    @property
    def error(self) -> float:
        """Relative error of the estimate."""
        return self.estimate / self.program.cycles - 1

    def to_dict(self) -> dict[str, Any]:
        """See :class:`~thresher.runtime.report.Report`."""
        return self.program.to_dict() | super().to_dict()


def _count(steps: Steps, total: int, cycle: int) -> None:
    steps.count(min(cycle, total), total)


def bench_coprocessor(
    model: Model,
    *,
    whole: WholeEncoder,
    lengths: Sequence[int],
    rate: int = 8,
    latency: int = 16,
    rho: float = -1.0,
    tau: float = 0.0,
    calibration: Path | None = None,
    seed: int = 0,
    steps: Steps | None = None,
) -> CoprocessorBench:
    """Run random texts of some lengths through a model, with its weights pruned, and with all of them.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each text. All texts are one run.
    rate, latency : int
        Most bytes that the memory moves per cycle, and cycles until it answers.
    rho, tau : float
        Block and head threshold of every head.
    calibration : Path, optional
        Sentences to calibrate with, see :func:`~thresher.model.load.calibration_sentences`.
    seed : int
        Of the token ids.

    Raises
    ------
    ThresherError
        Model, hardware, texts and tools do not fit together.
    """
    steps = steps or Steps()
    longest = model.config.max_length
    if lengths and max(lengths) > longest:
        raise InputError(f"texts must have at most {longest} tokens for this model, not {max(lengths)}")
    whole.check_fits(model.config)
    own_zeros = any(not linear.weight.all() for linear in model.encoder.linears().values())
    encoders = [whole, whole.dense] if own_zeros or whole.pruning is not None else [whole]
    random = np.random.default_rng(seed)
    ids = [random.integers(0, model.config.vocab_size, (1, length)) for length in lengths]
    sentences = calibration_sentences(calibration)
    jobs, zeros = [], []
    for encoder in encoders:
        what = encoder.pruning or ("all weights" if encoder.all_weights else "own weights")
        steps.tell(f"quantising, {what}")
        coprocessor = encoder.coprocessor(model, sentences, progress=steps.count)
        zeros.append(coprocessor.zeros)
        constants = constants_of(encoder, coprocessor)
        program = program_of(model, coprocessor, constants, encoder.config, lengths, rho=rho, tau=tau)
        texts = [text for each in ids for text in coprocessor.integer.texts(model.encoder, each)]
        estimate = program_cycles(encoder.config, program.instructions, program.steps, rate=rate, latency=latency)
        jobs.append((what, constants, program, texts, estimate))
    runs = []
    with CoprocessorSimulator(
        whole.config, rate=rate, latency=(latency, latency), on_progress=steps.announce
    ) as simulator:
        for what, constants, program, texts, estimate in jobs:
            steps.tell(f"simulating, {what}, about {estimate:,} cycles")
            runs.append(run_program(constants, program, texts, simulator, on_cycle=partial(_count, steps, estimate)))
    first, last = runs[0].hardware, runs[-1].hardware
    assert first is not None
    assert last is not None
    return CoprocessorBench(
        model=str(model.folder),
        weights=whole.pruning,
        weight_zeros=zeros[0],
        weight_bits=whole.weight_bits,
        configuration=whole.config,
        memory_bytes_per_cycle=rate,
        memory_latency=latency,
        rho=rho,
        tau=tau,
        seed=seed,
        program=first,
        dense_cycles=last.cycles,
        estimate=jobs[0][-1],
        bit_exact=all(run.bit_exact for run in runs),
        intervals=runs[0].intervals,
    )
