"""Plots over the time of a run: messages a second, their latency, calls that ended. Tables in, figures out.

Tests: tests/sim/report/test_plots.py.
"""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from sim.report import figure as style
from sim.report.bins import Cell, percentile
from sim.report.faults import mark_faults
from sim.report.tables import Tables
from sim.report.timeline import left_margin, name_time, time_range

__all__ = ["draw_calls", "draw_latency", "draw_messages"]

MESSAGES = {"sent": (style.BLUE, "-"), "received": (style.GREEN, "--"), "dropped": (style.RED, ":")}
LATENCIES = {"udp": style.BLUE, "tcp": style.RED}
SHARES = {0.5: "-", 0.99: ":"}
KNOWN = {"OK": (style.GREEN, ""), "CANCELLED": (style.GREY, "----")}
ERRORS = ((style.RED, "xxxx"), (style.ORANGE, "////"), (style.PURPLE, "\\\\\\\\"))
"""Of the other statuses, the most frequent first; the last one stands for all that are left."""


def draw_messages(tables: Tables) -> Figure:
    """Datagrams and segments a second."""
    axes = _axes(tables)
    bins = tables.messages
    for key, (color, line) in MESSAGES.items():
        points = bins.series(key)
        if any(count for _, count in points):
            times = [points[0][0], *(start for start, _ in points), points[-1][0] + bins.width]
            rates = [0.0, *(count / bins.width for _, count in points), 0.0]
            axes.step(times, rates, where="post", color=color, linestyle=line, linewidth=1.6, label=key)
    axes.set_ylabel("messages / s")
    axes.set_ylim(bottom=0)
    return _finish(axes, tables)


def draw_latency(tables: Tables) -> Figure:
    """Median and 99th percentile of the time from `sent` to `received`, by protocol."""
    axes = _axes(tables)
    width = tables.latency.width
    for protocol, color in LATENCIES.items():
        cells = [(start, _buckets(cell, protocol)) for start, cell in tables.latency.cells()]
        for share, line in SHARES.items():
            points = [(start + width / 2, percentile(counts, share)) for start, counts in cells if counts]
            if points:
                times, values = _with_gaps(points, width)
                label = f"{protocol} p{share * 100:g}"
                axes.plot(times, values, line, marker=".", markersize=4, color=color, label=label)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 100 * low:
        # So small a range may hold no power of ten: show at least a decade, and ticks within it.
        axes.set_ylim(min(low, high / 10), 1.3 * high)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _duration(value)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.set_ylabel("latency")
    return _finish(axes, tables)


def draw_calls(tables: Tables) -> Figure:
    """Calls that ended, a second, by how they ended; statuses stand upon each other."""
    axes = _axes(tables)
    width, cells = tables.ended_calls.width, tables.ended_calls.cells()
    total: dict[Any, int] = tables.ended_calls.total()
    # Edges of the bins, so that a rate drawn as steps falls to nothing where bins are missing.
    times = sorted({edge for start, _ in cells for edge in (start, start + width)})
    base = [0.0] * len(times)
    for statuses, color, hatch in _groups(total):
        rates = {start: sum(cell.get(s, 0) for s in statuses) / width for start, cell in cells}
        level = [b + rates.get(time, 0.0) for b, time in zip(base, times, strict=True)]
        label = f"{statuses[0] if len(statuses) == 1 else 'other'} ({sum(total[s] for s in statuses):,})"
        axes.fill_between(
            times, base, level, step="post", facecolor=color, hatch=hatch, edgecolor="white", linewidth=0, label=label
        )
        base = level
    axes.set_ylabel("calls ended / s")
    axes.set_ylim(bottom=0)
    return _finish(axes, tables)


def _groups(total: dict[Any, int]) -> list[tuple[list[str], str, str]]:
    """(statuses, colour, hatch): known ones, then errors, the most frequent by themselves and the rest together."""
    groups = [([status], *look) for status, look in KNOWN.items() if status in total]
    errors = sorted((s for s in total if s not in KNOWN), key=lambda s: (-total[s], s))
    last = len(ERRORS) - 1
    members = [*([s] for s in errors[:last]), errors[last:]]
    return groups + [(m, *look) for m, look in zip(members, ERRORS, strict=False) if m]


def _axes(tables: Tables) -> Axes:
    axes = style.make_axes(1.9, left=left_margin(tables), top=0.35)
    axes.set_xlim(*time_range(tables))
    axes.grid()
    return axes


def _finish(axes: Axes, tables: Tables) -> Figure:
    name_time(axes, tables)
    mark_faults(axes, tables.faults)
    columns = len(axes.get_legend_handles_labels()[0])
    if columns:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.1, handlelength=2.8)
    figure = axes.get_figure()
    assert isinstance(figure, Figure), "the axes were just made in one"
    return figure


def _buckets(cell: Cell, protocol: str) -> dict[int, int]:
    return {key[1]: n for key, n in cell.items() if isinstance(key, tuple) and key[0] == protocol}


def _with_gaps(points: list[tuple[float, float | None]], width: float) -> tuple[list[float], list[float]]:
    """Times and values of a line; bins without messages are gaps in it, not straight stretches."""
    times: list[float] = []
    values: list[float] = []
    for time, value in points:
        if times and time - times[-1] > 1.5 * width:
            times.append(time - width / 2)
            values.append(math.nan)
        times.append(time)
        values.append(math.nan if value is None else value)
    return times, values


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size * 0.9999:
            return f"{seconds / size:g} {unit}"
    return f"{seconds * 1e9:g} ns"
