"""Picture of a program: when each unit worked on what."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..runtime.program_run import Interval
from ..spec.program import UNITS
from .picture import save_figure
from .terminal import visible

__all__ = ["draw_timeline"]

HEIGHT = 0.8


def draw_timeline(intervals: Sequence[Interval], path: Path, *, title: str) -> None:
    """Write a bar for every instruction of every unit, coloured by part of the encoder, as PNG.

    Parameters
    ----------
    intervals : sequence of Interval
    path : Path
        Ends in ``.png``; written whole or not at all.
    title : str

    Raises
    ------
    ThresherError
        The file cannot be written.
    """
    figure = Figure((13, 3.6), layout="constrained")  # needs no display
    axes = figure.subplots()
    figure.suptitle(visible(title))
    parts = list(dict.fromkeys(each.part for each in intervals))
    colours = {part: colormaps["tab20"](index % 20) for index, part in enumerate(parts)}
    for row, unit in enumerate(UNITS):
        own = [each for each in intervals if each.unit is unit]
        # Instructions of a unit overlap. The bar of each begins where the one before ends.
        starts = [max(each.begin, before) for each, before in zip(own, [0, *(each.end for each in own)], strict=False)]
        bars = [(start, each.end - start) for start, each in zip(starts, own, strict=True)]
        axes.broken_barh(bars, (row - HEIGHT / 2, HEIGHT), facecolors=[colours[each.part] for each in own])
    axes.set_yticks(range(len(UNITS)), [unit.name.lower() for unit in UNITS])
    axes.invert_yaxis()
    axes.set_xlabel("cycles")
    axes.set_xlim(0, max((each.end for each in intervals), default=1))
    handles = [Patch(color=colours[part], label=part) for part in parts]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=10, frameon=False)
    save_figure(figure, path)
