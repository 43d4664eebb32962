"""A check of the cycle model: the heads of a few sentences on simulated hardware."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model.load import Model
from ..model.quantise import AttentionScales
from ..model.tasks import Task
from ..model.tokenizer import Tokens
from ..sim.attention import AttentionSimulator
from ..spec.attention_command import DENSE_RHO
from ..spec.attention_config import AttentionConfig
from ..spec.heads import Head, HeadStatistics
from .attention import AcceleratorAttention, HeadShape, fitted
from .backends import GoldenBackend, RecordingBackend, RtlBackend
from .compare import CheckedBackend
from .evaluate import task_texts
from .pick import head_work
from .report import Report
from .steps import Steps

__all__ = ["CHECKED_SENTENCES", "CycleCheck", "check_cycles", "sample"]

CHECKED_SENTENCES = 8


@dataclass(frozen=True, kw_only=True)
class CycleCheck(Report):
    """Cycles of some sentences' heads in one stream, by the model and on hardware.

    Attributes
    ----------
    model_cycles, rtl_cycles : float, int
        At the chosen ρ.
    dense_model_cycles, dense_rtl_cycles : float, int
        Without pruning.
    heads : int
        Heads in each of the two streams.
    bit_exact : bool
        Whether outputs and statistics of all heads are those of the golden model.
    """

    rho: float
    sentences: int
    heads: int
    model_cycles: float
    rtl_cycles: int
    dense_model_cycles: float
    dense_rtl_cycles: int
    bit_exact: bool

    @property
    def model_speedup(self) -> float:
        """Speedup by the model."""
        return self.dense_model_cycles / self.model_cycles

    @property
    def rtl_speedup(self) -> float:
        """Measured speedup."""
        return self.dense_rtl_cycles / self.rtl_cycles


def sample(tokens: Sequence[Tokens], count: int) -> list[Tokens]:
    """Choose ``count`` texts whose lengths are distributed like those of all texts."""
    ordered = sorted(tokens, key=len)
    count = min(count, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


def check_cycles(
    model: Model,
    task: str | Task,
    data: Path,
    *,
    config: AttentionConfig,
    rho: float,
    scales: AttentionScales,
    limit: int | None = None,
    truncate: bool = False,
    steps: Steps | None = None,
) -> CycleCheck:
    """Run :data:`CHECKED_SENTENCES` of a task's file on simulated hardware: one stream with pruning, and one without.

    Raises
    ------
    ThresherError
        A tool is missing.
    SimulationError
        The hardware misbehaved.
    """
    steps = steps or Steps()
    config = fitted(config, model.config)
    texts = sample(task_texts(model, task, data, config, limit, truncate=truncate)[1], CHECKED_SENTENCES)
    found = []
    with AttentionSimulator(config, on_progress=steps.announce) as simulator:
        for value in (rho, DENSE_RHO):
            steps.tell("running on simulated hardware" + (" without pruning" if value == DENSE_RHO else ""))
            recorder = RecordingBackend(GoldenBackend())
            for text in texts:
                attention = AcceleratorAttention(config=config, scales=scales, backend=recorder, rho=value)
                model.outputs_of([text], attention)
            hardware = RtlBackend(simulator)
            checked = CheckedBackend(hardware)
            statistics = [statistics for _, statistics in checked.run(config, recorder.heads)]
            found.append((_modelled(config, recorder.heads, statistics), hardware.cycles, checked.mismatches))
    (pruned, pruned_rtl, wrong), (dense, dense_rtl, dense_wrong) = found
    return CycleCheck(
        rho=rho,
        sentences=len(texts),
        heads=len(recorder.heads),
        model_cycles=pruned,
        rtl_cycles=pruned_rtl,
        dense_model_cycles=dense,
        dense_rtl_cycles=dense_rtl,
        bit_exact=wrong == dense_wrong == 0,
    )


def _modelled(config: AttentionConfig, heads: Sequence[Head], statistics: Sequence[HeadStatistics]) -> float:
    """Cycles of a stream by the model. The first head follows no other, so its whole latency counts."""
    work = [
        head_work(config, HeadShape(c.query_length, c.head_dim, each.kept_blocks, each.pruned, bool(c.causal)))
        for (c, *_), each in zip(heads, statistics, strict=True)
    ]
    return sum(each.cycles for each in work) + work[0].alone - work[0].cycles
