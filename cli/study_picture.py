"""Picture of a study: a task's metric over block sparsity, over head sparsity, and for both together."""

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

LINES = ("-", "--", ":", "-.")
"""Lines of pairs, by their share of pruned heads."""

PANELS = {
    "predicted": "chosen by 4-bit predictions, exact scores",
    "approximate": "the same, approximate scores",
    "exact": "chosen by exact scores",
}
"""Titles of the columns of pictures."""


AXES = {
    "blocks": "blocks that are not computed",
    "heads": "pruned heads",
    "pairs": "blocks that are not computed, in pruned heads or others",
}
"""Titles of the axes in the rows of pictures."""


def draw_study(rows: Sequence[StudyRow], path: Path, *, metric: str, title: str) -> None:
    """Write the metric over block sparsity, below over head sparsity, below that over the block sparsity of pairs.

    There is a column for each kind of scores.

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
    kinds = [kind for kind in AXES if any(_kind(row) == kind for row in found)]
    size = (3 + 5.5 * len(columns), 0.8 + 4.2 * len(kinds))  # with room for the legends
    figure = Figure(size, layout="constrained")
    figure.suptitle(visible(title))
    grid = figure.subplots(len(kinds), len(columns), squeeze=False, sharey="row")
    for axes_row, kind in zip(grid, kinds, strict=True):
        for axes, column in zip(axes_row, columns, strict=True):
            _draw_panel(axes, [row for row in found if _kind(row) == kind and row.scores == column])
            _draw_references(axes, rows, column)
            axes.set_title(PANELS[column], fontsize=10)
            axes.set_xlabel(AXES[kind])
        axes_row[0].set_ylabel(visible(metric))
        entries = axes_row[0].get_legend_handles_labels()  # exact scores have fewer rules
        axes_row[-1].legend(*entries, frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    save_figure(figure, path)


def _kind(row: StudyRow) -> str:
    if row.head_target is not None:
        return "pairs"
    return "heads" if row.prunes == "heads" else "blocks"


def _draw_panel(axes: Axes, rows: Sequence[StudyRow]) -> None:
    """Draw a line for each rule; for each pair, one for each share of pruned heads."""
    shares = sorted({row.head_target for row in rows if row.head_target is not None})
    for rule, share in dict.fromkeys((row.rule, row.head_target) for row in rows):
        own = sorted((row for row in rows if (row.rule, row.head_target) == (rule, share)), key=_sparsity)
        names = rule.split("+")
        # A pair has the colour of its rule of blocks and the marker of its rule of heads.
        style: dict[str, Any] = {"color": STYLES[names[0]][0], "marker": STYLES[names[-1]][1], "markersize": 5}
        style |= {
            "elinewidth": 0.7,
            "capsize": 2,
            "linewidth": 1.2,
            "label": " + ".join(TITLES[each] for each in names),
        }
        if share is not None:
            style["linestyle"] = LINES[shares.index(share) % len(LINES)]
            style["label"] += f", {share:.0%} of heads"
        axes.errorbar(
            [_sparsity(row) for row in own],
            [row.score for row in own],
            yerr=[row.change_error or 0 for row in own],
            **style,
        )
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _sparsity(row: StudyRow) -> float:
    return row.head_sparsity if row.prunes == "heads" else row.block_sparsity


def _draw_references(axes: Axes, rows: Sequence[StudyRow], column: str) -> None:
    scores = "predicted" if column == "exact" else column
    for row in rows:
        if row.rule == "fp32":
            axes.axhline(row.score, color="#444444", linewidth=1, label="FP32")
        elif row.rule == "int8" and row.scores == scores:
            axes.axhline(row.score, color="#444444", linewidth=1, linestyle="--", label="INT8, nothing pruned")
