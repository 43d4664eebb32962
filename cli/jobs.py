"""What the commands about attention do: models from ``model`` on hardware from ``sim``, checked against ``golden``."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..golden import attention_head
from ..golden.attention.predictor import predict
from ..golden.attention.selection import block_importance, block_mask
from ..host.attention import AttentionDevice
from ..model import AttentionScales, Model, calibration_sentences, load_model
from ..model.quantise import Int8
from ..runtime import CheckedBackend, Classification, GoldenBackend, classify
from ..runtime.attention_bench import AttentionBench, Expected, random_heads
from ..runtime.attention_bench import bench_attention as run_bench
from ..sim.attention import AttentionSimulator
from ..spec import AttentionConfig, ConfigError, Head, HeadStatistics
from ..spec.attention_command import DENSE_RHO
from ..spec.files import make_folder
from ..spec.formats import RHO_FRACTION, ceil_div
from ..spec.link import DEFAULT_BAUD
from .defects import HardwareError, defects
from .progress import Steps

__all__ = [
    "Answers",
    "DeviceBackend",
    "HardwareError",
    "RtlBackend",
    "bench_attention",
    "demo",
    "find_rho",
    "run",
]

PICTURE_HEAD = (1, 0)
"""Layer and head that the demo draws."""


@contextlib.contextmanager
def _simulator(config: AttentionConfig, steps: Steps, trace: Path | None = None) -> Iterator[AttentionSimulator]:
    """A core that runs."""
    with defects(), AttentionSimulator(config, trace=trace, on_progress=steps.announce) as simulator:
        yield simulator


class RtlBackend:
    """Runs a model's heads on simulated hardware.

    Attributes
    ----------
    cycles : int
        From each call's first command to its last output beat, summed over the calls.
    heads : list of Head
        All that were run.
    """

    def __init__(self, simulator: AttentionSimulator):
        self._simulator = simulator
        self.cycles = 0
        self.heads: list[Head] = []

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[tuple[Int8 | None, HeadStatistics]]:
        """See :class:`~thresher.model.Backend`."""
        assert config == self._simulator.config
        runs = self._simulator.run(heads)
        self.cycles += runs[-1].finished - runs[0].accepted + 1
        self.heads += heads
        return [(run.output, run.statistics) for run in runs]


class DeviceBackend:
    """Runs a model's heads on a board."""

    def __init__(self, device: AttentionDevice):
        self._device = device

    def run(self, config: AttentionConfig, heads: Sequence[Head]) -> Sequence[tuple[Int8 | None, HeadStatistics]]:
        """See :class:`~thresher.model.Backend`."""
        assert config == self._device.config
        return self._device.run(heads)


# -- sentences ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What sentences gave.

    Attributes
    ----------
    sentences : tuple of Classification
    cycles : tuple of int or None
        Cycles of each sentence's attention in simulation. A board counts those of its line with them, so there are
        none.
    dense_cycles : tuple of int or None
        The same with pruning off on the same hardware; ``None`` when not asked for.
    stream_cycles, dense_stream_cycles : int or None
        The same heads of all sentences once more, back to back in one stream: a layer need not wait for the one before.
    heads, mismatches : int
        Heads compared bit for bit with golden, dense runs included, and how many of them differed.
    """

    model: str
    backend: str
    config: AttentionConfig
    rho: float
    tau: float
    sentences: tuple[Classification, ...]
    cycles: tuple[int, ...] | None
    dense_cycles: tuple[int, ...] | None
    stream_cycles: int | None
    dense_stream_cycles: int | None
    heads: int
    mismatches: int

    @property
    def bit_exact(self) -> bool | None:
        """Whether hardware and golden agree; ``None`` where only golden ran."""
        return None if self.backend == "golden" else self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers, for JSON."""
        sentences = []
        for i, answer in enumerate(self.sentences):
            fields = {
                "text": answer.text,
                "tokens": len(answer.tokens),
                "label": answer.label,
                "confidence": answer.confidence,
                "fp32_label": answer.fp32_label,
                "fp32_confidence": answer.fp32_confidence,
                "kept_blocks": answer.kept_blocks,
                "blocks": answer.blocks,
                "cycles": None if self.cycles is None else self.cycles[i],
                "heads": [asdict(head) for head in answer.heads],
            }
            if self.cycles is not None and self.dense_cycles is not None:
                fields["dense_cycles"] = self.dense_cycles[i]
                fields["speedup"] = self.dense_cycles[i] / self.cycles[i]
            sentences.append(fields)
        return {
            "model": self.model,
            "backend": self.backend,
            "configuration": json.loads(self.config.to_json()),
            "rho": self.rho,
            "tau": self.tau,
            "sentences": sentences,
            "stream_cycles": self.stream_cycles,
            "dense_stream_cycles": self.dense_stream_cycles,
            "bit_exact": self.bit_exact,
        }


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """All texts once, under one setting."""

    answers: list[Classification]
    cycles: list[int]
    stream_cycles: int | None
    heads: int
    mismatches: int


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """A model, its scales and what it runs on: everything that passes share."""

    model: Model
    scales: AttentionScales
    config: AttentionConfig
    simulator: AttentionSimulator | None = None
    device: AttentionDevice | None = None

    def run(
        self, texts: Sequence[str], *, rho: float, tau: float, stream: bool, picture_of: int | None = None
    ) -> _Pass:
        answers, cycles = [], []
        hardware = None if self.simulator is None else RtlBackend(self.simulator)
        backend = hardware if self.device is None else DeviceBackend(self.device)
        checked = None if backend is None else CheckedBackend(backend, GoldenBackend())
        for i, text in enumerate(texts):
            before = 0 if hardware is None else hardware.cycles
            answers += classify(
                self.model,
                [text],
                backend=checked or GoldenBackend(),
                config=self.config,
                rho=rho,
                tau=tau,
                scales=self.scales,
                picture=PICTURE_HEAD if i == picture_of else None,
            )
            if hardware is not None:
                cycles.append(hardware.cycles - before)
        stream_cycles = None
        if stream and hardware is not None and checked is not None:
            before = hardware.cycles
            checked.run(self.config, list(hardware.heads))
            stream_cycles = hardware.cycles - before
        return _Pass(
            answers=answers,
            cycles=cycles,
            stream_cycles=stream_cycles,
            heads=0 if checked is None else checked.heads,
            mismatches=0 if checked is None else checked.mismatches,
        )


def run(
    model_name: str,
    texts: Sequence[str],
    *,
    config: AttentionConfig,
    backend: str,
    rho: float,
    tau: float,
    dense: bool = False,
    picture_of: int | None = None,
    trace: Path | None = None,
    port: str | None = None,
    baud: int = DEFAULT_BAUD,
    steps: Steps,
) -> Answers:
    """Classify texts on golden, or on hardware that is checked against golden.

    Parameters
    ----------
    backend : "golden", "rtl" or "device"
    dense : bool
        Also run with pruning off, and everything once more in one stream, for the cycles.
    picture_of : int, optional
        Text whose :data:`PICTURE_HEAD` is kept for a picture.
    trace : Path, optional
        Waveforms of the hardware.
    port, baud
        Serial port of the board, for "device".

    Raises
    ------
    ThresherError
        In one line, what is wrong with model, text, setting, tools or board.
    """
    assert (backend == "device") == (port is not None)
    if trace is not None and backend != "rtl":
        raise ConfigError("trace", str(trace), "needs --backend rtl")
    model = load_model(model_name)
    for text in texts:  # whatever is wrong with them is told before the long work
        model.encode(text, max_length=config.max_length)
    steps.tell("calibrating")
    scales = model.calibrate(calibration_sentences())
    with contextlib.ExitStack() as stack:
        simulator, device = None, None
        if backend == "rtl":
            simulator = stack.enter_context(_simulator(config, steps, trace))
        if port is not None:
            steps.tell(f"greeting {port}")
            device = stack.enter_context(AttentionDevice.open(config, port, baud=baud))
        work = _Bench(model=model, scales=scales, config=config, simulator=simulator, device=device)
        steps.tell("running")
        pruned = work.run(texts, rho=rho, tau=tau, stream=dense, picture_of=picture_of)
        unpruned = None
        if dense:
            steps.tell("running with pruning off")
            unpruned = work.run(texts, rho=DENSE_RHO, tau=0.0, stream=True)
    passes = [pruned] if unpruned is None else [pruned, unpruned]
    return Answers(
        model=model_name,
        backend=backend,
        config=config,
        rho=rho,
        tau=tau,
        sentences=tuple(pruned.answers),
        cycles=tuple(pruned.cycles) or None,
        dense_cycles=None if unpruned is None else tuple(unpruned.cycles) or None,
        stream_cycles=pruned.stream_cycles,
        dense_stream_cycles=None if unpruned is None else unpruned.stream_cycles,
        heads=sum(each.heads for each in passes),
        mismatches=sum(each.mismatches for each in passes),
    )


def demo(
    folder: Path, *, config: AttentionConfig, sentences: Sequence[str], pictured: int, rho: float, steps: Steps
) -> tuple[Answers, Path]:
    """The packaged model's sentences on hardware, with and without pruning, and a picture of one head.

    Returns
    -------
    answers : Answers
    picture : Path
        ``attention.png`` in ``folder``.

    Raises
    ------
    ThresherError
        As :func:`run`; also when the folder cannot be written, before anything is computed.
    """
    from .picture import draw_head  # only the demo draws, and matplotlib takes its time

    make_folder(folder)
    answers = run(
        "default", sentences, config=config, backend="rtl", rho=rho, tau=0.0,
        dense=True, picture_of=pictured, steps=steps,
    )  # fmt: skip
    head = answers.sentences[pictured].picture
    assert head is not None
    path = folder / "attention.png"
    steps.tell("drawing")
    draw_head(head, path, title=sentences[pictured])
    return answers, path


# -- measuring ---------------------------------------------------------------------------------


def find_rho(config: AttentionConfig, heads: Sequence[Head], sparsity: float) -> int:
    """ρ·2^8 at which the share of pruned blocks of these heads comes nearest to ``sparsity``.

    Raises
    ------
    ConfigError
        It is not a share, or more than can be pruned: a block row keeps its largest block.
    """
    most = 1 - 1 / ceil_div(heads[0][0].key_length, config.block)
    if not 0 <= sparsity <= most:
        raise ConfigError("sparsity", sparsity, f"must be from 0 to {most:g}: a block row keeps its largest block")
    importances = [
        block_importance(config, predict(config, q.astype(np.int64), k.astype(np.int64))) for _, q, k, _ in heads
    ]

    def pruned(rho: int) -> float:
        return 1 - float(np.mean([block_mask(importance, rho).mean() for importance in importances]))

    low, high = -(1 << RHO_FRACTION), (1 << RHO_FRACTION) - 1
    while high - low > 1:  # a larger ρ never keeps more
        middle = (low + high) // 2
        low, high = (low, middle) if pruned(middle) >= sparsity else (middle, high)
    return min((low, high), key=lambda rho: (abs(pruned(rho) - sparsity), rho))


def bench_attention(
    config: AttentionConfig, *, length: int, head_dim: int, sparsity: float, heads: int, seed: int, steps: Steps
) -> AttentionBench:
    """Cycles of random heads at a block sparsity, pruned and dense, checked against golden.

    Raises
    ------
    ThresherError
        A setting is out of range (before anything is built), a tool is missing, or the hardware misbehaved.
    """
    work = random_heads(config, length=length, head_dim=head_dim, heads=heads, seed=seed)
    rho = find_rho(config, work, sparsity)
    with _simulator(config, steps) as simulator:
        return run_bench(
            simulator, work, rho=rho, reference=lambda head: _expected(config, head), on_progress=steps.tell
        )


def _expected(config: AttentionConfig, head: Head) -> Expected:
    result = attention_head(config, *head)
    assert result.trace is not None  # these heads are neither refused nor pruned
    assert result.output is not None
    lq, lk = result.trace.scores.shape
    kept = result.trace.selection.mask.repeat(config.block, axis=0).repeat(config.block, axis=1)[:lq, :lk]
    return Expected(output=result.output, statistics=result.statistics, kept_positions=int(kept.sum()))
