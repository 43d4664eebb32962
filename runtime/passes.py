"""Many sentences through a model under several settings, in parallel processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..model.encoder import float_attention
from ..model.load import Model, as_batch, as_types, length_batches, load_model
from ..model.quantise import AttentionScales
from ..model.tokenizer import Tokens
from ..model.weights import Float32
from ..spec.attention_config import AttentionConfig
from ..spec.errors import ConfigError
from .attention import AcceleratorAttention, AttentionTotals, check_setting
from .backends import GoldenBackend, RandomMaskBackend
from .coprocessor import Coprocessor, integer_outputs
from .workers import run_in_workers

__all__ = ["Outcome", "Progress", "Setting", "run_settings"]

Progress = Callable[[int, int], None]
"""Called with the number of sentences done and of all sentences."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One way to compute attention, or the whole encoder.

    Parameters
    ----------
    config : AttentionConfig, optional
        Hardware whose golden model computes the attention. By default attention is float32.
    coprocessor : Coprocessor, optional
        Computes all other layers, too. By default they are float32. It needs ``config``.
    rho, tau : float
        Thresholds. The values −1 and 0 switch pruning off.
    seed : int, optional
        Replace the block masks by random ones that keep as many blocks of each row.
    """

    config: AttentionConfig | None = None
    coprocessor: Coprocessor | None = None
    rho: float = -1.0
    tau: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The model's (sentences, n) outputs under a setting, and the counts of its heads."""

    outputs: Float32
    totals: AttentionTotals


_Part = list[tuple[Float32, AttentionTotals]]


@dataclass(frozen=True)
class _Work:
    """The work of a process: all settings on one batch."""

    model: Model
    scales: AttentionScales
    settings: tuple[Setting, ...]

    def run(self, number: int, tokens: list[Tokens]) -> _Part:
        part = []
        for setting in self.settings:
            if setting.config is None:
                part.append((self.model.outputs_of(tokens, float_attention), AttentionTotals()))
                continue
            # The seed depends on the batch, so that the result does not depend on the process.
            backend = GoldenBackend() if setting.seed is None else RandomMaskBackend([setting.seed, number])
            if setting.coprocessor is not None:
                part.append(
                    integer_outputs(
                        self.model,
                        setting.coprocessor,
                        as_batch(tokens),
                        as_types(tokens),
                        config=setting.config,
                        backend=backend,
                        rho=setting.rho,
                        tau=setting.tau,
                    )
                )
                continue
            attention = AcceleratorAttention(
                config=setting.config, scales=self.scales, backend=backend, rho=setting.rho, tau=setting.tau
            )
            outputs = self.model.outputs_of(tokens, attention)
            part.append((outputs, attention.totals))
        return part


_work: _Work | None = None  # of a worker process


def _start_worker(folder: str, scales: AttentionScales, settings: tuple[Setting, ...]) -> None:
    global _work
    _work = _Work(load_model(folder), scales, settings)


def _run_in_worker(number: int, tokens: list[Tokens]) -> _Part:
    assert _work is not None
    return _work.run(number, tokens)


def run_settings(
    model: Model,
    tokens: Sequence[Tokens],
    settings: Sequence[Setting],
    scales: AttentionScales,
    *,
    jobs: int = 2,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Run every text under every setting.

    Parameters
    ----------
    jobs : int
        Number of processes. With 1, everything runs in this process. More than 1 starts new interpreters, so that the
        calling script needs ``if __name__ == "__main__":``.
    progress : Progress, optional

    Returns
    -------
    list of Outcome, one per setting

    Raises
    ------
    ThresherError
        A setting does not fit the hardware, or a process died.
    """
    if jobs < 1:
        raise ConfigError("jobs", jobs, "must be at least 1")
    for setting in settings:
        if setting.config is not None:
            own = scales if setting.coprocessor is None else setting.coprocessor.integer.attention
            check_setting(model.config, setting.config, own, rho=setting.rho, tau=setting.tau)
    batches = length_batches(tokens)
    parts: dict[int, _Part] = {}
    done = 0

    def finished(number: int, part: _Part) -> None:
        nonlocal done
        parts[number] = part
        done += len(batches[number])
        if progress is not None:
            progress(done, len(tokens))

    # Long texts come first, so that the processes finish at nearly the same time.
    order = [(number, [tokens[i] for i in batches[number]]) for number in reversed(range(len(batches)))]
    if jobs == 1 or len(batches) == 1:
        work = _Work(model, scales, tuple(settings))
        for number, batch in order:
            finished(number, work.run(number, batch))
    else:
        jobs, arguments = min(jobs, len(batches)), (str(model.folder), scales, tuple(settings))
        run_in_workers(
            _run_in_worker,
            order,
            jobs=jobs,
            initialise=_start_worker,
            arguments=arguments,
            finished=lambda i, part: finished(order[i][0], part),
        )

    indices = [i for batch in batches for i in batch]
    outcomes = []
    for s in range(len(settings)):
        outputs = np.concatenate([parts[number][s][0] for number in range(len(batches))])
        ordered = np.empty_like(outputs)
        ordered[indices] = outputs
        totals = sum((parts[number][s][1] for number in range(len(batches))), AttentionTotals())
        outcomes.append(Outcome(outputs=ordered, totals=totals))
    return outcomes
