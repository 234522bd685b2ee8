"""A figure that the runs of a study measured, drawn over a parameter or as its distribution.

Values in, a picture out. Tests: tests/sim/study/test_plot.py.
"""

import math
import statistics
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sim.notebook import Picture
from sim.report import figure as style
from sim.scenario.mistake import nearest

if TYPE_CHECKING:
    from sim.study.rows import Study

__all__ = ["draw"]

COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.RED, style.GREY)
LINES = ("-", "--", ":", "-.")
HEIGHT = 3.2


def draw(study: "Study", name: str, over: str | None) -> Picture:
    """See Study.plot."""
    measured = {key for result in study.results for key in result.row.measured}
    if name not in measured:
        raise ValueError(f"no run measured {name!r}{nearest(name, measured)}")
    if over is not None and over not in study.plan.matrix:
        raise ValueError(f"{over!r} is no parameter of this study{nearest(over, study.plan.matrix)}")
    return Picture(style.to_png(lambda: _over(study, name, over) if over else _distribution(study, name)))


def _over(study: "Study", name: str, over: str) -> Figure:
    """A line for each combination of the other parameters."""
    axes = _axes()
    values = list(study.plan.matrix[over])
    places = values if all(isinstance(value, int | float) for value in values) else range(len(values))
    place_of = {repr(value): place for value, place in zip(values, places, strict=True)}
    lines: dict[str, dict[float, list[float]]] = {}
    for result in study.results:
        rest = ", ".join(f"{key}={value}" for key, value in result.parameters.items() if key != over)
        value = result.row.measured.get(name)
        if value is not None:
            lines.setdefault(rest, {}).setdefault(place_of[repr(result.parameters[over])], []).append(value)
    for number, (label, points) in enumerate(lines.items()):
        color, dashes = COLORS[number % len(COLORS)], LINES[number % len(LINES)]
        xs = sorted(points)
        label = f"median, {label}" if label else "median"
        axes.plot(xs, [statistics.median(points[x]) for x in xs], dashes, color=color, label=label)
        every = [(x, value) for x in xs for value in points[x]]
        axes.plot([x for x, _ in every], [y for _, y in every], ".", color=color, alpha=0.35)
    axes.set_xticks(list(places), [str(value) for value in values])
    axes.set_xlabel(over)
    axes.set_ylabel(name)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.legend()
    return axes.figure  # type: ignore[return-value]


def _distribution(study: "Study", name: str) -> Figure:
    axes = _axes()
    for number, cell in enumerate(study.plan.cells):
        values = [result.row.measured.get(name) for result in study.results if result.cell is cell]
        known = sorted(value for value in values if value is not None and math.isfinite(value))
        if known:
            shares = [(index + 1) / len(values) for index in range(len(known))]
            color, dashes = COLORS[number % len(COLORS)], LINES[number % len(LINES)]
            axes.step([known[0], *known], [0.0, *shares], dashes, where="post", color=color, label=str(cell) or None)
    axes.set_xlabel(name)
    axes.set_ylabel("share of runs")
    axes.set_ylim(0, 1.02)
    if study.plan.matrix:
        axes.legend()
    return axes.figure  # type: ignore[return-value]


def _axes() -> Axes:
    axes = style.make_axes(HEIGHT, left=0.8)
    axes.grid(True)
    return axes
