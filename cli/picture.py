"""Picture of a head: its attention, and the blocks that the hardware computed."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

from ..runtime.classify import HeadPicture

__all__ = ["draw_head"]

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
    OSError
        The file cannot be written.
    """
    mpl.use("Agg")  # no display is needed
    from matplotlib import pyplot as plt  # only after the backend is chosen
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    n, block = len(head.words), head.block
    size = min(14.0, max(4.0, 0.28 * n))
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * size + 1.5, size + 1.2), layout="constrained")
    figure.suptitle(title)
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
        axes.set_yticks(np.arange(n) + 0.5, head.words)
        axes.set_xticks(np.arange(n) + 0.5, head.words, rotation=90)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelsize=8)
    left.set_ylabel("query")
    draft = path.with_name(f".{path.name}")
    try:
        figure.savefig(draft, dpi=120, format="png", metadata={"Software": None})
        draft.replace(path)
    finally:
        plt.close(figure)
        draft.unlink(missing_ok=True)
