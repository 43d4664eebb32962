"""What a study runs: cases, parts of the data, and jobs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import NamedTuple

from ...golden.baselines import RULES
from ...model.images import Picture
from ...model.quantise import AttentionScales
from ...model.score import ScoreActivation
from ...model.source import model_digest
from ...model.tasks import Task
from ...model.tokenizer import Tokens
from ...spec.attention_config import AttentionConfig, Score
from ...spec.base import digest
from ...spec.errors import ConfigError

__all__ = [
    "ALL_RULES",
    "HEAD_RULES",
    "HEAD_TARGETS",
    "PAIRS",
    "PAIR_TARGETS",
    "TARGETS",
    "Case",
    "Found",
    "Job",
    "Scores",
    "StudySpec",
    "cases_of",
    "parts_of",
]

FP32, INT8 = "fp32", "int8"
"""Attention in float32, and in INT8 without pruning."""

HEAD_RULES = {"tau": "head threshold", "spatten": "SpAtten", "random-heads": "random heads"}
"""Rules that prune whole heads, and their titles."""

PAIRS = ("threshold+tau", "random+random-heads")
"""Pairs that run by default: the rules of the hardware, and their control."""

ALL_RULES = (*RULES, *HEAD_RULES, *PAIRS)
"""What runs by default. A pair may be any rule of blocks or elements with any rule of heads."""

BLIND = ("random", "spatten", "random-heads")
"""Rules that choose without looking at scores."""

TARGETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
"""Shares of blocks that are not computed."""

HEAD_TARGETS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""Shares of heads that are pruned."""

PAIR_TARGETS = ((0.5, 0.7, 0.8, 0.9), (0.1, 0.2))
"""For pairs: shares of pruned blocks in the heads that stay, and shares of pruned heads. All combinations run."""

PART = 128
"""Examples of a job at most."""


class Scores(StrEnum):
    """Which scores choose, and which are computed.

    ``predicted``: the predictor's choose, exact ones are computed. ``approximate``: the predictor's choose, and
    approximate ones are computed, without the product of the fractions. ``exact``: exact ones do both, as no hardware
    could.
    """

    PREDICTED = "predicted"
    APPROXIMATE = "approximate"
    EXACT = "exact"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A rule with a target, a pair of rules with two; or a reference, which has none.

    Attributes
    ----------
    rule : str
        A rule, ``fp32``, ``int8``, or a pair: a rule of blocks or elements, ``+``, and a rule of heads.
    target : float or None
        Wanted share of blocks that are not computed, or of pruned heads. Of a pair, the share of blocks in the heads
        that stay.
    head_target : float or None
        Of a pair: wanted share of pruned heads.
    """

    rule: str
    scores: Scores = Scores.PREDICTED
    target: float | None = None
    head_target: float | None = None

    @property
    def key(self) -> str:
        """Name in the log."""
        targets = [f"{each:g}" for each in (self.target, self.head_target) if each is not None]
        return " ".join([self.rule, self.scores, *targets])

    @property
    def singles(self) -> "tuple[Case, ...]":
        """A case for each of the rules alone, whose parameter it has here, too; none for a reference."""
        targets = [each for each in (self.target, self.head_target) if each is not None]
        names = self.rule.split("+")
        return tuple(
            Case(rule=name, scores=self.scores, target=each) for name, each in zip(names, targets, strict=False)
        )

    @property
    def selection(self) -> Scores:
        """Which scores choose: the predicted or the exact ones."""
        return Scores.EXACT if self.scores is Scores.EXACT else Scores.PREDICTED

    def hardware(self, config: AttentionConfig) -> AttentionConfig:
        """The configuration that computes the scores of this case."""
        approximate = self.scores is Scores.APPROXIMATE
        return replace(config, score=Score.APPROX if approximate else Score.EXACT)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Work of a process: find the parameters of a rule, or run a case on a part of the data.

    Attributes
    ----------
    targets : tuple of float
        Of a search.
    part : int or None
        Number of the part; ``None`` for a search.
    parameters : tuple of float
        Of each rule of the case.
    """

    case: Case
    targets: tuple[float, ...] = ()
    part: int | None = None
    parameters: tuple[float, ...] = ()

    @property
    def key(self) -> str:
        """Name in the log."""
        return self.case.key if self.part is None else f"{self.case.key}, part {self.part}"


class Found(NamedTuple):
    """A rule's parameter for a target.

    Attributes
    ----------
    parameter : float
    sparsity : float
        Share of blocks or heads that the rule prunes with it in the calibration texts.
    """

    parameter: float
    sparsity: float


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """All that a process needs to run a job.

    Attributes
    ----------
    model : str
        Folder of the model.
    parts : tuple of tuples of Tokens
        Texts or images of each part. Of pairs that are read one by one, all first texts, then all second ones.
    calibration : tuple of Tokens
        Texts or images on which the parameters of rules are found.
    """

    model: str
    task: Task
    activation: ScoreActivation | None
    config: AttentionConfig
    scales: AttentionScales
    parts: tuple[tuple[Tokens, ...], ...]
    calibration: tuple[Tokens, ...]
    seed: int

    @cached_property
    def identity(self) -> dict[str, str]:
        """What results depend on, for messages and to recognise a study: names and digests."""

        def texts(parts: Sequence[Sequence[Tokens]]) -> str:
            return digest(*(str([_content(each) for each in part]) for part in parts))

        return {
            "model": self.model,
            "weights": model_digest(Path(self.model)),
            "task": f"{self.task.name} {self.task.metric}",
            "configuration": self.config.to_json(),
            "texts": texts(self.parts),
            "calibration": digest(self.scales.to_json(), texts([self.calibration])),
            "seed": str(self.seed),
        }


def _content(text: Tokens) -> object:
    """What a model makes its output of."""
    if isinstance(text, Picture):
        return hashlib.sha256(text.pixels().tobytes()).hexdigest()
    return text.ids, text.types


def cases_of(
    rules: Sequence[str],
    scores: Sequence[Scores],
    targets: Sequence[float],
    head_targets: Sequence[float],
    pair_targets: tuple[Sequence[float], Sequence[float]] = PAIR_TARGETS,
) -> list[Case]:
    """All cases of a study, the references first. A rule that does not look at scores has no case with exact ones.

    Raises
    ------
    ConfigError
        A rule is unknown, a target is no share, or something is missing.
    """
    for rule in rules:
        _check_rule(rule)
    names = ("sparsities", "head_sparsities", "pair_sparsities", "pair_sparsities")
    for name, shares in zip(names, (targets, head_targets, *pair_targets), strict=True):
        for share in shares:
            if not 0 < share < 1:
                raise ConfigError(name, share, "must be between 0 and 1")
    for name, given in (("rules", rules), ("scores", scores)):
        if not given:
            raise ConfigError(name, "", "name at least one")
    cases = [Case(rule=FP32), *(Case(rule=INT8, scores=each) for each in scores if each is not Scores.EXACT)]
    cases += [] if Case(rule=INT8) in cases else [Case(rule=INT8)]
    for rule in dict.fromkeys(rules):
        for each in dict.fromkeys(scores):
            if each is Scores.EXACT and all(name in BLIND for name in rule.split("+")):
                continue
            if "+" in rule:
                shares = product(*(sorted(set(own)) for own in reversed(pair_targets)))
                cases += [Case(rule=rule, scores=each, target=share, head_target=heads) for heads, share in shares]
            else:
                shares = sorted(set(head_targets if rule in HEAD_RULES else targets))
                cases += [Case(rule=rule, scores=each, target=share) for share in shares]
    if all(case.target is None for case in cases):
        raise ConfigError(
            "rules",
            ",".join(rules),
            "choose without looking at scores, so exact scores change nothing: name other scores or rules",
        )
    return cases


def _check_rule(rule: str) -> None:
    first, plus, second = rule.partition("+")
    known = first in RULES and second in HEAD_RULES if plus else rule in (*RULES, *HEAD_RULES)
    if not known:
        names = ", ".join((*RULES, *HEAD_RULES))
        pair = f"a rule of blocks and a rule of heads such as {PAIRS[0]}"
        raise ConfigError("rules", rule, f"must be among {names}, or {pair}")


def parts_of(lengths: Sequence[int], size: int = PART) -> list[list[int]]:
    """Numbers of the examples of each part: as many examples in each, and examples of similar lengths together.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each example.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return [order[start : start + size] for start in range(0, len(order), size)]
