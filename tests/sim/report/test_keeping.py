"""sim.report.keeping: which events stand on a page."""

from collections.abc import Iterator

from sim.report import keeping as module
from sim.report.keeping import Keeper
from sim.trace import Event


def chatter(nodes: int, seconds: int) -> Iterator[Event]:
    """Each node sends a message ten times a second, which answers none; once a second it ticks, answering one."""
    line = 0
    for tenth in range(seconds * 10):
        for node in range(nodes):
            line += 1
            yield Event(line, tenth / 10, f"n{node}", "sent", 0, {})
            if tenth % 10 == 0:
                line += 1
                yield Event(line, tenth / 10, f"n{node}", "tick", line - 1, {"second": tenth // 10})


def kept(events: list[Event], *lines: int) -> Keeper:
    keeper = Keeper(lines)
    for event in events:
        keeper.take(event)
    return keeper


def test_a_short_trace_is_kept_whole() -> None:
    events = list(chatter(3, 10))
    assert kept(events).chosen(["n0"]) == events


def test_of_a_long_one_nodes_keep_their_first_and_last_events_and_what_these_answer() -> None:
    events = list(chatter(4, 300))
    chosen = kept(events).chosen(["n1"])
    assert len(chosen) < module.MOST
    assert {event.node for event in chosen} == {"n1"}
    ticks = [event for event in chosen if event.name == "tick"]
    assert (ticks[0].fields["second"], ticks[-1].fields["second"]) == (0, 299)
    assert {event.cause for event in ticks} <= {event.line for event in chosen}


def test_a_line_that_is_wanted_comes_with_its_neighbours_and_its_cause() -> None:
    events = list(chatter(4, 300))
    wanted = next(e for e in events if e.name == "tick" and e.node == "n2" and e.fields["second"] == 150)
    keeper = kept(events, wanted.line)
    assert keeper.wanted == {wanted.line: wanted}
    near = [e.fields["second"] for e in keeper.chosen([]) if e.name == "tick" and e.node == "n2"]
    assert near == list(range(150 - module.NEIGHBOURS, 150 + module.NEIGHBOURS + 1))
    assert wanted.cause in {e.line for e in keeper.chosen([])}


def test_the_end_of_a_run_does_not_push_out_what_came_before() -> None:
    events = list(chatter(4, 300))
    keeper = Keeper()
    for event in events:
        keeper.take(event, ending=event.time > 200)
    seconds = [e.fields["second"] for e in keeper.chosen(["n1"]) if e.name == "tick"]
    assert 200 in seconds and seconds[-1] == 200 + module.OF_ITS_END
