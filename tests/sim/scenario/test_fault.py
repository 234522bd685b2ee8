"""Fault scripts, played against a world that only keeps a list of what it was told."""

import heapq
from contextlib import nullcontext
from itertools import count

import pytest

from sim.backends.program import Ready
from sim.scenario.fault import declare, parse_next, scripts
from sim.scenario.schema import (
    Block,
    Clock,
    Crash,
    Each,
    Heal,
    Held,
    Hold,
    Isolate,
    Link,
    LinkChange,
    Node,
    Partition,
    Pause,
    Pick,
    Reset,
    Restart,
    Scenario,
    Slowness,
    SlowReceive,
    Split,
    Stop,
    Wrong,
)


class FakeWorld:
    """Time, who is up, which cuts are in force; every call and every event in `told`."""

    name = "fake"
    verbs = frozenset()
    restart_time = 0.5
    stop_time = 0.0

    def __init__(self, scenario):
        self.now = 0.0
        self.told = []
        self.up = {name for node in scenario.node for name in node.names()}
        self.cuts = {}
        self.stopping = {}

    def record(self, event, /, **fields):
        self.told.append((round(self.now, 6), event, fields))

    def moment(self):
        return nullcontext()

    def is_up(self, node):
        return node in self.up or self.stopping.get(node, 0) > self.now

    def _call(self, *call):
        self.told.append((round(self.now, 6), *call))
        return True

    def crash(self, node):
        if node not in self.up:
            return False
        self.up.remove(node)
        return self._call("crash", node)

    kill = crash

    def stop(self, node):
        done = self.crash(node)
        self.stopping[node] = self.now + self.stop_time
        return done

    def restart(self, node):
        if node in self.up:
            return False
        self.up.add(node)
        return self._call("restart", node)

    def pause(self, node, seconds):
        return node in self.up and self._call("pause", node, seconds)

    block = pause

    def _cut(self, name, *what):
        news = what not in self.cuts.values()
        self.cuts[name] = what
        return news

    def partition(self, name, groups, one_way=False):
        return self._cut(name, groups, one_way)

    def isolate(self, name, node):
        return self._cut(name, node)

    def link(self, name, source, target, **edge):
        return self._cut(name, source, target, edge)

    def apart(self, pairs):
        return {pair for pair in pairs if (*pair, {"loss": 1.0}) in self.cuts.values()}

    def hold(self, name, source, target):
        return self._cut(name, "hold", source, target)

    def slow_receive(self, name, node, latency):
        return node in self.up and self._cut(name, "slow", node, latency)

    def clock(self, name, node, offset, drift):
        return node in self.up and self._cut(name, "clock", node, offset, drift)

    def reset(self, node):
        return node in self.up and self._call("reset", node)

    def heal(self, name):
        return self.cuts.pop(name, None) is not None

    def events(self, *names):
        return [entry for entry in self.told if entry[1] in names]


def play(*faults, duration=60.0, seed=1, world=FakeWorld):
    """Runs the scripts of these faults to the end of the scenario, then closes them in order, as a world does."""
    scenario = Scenario(
        name="x",
        duration=duration,
        node=(Node(name="a", app="m:f"), Node(name="w", app="m:f", count=4, labels={"role": "w"})),
        fault=faults,
    )
    world = world(scenario)
    running = list(scripts(scenario, seed)(world))
    order = count()
    queue = [(0.0, next(order), script) for script in running]
    while queue and queue[0][0] < duration:
        world.now, _, script = heapq.heappop(queue)
        try:
            wanted = next(script)
        except StopIteration:
            continue
        wait = world.restart_time if isinstance(wanted, Ready) else wanted
        heapq.heappush(queue, (world.now + wait, next(order), script))
    world.now = duration
    for script in running:
        script.close()
    return world


def test_crash_is_told_with_its_targets_and_then_it_is_quiet():
    world = play(Crash(at=10.0, crash="role=w", name="outage"))
    assert [entry[:3] for entry in world.events("crash")] == [(10.0, "crash", f"w-{i}") for i in (1, 2, 3, 4)]
    (fault,) = world.events("fault")
    assert fault == (
        10.0,
        "fault",
        {"name": "outage", "verb": "crash", "targets": ["w-1", "w-2", "w-3", "w-4"], "detail": {}, "line": 0},
    )
    assert world.events("fault_undone", "restart") == []
    assert world.events("quiet") == [(10.0, "quiet", {})]


@pytest.mark.parametrize("fault", [Crash, Isolate, Reset])
def test_a_list_of_selectors_means_all_of_them(fault):
    world = play(fault(at=10.0, **{fault.verb: ["a", Pick(pick="one", of="w-1"), "w-3"]}))
    ((_, _, fields),) = world.events("fault")
    assert fields["targets"] == ["a", "w-1", "w-3"]


def test_crash_for_some_time_starts_the_node_again():
    world = play(Crash(at=10.0, for_=3.0, crash="w-2"))
    assert world.events("crash", "restart", "fault_undone", "quiet") == [
        (10.0, "crash", "w-2"),
        (13.0, "restart", "w-2"),
        (13.0, "fault_undone", {"name": "crash", "verb": "crash", "targets": ["w-2"]}),
        (13.0, "quiet", {}),
    ]


def test_stopped_node_is_started_again_only_when_it_has_ended():
    class Slow(FakeWorld):
        stop_time = 4.02

    world = play(Stop(at=1.0, for_=1.0, stop="a"), world=Slow)
    ((time, *_),) = world.events("restart")
    assert 5.0 < time < 5.2


def test_pause_never_outlives_the_run_and_is_undone_at_the_end():
    world = play(Pause(at=8.0, for_=5.0, pause="w-1"), duration=10.0)
    assert world.events("pause") == [(8.0, "pause", "w-1", 2.0)]
    assert world.events("fault_undone", "quiet") == [
        (10.0, "fault_undone", {"name": "pause", "verb": "pause", "targets": ["w-1"]}),
        (10.0, "quiet", {}),
    ]


@pytest.mark.parametrize(
    "fault",
    [
        Partition(at=5.0, partition=Split(groups=["a", "role=w"])),
        Isolate(at=5.0, isolate="role=w"),
        Link(at=5.0, link=LinkChange(between=["a", "role=w"], loss=0.5)),
        Hold(at=5.0, hold=Held(from_="a")),
        SlowReceive(at=5.0, slow_receive=Slowness(node="role=w", latency="1s")),
        Clock(at=5.0, clock=Wrong(node="role=w", offset="3s")),
    ],
)
def test_what_lasts_is_undone_at_the_end(fault):
    world = play(fault)
    assert world.cuts == {}
    assert [entry[:2] for entry in world.events("fault", "fault_undone", "quiet")] == [
        (5.0, "fault"),
        (60.0, "fault_undone"),
        (60.0, "quiet"),
    ]


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (
            Hold(at=5.0, for_=1.0, hold=Held(from_=["w-1", "w-2"], to=["a", "w-1"])),
            {"pairs": [["w-1", "a"], ["w-2", "a"], ["w-2", "w-1"]]},
        ),
        (
            SlowReceive(at=5.0, for_=1.0, slow_receive=Slowness(node="w-1", latency="uniform(1s, 2s)")),
            {"latency": "uniform(1s, 2s)"},
        ),
        (
            Clock(at=5.0, for_=1.0, clock=Wrong(node="w-1", offset="-3s", drift="100ppm")),
            {"offset": -3.0, "drift": pytest.approx(1e-4)},
        ),
    ],
)
def test_what_the_trace_is_told_of_a_fault_is_what_was_done(fault, detail):
    world = play(fault)
    ((_, _, fields),) = world.events("fault")
    assert fields["detail"] == detail | {"seconds": 1.0}
    assert [entry[0] for entry in world.events("fault_undone", "quiet")] == [6.0, 6.0]
    assert world.cuts == {}


def test_a_rolling_reset_takes_one_node_after_the_other():
    world = play(Reset(at=5.0, reset=Each(each="role=w", next="2s")))
    assert world.events("reset") == [(5.0 + 2 * i, "reset", f"w-{i + 1}") for i in range(4)]


def test_heal_undoes_by_name_and_is_told():
    world = play(
        Partition(at=5.0, partition=Split(groups=["a", "role=w"]), name="split"),
        Isolate(at=6.0, isolate="w-1"),
        Heal(at=9.0, heal="split"),
    )
    assert [(time, event, fields["name"]) for time, event, fields in world.events("fault", "fault_undone")] == [
        (5.0, "fault", "split"),
        (6.0, "fault", "isolate"),
        (9.0, "fault", "heal"),
        (9.0, "fault_undone", "split"),
        (60.0, "fault_undone", "isolate"),
    ]


def test_heal_all_undoes_everything_and_it_is_quiet_then():
    world = play(
        Partition(at=5.0, partition=Split(groups=["a", "role=w"])),
        Isolate(at=6.0, isolate="w-1"),
        Heal(at=9.0, heal="all"),
    )
    assert world.cuts == {}
    assert world.events("quiet") == [(9.0, "quiet", {})]


def test_a_cut_healed_before_its_time_is_not_undone_twice():
    world = play(Partition(at=5.0, for_=10.0, partition=Split(groups=["a", "role=w"])), Heal(at=9.0, heal="all"))
    assert [entry[0] for entry in world.events("fault_undone")] == [9.0]
    assert [entry[0] for entry in world.events("quiet")] == [15.0]


def whole(world):
    return [
        (time, event, fields["name"]) for time, event, fields in world.events("fault", "fault_undone", "fault_idle")
    ]


SPLIT = Split(groups=["a", "role=w"])


def test_a_cut_of_what_is_cut_already_takes_over_when_the_other_one_ends():
    world = play(
        Partition(at=5.0, for_=5.0, partition=SPLIT, name="one"),
        Partition(at=8.0, for_=5.0, partition=SPLIT, name="other"),
    )
    assert whole(world) == [
        (5.0, "fault", "one"),
        (10.0, "fault_undone", "one"),
        (10.0, "fault", "other"),
        (13.0, "fault_undone", "other"),
    ]
    assert world.events("quiet") == [(13.0, "quiet", {})]
    assert world.cuts == {}


@pytest.mark.parametrize(
    "end", [{"for_": 10.0}, {"for_": None}], ids=["the other one ends later", "both end with the run"]
)
def test_a_cut_that_another_one_covers_all_the_while_is_idle(end):
    world = play(
        Partition(at=5.0, **end, partition=SPLIT, name="one"),
        Partition(at=8.0, for_=None if end["for_"] is None else 2.0, partition=SPLIT, name="other"),
    )
    (told,) = world.events("fault_idle")
    assert told[2] == {
        "name": "other",
        "why": "these groups are cut off from each other already",
        "struck": 8.0,
    }
    assert [entry[1:] for entry in whole(world) if entry[2] == "other"] == [("fault_idle", "other")]
    assert world.cuts == {}


def test_the_end_of_another_fault_takes_no_cover_from_a_cut():
    world = play(
        Isolate(at=1.0, for_=20.0, isolate="w-1", name="A"),
        Isolate(at=2.0, for_=10.0, isolate="w-1", name="B"),
        Pause(at=3.0, for_=1.0, pause="w-1", name="C"),
        Isolate(at=5.0, for_=1.0, isolate="a", name="D"),
    )
    assert [entry for entry in whole(world) if entry[2] in "AB"] == [
        (1.0, "fault", "A"),
        (12.0, "fault_idle", "B"),
        (21.0, "fault_undone", "A"),
    ]


def test_of_two_covered_cuts_the_first_takes_over_and_covers_the_other():
    world = play(
        Isolate(at=1.0, for_=9.0, isolate="w-1", name="A"),
        Isolate(at=2.0, for_=18.0, isolate="w-1", name="B"),
        Isolate(at=3.0, for_=12.0, isolate="w-1", name="C"),
    )
    assert whole(world)[1:] == [
        (10.0, "fault_undone", "A"),
        (10.0, "fault", "B"),
        (15.0, "fault_idle", "C"),
        (20.0, "fault_undone", "B"),
    ]


def test_one_of_two_equal_cuts_can_be_healed():
    world = play(
        Partition(at=5.0, partition=SPLIT, name="one"),
        Partition(at=6.0, partition=SPLIT, name="other"),
        Heal(at=9.0, heal="one"),
    )
    assert whole(world)[2:] == [
        (9.0, "fault_undone", "one"),
        (9.0, "fault", "other"),
        (60.0, "fault_undone", "other"),
    ]


def test_what_is_isolated_by_the_isolation_of_others_is_let_go_with_them():
    class Last(FakeWorld):
        def isolate(self, name, node):
            return super().isolate(name, node) and node != "w-4"  # all the others are cut off by then

        def record(self, event, /, **fields):
            super().record(event, **fields)
            if event == "quiet":
                assert self.cuts == {}

    world = play(Isolate(at=5.0, for_=3.0, isolate="all"), world=Last)
    ((_, _, fields),) = world.events("fault")
    assert fields["targets"] == ["a", "w-1", "w-2", "w-3", "w-4"]
    assert world.events("quiet") == [(8.0, "quiet", {})]


def test_a_cut_that_strikes_again_leaves_its_first_strike_in_force():
    seen = []

    class Watched(FakeWorld):
        def heal(self, name):
            seen.append(len(self.cuts))
            return super().heal(name)

    play(Isolate(at=5.0, every=20.0, isolate=Pick(pick="one", of="role=w")), world=Watched)
    assert seen == [3, 2, 1]


def test_a_cut_link_tells_who_has_no_way_left():
    class Line(FakeWorld):
        """a – w-1 can be gone round; a – w-2 is the only way for w-3 too."""

        def apart(self, pairs):
            cut = {what[:2] for what in self.cuts.values()}
            return {("a", "w-2"), ("a", "w-3")} if ("a", "w-2") in cut else set()

    world = play(
        Link(at=5.0, link=LinkChange(from_="a", to="w-1", loss=1.0)),
        Link(at=6.0, for_=1.0, link=LinkChange(from_="a", to="w-2", loss=1.0)),
        world=Line,
    )
    assert [fields["detail"]["cut"] for _, _, fields in world.events("fault")] == [
        [],
        [["a", "w-2"], ["a", "w-3"]],
    ]


def test_a_node_that_another_fault_took_down_since_is_not_started_with_the_first():
    world = play(
        Crash(at=5.0, for_=10.0, crash="a"),
        Restart(at=7.0, restart="a"),
        Crash(at=8.0, crash="a"),
    )
    assert world.events("crash", "restart") == [(5.0, "crash", "a"), (7.0, "restart", "a"), (8.0, "crash", "a")]
    assert world.events("fault_undone") == []


def test_only_who_is_started_again_is_told_as_undone_and_nobody_waits_for_who_runs():
    world = play(Crash(at=5.0, for_=10.0, crash="role=w"), Restart(at=7.0, restart="w-2"))
    ((time, _, fields),) = world.events("fault_undone")
    assert (time, fields["targets"]) == (15.0, ["w-1", "w-3", "w-4"])


def test_who_is_in_two_groups_belongs_to_the_first():
    world = play(Partition(at=5.0, partition=Split(groups=[Pick(pick="minority", of="role=w"), "all"])))
    ((_, _, fields),) = world.events("fault")
    first, second = fields["detail"]["groups"]
    assert len(first) == 1
    assert sorted(first + second) == ["a", "w-1", "w-2", "w-3", "w-4"]


def test_link_change_is_told_pair_by_pair():
    world = play(Link(at=1.0, for_=2.0, link=LinkChange(from_="a", to="all", loss=0.3, latency="20ms")))
    ((_, _, fields),) = world.events("fault")
    assert fields["detail"] == {
        "pairs": [["a", f"w-{i}"] for i in (1, 2, 3, 4)],
        "latency": "20ms",
        "loss": 0.3,
        "seconds": 2.0,
    }
    assert world.cuts == {}


def test_a_loss_that_is_text_is_told_as_a_number():
    world = play(Link(at=1.0, link=LinkChange(from_="a", to="w-1", loss="100%")))
    ((_, _, fields),) = world.events("fault")
    assert fields["detail"]["loss"] == 1.0
    assert fields["detail"]["cut"] == [["a", "w-1"]]


def test_between_is_both_ways():
    world = play(Link(at=1.0, link=LinkChange(between=["a", "w-1"], loss=1.0)))
    assert world.events("fault")[0][2]["detail"]["pairs"] == [["a", "w-1"], ["w-1", "a"]]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Crash(at=5.0, crash="a"), "a: not running"),
        (Restart(at=5.0, restart="w-1"), "w-1: running already"),
        (Heal(at=5.0, heal="all"), '"all" was not in force'),
        (Reset(at=5.0, reset="a"), "a: no connections"),
        (Clock(at=5.0, clock=Wrong(node="a", offset="3s")), "a: not running"),
        (SlowReceive(at=5.0, slow_receive=Slowness(node="a", latency="3s")), "a: not running"),
    ],
)
def test_a_fault_that_touches_nobody_says_so(fault, words):
    world = play(Crash(at=1.0, crash="a", name="first"), fault)
    ((time, _, fields),) = world.events("fault_idle")
    assert time == 5.0
    assert words in fields["why"]


def test_every_strikes_until_the_end_and_draws_each_time():
    world = play(Block(at=5.0, every=5.0, for_=1.0, block=Pick(pick="one", of="role=w")), duration=60.0)
    strikes = world.events("pause")
    assert [entry[0] for entry in strikes] == [5.0 * i for i in range(1, 12)]
    assert len({entry[2] for entry in strikes}) > 1
    assert strikes != play(Block(at=5.0, every=5.0, for_=1.0, block=Pick(pick="one", of="role=w")), seed=2).events(
        "pause"
    )


def test_rolling_restart_goes_one_after_the_other():
    world = play(Stop(at=1.0, for_=3.0, stop=Each(each="role=w", next="ready + 2s")))
    assert [entry[:3] for entry in world.events("crash", "restart")][:4] == [
        (1.0, "crash", "w-1"),
        (4.0, "restart", "w-1"),
        (6.5, "crash", "w-2"),
        (9.5, "restart", "w-2"),
    ]
    assert len(world.events("fault")) == 4
    assert world.events("quiet") == [(world.events("fault_undone")[-1][0], "quiet", {})]


def test_without_faults_it_is_quiet_from_the_start():
    assert play().told == [(0.0, "quiet", {})]


def test_unnamed_faults_are_called_by_their_verb():
    scenario = Scenario(
        name="x",
        duration=9.0,
        node=(Node(name="a", app="m:f"),),
        fault=(Crash(at=1.0, crash="a"), Crash(at=2.0, crash="a", name="mine"), Crash(at=3.0, crash="a")),
    )
    assert [fault.name for fault in declare(scenario)] == ["crash", "mine", "crash-2"]


@pytest.mark.parametrize(
    ("text", "meaning"), [("ready", (True, 0.0)), ("ready + 2s", (True, 2.0)), ("1m", (False, 60.0))]
)
def test_next_is_read(text, meaning):
    assert parse_next(text) == meaning


def test_next_that_is_neither_is_refused():
    with pytest.raises(ValueError, match='next is "ready", "ready \\+ 2s" or a duration'):
        parse_next("soon")
