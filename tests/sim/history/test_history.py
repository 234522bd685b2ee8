"""History: one pass over a trace, and who was up, a member, an observer at any time."""

import math

from sim.history import History
from sim.scenario.faults import severs
from sim.trace import Event


def test_a_life_lasts_from_its_start_to_its_end(story):
    history = story.start("a").crash(10, "a").context().history
    assert [history.up("a", time) for time in (-3, -2, 9.9, 10, 11)] == [False, True, True, False, False]
    assert history.lives["a"][0].how == "node_crashed"
    assert not history.up("nobody", 5)


def test_a_restart_is_a_new_life_and_a_new_run(story):
    story.cluster("a", "b").crash(10, "a").start("a", 12).join("a", 12.5, run=2)
    history = story.context().history
    assert len(history.lives["a"]) == 2
    assert history.life("a", 11) is None
    assert [history.up("a", time) for time in (9, 11, 12.2, 39)] == [True, False, True, True]
    assert [(m.run, m.start, m.end) for m in history.memberships() if m.node == "a"] == [
        (1, -1.9, 10),
        (2, 12.5, math.inf),
    ]
    assert history.membership("a", 12.2) is None
    assert history.run_of("a", 1).life is history.lives["a"][0]
    assert history.run_of("a", 2).life is history.lives["a"][1]


def test_a_restart_whose_end_is_not_in_the_trace_ends_the_life_before(story):
    history = story.start("a", 0).start("a", 5).context().history
    assert [(life.start, life.end) for life in history.lives["a"]] == [(0, 5), (5, math.inf)]


def in_clusters(history, time):
    """The nodes that were up and ran a cluster at that time."""
    return [node for node in history.lives if history.membership(node, time) is not None]


def test_a_member_is_up_and_runs_a_cluster(story):
    story.cluster("a", "b", "c").start("bystander").crash(10, "a").at(20, "b", "cluster_left").pause(29, "c", 2)
    history = story.context().history
    assert in_clusters(history, 5) == ["a", "b", "c"]
    assert in_clusters(history, 15) == ["b", "c"]
    assert in_clusters(history, 30) == ["c"]
    left = next(m for m in history.memberships() if m.node == "b")
    assert (left.end, left.left) == (20, True)


def test_a_node_is_paused_and_yet_up(story):
    history = story.start("a").pause(10, "a", 2).context().history
    life = history.life("a", 11)
    assert life is not None
    assert [life.stalled(time) for time in (9.9, 10, 11.9, 12)] == [False, True, True, False]


def test_a_stall_ends_with_its_process(story):
    history = story.start("a").at(10, "a", "node_blocked", seconds=5.0).crash(12, "a").context().history
    assert [(s.start, s.end, s.seconds) for s in history.lives["a"][0].stalls] == [(10, 12, 5.0)]


def test_a_member_that_meets_its_own_name_goes_on_under_a_new_run(story):
    history = story.cluster("a", "b").sees(3, "a", "member_joined", "a", 7).context().history
    assert history.membership("a", 5).run == 7
    assert history.run_of("a", 7) is history.run_of("a", 1)


def test_the_end_of_the_run_is_nobodys_death_and_nobodys_news(story):
    story.cluster("a", "b").end(40, "a", "b").sees(40.1, "b", "member_left", "a")
    history = story.context().history
    assert in_clusters(history, 40) == ["a", "b"]
    assert history.lives["a"][0].end == math.inf
    assert history.lives["a"][0].how == "node_exited"
    assert all(sighting.time < 40 for sighting in history.sightings)


def test_restarts_that_only_undo_faults_at_the_end_are_part_of_the_end(story):
    story.cluster("a", "b").crash(10, "a").at(40, "", "fault_undone", name="crash", targets=["a"]).start("a", 40)
    story.join("a", 40.2, run=2).end(40.3, "b")
    assert in_clusters(story.context().history, 40) == ["b"]


def test_faults_are_undone_each_by_its_own_target(story):
    story.start("a").start("b").fault(5, "stop", "a", undone=8).fault(10, "stop", "b", undone=13)
    faults = story.context().faults
    assert [(f.name, f.targets, f.time, f.undone) for f in faults] == [
        ("stop", ("a",), 5, 8),
        ("stop", ("b",), 10, 13),
    ]


def test_quiet_counts_only_before_the_end(story):
    assert story.at(12, "", "quiet").context().history.quiet == 12
    assert story.context(duration=12).history.quiet is None


def test_labels_and_addresses_are_those_the_nodes_started_with(story):
    story.start("a", labels={"role": "worker"}).start("b")
    history = story.context().history
    assert history.labels == {"a": {"role": "worker"}, "b": {}}
    assert [history.node_at(address) for address in ("10.0.0.1:7000", "10.0.0.2", "b:7000", "10.9.9.9:1", "")] == [
        "a",
        "b",
        "b",
        None,
        None,
    ]


def test_an_ipv6_address_is_known_by_its_host():
    history = History([Event(1, 0.0, "a", "node_started", 0, {"address": "[fd00::1]:7000"})], 10.0, severs)
    assert history.node_at("[fd00::1]:9") == "a"


def test_a_stream_is_put_together_from_both_ends(story):
    both = {"connection": "c", "stream": 1, "method": "m", "shape": "bidirectional"}
    story.at(1, "a", "call_started", peer="b:1", **both).at(2, "b", "handler_started", peer="a:1", **both)
    story.at(3, "a", "call_ended", status="CANCELLED", seconds=2.0, **both)
    (stream,) = story.context().history.streams
    assert [(end.node, end.start, end.end, end.status) for end in stream.ends()] == [
        ("a", 1, 3, "CANCELLED"),
        ("b", 2, math.inf, None),
    ]
    unary = both | {"stream": 3, "shape": "unary"}
    assert len(story.at(4, "a", "call_started", peer="b:1", **unary).context().history.streams) == 1


def test_a_restarted_process_that_uses_its_numbers_again_has_streams_of_its_own(story):
    both = {"connection": "c", "stream": 1, "method": "m", "shape": "bidirectional"}
    for time in (1, 11):
        story.at(time, "a", "call_started", peer="b:1", **both).at(time + 1, "b", "handler_started", peer="a:1", **both)
        story.at(time + 2, "b", "handler_ended", status="UNAVAILABLE", seconds=1.0, **both)
    streams = story.context().history.streams
    assert [(s.caller.start, s.caller.end, s.handler.start, s.handler.end) for s in streams] == [
        (1, math.inf, 2, 3),
        (11, math.inf, 12, 13),
    ]
