"""Picture of a study: a task's metric over block sparsity and over head sparsity."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..golden.baselines import RULES
from ..runtime.study.plan import HEAD_RULES
from ..runtime.study.result import StudyRow
from .picture import save_figure
from .terminal import visible

__all__ = ["draw_study"]

STYLES = {
    "threshold": ("#0072b2", "o"),
    "probability": ("#56b4e9", "v"),
    "top-k-blocks": ("#009e73", "^"),
    "top-k-elements": ("#44aa99", "s"),
    "energon": ("#e69f00", "D"),
    "sanger": ("#cc79a7", "P"),
    "random": ("#777777", "x"),
    "tau": ("#0072b2", "o"),
    "spatten": ("#d55e00", "D"),
    "random-heads": ("#777777", "x"),
}
"""Colour and marker of each rule. The colours suit colour-blind readers."""

TITLES = {name: rule.title for name, rule in RULES.items()} | HEAD_RULES

PANELS = {
    "predicted": "chosen by 4-bit predictions, exact scores",
    "approximate": "the same, approximate scores",
    "exact": "chosen by exact scores",
}
"""Titles of the columns of pictures."""


def draw_study(rows: Sequence[StudyRow], path: Path, *, metric: str, title: str) -> None:
    """Write the metric over block sparsity above, over head sparsity below, and a column for each kind of scores.

    Parameters
    ----------
    path : Path
        Ends in ``.png``, ``.svg`` or ``.pdf``; written whole or not at all.

    Raises
    ------
    ThresherError
        The file cannot be written.
    """
    found = [row for row in rows if row.target is not None]
    columns = [name for name in PANELS if any(row.scores == name for row in found)]
    above = [row for row in found if row.prunes != "heads"]
    kinds = [kind for kind in (above, [row for row in found if row.prunes == "heads"]) if kind]
    size = (1 + 5.5 * len(columns), 0.8 + 4.2 * len(kinds))
    figure = Figure(size, layout="constrained")
    figure.suptitle(visible(title))
    grid = figure.subplots(len(kinds), len(columns), squeeze=False, sharey="row")
    for axes_row, kind in zip(grid, kinds, strict=True):
        heads = kind is not above
        for axes, column in zip(axes_row, columns, strict=True):
            _draw_panel(axes, [row for row in kind if row.scores == column], heads=heads)
            _draw_references(axes, rows, column)
            axes.set_title(PANELS[column], fontsize=10)
            axes.set_xlabel("pruned heads" if heads else "blocks that are not computed")
        axes_row[0].set_ylabel(visible(metric))
        axes_row[0].legend(frameon=False, fontsize=8, loc="lower left")
    save_figure(figure, path)


def _draw_panel(axes: Axes, rows: Sequence[StudyRow], *, heads: bool) -> None:
    for rule in dict.fromkeys(row.rule for row in rows):
        own = sorted((row for row in rows if row.rule == rule), key=lambda row: _sparsity(row, heads))
        colour, marker = STYLES[rule]
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.2}
        style |= {"elinewidth": 0.7, "capsize": 2, "label": TITLES[rule]}
        axes.errorbar(
            [_sparsity(row, heads) for row in own],
            [row.score for row in own],
            yerr=[row.change_error for row in own],
            **style,
        )
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _sparsity(row: StudyRow, heads: bool) -> float:
    return row.head_sparsity if heads else row.block_sparsity


def _draw_references(axes: Axes, rows: Sequence[StudyRow], column: str) -> None:
    scores = "predicted" if column == "exact" else column
    for row in rows:
        if row.rule == "fp32":
            axes.axhline(row.score, color="#444444", linewidth=1, label="FP32")
        elif row.rule == "int8" and row.scores == scores:
            axes.axhline(row.score, color="#444444", linewidth=1, linestyle="--", label="INT8, nothing pruned")
