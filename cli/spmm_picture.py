"""Picture of sparse weights: speedup and size over sparsity, by format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from .picture import save_figure
from .terminal import visible

__all__ = ["draw_sweep"]

# The colours suit colour-blind readers. Markers differ in size, so that overlapping points are visible.
STYLES = {
    "csr": ("#0072b2", "o", 10, "CSR"),
    "csr-delta": ("#e69f00", "s", 5, "CSR, 8-bit deltas"),
    "bbs": ("#009e73", "^", 7, "bank-balanced"),
    "nm": ("#d55e00", "D", 7, "N:M"),
}
"""Colour, marker and its size, and name of each format."""
DENSE, IDEAL = "#444444", "#999999"


def draw_sweep(
    points: Sequence[dict[str, Any]], path: Path, *, title: str, tokens: int, pattern: tuple[int, int]
) -> None:
    """Write speedup and packed bytes against sparsity, side by side, as PNG.

    Parameters
    ----------
    points : sequence of dict
        Fields of :class:`~thresher.runtime.spmm_bench.Point`; one of them is dense.
    path : Path
        Ends in ``.png``; written whole or not at all.
    title : str
        The product and the engine.
    tokens : int
        N.
    pattern : (int, int)
        The engine's N:M.

    Raises
    ------
    ThresherError
        The file cannot be written.
    """
    (dense,) = (point for point in points if point["format"] == "dense")
    figure = Figure((12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(visible(title))
    grid = np.linspace(0.5, 0.95, 200)
    left.plot(grid, 1 / (1 - grid), color=IDEAL, linestyle="--", label="ideal: 1 / (1 − sparsity)")
    left.axhline(1, color=DENSE, label="dense")
    right.plot(grid, dense["bytes"] * (1 - grid) / 1000, color=IDEAL, linestyle="--", label="ideal: values alone")
    right.axhline(dense["bytes"] / 1000, color=DENSE, label="dense")
    for weight_format, (colour, marker, size, label) in STYLES.items():
        found = [point for point in points if point["format"] == weight_format]
        if not found:
            continue
        label = "{}:{}".format(*pattern) if weight_format == "nm" else label
        sparsity = [point["sparsity"] for point in found]
        style: dict[str, Any] = {"color": colour, "marker": marker, "label": label, "markersize": size}
        style |= {"markerfacecolor": "none", "markeredgewidth": 1.6, "linewidth": 1.2}
        # Straight lines between the speedups would not follow their curve.
        left.plot(sparsity, [point["speedup"] for point in found], **(style | {"linestyle": "none"}))
        right.plot(sparsity, [point["bytes"] / 1000 for point in found], **style)
    left.set_title(f"speedup over the dense product, N = {tokens} tokens")
    left.set_yscale("log")
    left.set_yticks([1, 2, 3, 5, 10, 20])
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.yaxis.set_minor_formatter("")
    left.set_ylabel("dense cycles / cycles, measured on RTL")
    right.set_title("packed weights")
    right.set_ylabel("kB, with indices and row lengths")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlabel("sparsity")
        axes.grid(color="#e6e6e6", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False, fontsize=9)
    right.legend(frameon=False, loc="lower left", fontsize=9)
    save_figure(figure, path)
