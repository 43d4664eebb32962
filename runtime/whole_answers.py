"""Texts through a whole encoder in integers, on the golden model or on simulated hardware."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..host.on_chip import CoprocessorDevice
from ..model.compiler import Constants, EncoderProgram
from ..model.encoder import float_attention
from ..model.load import Model, as_batch, as_types, load_model
from ..model.score import ScoreActivation
from ..model.sentence import pools_sums
from ..model.tokenizer import Text, Tokens
from ..model.weights import Float32
from ..sim.coprocessor import CoprocessorSimulator
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import ConfigError, InputError
from ..spec.link import DEFAULT_BAUD
from ..spec.memory import memory_map
from .attention import check_fits, check_setting
from .classify import answer_of
from .compile import constants_of, image_of, program_of
from .coprocessor import Coprocessor, WholeEncoder, output_scales
from .inputs import are_pairs, calibration_texts
from .program_run import ProgramReport, ProgramRun, run_on_board, run_program
from .report import Report
from .steps import Steps
from .texts import encode_texts

__all__ = ["WholeAnswer", "WholeAnswers", "answer_whole", "packed_runs"]


@dataclass(frozen=True, kw_only=True)
class WholeAnswer(Report):
    """A model's answer to a text or pair.

    Attributes
    ----------
    text_pair : str or None
        The second text of a pair.
    tokens : int
    truncated : bool
        Whether the text lost tokens.
    label, confidence
        Most probable class and its probability; ``None`` for a model without classes.
    score : float or None
        Score of a model with one output, after its activation.
    embedding : tuple of float, or None
        Of a model that gives embeddings.
    similarity : float or None
        Cosine similarity of the embedding to FP32's.
    fp32_label, fp32_confidence, fp32_score
        The same in float32.
    """

    text: str
    text_pair: str | None
    tokens: int
    truncated: bool
    label: str | None = None
    confidence: float | None = None
    score: float | None = None
    embedding: tuple[float, ...] | None = None
    similarity: float | None = None
    fp32_label: str | None = None
    fp32_confidence: float | None = None
    fp32_score: float | None = None


@dataclass(frozen=True, kw_only=True)
class WholeAnswers(Report):
    """A model's answers, its whole encoder in integers.

    Attributes
    ----------
    backend : "golden", "rtl" or "device"
    weights : str or None
        How the weights are pruned.
    weight_bits : int
    activation : ScoreActivation or None
        Makes the scores of a model with one output.
    answers : tuple of WholeAnswer
    programs : tuple of ProgramReport
        Runs of the hardware. Each takes as many texts as fit.
    bit_exact : bool or None
        Whether hardware and golden model leave the same memory, on a board the same results; ``None`` if only the
        golden model ran.
    runs : tuple of ProgramRun
    """

    hidden = ("runs",)

    model: str
    backend: str
    configuration: CoprocessorConfig
    weights: str | None
    weight_bits: int
    rho: float
    tau: float
    activation: ScoreActivation | None
    answers: tuple[WholeAnswer, ...]
    programs: tuple[ProgramReport, ...]
    bit_exact: bool | None
    runs: tuple[ProgramRun, ...]


def packed_runs(
    config: CoprocessorConfig, lengths: Sequence[int], fits: Callable[[list[int]], bool] = lambda lengths: True
) -> list[list[int]]:
    """Numbers of the texts of each run, in their order: as many as fit into a run.

    Parameters
    ----------
    fits : function, optional
        Whether texts of these lengths fit into the memory.
    """
    most = min(config.spmm.max_tokens, config.vector.max_tokens)
    runs: list[list[int]] = []
    members: list[int] = []
    for number, length in enumerate(lengths):
        members.append(length)
        if not runs or sum(members) > most or (len(members) > 1 and not fits(members)):
            runs.append([])
            members = [length]
        runs[-1].append(number)
    return runs


def answer_whole(
    model_name: str,
    texts: Sequence[Text],
    *,
    whole: WholeEncoder,
    backend: str,
    rho: float,
    tau: float = 0.0,
    truncate: bool = False,
    calibration: Path | None = None,
    trace: Path | None = None,
    port: str | None = None,
    baud: int = DEFAULT_BAUD,
    steps: Steps | None = None,
) -> WholeAnswers:
    """Answers to texts or pairs, several texts in one run.

    Parameters
    ----------
    backend : "golden", "rtl" or "device"
    truncate : bool
        Truncate texts that are too long instead of raising an error.
    calibration : Path, optional
        Sentences to calibrate with, see :func:`~thresher.model.load.calibration_sentences`.
    trace : Path, optional
        Waveforms of the simulated hardware.
    port, baud
        Serial port of the board, for "device".

    Raises
    ------
    ThresherError
        Model, text, setting, hardware, board or tools are at fault; the message says what to do.
    """
    assert (backend == "device") == (port is not None)
    steps = steps or Steps()
    if trace is not None and backend != "rtl":
        raise ConfigError("trace", str(trace), "needs --backend rtl")
    model = load_model(model_name)
    attention = whole.config.attention
    whole.check_fits(model.config)
    check_fits(attention, model.config.head_dim, score_bias=model.config.has_score_bias)
    numbers = range(1, len(texts) + 1)
    tokens = encode_texts(model, texts, numbers, max_length=attention.max_length, truncate=truncate)
    steps.tell("quantising")
    coprocessor = whole.coprocessor(model, calibration_texts(calibration, pairs=are_pairs(texts)), progress=steps.count)
    check_setting(model.config, attention, coprocessor.integer.attention, rho=rho, tau=tau)
    steps.tell("compiling the program")
    constants = constants_of(whole, coprocessor)
    compiled = partial(program_of, model, coprocessor, constants, whole.config, rho=rho, tau=tau)
    lengths = [len(each) for each in tokens]
    outputs: list[Float32] = []
    runs: list[ProgramRun] = []
    with contextlib.ExitStack() as stack:
        simulator = device = None
        if port is not None:
            device = stack.enter_context(CoprocessorDevice.open(whole.config, port, baud=baud))
            groups = _runs_on_board(whole.config, constants, compiled, lengths, device.memory_bytes)
        else:
            groups = packed_runs(whole.config, lengths)
        if backend == "rtl":
            simulator = CoprocessorSimulator(whole.config, trace=trace, on_progress=steps.announce)
            stack.enter_context(simulator)
        steps.tell("running")
        for group in groups:
            members = [tokens[number] for number in group]
            program = compiled([len(each) for each in members])
            inputs = [_golden_text(model, coprocessor, each) for each in members]
            if device is not None:
                run = run_on_board(constants, program, inputs, device.driver)
            else:
                run = run_program(constants, program, inputs, simulator)
            runs.append(run)
            outputs += real_outputs(model, coprocessor, run.outputs, [len(each) for each in members])
            steps.count(len(outputs), len(texts))
    exact = [run.bit_exact for run in runs]
    return WholeAnswers(
        model=model_name,
        backend=backend,
        configuration=whole.config,
        weights=whole.pruning,
        weight_bits=whole.weight_bits,
        rho=rho,
        tau=tau,
        activation=model.activation,
        answers=tuple(_answer(model, *each) for each in zip(texts, tokens, outputs, strict=True)),
        programs=tuple(run.hardware for run in runs if run.hardware is not None),
        bit_exact=None if backend == "golden" else all(exact),
        runs=tuple(runs),
    )


def _runs_on_board(
    config: CoprocessorConfig,
    constants: Constants,
    compiled: Callable[[list[int]], EncoderProgram],
    lengths: list[int],
    memory_bytes: int,
) -> list[list[int]]:
    """Runs that fit into the memory of a board.

    Raises
    ------
    InputError
        A text is too long for it.
    """

    def needed(members: list[int]) -> int:
        return memory_map(image_of(constants, compiled(members)).sizes, program_bytes=0).size

    if lengths and (most := needed([max(lengths)])) > memory_bytes:
        raise InputError(
            f"a text of {max(lengths)} tokens needs {most} bytes of memory, the board has {memory_bytes}: prune more "
            "weights, or give shorter texts"
        )
    return packed_runs(config, lengths, lambda members: needed(members) <= memory_bytes)


def _golden_text(model: Model, coprocessor: Coprocessor, tokens: Tokens):
    (text,) = coprocessor.integer.texts(model.encoder, as_batch([tokens]), as_types([tokens]))
    return text


def real_outputs(
    model: Model, coprocessor: Coprocessor, outputs: NDArray[np.integer], lengths: Sequence[int]
) -> list[Float32]:
    """Outputs of the head, or embeddings, of each text.

    Parameters
    ----------
    outputs : (texts, n) integers
        Of a program.
    lengths : sequence of int
        Tokens of each text.
    """
    if model.is_classifier:
        return list((outputs * coprocessor.integer.output_scale).astype(np.float32))
    pooled = outputs * output_scales(coprocessor)
    if pools_sums(model.steps):
        pooled /= np.array(lengths)[:, None]
    pooled = pooled.astype(np.float32)
    for step in model.steps[1:]:
        pooled = step(pooled)
    return list(pooled)


def _answer(model: Model, text: Text, tokens: Tokens, outputs: Float32) -> WholeAnswer:
    first, second = (text, None) if isinstance(text, str) else text
    reference = model.outputs_of([tokens], float_attention)[0]
    if model.is_classifier:
        found = answer_of(model, outputs)
        found |= {f"fp32_{name}": value for name, value in answer_of(model, reference).items()}
    else:
        norms = np.linalg.norm(outputs) * np.linalg.norm(reference)
        found = {
            "embedding": tuple(map(float, outputs)),
            "similarity": float(outputs @ reference / max(float(norms), 1e-12)),
        }
    return WholeAnswer(text=first, text_pair=second, tokens=len(tokens), truncated=tokens.truncated, **found)
