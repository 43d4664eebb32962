"""What a process of a study does: it finds the parameters of rules, and runs cases on parts of the data."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from ...golden.baselines import RULES, HeadView, Rule, view
from ...golden.baselines.attention import blocks_of
from ...golden.baselines.hardware import head_magnitudes
from ...golden.baselines.spatten import CascadeHeads
from ...model.encoder import float_attention
from ...model.load import Model, length_batches, load_model
from ...model.quantise import Int8
from ...model.weights import Float32
from ...spec.attention_command import HeadCommand
from ..attention import quantised_heads
from ..evaluate import predicted
from .attention import (
    COUNTS,
    BlockChoice,
    CascadedHeads,
    HeadChoice,
    Pruning,
    RandomHeads,
    StudyAttention,
    ThresholdHeads,
)
from .plan import FP32, HEAD_RULES, Case, Found, Job, Scores, StudySpec

__all__ = ["StudyWork", "search"]

STEPS = 12
"""Halvings of a parameter's range."""


def search(sparsity: Callable[[float], float], *, dense: float, sparse: float, target: float) -> Found:
    """The parameter whose sparsity is nearest to a target, of the two at the end of a bisection, and that sparsity.

    Parameters
    ----------
    sparsity : function
        Never falls from ``dense`` to ``sparse``.
    """
    low, high = dense, sparse
    for _ in range(STEPS):
        middle = (low + high) / 2
        if sparsity(middle) < target:
            low = middle
        else:
            high = middle
    return min((Found(each, sparsity(each)) for each in (low, high)), key=lambda found: abs(found.sparsity - target))


@dataclass(frozen=True)
class StudyWork:
    """The jobs of a study, in one process."""

    spec: StudySpec

    @cached_property
    def model(self) -> Model:
        """The model, loaded once."""
        return load_model(self.spec.model)

    def run(self, job: Job) -> dict[str, Any]:
        """The result of a job, for JSON: ``found`` for each target, or predictions and counts.

        Except for ``cpu_seconds``, it depends on nothing but the specification and the job.
        """
        start = time.thread_time()
        if job.part is None:
            result = {"found": self._find(job.case, job.targets)}
        else:
            result = self._measure(job.case, job.parameters, job.part)
        return result | {"cpu_seconds": round(time.thread_time() - start, 3)}

    # -- parameters ----------------------------------------------------------------------------

    @cached_property
    def _heads(self) -> list[tuple[HeadCommand, Int8, Int8]]:
        """Command, Q and K of each layer of the calibration texts, without pruning."""
        found = []

        def attend(layer: int, q: Float32, k: Float32, v: Float32, bias: Float32 | None = None) -> Float32:
            command, *operands = quantised_heads(self.spec.config, self.spec.scales, layer, q, k, v, bias)
            found.append((command, operands[0][0], operands[1][0]))
            return attention(layer, q, k, v, bias)

        for text in self.spec.calibration:
            attention = StudyAttention(self.spec.config, self.spec.scales, [Pruning()])
            self.model.outputs_of([text], attend)
        return found

    def _views(self, case: Case) -> list[HeadView]:
        exact = case.selection is Scores.EXACT
        return [view(self.spec.config, *heads, exact=exact) for heads in self._heads]

    def _find(self, case: Case, targets: tuple[float, ...]) -> list[Found]:
        """The parameter for each target."""
        if case.rule == "tau":
            magnitudes = np.concatenate([head_magnitudes(each) for each in self._views(case)])
            thresholds = [float(np.quantile(magnitudes, target)) for target in targets]
            return [Found(tau, float((magnitudes < tau).mean())) for tau in thresholds]
        if case.rule == "random-heads":
            return [Found(target, target) for target in targets]
        if case.rule == "spatten":
            layers, heads = len(self.spec.scales.layers), self.model.config.num_attention_heads
            sparsity, dense, sparse = _cascade_sparsity(heads, layers), 0.0, float(max(layers - 1, 1))
        else:
            rule = RULES[case.rule]
            sparsity, dense, sparse = _block_sparsity(rule, self._views(case)), rule.dense, rule.sparse
        return [search(sparsity, dense=dense, sparse=sparse, target=target) for target in targets]

    # -- measurement ---------------------------------------------------------------------------

    def _pruning(self, case: Case, parameters: tuple[float, ...], place: tuple[int, int]) -> Pruning:
        """The pruning of one sentence. Random masks depend on its place."""
        heads, blocks = None, None
        for single, parameter in zip(case.singles, parameters, strict=True):
            if single.rule in HEAD_RULES:
                heads = self._head_choice(single.rule, parameter, place)
            else:
                blocks = BlockChoice(RULES[single.rule], parameter)
        random = np.random.default_rng([self.spec.seed, *place])
        return Pruning(heads=heads, blocks=blocks, exact=case.selection is Scores.EXACT, random=random)

    def _head_choice(self, rule: str, parameter: float, place: tuple[int, int]) -> HeadChoice:
        if rule == "tau":
            return ThresholdHeads(parameter)
        if rule == "spatten":
            return CascadedHeads([layer.o for layer in self.spec.scales.layers], parameter)
        # The last number makes it independent of random blocks.
        return RandomHeads(parameter, np.random.default_rng([self.spec.seed, *place, 1]))

    def _measure(self, case: Case, parameters: tuple[float, ...], part: int) -> dict[str, Any]:
        tokens, config = self.spec.parts[part], case.hardware(self.spec.config)
        outputs: list[Float32] = [np.empty(0, np.float32)] * len(tokens)
        counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        for batch in length_batches(tokens):
            texts = [tokens[i] for i in batch]
            if case.rule == FP32:
                found = self.model.outputs_of(texts, float_attention)
            else:
                pruning = [self._pruning(case, parameters, (part, i)) for i in batch]
                attention = StudyAttention(config, self.spec.scales, pruning)
                found = self.model.outputs_of(texts, attention)
                counts.update(attention.counts)
            for i, output in zip(batch, found, strict=True):
                outputs[i] = output
        predictions = predicted(self.spec.task, np.stack(outputs), self.spec.activation)
        return {"predictions": predictions.tolist(), "counts": dict(counts)}


def _cascade_sparsity(heads: int, layers: int) -> Callable[[float], float]:
    def sparsity(parameter: float) -> float:
        counts = [CascadeHeads.count(i, heads=heads, layers=layers, parameter=parameter) for i in range(layers)]
        return sum(counts) / (heads * layers)

    return sparsity


def _block_sparsity(rule: Rule, heads: Sequence[HeadView]) -> Callable[[float], float]:
    blocks = sum(len(head.q) * int(head.visible_blocks.sum()) for head in heads)

    @cache
    def sparsity(parameter: float) -> float:
        masks = [rule.keep(head, parameter) for head in heads]
        if rule.elements:
            masks = [blocks_of(head.config, mask) for head, mask in zip(heads, masks, strict=True)]
        return 1 - sum(int(mask.sum()) for mask in masks) / blocks

    return sparsity
