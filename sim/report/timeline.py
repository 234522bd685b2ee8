"""The timeline of a run: one lane a node, with its life, what the others thought of it, and its streams.

Tables in, a figure out. No meaning rests on colour alone: bands are hatched and their height is the share of observers,
ends of streams carry a mark, faults are lines with a label. Of many nodes those that something happened to get a lane,
the others share one.

Tests: tests/sim/report/test_timeline.py.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sim.report import figure as style
from sim.report.faults import ROW_POINTS, label_faults, mark_faults, place_labels
from sim.report.rows import Node, Stream
from sim.report.tables import Tables, tabulate
from sim.scenario.faults import STANDSTILLS
from sim.trace import Event

__all__ = [
    "MAX_LANES",
    "draw_timeline",
    "left_margin",
    "name_time",
    "pick_lanes",
    "time_range",
    "timeline_png",
    "timeline_svg",
]

MAX_LANES, FEW_LANES = 24, 8
"""Lanes at most; and of more nodes than that at least, eventful or not."""
MAX_ROWS = 5
"""Rows of streams in a lane; how many found no room is said beside its name."""
LANE, ROW = 0.44, 0.36
"""Height of a lane's unit in inches, and of a row of streams in such units."""
CHARACTER = 0.0062
"""Width of a small character, in parts of the width of the axes."""
LOWEST = 0.12
"""Height of a band, in parts of a full one, where anybody is in it: one of a hundred would not be seen."""
RULE = "#D5D9E0"

LIFE = {  # state → face, hatch, legend
    "starting": (style.LIGHT_BLUE, "---", "starting"),
    "up": (style.BLUE, "", "up"),
    **{still.state: (style.YELLOW, still.hatch, still.legend) for still in STANDSTILLS},
    "stopping": (style.LIGHT_BLUE, "////", "stopping"),
}
VIEWS = {  # what others believe → face, hatch, legend; drawn upon each other in this order
    "failed": (style.RED, "xxxx", "held for failed by k of n others"),
    "suspected": (style.ORANGE, "////", "suspected by k of n others"),
    "left": (style.GREY, "\\\\\\\\", "known to have left"),
}
DOWN = {"down": ("X", "down (crash, kill, error)"), "exited": ("s", "ended in order")}
STREAMS = {  # how a stream ended → colour, mark at its end, legend
    "OK": (style.GREEN, "o", "stream, ended OK"),
    "CANCELLED": (style.GREY, "|", "stream, cancelled"),
    "open": (style.PURPLE, ">", "stream, still open"),
    "error": (style.RED, "X", "stream, ended by an error"),
}
OTHERS = (style.LIGHT_BLUE, "\\\\\\\\", "share of the other nodes that is up")


def timeline_svg(events: Iterable[Event]) -> str:
    """The timeline of a trace as one `<svg>` element."""
    tables = tabulate(events)
    return style.to_svg(lambda: draw_timeline(tables), "timeline", "Timeline of the run, one lane a node")


def timeline_png(events: Iterable[Event]) -> bytes:
    """The timeline of a trace as a PNG, for notebooks."""
    tables = tabulate(events)
    return style.to_png(lambda: draw_timeline(tables))


@dataclass(frozen=True, slots=True)
class _Lane:
    node: Node
    top: float
    rows: list[list[Stream]]
    """Streams, those that overlap in different rows."""
    crowded: int
    """Streams for which no row was left."""
    doubted: bool
    """Whether it needs a band."""

    @property
    def streams_top(self) -> float:
        return self.top + (0.98 if self.doubted else 0.54)

    @property
    def height(self) -> float:
        return self.streams_top - self.top + ROW * len(self.rows) + (0.08 if self.rows else 0.0)


def pick_lanes(tables: Tables, limit: int = MAX_LANES) -> tuple[list[Node], list[Node]]:
    """The nodes that get a lane of their own, and the others. All do where there is room."""
    nodes = list(tables.nodes.values())
    if len(nodes) <= limit:
        return nodes, []
    streaming = {s.node for s in tables.streams}
    hit = {t for f in tables.faults if len(f.targets) <= limit for t in f.targets}

    def weight(node: Node) -> tuple[bool, int, bool, bool]:
        most_failed = max((s.failed for s in node.steps), default=0)
        return (node.name in hit, most_failed, _is_doubted(node, tables), node.name in streaming)

    ordered = sorted(nodes, key=weight, reverse=True)
    eventful = sum(any(weight(n)) for n in nodes)
    chosen = {n.name for n in ordered[: min(max(eventful, FEW_LANES), limit - 1)]}
    return [n for n in nodes if n.name in chosen], [n for n in nodes if n.name not in chosen]


def draw_timeline(tables: Tables) -> Figure:
    """The figure of all lanes, faults labelled above them, the legend below."""
    nodes, others = pick_lanes(tables)
    lanes = _stack(tables, nodes)
    depth = lanes[-1].top + lanes[-1].height if lanes else 0.0
    bottom = max(depth + (0.8 if others else 0.0), 1.0)
    start, end = time_range(tables)
    margin = left_margin(tables)
    labels = place_labels(tables.faults, start, end, 72 * (style.WIDTH - margin - style.RIGHT))
    used = _used(lanes, bool(others))
    handles = [handle for key, handle in _legend().items() if key in used]
    above = ROW_POINTS / 72 * max((label.row + 1 for label in labels), default=0) + 0.12
    axes = style.make_axes(LANE * bottom, left=margin, top=above, bottom=0.55 + 0.2 * -(-len(handles) // 4))
    axes.set_xlim(start, end)
    axes.set_ylim(bottom, 0)
    axes.grid(axis="x")
    for lane in lanes:
        axes.axhline(lane.top, color=RULE, linewidth=0.8)
        _draw_life(axes, lane, tables.end)
        _draw_views(axes, lane, tables.end)
        _draw_streams(axes, lane, tables.end)
    if others:
        axes.axhline(depth, color=RULE, linewidth=0.8)
        _draw_others(axes, others, depth, tables.end)
    _name_lanes(axes, lanes, len(others), depth)
    name_time(axes, tables)
    mark_faults(axes, tables.faults)
    label_faults(axes, labels)
    figure = axes.get_figure()
    assert isinstance(figure, Figure), "the axes were just made in one"
    if handles:
        figure.legend(handles=handles, loc="lower center", ncols=4, handlelength=2.8, handleheight=1.2)
    return figure


def time_range(tables: Tables) -> tuple[float, float]:
    """What the axes of time show: the whole trace, with room for marks at its ends."""
    start = min(tables.start or 0.0, 0.0)
    span = max(tables.end - start, 1e-3)
    return start - 0.006 * span, tables.end + 0.012 * span


def left_margin(tables: Tables) -> float:
    """Inches left of the axis of time: the longest name of a lane fits, and so do numbers."""
    return max(0.8, 0.2 + 0.078 * max((len(_short(n.name)) for n in pick_lanes(tables)[0]), default=0))


def name_time(axes: Axes, tables: Tables) -> None:
    """Name the axis of time and its unit."""
    world = "seconds" if tables.backend == "sockets" else "virtual seconds"
    axes.set_xlabel(f"{world} since every node was ready")


def _stack(tables: Tables, nodes: list[Node]) -> list[_Lane]:
    streams: dict[str, list[Stream]] = {}
    for stream in tables.streams:
        streams.setdefault(stream.node, []).append(stream)
    lanes: list[_Lane] = []
    top = 0.0
    for node in nodes:
        rows, crowded = _rows(streams.get(node.name, []))
        lanes.append(_Lane(node, top, rows, crowded, _is_doubted(node, tables)))
        top += lanes[-1].height
    return lanes


def _rows(streams: list[Stream]) -> tuple[list[list[Stream]], int]:
    """Streams in as few rows as hold them side by side, and how many found none."""
    rows: list[list[Stream]] = []
    crowded = 0
    for stream in streams:
        free = next((row for row in rows if _end(row[-1], math.inf) <= stream.start), None)
        if free is not None:
            free.append(stream)
        elif len(rows) < MAX_ROWS:
            rows.append([stream])
        else:
            crowded += 1
    return rows, crowded


def _draw_life(axes: Axes, lane: _Lane, end: float) -> None:
    bars: dict[str, list[tuple[float, float]]] = {}
    for span in lane.node.spans:
        bars.setdefault(span.state, []).append((span.start, (end if span.end is None else span.end) - span.start))
    for state, spans in bars.items():
        face, hatch, _ = LIFE[state]
        axes.broken_barh(
            spans, (lane.top + 0.13, 0.28), facecolor=face, hatch=hatch, edgecolor=_hatch_color(face), linewidth=0
        )
    middle = lane.top + 0.27
    starts = [s.start for s in lane.node.spans if s.state == "starting"]
    for time, how in lane.node.ends:
        until = min((s for s in starts if s > time), default=end)
        axes.hlines(middle, time, until, color=style.GREY, linestyle=(0, (1, 2)), linewidth=1.2)
        marker = DOWN[_down_kind(how)][0]
        axes.plot(time, middle, marker, color=style.INK, markersize=7, markeredgecolor="white", clip_on=False, zorder=5)


def _draw_views(axes: Axes, lane: _Lane, end: float) -> None:
    """Bands whose height is the share of the others; failed stands at the bottom, the rest upon it."""
    steps = lane.node.steps
    if not lane.doubted:
        return
    times = [*(s.time for s in steps), end]
    floor, room = lane.top + 0.92, 0.42
    base = [floor] * len(times)
    for kind, (face, hatch, _) in VIEWS.items():
        shares = [_share(getattr(s, kind), s.others) for s in steps]
        if not any(shares):
            continue
        level = [b - room * share for b, share in zip(base, [*shares, shares[-1]], strict=True)]
        axes.fill_between(times, base, level, step="post", facecolor=face, hatch=hatch, edgecolor="white", linewidth=0)
        base = level
    left, right = axes.get_xlim()
    plain = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    for step, until in zip(steps, times[1:], strict=True):
        count = step.failed or step.suspected or step.left
        if count and until - step.time > 0.035 * (right - left):
            middle, text = (step.time + until) / 2, f"{count}/{step.others}"
            axes.text(middle, lane.top + 0.71, text, fontsize=7, ha="center", va="center", bbox=plain)


def _share(count: int, others: int) -> float:
    """How high a band is, in parts of a full one."""
    return min(max(count / max(others, 1), LOWEST), 1.0) if count else 0.0


def _draw_streams(axes: Axes, lane: _Lane, end: float) -> None:
    left, right = axes.get_xlim()
    for number, row in enumerate(lane.rows):
        top = lane.streams_top + ROW * number
        low, middle = top + ROW - 0.07, top + ROW / 2 - 0.035
        for kind in {_kind(s): None for s in row}:
            color, marker, _ = STREAMS[kind]
            same = [s for s in row if _kind(s) == kind]
            bars = [(s.start, _end(s, end) - s.start) for s in same]
            axes.broken_barh(bars, (top, ROW - 0.07), facecolor=color, alpha=0.28, linewidth=0)
            axes.vlines([s.start for s in same], top, low, color=color, linewidth=1.2)
            axes.plot([_end(s, end) for s in same], [middle] * len(same), marker, color=color, markersize=5, zorder=4)
        for stream in row:
            text = f"{stream.method} → {stream.peer}"
            if _end(stream, end) - stream.start > CHARACTER * (len(text) + 2) * (right - left):
                at = stream.start + 0.004 * (right - left)
                axes.text(at, middle + 0.01, text, fontsize=7, va="center", zorder=4)


def _draw_others(axes: Axes, nodes: list[Node], top: float, end: float) -> None:
    """One lane for many nodes: how many of them are up."""
    changes: list[tuple[float, int]] = []
    for span in (span for node in nodes for span in node.spans):
        changes.append((span.start, 1))
        if span.end is not None:
            changes.append((span.end, -1))
    times: list[float] = []
    levels: list[float] = []
    up = 0
    for time, change in sorted(changes):
        up += change
        times.append(time)
        levels.append(top + 0.72 - 0.6 * up / len(nodes))
    if times:
        face, hatch, _ = OTHERS
        level = [*levels, levels[-1]]
        axes.fill_between(
            [*times, end], top + 0.72, level, step="post", facecolor=face, hatch=hatch, edgecolor="white", linewidth=0
        )


def _name_lanes(axes: Axes, lanes: list[_Lane], others: int, depth: float) -> None:
    ticks = [lane.top + 0.27 for lane in lanes]
    names = [_short(lane.node.name) for lane in lanes]
    if others:
        ticks.append(depth + 0.4)
        names.append(f"{others} other{'s' if others != 1 else ''}")
    axes.set_yticks(ticks, names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    aside = axes.get_yaxis_transform()
    for lane in lanes:
        if lane.crowded:
            text, at = f"+{lane.crowded} stream{'s' if lane.crowded != 1 else ''}", lane.streams_top + 0.12
            axes.text(-0.006, at, text, fontsize=7, ha="right", va="center", transform=aside)


def _hatch_color(face: str) -> str:
    """White lines are not seen upon yellow."""
    return style.INK if face == style.YELLOW else "white"


def _short(name: str) -> str:
    return name if len(name) <= 24 else name[:23] + "…"


def _end(stream: Stream, end: float) -> float:
    return end if stream.end is None else stream.end


def _is_doubted(node: Node, tables: Tables) -> bool:
    """Whether others ever took it for dead, or for gone before everybody went at the end."""
    start, end = time_range(tables)
    return any(s.suspected or s.failed or (s.left and tables.end - s.time > 0.02 * (end - start)) for s in node.steps)


def _kind(stream: Stream) -> str:
    return stream.status if stream.status in STREAMS else "error"


def _down_kind(how: str) -> str:
    return "exited" if how == "exited" else "down"


def _used(lanes: list[_Lane], others: bool) -> set[str]:
    """What the legend has to explain."""
    used = {"others"} if others else set()
    for lane in lanes:
        used |= {span.state for span in lane.node.spans} | {_down_kind(how) for _, how in lane.node.ends}
        used |= {_kind(stream) for row in lane.rows for stream in row}
        if lane.doubted:
            used |= {kind for kind in VIEWS if any(getattr(step, kind) for step in lane.node.steps)}
    return used


def _legend() -> dict[str, Patch | Line2D]:
    """One entry for everything that a lane may show."""
    handles: dict[str, Patch | Line2D] = {}
    for key, (face, hatch, text) in (LIFE | VIEWS | {"others": OTHERS}).items():
        handles[key] = Patch(facecolor=face, hatch=hatch, edgecolor=_hatch_color(face), linewidth=0, label=text)
    for key, (marker, text) in DOWN.items():
        handles[key] = Line2D(
            [], [], color=style.INK, marker=marker, linestyle=(0, (1, 2)), linewidth=1.2, markersize=6, label=text
        )
    for key, (color, marker, text) in STREAMS.items():
        handles[key] = Line2D([], [], color=color, marker=marker, linewidth=3, markersize=6, label=text)
    return handles
