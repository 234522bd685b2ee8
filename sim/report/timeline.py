"""The timeline of a run: one lane a node, with its life, what the others thought of it, and its streams.

Tables in, a figure out. No meaning rests on colour alone: bands are hatched and their height is the share of observers,
ends of streams carry a mark, faults are lines with a label. Of many nodes those that something happened to get a lane,
the others share one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sim.report import figure as style
from sim.report.faults import mark_faults
from sim.report.tables import Node, Stream, Tables, tabulate
from sim.trace import Event

__all__ = ["draw_timeline", "pick_lanes", "timeline_png", "timeline_svg"]

MAX_LANES = 24
LANE, ROW = 0.42, 0.32
"""Height of a lane in inches, and of a row of streams in lanes."""
CHARACTER = 0.0058
"""Width of a small character, in parts of the width of the axes."""
MAX_ROWS = 5
"""Streams that are drawn above each other in a lane; what is beyond shares the last row."""
LIFE = {  # state → face, hatch, legend
    "starting": (style.LIGHT_BLUE, "....", "starting"),
    "up": (style.BLUE, "", "up"),
    "paused": (style.YELLOW, "||||", "paused"),
    "blocked": (style.YELLOW, "----", "loop blocked"),
    "stopping": (style.LIGHT_BLUE, "////", "stopping"),
}
VIEWS = {  # what others believe → face, hatch, legend
    "failed": (style.RED, "xxxx", "held for failed by k of n others"),
    "suspected": (style.ORANGE, "////", "suspected by k of n others"),
    "left": (style.GREY, "....", "known to have left"),
}
DOWN = {"down": ("X", "down (crash, kill, error)"), "exited": ("s", "ended in order")}
STREAMS = {  # how a stream ended → colour, mark at its end, legend
    "OK": (style.GREEN, "o", "stream, ended OK"),
    "CANCELLED": (style.GREY, "|", "stream, cancelled"),
    "open": (style.PURPLE, ">", "stream, still open"),
    "error": (style.RED, "X", "stream, ended by an error"),
}


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

    @property
    def height(self) -> float:
        return 1.0 + ROW * len(self.rows)


def pick_lanes(tables: Tables, limit: int = MAX_LANES) -> tuple[list[Node], list[Node]]:
    """The nodes that get a lane of their own, and the others. All do where there is room."""
    nodes = list(tables.nodes.values())
    if len(nodes) <= limit:
        return nodes, []
    streaming = {s.node for s in tables.streams}
    hit = {t for f in tables.faults if len(f.targets) <= limit for t in f.targets}

    def weight(node: Node) -> tuple[bool, int, bool, bool]:
        most_failed = max((s.failed for s in node.steps), default=0)
        return (node.name in hit, most_failed, bool(node.steps), node.name in streaming)

    chosen = {n.name for n in sorted(nodes, key=weight, reverse=True)[: limit - 1]}
    return [n for n in nodes if n.name in chosen], [n for n in nodes if n.name not in chosen]


def draw_timeline(tables: Tables) -> Figure:
    """The figure. Needs a trace that is not empty."""
    nodes, others = pick_lanes(tables)
    lanes = _stack(tables, nodes)
    depth = lanes[-1].top + lanes[-1].height if lanes else 0.0
    bottom = depth + (1.0 if others else 0.0)
    figure = Figure(figsize=(style.WIDTH, max(1.8, LANE * bottom + 1.3)), layout="constrained")
    axes = figure.add_subplot()
    start, end = time_range(tables)
    axes.set_xlim(start, end)
    axes.set_ylim(bottom, 0)
    axes.grid(axis="x")
    used: set[str] = set()
    for lane in lanes:
        axes.axhline(lane.top, color="#D5D9E0", linewidth=0.8)
        used |= _draw_life(axes, lane, end)
        used |= _draw_views(axes, lane, end)
        used |= _draw_streams(axes, lane, end)
    if others:
        axes.axhline(depth, color="#D5D9E0", linewidth=0.8)
        _draw_others(axes, others, depth, end)
        used.add("others")
    _label_lanes(axes, lanes, len(others), depth)
    world = "seconds" if tables.backend == "sockets" else "virtual seconds"
    axes.set_xlabel(f"{world} since every node was ready")
    widest = max((len(_lane_label(lane)) for lane in lanes), default=0)
    mark_faults(axes, tables.faults, labels_within=72 * style.WIDTH - 5.4 * widest - 30)
    handles = [h for key, h in _legend().items() if key in used]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(4, len(handles)), handlelength=2.8, handleheight=1.2
        )
    return figure


def time_range(tables: Tables) -> tuple[float, float]:
    """What the axes of time show: the whole trace, with room for marks at its ends."""
    start = min(tables.start or 0.0, 0.0)
    span = max(tables.end - start, 1e-3)
    return start - 0.006 * span, tables.end + 0.012 * span


def _stack(tables: Tables, nodes: list[Node]) -> list[_Lane]:
    streams: dict[str, list[Stream]] = {}
    for stream in tables.streams:
        streams.setdefault(stream.node, []).append(stream)
    lanes: list[_Lane] = []
    top = 0.0
    for node in nodes:
        rows, crowded = _rows(streams.get(node.name, []), tables.end)
        lanes.append(_Lane(node, top, rows, crowded))
        top += lanes[-1].height
    return lanes


def _rows(streams: list[Stream], end: float) -> tuple[list[list[Stream]], int]:
    """Streams in as few rows as hold them side by side, and how many found none."""
    rows: list[list[Stream]] = []
    crowded = 0
    for stream in streams:
        for row in rows:
            if (row[-1].end if row[-1].end is not None else end) <= stream.start:
                row.append(stream)
                break
        else:
            if len(rows) < MAX_ROWS:
                rows.append([stream])
            else:
                crowded += 1
    return rows, crowded


def _draw_life(axes: Axes, lane: _Lane, end: float) -> set[str]:
    used = set()
    bars: dict[str, list[tuple[float, float]]] = {}
    for span in lane.node.spans:
        until = end if span.end is None else span.end
        bars.setdefault(span.state, []).append((span.start, until - span.start))
    for state, spans in bars.items():
        face, hatch, _ = LIFE[state]
        axes.broken_barh(spans, (lane.top + 0.12, 0.28), facecolor=face, hatch=hatch, edgecolor="white", linewidth=0)
        used.add(state)
    starts = [s.start for s in lane.node.spans if s.state == "starting"]
    for time, how in lane.node.ends:
        until = min((s for s in starts if s > time), default=end)
        axes.hlines(lane.top + 0.26, time, until, color=style.GREY, linestyle=(0, (1, 2)), linewidth=1.2)
        kind = "exited" if how == "exited" else "down"
        marker = DOWN[kind][0]
        axes.plot(
            time,
            lane.top + 0.26,
            marker,
            color=style.INK,
            markersize=7,
            markeredgecolor="white",
            clip_on=False,
            zorder=5,
        )
        used.add(kind)
    return used


def _draw_views(axes: Axes, lane: _Lane, end: float) -> set[str]:
    """Bands whose height is the share of the others; failed stands at the bottom, the rest upon it."""
    steps = lane.node.steps
    if not any(s.suspected or s.failed or s.left for s in steps):
        return set()
    times = [*(s.time for s in steps), end]
    floor, room, used = lane.top + 0.9, 0.42, set()
    base = [floor] * len(times)
    for kind, (face, hatch, _) in VIEWS.items():
        shares = [getattr(s, kind) / max(s.others, 1) for s in steps]
        if not any(shares):
            continue
        level = [b - room * min(share, 1.0) for b, share in zip(base, [*shares, shares[-1]], strict=True)]
        axes.fill_between(times, base, level, step="post", facecolor=face, hatch=hatch, edgecolor="white", linewidth=0)
        base = level
        used.add(kind)
    _write_shares(axes, lane, end)
    return used


def _write_shares(axes: Axes, lane: _Lane, end: float) -> None:
    """`3/4` upon a band, where it is wide enough to be read."""
    steps = lane.node.steps
    left, right = axes.get_xlim()
    for step, until in zip(steps, [*(s.time for s in steps[1:]), end], strict=True):
        count = step.failed or step.suspected or step.left
        if count and until - step.time > 0.035 * (right - left):
            axes.text(
                (step.time + until) / 2, lane.top + 0.7, f"{count}/{step.others}", fontsize=7, ha="center", va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip


def _draw_streams(axes: Axes, lane: _Lane, end: float) -> set[str]:
    used = set()
    left, right = axes.get_xlim()
    for number, row in enumerate(lane.rows):
        top = lane.top + 0.98 + ROW * number
        for kind in {_kind(s): None for s in row}:
            color, marker, _ = STREAMS[kind]
            same = [s for s in row if _kind(s) == kind]
            ends = [end if s.end is None else s.end for s in same]
            bars = [(s.start, e - s.start) for s, e in zip(same, ends, strict=True)]
            axes.broken_barh(bars, (top, ROW - 0.07), facecolor=color, alpha=0.28, linewidth=0)
            axes.vlines([s.start for s in same], top, top + ROW - 0.07, color=color, linewidth=1.2)
            axes.plot(ends, [top + ROW / 2 - 0.035] * len(ends), marker, color=color, markersize=5, zorder=4)
            used.add(kind)
        for stream in row:
            length = (end if stream.end is None else stream.end) - stream.start
            text = f"{stream.method} → {stream.peer}"
            if length > CHARACTER * len(text) * (right - left):
                axes.text(
                    stream.start + 0.003 * (right - left),
                    top + ROW / 2 - 0.03,
                    text,
                    fontsize=6.5,
                    va="center",
                    zorder=4,
                )
    return used


def _draw_others(axes: Axes, nodes: list[Node], top: float, end: float) -> None:
    """One lane for many nodes: how many of them are up."""
    changes: list[tuple[float, int]] = []
    for node in nodes:
        for span in node.spans:
            changes.append((span.start, 1))
            if span.end is not None:
                changes.append((span.end, -1))
    times, counts, up = [], [], 0
    for time, change in sorted(changes):
        up += change
        times.append(time)
        counts.append(up)
    if not times:
        return
    levels = [top + 0.9 - 0.75 * count / len(nodes) for count in [*counts, counts[-1]]]
    axes.fill_between(
        [*times, end],
        top + 0.9,
        levels,
        step="post",
        facecolor=style.LIGHT_BLUE,
        hatch="\\\\",
        edgecolor="white",
        linewidth=0,
    )


def _label_lanes(axes: Axes, lanes: list[_Lane], others: int, depth: float) -> None:
    ticks = [lane.top + 0.26 for lane in lanes]
    labels = [_lane_label(lane) for lane in lanes]
    if others:
        ticks.append(depth + 0.5)
        labels.append(f"{others} others")
    axes.set_yticks(ticks, labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _lane_label(lane: _Lane) -> str:
    name = lane.node.name
    name = name if len(name) <= 24 else name[:23] + "…"
    return f"{name} (+{lane.crowded} streams)" if lane.crowded else name


def _kind(stream: Stream) -> str:
    return stream.status if stream.status in STREAMS else "error"


def _legend() -> dict[str, Patch | Line2D]:
    """One entry for everything that a lane may show."""
    handles: dict[str, Patch | Line2D] = {}
    for key, (face, hatch, text) in (LIFE | VIEWS).items():
        handles[key] = Patch(facecolor=face, hatch=hatch, edgecolor="white", linewidth=0, label=text)
    handles["others"] = Patch(
        facecolor=style.LIGHT_BLUE,
        hatch="\\\\",
        edgecolor="white",
        linewidth=0,
        label="share of the other nodes that is up",
    )
    for key, (marker, text) in DOWN.items():
        handles[key] = Line2D([], [], color=style.INK, marker=marker, linestyle=(0, (1, 2)), markersize=6, label=text)
    for key, (color, marker, text) in STREAMS.items():
        handles[key] = Line2D(
            [], [], color=color, marker=marker, linewidth=5, solid_capstyle="butt", alpha=0.8, markersize=6, label=text
        )
    return handles
