"""sim.report.plots: messages, latency and calls over time."""

from collections.abc import Iterator

from sim.report.figure import to_svg
from sim.report.plots import draw_calls, draw_latency, draw_messages
from sim.report.tables import tabulate
from sim.trace import Event


def test_each_plot_names_its_units_and_its_lines(events: Iterator[Event]) -> None:
    tables = tabulate(events)
    messages = to_svg(lambda: draw_messages(tables), "messages", "x")
    latency = to_svg(lambda: draw_latency(tables), "latency", "x")
    calls = to_svg(lambda: draw_calls(tables), "calls", "x")
    for text, words in (
        (messages, ("messages / s", "sent", "received", "dropped")),
        (latency, ("latency", "udp p50", "udp p99", "tcp p99", "1 ms")),
        (calls, ("calls ended / s", "OK (39)", "UNAVAILABLE (5)")),
    ):
        for word in (*words, "virtual seconds since every node was ready"):
            assert f">{word}</text>" in text


def test_rare_statuses_are_drawn_together() -> None:
    events = [
        Event(
            i + 1, float(i), "a", "call_ended", 0, {"method": "m", "shape": "unary", "status": f"S{i}", "seconds": 1.0}
        )
        for i in range(8)
    ]
    text = to_svg(lambda: draw_calls(tabulate(events)), "calls", "x")
    assert ">other (6)</text>" in text


def test_two_calls_at_once_in_a_long_run_are_no_thousands_a_second() -> None:
    ended = {"method": "m", "shape": "unary", "status": "OK", "seconds": 1.0}
    events = [Event(i + 1, time, "a", "call_ended", 0, ended) for i, time in enumerate((20.0, 20.0))]
    tables = tabulate([Event(1, 0.0, "", "run_started", 0, {}), *events, Event(3, 40.0, "", "run_ended", 0, {})])
    assert tables.ended_calls.width * tables.ended_calls.limit >= 40.0


def test_the_time_axis_of_sockets_is_not_called_virtual() -> None:
    events = [
        Event(1, 0.0, "", "run_started", 0, {"scenario": "s", "seed": 1, "backend": "sockets"}),
        Event(2, 1.0, "a", "call_ended", 0, {"method": "m", "shape": "unary", "status": "OK", "seconds": 1.0}),
    ]
    assert "virtual" not in to_svg(lambda: draw_calls(tabulate(events)), "calls", "x")
