"""Picture of a head: its attention, and the blocks that the hardware computed."""

import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..runtime.classify import HeadPicture
from ..spec.files import write_whole
from .terminal import visible

__all__ = ["draw_head", "save_figure"]

# Tokens and names of tensors are no formulas, also if they contain dollar signs.
matplotlib.rcParams.update({"text.parse_math": False, "text.usetex": False})

KEPT, PRUNED = "#2f6f9f", "#e9e6df"


def draw_head(head: HeadPicture, path: Path, *, title: str) -> None:
    """Write a head's attention and its block mask, side by side, as PNG.

    Parameters
    ----------
    head : HeadPicture
    path : Path
        Ends in ``.png``; written whole or not at all.
    title : str

    Raises
    ------
    ThresherError
        The file cannot be written.
    """
    n, block = len(head.words), head.block
    size = min(14.0, max(4.0, 0.28 * n))
    figure = Figure((2 * size + 1.5, size + 1.2), layout="constrained")  # needs no display
    left, right = figure.subplots(1, 2)
    figure.suptitle(visible(title))
    words = [visible(word) for word in head.words]
    image = left.imshow(head.probabilities, cmap="Blues", vmin=0, extent=(0, n, n, 0), interpolation="nearest")
    figure.colorbar(image, ax=left, shrink=0.8, label="probability")
    left.set_title(f"attention, layer {head.layer + 1}, head {head.head + 1}")
    mask = np.asarray(head.mask, dtype=float)
    span = mask.shape[0] * block
    colours = ListedColormap([PRUNED, KEPT])
    right.imshow(mask, cmap=colours, vmin=0, vmax=1, extent=(0, span, span, 0), interpolation="nearest")
    for edge in range(0, span + 1, block):
        right.axhline(edge, color="white", linewidth=0.7)
        right.axvline(edge, color="white", linewidth=0.7)
    kept = int(head.mask.sum())
    right.set_title("head pruned" if head.pruned else f"{block}×{block} blocks: {kept} of {head.mask.size} computed")
    right.legend(
        handles=[Patch(color=KEPT, label="kept"), Patch(color=PRUNED, label="pruned")],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
        ncols=2,
        frameon=False,
    )
    for axes, limit in ((left, n), (right, span)):
        axes.set_xlim(0, limit)
        axes.set_ylim(limit, 0)
        axes.set_yticks(np.arange(n) + 0.5, words)
        axes.set_xticks(np.arange(n) + 0.5, words, rotation=90)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelsize=8)
    left.set_ylabel("query")
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, as the path ends, whole or not at all. The same figure gives the same bytes.

    Raises
    ------
    ThresherError
        The file cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    content = io.BytesIO()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.hashsalt": "thresher"}):
        figure.savefig(content, dpi=120, format=kind, metadata=dates.get(kind, {"Software": None}))
    write_whole({path: content.getvalue()})
