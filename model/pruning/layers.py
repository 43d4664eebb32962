"""Pruning of an encoder, layer after layer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import InputError
from ..encoder import Encoder, LayerSteps, Linear
from ..weights import Float32
from . import magnitude
from .formats import FormatPattern
from .method import Method, MethodName, Pruned
from .obs import OBS
from .patterns import Choose
from .random import RANDOM
from .statistics import LayerStatistics, StatisticsSums
from .wanda import WANDA

__all__ = ["Progress", "prune_encoder", "prune_linears"]

CALIBRATED: Mapping[MethodName, Method] = {"wanda": WANDA, "obs": OBS, "random": RANDOM}

Progress = Callable[[int, int], None]
"""Is given the number of matrices done and of all."""

PruneLinear = Callable[[str, Linear, LayerStatistics], Linear]
"""A dense layer, by its name, in place of another."""


def prune_linears(
    linears: Mapping[str, Linear], pattern: FormatPattern, *, progress: Progress | None = None
) -> dict[str, Pruned]:
    """Prune dense layers by magnitude, without calibration.

    Parameters
    ----------
    linears : mapping of name to Linear
    pattern : FormatPattern
    progress : callable, optional

    Raises
    ------
    ThresherError
        A weight is not finite, or the pattern does not fit.
    """
    choosers = _choosers(pattern, {name: np.abs(linear.weight) for name, linear in linears.items()})
    pruned = {}
    for name, linear in linears.items():
        pruned[name] = magnitude.prune(linear, choosers[name])
        if progress is not None:
            progress(len(pruned), len(linears))
    return pruned


def prune_encoder(
    encoder: Encoder,
    pattern: FormatPattern,
    *,
    method: MethodName,
    batches: Iterable[NDArray[np.int64]] = (),
    types: Iterable[NDArray[np.int64] | None] = repeat(None),
    progress: Progress | None = None,
) -> dict[str, Pruned]:
    """Prune an encoder's projections and feed-forward layers, without training.

    Each dense layer is pruned on the inputs that it has in the encoder as pruned so far, with the outputs that it has
    in the dense encoder as wanted outputs. So it also corrects errors of the layers before. All is in float32.

    Parameters
    ----------
    encoder : Encoder
    pattern : FormatPattern
        With a global ranking, scores on the dense encoder say how many weights each matrix keeps.
    method : MethodName
    batches : iterable of (batch, length) int64
        Token ids of the calibration sentences, which ``magnitude`` does not need.
    types : iterable of (batch, length) int64, optional
        Their token types, by default 0.
    progress : callable, optional

    Returns
    -------
    dict
        Of all dense layers, named as in :meth:`~thresher.model.encoder.Encoder.linears`.

    Raises
    ------
    ThresherError
        There is no sentence, numbers are not finite, or the pattern does not fit.
    """
    encoder.config.check_encoder()
    linears = encoder.linears()
    if method == "magnitude" or not pattern.prunes:
        return prune_linears(linears, pattern, progress=progress)
    for shape in {linear.weight.shape for linear in linears.values()}:
        pattern.choose(np.ones(shape))  # what does not fit is said before the work
    texts = list(zip(batches, types, strict=False))
    if not texts:
        raise InputError("no calibration sentence was given: give at least one")
    rule, pruned = CALIBRATED[method], {}
    choosers: dict[str, Choose] = dict.fromkeys(linears, pattern.choose)
    total = len(linears) * (1 + pattern.global_ranking)

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, total)

    if pattern.global_ranking:
        scores = {}

        def rank(name: str, linear: Linear, statistics: LayerStatistics) -> Linear:
            scores[name] = rule.scores(linear, statistics)
            tell(len(scores))
            return linear

        _walk(encoder, texts, rank)
        choosers = pattern.globally(scores)

    def prune(name: str, linear: Linear, statistics: LayerStatistics) -> Linear:
        try:
            pruned[name] = rule.prune(linear, statistics, choosers[name])
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        tell(total - len(linears) + len(pruned))
        return pruned[name].linear

    _walk(encoder, texts, prune)
    return {name: pruned[name] for name in linears}


def _choosers(pattern: FormatPattern, scores: Mapping[str, NDArray[np.floating]]) -> dict[str, Choose]:
    return pattern.globally(scores) if pattern.global_ranking else dict.fromkeys(scores, pattern.choose)


@dataclass
class _Passage:
    """A batch on its way through a layer.

    Attributes
    ----------
    steps : LayerSteps
    parts : tuple of str
        Dense layers to be computed next.
    x : (batch, length, channels) float32
        Their input; at the end the output of the layer.
    """

    steps: LayerSteps
    parts: tuple[str, ...]
    x: Float32

    @classmethod
    def begin(cls, encoder: Encoder, number: int, x: Float32) -> "_Passage":
        steps = encoder.layer_steps(number, x, bias=encoder.attention_bias(x.shape[1]))
        return cls(steps, *next(steps))

    def go_on(self, outputs: list[Float32]) -> None:
        try:
            self.parts, self.x = self.steps.send(outputs)
        except StopIteration as end:
            self.parts, self.x = (), end.value


def _walk(
    encoder: Encoder, texts: list[tuple[NDArray[np.int64], NDArray[np.int64] | None]], prune: PruneLinear
) -> None:
    """Take calibration sentences through the dense encoder and the pruned one, and prune every dense layer on the way.

    Before a dense layer is pruned, the statistics of its inputs in the pruned encoder, and of its outputs in the dense
    one, are taken.
    """
    names = {id(linear): name for name, linear in encoder.linears().items()}
    dense = [encoder.embed(ids, types) for ids, types in texts]
    own = dense
    for number, layer in enumerate(encoder.layers):
        passages = [
            (_Passage.begin(encoder, number, x), _Passage.begin(encoder, number, pruned))
            for x, pruned in zip(dense, own, strict=True)
        ]
        while parts := passages[0][0].parts:
            linears = [getattr(layer, part) for part in parts]
            sums = _statistics(passages, linears)
            replaced = [
                prune(names[id(linear)], linear, statistics)
                for linear, statistics in zip(linears, _by_output(sums, linears), strict=True)
            ]
            for _, pruned in passages:
                pruned.go_on([linear(pruned.x) for linear in replaced])
        dense, own = [each.x for each, _ in passages], [each.x for _, each in passages]


def _statistics(passages: list[tuple[_Passage, _Passage]], linears: list[Linear]) -> LayerStatistics:
    """Statistics of dense layers that share an input. The dense encoder goes on to its next dense layers."""
    sums = StatisticsSums(linears[0].weight.shape[1], sum(len(linear.bias) for linear in linears))
    for dense, pruned in passages:
        outputs = [linear(dense.x) for linear in linears]
        sums.observe(pruned.x, np.concatenate(outputs, axis=-1))
        dense.go_on(outputs)
    return sums.statistics()


def _by_output(statistics: LayerStatistics, linears: list[Linear]) -> Iterator[LayerStatistics]:
    """The statistics of each dense layer."""
    start = 0
    for linear in linears:
        yield statistics.of_outputs(slice(start, start + len(linear.bias)))
        start += len(linear.bias)
