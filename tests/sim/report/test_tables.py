"""sim.report.tables: what one pass over a trace gathers."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from sim.report import tables as module
from sim.report.bins import percentile
from sim.report.tables import tabulate
from sim.trace import Event, Trace


def events_of(*happenings: tuple[float, str, str, dict[str, Any]]) -> Iterator[Event]:
    with Trace() as trace:
        for time, node, name, fields in happenings:
            trace.record(time, node, name, **fields)
        yield from trace.events()


@pytest.fixture
def spool() -> Iterator[Trace]:
    """A trace to write to, which is gone afterwards."""
    with Trace() as trace:
        yield trace


def member(name: str) -> dict[str, Any]:
    return {"member": name, "run": 1, "incarnation": 0}


def test_a_crashed_node_was_up_until_its_crash(events: Iterator[Event]) -> None:
    node = tabulate(events).nodes["worker-2"]
    assert [(s.state, s.end) for s in node.spans] == [("starting", pytest.approx(-0.01)), ("up", pytest.approx(10.0))]
    assert node.state == "crashed at 10.000 s"
    assert (node.address, node.app) == ("10.0.0.3", "examples.cluster.worker:main")
    assert node.labels == {"role": "worker"}


def test_doubts_are_counted_by_observers_that_are_up(events: Iterator[Event]) -> None:
    tables = tabulate(events)
    steps = tables.nodes["worker-2"].steps
    assert [(s.suspected, s.failed) for s in steps[:8]] == [
        (1, 0), (2, 0), (3, 0), (4, 0), (3, 1), (2, 2), (1, 3), (0, 4)
    ]  # fmt: skip
    assert {s.others for s in steps[:8]} == {4}
    opinion = tables.opinions["worker-2"]
    assert opinion.first["suspected"] == (pytest.approx(11.2), "director")
    assert opinion.last["failed"] == pytest.approx(15.9)
    assert opinion.most is not None
    assert (opinion.most.failed, opinion.most.others) == (4, 4)
    assert set(tables.opinions) == {"worker-2"}


def test_a_recovery_and_a_restart_clear_the_doubt() -> None:
    tables = tabulate(
        events_of(
            (0.0, "a", "cluster_started", {"member": "a"}),
            (0.0, "b", "cluster_started", {"member": "b"}),
            (1.0, "a", "member_suspected", member("b")),
            (2.0, "a", "member_recovered", member("b")),
            (3.0, "b", "member_suspected", member("a")),
            (4.0, "b", "node_crashed", {}),
        )
    )
    assert [(s.time, s.suspected, s.others) for s in tables.nodes["b"].steps] == [(1.0, 1, 1), (2.0, 0, 1)]
    assert [(s.time, s.suspected, s.others) for s in tables.nodes["a"].steps] == [(3.0, 1, 1), (4.0, 0, 0)]
    assert tables.opinions["b"].first["recovered"] == (2.0, "a")


def test_a_pause_during_a_block_ends_in_what_was_before() -> None:
    tables = tabulate(
        events_of(
            (0.0, "a", "node_started", {"address": "10.0.0.1", "labels": {}, "app": "x:main"}),
            (1.0, "a", "node_ready", {}),
            (2.0, "a", "node_paused", {"seconds": 1.0}),
            (3.0, "a", "node_resumed", {}),
            (4.0, "a", "node_stopping", {}),
            (4.5, "a", "node_exited", {"status": "ok"}),
        )
    )
    spans = [(s.start, s.end, s.state) for s in tables.nodes["a"].spans]
    assert spans == [
        (0.0, 1.0, "starting"),
        (1.0, 2.0, "up"),
        (2.0, 3.0, "paused"),
        (3.0, 4.0, "up"),
        (4.0, 4.5, "stopping"),
    ]
    assert tables.nodes["a"].state == "exited at 4.500 s"


def test_a_restarted_node_is_up_again() -> None:
    started = {"address": "10.0.0.1", "labels": {}, "app": "x:main"}
    tables = tabulate(
        events_of(
            (0.0, "a", "node_started", started),
            (1.0, "a", "node_killed", {}),
            (2.0, "a", "node_started", started),
            (2.5, "a", "node_ready", {}),
        )
    )
    assert [s.state for s in tables.nodes["a"].spans] == ["starting", "starting", "up"]
    assert tables.nodes["a"].ends == [(1.0, "killed")]
    assert tables.nodes["a"].state == "up"


def test_streams_run_from_call_to_end_and_name_the_node_they_went_to(events: Iterator[Event]) -> None:
    tables = tabulate(events)
    assert [(s.peer, s.start, s.end, s.status) for s in tables.streams][:2] == [
        ("worker-2", pytest.approx(0.5), pytest.approx(12.1), "TIMEOUT"),
        ("worker-1", pytest.approx(1.0), pytest.approx(8.0), "OK"),
    ]
    assert all(s.node == "client" for s in tables.streams)


def test_a_stream_of_a_caller_that_died_is_lost_and_one_without_end_is_open() -> None:
    call = {"method": "m", "shape": "bidirectional", "peer": "10.0.0.9:1", "stream": 1}
    tables = tabulate(
        events_of(
            (0.0, "a", "call_started", {**call, "connection": "x"}),
            (0.0, "b", "call_started", {**call, "connection": "y"}),
            (1.0, "a", "node_crashed", {}),
            (2.0, "", "run_ended", {}),
        )
    )
    assert [(s.node, s.end, s.status) for s in tables.streams] == [("a", 1.0, "lost"), ("b", None, "open")]


def test_calls_are_counted_by_method_and_status(events: Iterator[Event]) -> None:
    calls = tabulate(events).calls["pick", "unary"]
    assert calls.started == 40
    assert calls.statuses == {"OK": 35, "UNAVAILABLE": 5}
    assert percentile(calls.seconds, 0.5) == pytest.approx(0.01, rel=0.03)


def test_latency_is_from_sending_to_arrival(spool: Trace) -> None:
    for i in range(100):
        line = spool.record(i * 0.1, "a", "sent", 0, to="b", protocol="udp", bytes=10, crc=0)
        if i == 50:
            spool.record(i * 0.1 + 0.02, "a", "dropped", line, to="b", protocol="udp", reason="loss")
        else:
            spool.record(i * 0.1 + 0.02, "b", "received", line, **{"from": "a"}, protocol="udp", bytes=10)
    tables = tabulate(spool.events())
    assert {key[0] for key in tables.latency.total() if isinstance(key, tuple)} == {"udp"}
    counts = {key[1]: n for key, n in tables.latency.total().items() if isinstance(key, tuple)}
    assert sum(counts.values()) == 99
    assert percentile(counts, 0.5) == pytest.approx(0.02, rel=0.03)
    assert tables.messages.total() == {"sent": 100, "received": 99, "dropped": 1}
    assert tables.drops == {"loss": 1}
    assert (tables.nodes["a"].sent, tables.nodes["a"].sent_bytes, tables.nodes["b"].received) == (100, 1000, 99)


def test_a_second_copy_of_a_datagram_has_no_latency_and_is_counted(spool: Trace) -> None:
    line = spool.record(0.0, "a", "sent", 0, to="b", protocol="udp", bytes=10, crc=0)
    for time in (0.1, 0.2):
        spool.record(time, "b", "received", line, **{"from": "a"}, protocol="udp", bytes=10)
    tables = tabulate(spool.events())
    assert sum(tables.latency.total().values()) == 1
    assert tables.unmatched == 1


def test_faults_are_numbered_and_end_when_they_are_undone() -> None:
    fault = {
        "name": "split",
        "verb": "partition",
        "targets": ["a", "b"],
        "detail": {"groups": [["a"], ["b"]]},
        "line": 9,
    }
    tables = tabulate(
        events_of(
            (1.0, "", "fault", fault),
            (3.0, "", "fault_undone", {"name": "split", "verb": "partition", "targets": ["a", "b"]}),
            (4.0, "", "fault_idle", {"name": "late", "why": "worker-9 was not up"}),
        )
    )
    first, second = tables.faults
    assert second.verb == "late"
    assert (first.number, first.time, first.undone, first.targets) == (1, 1.0, 3.0, ("a", "b"))
    assert second.idle == "worker-9 was not up"


def test_a_fault_that_strikes_node_by_node_is_undone_node_by_node() -> None:
    rolling = {"name": "rolling", "verb": "stop"}
    tables = tabulate(
        events_of(
            (1.0, "", "fault", {**rolling, "targets": ["a"], "detail": {}, "line": 9}),
            (2.0, "", "fault", {**rolling, "targets": ["b"], "detail": {}, "line": 9}),
            (3.0, "", "fault_undone", {**rolling, "targets": ["a"]}),
            (4.0, "", "fault_undone", {**rolling, "targets": ["b"]}),
        )
    )
    assert [(f.targets, f.undone) for f in tables.faults] == [(("a",), 3.0), (("b",), 4.0)]


def test_calls_that_did_not_end_well_and_slow_ones_are_kept_with_whom_they_asked(events: Iterator[Event]) -> None:
    tables = tabulate(events)
    assert {event.fields["status"] for event in tables.bad_calls} == {"UNAVAILABLE", "TIMEOUT"}
    assert len(tables.slow_calls) == module.MAX_SLOW
    assert {tables.peers[event.line] for event in tables.slow_calls} == {"director"}


def test_what_applications_recorded_is_told_by_name() -> None:
    tables = tabulate(
        events_of((1.0, "a", "token", {"index": 1}), (2.0, "b", "token", {"index": 2}), (3.0, "a", "log", {}))
    )
    records = tables.records["token"]
    assert (records.count, records.nodes, records.last.fields) == (2, {"a", "b"}, {"index": 2})
    assert list(tables.records) == ["token"]
    assert tables.nodes["a"].records == [(1.0, "token")]


def test_of_many_records_every_second_keeps_its_place() -> None:
    tables = tabulate(events_of(*((i * 0.01, "a", "tick", {"i": i}) for i in range(5 * module.MAX_MARKS))))
    times = [time for time, _ in tables.nodes["a"].records]
    assert len(times) <= module.MAX_MARKS
    assert times == sorted(times) and times[-1] > 4 * module.MAX_MARKS * 0.01


def test_drops_are_counted_at_both_ends(spool: Trace) -> None:
    spool.record(1.0, "a", "dropped", 0, to="b", protocol="udp", reason="cut")
    tables = tabulate(spool.events())
    assert [tables.drops_of[node].total() for node in "ab"] == [{"cut": 1}, {"cut": 1}]


def test_an_empty_trace_gives_empty_tables() -> None:
    tables = tabulate([])
    assert (tables.lines, tables.start, tables.nodes, tables.has_network) == (0, None, {}, False)


def test_events_that_an_application_named_like_ours_do_no_harm() -> None:
    parts = (module._Reader, module.Faults, module.Lives, module.Streams)
    names = [name.removeprefix("on_") for part in parts for name in dir(part) if name.startswith("on_")]
    tables = tabulate(events_of(*((1.0, node, name, {"odd": 1}) for name in names for node in ("", "a"))))
    assert tables.events.total() == 2 * len(names)


def test_memory_does_not_grow_with_the_number_of_messages() -> None:
    def messages(count: int) -> Iterator[Event]:
        for i in range(count // 2):
            time = i * 0.001
            yield Event(2 * i + 1, time, "a", "sent", 0, {"to": "b", "protocol": "udp", "bytes": 10})
            yield Event(2 * i + 2, time + 0.0005, "b", "received", 2 * i + 1, {"protocol": "udp", "bytes": 10})

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            tabulate(messages(count))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(40_000) < 2 * peak(4_000) + 200_000


def test_what_is_beyond_a_limit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 2)
    call = {"method": "m", "shape": "bidirectional", "peer": "10.0.0.9:1", "connection": "x"}
    tables = tabulate(events_of(*((float(i), "a", "call_started", {**call, "stream": i}) for i in range(5))))
    assert len(tables.streams) == 2
    assert tables.omitted == {"streams": 3}


def test_messages_lost_from_sight_are_forgotten_not_kept(monkeypatch: pytest.MonkeyPatch, spool: Trace) -> None:
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 10)
    lines = [spool.record(float(i), "a", "sent", 0, to="b", protocol="udp", bytes=1, crc=0) for i in range(20)]
    for line in lines:
        spool.record(30.0, "b", "received", line, **{"from": "a"}, protocol="udp", bytes=1)
    tables = tabulate(spool.events())
    assert tables.unmatched == 10
