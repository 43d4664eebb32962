"""What ``thresher pick`` does beyond the cycle model: the same heads on simulated hardware."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model import AttentionScales, Model
from ..model.load import as_batch
from ..model.quantise import Int8
from ..model.tokenizer import Tokens
from ..runtime import AcceleratorAttention, CheckedBackend, GoldenBackend
from ..runtime.attention import HeadShape
from ..runtime.evaluate import dataset_tokens, task_dataset
from ..runtime.pick import head_work
from ..sim.attention import AttentionSimulator
from ..spec import AttentionConfig, Head, HeadStatistics
from ..spec.attention_command import DENSE_RHO
from .defects import defects
from .jobs import RtlBackend
from .progress import Steps

__all__ = ["CHECKED_SENTENCES", "CycleCheck", "check_cycles", "sample"]

CHECKED_SENTENCES = 8


@dataclass(frozen=True, kw_only=True)
class CycleCheck:
    """Cycles of some sentences' heads in one stream, by the model and on hardware.

    Attributes
    ----------
    model_cycles, rtl_cycles : float, int
        At the chosen ρ.
    dense_model_cycles, dense_rtl_cycles : float, int
        Without pruning.
    heads : int
        Of each of the two streams.
    bit_exact : bool
        Outputs and statistics of all heads are golden's.
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
        """By the model."""
        return self.dense_model_cycles / self.model_cycles

    @property
    def rtl_speedup(self) -> float:
        """Measured."""
        return self.dense_rtl_cycles / self.rtl_cycles


class _Recorder(GoldenBackend):
    """Golden, which keeps the heads that it was given."""

    def __init__(self):
        self.heads: list[Head] = []

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[tuple[Int8 | None, HeadStatistics]]:
        self.heads += heads
        return super().run(config, heads)


def sample(tokens: Sequence[Tokens], count: int) -> list[Tokens]:
    """As many texts as wanted, their lengths spread like those of all."""
    ordered = sorted(tokens, key=len)
    count = min(count, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


def check_cycles(
    model: Model,
    task: str,
    data: Path,
    *,
    config: AttentionConfig,
    rho: float,
    scales: AttentionScales,
    limit: int | None,
    steps: Steps,
) -> CycleCheck:
    """Run :data:`CHECKED_SENTENCES` of a task's file, and the same without pruning, on hardware, heads back to back.

    Raises
    ------
    ThresherError
        A tool is missing, or the hardware misbehaved.
    """
    texts = sample(
        dataset_tokens(model, task_dataset(model, data, task, limit), data, config),
        CHECKED_SENTENCES,
    )
    found = []
    with defects(), AttentionSimulator(config, on_progress=steps.announce) as simulator:
        for value in (rho, DENSE_RHO):
            steps.tell("running on simulated hardware" + (" without pruning" if value == DENSE_RHO else ""))
            recorder = _Recorder()
            for text in texts:
                attention = AcceleratorAttention(config=config, scales=scales, backend=recorder, rho=value)
                model.outputs(as_batch([text]), attention)
            hardware = RtlBackend(simulator)
            checked = CheckedBackend(hardware, GoldenBackend())
            told = [statistics for _, statistics in checked.run(config, recorder.heads)]
            found.append((_modelled(config, recorder.heads, told), hardware.cycles, checked.mismatches, checked.heads))
    (pruned, pruned_rtl, wrong, heads), (dense, dense_rtl, dense_wrong, _) = found
    return CycleCheck(
        rho=rho,
        sentences=len(texts),
        heads=heads,
        model_cycles=pruned,
        rtl_cycles=pruned_rtl,
        dense_model_cycles=dense,
        dense_rtl_cycles=dense_rtl,
        bit_exact=wrong == dense_wrong == 0,
    )


def _modelled(config: AttentionConfig, heads: Sequence[Head], told: Sequence[HeadStatistics]) -> float:
    """Cycles of a stream; nothing goes before its first head, which therefore takes its whole time."""
    work = [
        head_work(config, HeadShape(command.query_length, command.head_dim, each.kept_blocks, each.pruned))
        for (command, *_), each in zip(heads, told, strict=True)
    ]
    return sum(each.cycles for each in work) + work[0].alone - work[0].cycles
