"""sim.report.timeline: lanes, and the same bytes for the same trace."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.collections import PolyCollection

from sim.history.lives import STANDING_STILL
from sim.report import tabulate, timeline_png, timeline_svg
from sim.report.timeline import LIFE, MAX_LANES, draw_timeline, pick_lanes
from sim.scenario.faults import STANDSTILLS
from sim.trace import Event, read


def test_every_node_has_a_lane_with_its_name(events: Iterator[Event]) -> None:
    text = timeline_svg(events)
    for name in ("director", "worker-1", "worker-2", "worker-3", "client", "1 crash worker-2", "4/4"):
        assert f">{name}</text>" in text


def test_the_legend_explains_what_occurs_and_nothing_else(events: Iterator[Event]) -> None:
    text = timeline_svg(events)
    assert "suspected by k of n others" in text
    assert "stream, ended by an error" in text
    assert "loop blocked" not in text


def test_the_svg_is_well_formed_and_says_what_it_is(events: Iterator[Event]) -> None:
    root = ElementTree.fromstring(timeline_svg(events))
    assert root.get("role") == "img"
    assert root.get("aria-label")


def test_the_same_trace_gives_the_same_bytes_in_another_process(trace: Path) -> None:
    code = "import sys; from sim.report import *; from sim.trace import read; "
    code += "sys.stdout.write(timeline_svg(read(sys.argv[1])))"
    here = {**os.environ, "PYTHONHASHSEED": "2"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(trace)], env=here, capture_output=True, check=True, timeout=60
    )
    assert run.stdout.decode() == timeline_svg(read(trace))


def test_png_is_png_and_the_same_each_time(trace: Path) -> None:
    first = timeline_png(read(trace))
    assert first.startswith(b"\x89PNG")
    assert first == timeline_png(read(trace))


def test_the_style_of_the_caller_neither_matters_nor_changes(trace: Path) -> None:
    import matplotlib as mpl

    plain = timeline_svg(read(trace))
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert timeline_svg(read(trace)) == plain
        assert mpl.rcParams["font.size"] == 30


def test_of_many_nodes_those_that_something_happened_to_get_a_lane(story: Callable[..., Any]) -> None:
    tables = tabulate(read(story(workers=60).write()))
    lanes, others = pick_lanes(tables)
    assert len(lanes) < MAX_LANES
    assert len(lanes) + len(others) == 62
    assert {"worker-2", "client"} <= {n.name for n in lanes}


def test_many_nodes_share_a_lane(story: Callable[..., Any]) -> None:
    path = story(workers=60).write()
    others = len(pick_lanes(tabulate(read(path)))[1])
    text = timeline_svg(read(path))
    assert f">{others} others</text>" in text
    assert "share of the other nodes that is up" in text


def test_the_band_of_one_observer_of_a_hundred_is_high_enough_to_be_seen() -> None:
    names = [f"n-{number}" for number in range(100)]
    told: list[tuple[float, str, str, dict[str, Any]]] = [(0.0, name, "node_ready", {}) for name in names]
    told += [(0.1, name, "cluster_started", {"member": name, "run": 1, "address": name}) for name in names]
    told += [
        (3.0, "n-1", "member_suspected", {"member": "n-2", "run": 1, "incarnation": 0}),
        (9.0, "", "run_ended", {}),
    ]
    events = [Event(line, time, node, name, 0, fields) for line, (time, node, name, fields) in enumerate(told, 1)]
    assert ">1/99</text>" in timeline_svg(events)
    figure = draw_timeline(tabulate(events))
    bands = [c for c in figure.axes[0].collections if c.get_hatch() == "////" and isinstance(c, PolyCollection)]
    figure.canvas.draw()
    # Points; a hundredth of a full band is not a fifth of one.
    (height,) = [band.get_window_extent().height * 72 / figure.dpi for band in bands]
    assert height > 1.5


def test_more_streams_than_rows_are_counted_beside_the_lane() -> None:
    call = {"method": "m", "shape": "bidirectional", "peer": "10.0.0.9:1", "connection": "x"}
    events = [Event(i + 1, i * 0.1, "a", "call_started", 0, {**call, "stream": i}) for i in range(9)]
    assert ">+4 streams</text>" in timeline_svg(events)


@pytest.mark.parametrize("name", ["節点", "a$b$c", "<script>", "x" * 80, "one two"])
def test_any_name_can_be_drawn(name: str) -> None:
    ElementTree.fromstring(timeline_svg([Event(1, 0.0, name, "node_ready", 0, {}), Event(2, 1.0, name, "x", 0, {})]))


def test_an_empty_trace_and_a_single_event_can_be_drawn() -> None:
    assert timeline_svg([]).startswith("<svg ")
    assert timeline_png([Event(1, 0.0, "a", "node_ready", 0, {})]).startswith(b"\x89PNG")


def test_each_way_to_stand_still_is_read_and_shown() -> None:
    assert {still.state for still in STANDSTILLS} == STANDING_STILL <= set(LIFE)
