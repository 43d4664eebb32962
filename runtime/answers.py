"""Texts or images classified on the golden model or on hardware, with the cycles that their attention took."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..host.attention import AttentionDevice
from ..model.load import load_model
from ..model.ranges import DEFAULT_PERCENTILE, Method
from ..model.score import ScoreActivation
from ..sim.attention import AttentionSimulator
from ..spec.attention_command import DENSE_RHO
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.link import DEFAULT_BAUD
from .attention import check_setting, fitted
from .backends import Backend, DeviceBackend, GoldenBackend, RecordingBackend, RtlBackend
from .classify import Classification, check_classifier, classify
from .compare import CheckedBackend
from .inputs import Input, are_pairs, calibration_inputs, encode_inputs
from .steps import Steps

__all__ = ["Answers", "answer"]


TOLD = ("text", "text_pair", "truncated", "label", "confidence", "score", "fp32_label", "fp32_confidence", "fp32_score")
TOLD += ("kept_blocks", "blocks")
"""What JSON holds of a classification as it is."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A model's answers to some texts or images.

    Attributes
    ----------
    activation : ScoreActivation or None
        Makes the scores of a model with one output.
    predicts_tokens, reads_images : bool
        Whether the labels are next tokens, and whether these are answers to images.
    sentences : tuple of Classification
    cycles : tuple of int or None
        Cycles of each sentence's attention in simulation. A board's statistics include the cycles of its serial line,
        so there are none.
    dense_cycles : tuple of int or None
        The same without pruning on the same hardware, if this was asked for.
    stream_cycles, dense_stream_cycles : int or None
        Cycles of the same heads of all sentences in one stream, in which no layer waits for the one before.
    heads, mismatches : int
        Heads compared bit for bit with the golden model, unpruned runs included, and how many of them differed.
    """

    model: str
    backend: str
    config: AttentionConfig
    rho: float
    tau: float
    activation: ScoreActivation | None
    predicts_tokens: bool
    reads_images: bool
    sentences: tuple[Classification, ...]
    cycles: tuple[int, ...] | None
    dense_cycles: tuple[int, ...] | None
    stream_cycles: int | None
    dense_stream_cycles: int | None
    heads: int
    mismatches: int

    @property
    def truncated(self) -> int:
        """Number of texts that lost tokens."""
        return sum(each.truncated for each in self.sentences)

    @property
    def bit_exact(self) -> bool | None:
        """Whether hardware and golden model agree; ``None`` if only the golden model ran."""
        return None if self.backend == "golden" else self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers, for JSON."""
        sentences = []
        for i, answer in enumerate(self.sentences):
            fields = {
                **{name: getattr(answer, name) for name in TOLD},
                "tokens": len(answer.tokens),
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
            "activation": self.activation,
            "truncated": self.truncated,
            "sentences": sentences,
            "stream_cycles": self.stream_cycles,
            "dense_stream_cycles": self.dense_stream_cycles,
            "bit_exact": self.bit_exact,
        }


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """All texts once, under one setting. Cycles are those of simulated hardware."""

    answers: tuple[Classification, ...]
    cycles: tuple[int, ...] | None
    stream_cycles: int | None


def _run(
    classifier: Callable[..., list[Classification]],
    texts: Sequence[Input],
    backend: Backend,
    simulated: RtlBackend | None,
    *,
    config: AttentionConfig,
    stream: bool,
    picture: tuple[int, tuple[int, int]] | None = None,
) -> _Pass:
    """Classify texts, and with ``stream`` run their heads once more in one stream."""
    answers: list[Classification] = []
    recorder = RecordingBackend(backend)
    ends = [0 if simulated is None else simulated.cycles]
    for i, text in enumerate(texts):
        watched = picture[1] if picture is not None and picture[0] == i else None
        answers += classifier([text], backend=recorder, config=config, picture=watched)
        if simulated is not None:
            ends.append(simulated.cycles)
    stream_cycles = None
    if stream and simulated is not None:
        backend.run(config, recorder.heads)
        stream_cycles = simulated.cycles - ends[-1]
    cycles = tuple(end - start for start, end in pairwise(ends))
    return _Pass(answers=tuple(answers), cycles=cycles or None, stream_cycles=stream_cycles)


def answer(
    model_name: str,
    texts: Sequence[Input],
    *,
    config: AttentionConfig,
    backend: str,
    rho: float,
    tau: float = 0.0,
    truncate: bool = False,
    calibration: Path | None = None,
    method: Method = "percentile",
    percentile: float = DEFAULT_PERCENTILE,
    dense: bool = False,
    picture: tuple[int, tuple[int, int]] | None = None,
    trace: Path | None = None,
    port: str | None = None,
    baud: int = DEFAULT_BAUD,
    steps: Steps | None = None,
) -> Answers:
    """Classes or scores of texts or pairs, or classes of images, on the golden model, or on hardware that is compared
    with it.

    Parameters
    ----------
    texts : sequence of texts, pairs, or files of images
    backend : "golden", "rtl" or "device"
    truncate : bool
        Truncate texts that are too long instead of raising an error.
    calibration : Path, optional
        Sentences to calibrate with, see :func:`~thresher.model.load.calibration_sentences`; or a table of images, see
        :func:`~thresher.runtime.pictures.calibration_images`. Without one, images calibrate the model themselves.
    method, percentile : Method, float
        How calibration finds ranges; see :data:`~thresher.model.ranges.METHODS`.
    dense : bool
        Also run without pruning, and run the heads of each pass once more in one stream.
    picture : (text, (layer, head)), optional
        Head to keep for a picture.
    trace : Path, optional
        Waveforms of the simulated hardware.
    port, baud
        Serial port of the board, for "device".

    Raises
    ------
    ThresherError
        Model, text, setting, tools or board are at fault; the message says what to do.
    SimulationError
        The hardware misbehaved.
    """
    assert (backend == "device") == (port is not None)
    steps = steps or Steps()
    if trace is not None and backend != "rtl":
        raise ConfigError("trace", str(trace), "needs --backend rtl")
    model = load_model(model_name)
    config = fitted(config, model.config)
    # Model, texts and thresholds are checked before hardware is built or a board is opened.
    check_classifier(model, config)
    tokens = encode_inputs(model, texts, max_length=config.max_length, truncate=truncate)
    steps.tell("calibrating")
    shown = calibration_inputs(model, tokens, config, calibration, pairs=are_pairs(texts))
    scales = model.calibrate(shown, method=method, percentile=percentile)
    check_setting(model.config, config, scales, rho=rho, tau=tau)
    with contextlib.ExitStack() as stack:
        hardware = None
        if backend == "rtl":
            simulator = AttentionSimulator(config, trace=trace, on_progress=steps.announce)
            hardware = RtlBackend(stack.enter_context(simulator))
        elif port is not None:
            steps.tell(f"connecting to {port}")
            hardware = DeviceBackend(stack.enter_context(AttentionDevice.open(config, port, baud=baud)))
        checked = None if hardware is None else CheckedBackend(hardware)
        simulated = hardware if isinstance(hardware, RtlBackend) else None
        run = partial(_run, texts=texts, backend=checked or GoldenBackend(), simulated=simulated, config=config)
        steps.tell("running")
        classifier = partial(classify, model, scales=scales, truncate=truncate)
        pruned = run(partial(classifier, rho=rho, tau=tau), stream=dense, picture=picture)
        unpruned = None
        if dense:
            steps.tell("running without pruning")
            unpruned = run(partial(classifier, rho=DENSE_RHO, tau=0.0), stream=True)
    return Answers(
        model=model_name,
        backend=backend,
        config=config,
        rho=rho,
        tau=tau,
        activation=model.activation,
        predicts_tokens=model.predicts_tokens,
        reads_images=model.images is not None,
        sentences=pruned.answers,
        cycles=pruned.cycles,
        dense_cycles=None if unpruned is None else unpruned.cycles,
        stream_cycles=pruned.stream_cycles,
        dense_stream_cycles=None if unpruned is None else unpruned.stream_cycles,
        heads=0 if checked is None else checked.heads,
        mismatches=0 if checked is None else checked.mismatches,
    )
