"""Plots over the time of a run: messages a second, their latency, calls that ended. Tables in, figures out."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from sim.report import figure as style
from sim.report.bins import Cell, percentile
from sim.report.faults import mark_faults
from sim.report.tables import Tables
from sim.report.timeline import time_range

__all__ = ["draw_calls", "draw_latency", "draw_messages"]

MESSAGES = {"sent": (style.BLUE, "-"), "received": (style.GREEN, "--"), "dropped": (style.RED, ":")}
LATENCIES = {"udp": style.BLUE, "tcp": style.RED}
SHARES = {0.5: "-", 0.99: ":"}
STATUSES = ((style.RED, "xxxx"), (style.ORANGE, "////"), (style.PURPLE, "...."), (style.GREY, "----"))
"""Of statuses other than OK, the most frequent first; the last one stands for all that are left."""


def draw_messages(tables: Tables) -> Figure:
    """Datagrams and segments a second."""
    figure, axes = _axes(tables)
    for key, (color, line) in MESSAGES.items():
        points = tables.messages.series(key)
        if any(count for _, count in points):
            _steps(axes, points, tables.messages.width, color=color, linestyle=line, linewidth=1.6, label=key)
    axes.set_ylabel("messages / s")
    axes.set_ylim(bottom=0)
    return _finish(figure, axes, tables)


def draw_latency(tables: Tables) -> Figure:
    """Median and 99th percentile of the time from `sent` to `received`, by protocol."""
    figure, axes = _axes(tables)
    bins = tables.latency
    cells = bins.cells()
    for protocol, color in LATENCIES.items():
        chosen = [(start, _buckets(cell, protocol)) for start, cell in cells]
        for share, line in SHARES.items():
            points = [(start + bins.width / 2, percentile(counts, share)) for start, counts in chosen if counts]
            if points:
                # A bin without messages is a gap, not a straight line.
                times, values = _with_gaps(points, bins.width)
                axes.plot(
                    times, values, line, marker=".", markersize=4, color=color, label=f"{protocol} p{share * 100:g}"
                )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _duration(v)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda v, _: ""))
    axes.set_ylabel("latency")
    return _finish(figure, axes, tables)


def draw_calls(tables: Tables) -> Figure:
    """Calls that ended, a second, by how they ended."""
    figure, axes = _axes(tables)
    bins = tables.ended_calls
    total = {str(k): n for k, n in bins.total().items()}
    bad = sorted((s for s in total if s != "OK"), key=lambda s: (-total[s], s))
    groups: list[tuple[str, list[str], str, str]] = [("OK", ["OK"], style.GREEN, "")] if "OK" in total else []
    for index, (color, hatch) in enumerate(STATUSES):
        last = index == len(STATUSES) - 1
        members = bad[index:] if last else bad[index : index + 1]
        if members:
            groups.append((members[0] if len(members) == 1 else "other", members, color, hatch))
    starts = [start for start, _ in bins.cells()]
    base = [0.0] * len(starts)
    for label, members, color, hatch in groups:
        heights = [sum(cell.get(m, 0) for m in members) / bins.width for _, cell in bins.cells()]
        text = f"{label} ({sum(total[m] for m in members)})"
        axes.bar(
            starts,
            heights,
            bins.width,
            base,
            align="edge",
            color=color,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.3,
            label=text,
        )
        base = [b + h for b, h in zip(base, heights, strict=True)]
    axes.set_ylabel("calls ended / s")
    return _finish(figure, axes, tables)


def _axes(tables: Tables) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(style.WIDTH, 2.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlim(*time_range(tables))
    axes.grid()
    return figure, axes


def _finish(figure: Figure, axes: Axes, tables: Tables) -> Figure:
    world = "seconds" if tables.backend == "sockets" else "virtual seconds"
    axes.set_xlabel(f"{world} since every node was ready")
    mark_faults(axes, tables.faults)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, handlelength=2.8)
    return figure


def _steps(axes: Axes, points: list[tuple[float, int]], width: float, **look: Any) -> None:
    """A rate as steps, falling to nothing outside the bins."""
    times = [points[0][0], *(start for start, _ in points), points[-1][0] + width]
    rates = [0.0, *(count / width for _, count in points), 0.0]
    axes.step(times, rates, where="post", **look)


def _buckets(cell: Cell, protocol: str) -> dict[int, int]:
    return {key[1]: n for key, n in cell.items() if isinstance(key, tuple) and key[0] == protocol}


def _with_gaps(points: list[tuple[float, float | None]], width: float) -> tuple[list[float], list[float]]:
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
