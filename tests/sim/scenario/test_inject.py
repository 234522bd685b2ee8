"""Fault scripts, played against a world that only keeps a list of what it was told."""

import pytest

from sim import Scenario
from sim.scenario.declare import declare, ending
from sim.scenario.faults.clock import Clock, Wrong
from sim.scenario.faults.crash import Crash
from sim.scenario.faults.heal import Heal
from sim.scenario.faults.hold import Held, Hold
from sim.scenario.faults.isolate import Isolate
from sim.scenario.faults.link import Link, LinkChange
from sim.scenario.faults.partition import Partition, Split
from sim.scenario.faults.pause import Pause
from sim.scenario.faults.reset import Reset
from sim.scenario.faults.restart import Restart
from sim.scenario.faults.slow_receive import Slowness, SlowReceive
from sim.scenario.schema import Node, parse_drawn
from tests.sim.scenario.fake_world import SOME, play


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


def times_of(world, *names):
    return [(entry[0], entry[1]) for entry in world.events(*names)]


def drawn(seed, **keys):
    at, every, lasts = (parse_drawn(keys.get(key, text)) for key, text in DRAWN.items())
    return play(Pause(at=at, for_=lasts, every=every, pause=SOME), Crash(at=50.0, crash=SOME), seed=seed)


DRAWN = {"at": "uniform(5s, 10s)", "every": "uniform(10s, 20s)", "for_": "uniform(1s, 2s)"}


def test_drawn_times_are_kept_and_told():
    world = drawn(seed=4)
    pauses = [(time, fields["detail"]) for time, _, fields in world.events("fault") if fields["verb"] == "pause"]
    first, second, *_ = pauses
    assert 5 <= first[0] <= 10 and set(first[1]["drawn"]) == {"at", "for"}
    assert round(first[1]["drawn"]["at"], 6) == first[0]
    assert round(second[0] - first[0], 6) == round(second[1]["drawn"]["every"], 6)
    ends = [time for time, event, fields in world.events("fault_undone") if fields["verb"] == "pause"]
    for (time, detail), end in zip(pauses, ends, strict=False):
        assert 1 <= detail["seconds"] <= 2 and end == pytest.approx(time + detail["seconds"], abs=2e-6)
    assert len({detail["seconds"] for _, detail in pauses}) == len(pauses)


def test_another_seed_draws_other_times_and_the_same_seed_the_same():
    assert drawn(seed=4).told == drawn(seed=4).told
    assert drawn(seed=4).told != drawn(seed=5).told


def test_who_is_picked_does_not_depend_on_how_times_are_said():
    plain = play(Pause(at=7.0, for_=1.5, every=15.0, pause=SOME), Crash(at=50.0, crash=SOME), seed=4)
    targets, others = (
        {
            verb: [f["targets"] for _, _, f in world.events("fault") if f["verb"] == verb][:2]
            for verb in ("pause", "crash")
        }
        for world in (plain, drawn(seed=4))
    )
    assert targets == others


def test_a_strike_waits_until_the_one_before_is_over():
    world = drawn(seed=4, every="uniform(1ms, 5s)", for_="uniform(2s, 4s)")
    order = [event for _, event in times_of(world, "fault", "fault_undone") if event != "quiet"]
    assert order[:4] == ["fault", "fault_undone", "fault", "fault_undone"]


@pytest.mark.parametrize(
    ("faults", "undone"),
    [
        ([Crash(at=5.0, crash="a")], None),
        ([Crash(at=5.0, for_=3.0, crash="a")], 8.0),
        ([Crash(at=5.0, for_=60.0, crash="a")], None),
        ([Partition(at=5.0, partition=SPLIT)], None),
        ([Partition(at=5.0, partition=SPLIT), Heal(at=9.0, heal="partition")], 9.0),
        ([Partition(at=5.0, partition=SPLIT), Heal(at=9.0, heal="all")], 9.0),
        ([Partition(at=5.0, partition=SPLIT), Heal(at=4.0, heal="all")], None),
        ([Partition(at=5.0, partition=SPLIT), Heal(at=4.0, every=3.0, heal="all")], 5.0),
        (
            [Partition(at=5.0, partition=SPLIT), Partition(at=5.0, partition=SPLIT), Heal(at=9.0, heal="partition-2")],
            None,
        ),
        ([Crash(at=5.0, crash="a"), Heal(at=9.0, heal="all")], None),
        ([Crash(at=parse_drawn("uniform(5s, 55s)"), for_=parse_drawn("uniform(3s, 9s)"), crash="a")], 8.0),
    ],
)
def test_when_a_fault_is_undone_can_be_told_before_a_run(faults, undone):
    nodes = (Node(name="a", app="m:f"), Node(name="w", app="m:f", count=4, labels={"role": "w"}))
    found = ending(declare(Scenario(name="x", duration=60.0, node=nodes, fault=tuple(faults))), 60.0)
    assert found[0].undone == undone
