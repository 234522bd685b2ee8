"""Flap damping: when one that failed again and again comes back, and whom it accuses meanwhile."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.swim.damping import Damping
from rpcnet.cluster.swim.effect import Noticed
from rpcnet.cluster.swim.event import HeldDown, MemberFailed, MemberRecovered, MemberSuspected, Released
from rpcnet.cluster.swim.member import SUSPECT
from rpcnet.cluster.swim.message import Record, Suspect, encode, encode_message, encode_record, encode_rows
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

LAN = ClusterConfig.lan()


class Rule:
    """A Damping by itself, with what it told."""

    def __init__(self, config=LAN):
        self.timers, self.told = Timers(), []
        self.damping = Damping(config, self.timers, self.told.append)

    def fails(self, now, incarnation=0):
        """Whether it stays out when it is told that it failed, just after a missed probe."""
        self.damping.missed(now)
        return self.is_told(incarnation, now)

    def is_told(self, incarnation, now):
        self.damping.failed(incarnation, now)
        return self.damping.holds(incarnation, now)

    def waits(self, now):
        """How long it is held down from then on."""
        began = now
        while self.damping.is_holding:
            now = self.timers.earliest
            self.timers.pop()
            self.damping.due(now)
        return now - began


def test_the_first_failure_is_contradicted_at_once():
    rule = Rule()
    assert not rule.fails(0.0)
    assert (rule.told, rule.timers.earliest) == ([], inf)


def test_each_further_failure_doubles_the_hold_down_up_to_the_most():
    rule, now, waits = Rule(replace(LAN, max_hold_down=100.0)), 0.0, []
    for number in range(6):
        rule.fails(now, number)
        waits.append(rule.waits(now))
        now += waits[-1] + 1.0
    assert waits == [0.0, 30.0, 60.0, 100.0, 100.0, 100.0]


def test_a_missed_probe_begins_the_hold_down_anew():
    rule = Rule()
    rule.fails(0.0, 0)
    assert rule.fails(10.0, 1)
    rule.damping.missed(35.0)
    assert rule.damping.due(40.0) is None
    assert rule.waits(40.0) == 25.0


def test_the_hold_down_begins_when_it_is_told():
    rule = Rule()
    rule.fails(0.0, 0)
    rule.damping.missed(10.0)
    assert rule.is_told(1, 30.0)
    assert rule.waits(30.0) == 30.0


def test_one_that_is_held_down_says_so_and_when_it_ends():
    rule = Rule()
    rule.fails(0.0, 0)
    rule.fails(10.0, 1)
    rule.waits(10.0)
    told = [event for event in rule.told if not isinstance(event, Noticed)]
    assert told == [HeldDown(2, 30.0), Released()]
    (noticed,) = [event for event in rule.told if isinstance(event, Noticed)]
    assert "30 s" in noticed.text


def test_it_rises_over_the_highest_incarnation_that_was_held_against_it():
    rule = Rule()
    rule.fails(0.0, 3)
    assert [rule.fails(1.0, incarnation) for incarnation in (4, 9, 7)] == [True] * 3
    assert rule.damping.due(1000.0) == 9
    assert len([event for event in rule.told if isinstance(event, HeldDown)]) == 1, "one failure, told three times"


def test_failures_are_forgotten_one_after_another():
    rule = Rule()
    rule.fails(0.0, 0)
    assert rule.fails(299.0, 1), "not yet"
    assert rule.waits(299.0) == 30.0
    assert not rule.fails(329.0 + 600.0, 2), "both are forgotten, this is a first one"
    assert rule.fails(330.0 + 600.0, 3)


def test_a_failure_while_all_probes_are_answered_does_not_count():
    rule = Rule()
    rule.damping.missed(0.0)
    assert not any(rule.is_told(number, 30.0 + number) for number in range(5))
    assert not rule.fails(40.0, 9), "this one is the first"


def test_a_failure_counts_once_and_also_where_it_was_contradicted_before():
    rule = Rule()
    rule.fails(0.0, 5)
    assert not rule.fails(1.0, 5) and not rule.fails(1.0, 4)
    rule.damping.failed(6, 2.0)
    assert rule.damping.holds(7, 2.0), "a mere suspicion now"


def test_another_run_begins_with_nothing_against_it():
    rule = Rule()
    rule.fails(0.0, 7)
    assert rule.fails(1.0, 8)
    rule.damping.end()
    assert not rule.damping.is_holding and rule.timers.earliest == inf
    assert rule.fails(2.0, 0), "its failures are not forgotten"


def test_switched_off_it_never_holds_anybody_down():
    rule = Rule(replace(LAN, hold_down=0.0))
    assert not any(rule.fails(float(number), number) for number in range(10))


@given(st.lists(st.tuples(st.sampled_from(["miss", "dead"]), st.floats(0.0, 400.0)), max_size=40))
def test_it_stays_out_exactly_until_a_whole_hold_down_was_well(steps):
    """Whatever comes: never back within the hold-down after a missed probe, never out for longer than that."""
    rule, now, missed, incarnation, held = Rule(), 0.0, float("-inf"), 0, 0.0
    seen = 0

    def advance(until):
        nonlocal incarnation
        while (due := rule.timers.earliest) <= until:
            rule.timers.pop()
            back = rule.damping.due(due)
            assert (back is None) == (due < missed + held)
            if back is not None:
                assert back == incarnation and due == missed + held
                incarnation += 1

    for what, seconds in steps:
        now += seconds
        advance(now)
        if what == "miss":
            missed = now
            rule.damping.missed(now)
        elif rule.is_told(incarnation, now):
            downs = [event for event in rule.told if isinstance(event, HeldDown)]
            held = downs[-1].seconds
            assert now < missed + held and held == min(600.0, 30.0 * 2 ** (downs[-1].failures - 2))
            began = len(downs) > seen
            seen, missed = len(downs), now if began else missed
        else:
            incarnation += 1
    advance(now + 2000.0)
    assert not rule.damping.is_holding


# Among others.


def deafen(net, names, deaf, seconds):
    net.cut([name for name in names if name != deaf], [deaf], one_way=True)
    net.run(seconds)
    net.heal()


def exits(net, name, observer):
    return [
        (time, type(event))
        for time, who, event in net.events
        if who == observer and event.member.name == name and type(event) in (MemberFailed, MemberRecovered)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_flapping_member_goes_twice_and_is_back_once_it_was_well(network, seed):
    net = network(seed=seed)
    names = net.cluster(10)
    for _ in range(4):
        deafen(net, names, "m9", 20)
        net.run(20)
    for name in names[:9]:
        assert [kind for _, kind in exits(net, "m9", name)] == [MemberFailed, MemberRecovered, MemberFailed]
    assert net.cores["m9"].is_held_down
    assert net.held == [("m9", HeldDown(2, 30.0))]
    net.run(15)
    assert all(net.sees(name) == names for name in names), "well for 30 s, it is back"
    assert net.held[1:] == [("m9", Released())]
    times = [exits(net, "m9", name)[-1][0] for name in names[:9]]
    assert max(times) - min(times) < 1.0


def test_without_damping_it_comes_and_goes_each_time(network):
    net = network(config=replace(LAN, hold_down=0.0))
    names = net.cluster(10)
    for _ in range(4):
        deafen(net, names, "m9", 20)
        net.run(20)
    assert len(exits(net, "m9", "m0")) == 8
    assert net.held == []


def suspect_m9(net):
    word = encode_message(Suspect("m9", 1, net.cores["m9"].me.incarnation, "m5"))
    net.call("m9", "handle", encode("default", "m5", 1, [word]), "m5:1")


def test_an_echo_of_the_second_death_brings_nobody_back(network):
    """Who is told of a death asks the accused first, as a suspect: that may be what it hears before all else."""
    net = network()
    names = net.cluster(10)
    deafen(net, names, "m9", 20)
    net.run(20)
    deafen(net, names, "m9", 20)
    suspect_m9(net)
    suspect_m9(net)
    net.run(1)
    assert net.cores["m9"].is_held_down
    for name in names[:9]:
        assert [kind for _, kind in exits(net, "m9", name)] == [MemberFailed, MemberRecovered, MemberFailed]


def test_one_that_failed_lately_asks_before_it_contradicts(network):
    net = network()
    names = net.cluster(10)
    deafen(net, names, "m9", 20)
    net.run(2)
    before = net.cores["m9"].me.incarnation
    suspect_m9(net)
    assert net.cores["m9"].me.incarnation == before
    net.run(LAN.gossip_interval + 0.01)
    assert net.cores["m9"].me.incarnation == before + 1, "nobody holds it for dead"
    assert not net.cores["m9"].is_held_down


def test_one_that_has_not_failed_lately_contradicts_at_once(network):
    net = network()
    names = net.cluster(10)
    suspect_m9(net)
    assert net.cores["m9"].me.incarnation == 1
    deafen(net, names, "m9", 20)
    net.run(LAN.hold_down + 2)
    before = net.cores["m9"].me.incarnation
    suspect_m9(net)
    assert net.cores["m9"].me.incarnation == before + 1, "it has missed no probe for a hold-down"


def test_a_restarted_process_has_no_past(network):
    net = network()
    names = net.cluster(5)
    for _ in range(2):
        deafen(net, names, "m4", 20)
        net.run(10)
    assert net.cores["m4"].is_held_down
    net.crash("m4")
    net.add("m4", join=["m0"], run=2)
    net.run(2)
    assert all(net.sees(name) == names for name in names)


def test_one_held_down_may_change_its_tags_and_services_and_leave(network):
    net = network()
    names = net.cluster(5)
    for _ in range(2):
        deafen(net, names, "m4", 20)
        net.run(2)
    assert net.cores["m4"].is_held_down
    net.call("m4", "set_tags", {"a": "1"})
    net.call("m4", "set_services", {"rpc": "10.0.0.5:1"})
    net.run(10)
    assert net.sees("m0") == names[:4], "that brings nobody back"
    net.run(30)
    held = net.cores["m0"].member("m4")
    assert held.is_up and (held.tags, held.services) == ({"a": "1"}, {"rpc": "10.0.0.5:1"})
    deafen(net, names, "m4", 20)
    net.run(2)
    assert net.cores["m4"].is_held_down
    net.call("m4", "leave")
    net.run(2)
    assert net.cores["m0"].member("m4").status == "left"


def test_halves_that_were_cut_off_again_and_again_meet_at_once(network):
    net = network()
    names = net.cluster(6)
    for _ in range(3):
        net.cut(names[:3], names[3:])
        net.run(90)
        net.heal()
        net.run(10)
        assert all(net.sees(name) == names for name in names), "their own probes were answered for a hold-down"


def test_a_process_that_stalls_again_and_again_is_held_down(network):
    net = network()
    names = net.cluster(6)
    for number in range(2):
        net.stall("m5", 15)
        net.run(17)
        assert net.cores["m5"].is_held_down == (number == 1)
        assert all(("m5" in net.sees(name)) == (number == 0) for name in names[:5])
    net.run(40)
    assert all(net.sees(name) == names for name in names)


def test_one_held_down_is_not_knocked_at_by_all_each_second(network):
    net = network()
    names = net.cluster(10)
    for _ in range(2):
        deafen(net, names, "m9", 20)
        net.run(5)
    assert net.cores["m9"].is_held_down
    net.sent.clear()
    net.run(20)
    to_it = [sender for _, sender, send in net.sent if send.to == "m9"]
    own = sum(1 for _, sender, _ in net.sent if sender == "m9")
    assert len(to_it) < own + 9 * 20, "less than one a second and member, beside the answers to its own"


def test_after_a_stall_the_death_counts_and_not_the_suspicion_before_it(network):
    net = network()
    names = net.cluster(6)
    net.stall("m5", 15)
    net.run(10)
    assert all("m5" not in net.sees(name) for name in names[:5])
    assert net.cores["m5"].me.incarnation == 0
    net.run(5.5)
    assert net.cores["m5"].me.incarnation == 1, "the suspicion and the death were of one incarnation"
    assert all(net.sees(name) == names for name in names)


# Whom it accuses.


@pytest.mark.parametrize("seconds", [8, 20, 60])
@pytest.mark.parametrize("seed", range(2))
def test_a_deaf_member_has_nobody_doubted_by_others(network, seconds, seed):
    net = network(seed=seed)
    names = net.cluster(20)
    deafen(net, names, "m19", seconds)
    net.run(20)
    about = [(who, event) for _, who, event in net.events if event.member.name != "m19" and who != "m19"]
    assert about == []


@pytest.mark.parametrize("seed", range(2))
def test_one_that_is_not_heard_accuses_nobody(network, seed):
    """It hears others well: that none of its questions is answered is the fault of its own way out."""
    net = network(seed=seed)
    names = net.cluster(20)
    net.cut(["m19"], names[:19], one_way=True)
    net.run(90)
    assert {event.member.name for _, _, event in net.events if type(event) is MemberSuspected} == {"m19"}
    assert "m19" not in net.sees("m0")
    assert net.sees("m19") == sorted(names)


def test_one_that_hears_nobody_accuses_in_the_end(network):
    net = network()
    names = net.cluster(6)
    net.cut(names[:1], names[1:])
    net.run(90)
    assert net.sees("m0") == ["m0"]


@pytest.mark.parametrize(("accuser", "believed"), [("m4", False), ("m3", True)])
def test_the_word_of_one_that_has_failed_counts_for_nothing(network, accuser, believed):
    net = network()
    names = net.cluster(5)
    net.cut(["m4"], names[:4])
    net.run(20)
    assert net.sees("m0") == names[:4]
    word = encode_message(Suspect("m1", 1, net.cores["m1"].me.incarnation, accuser))
    net.call("m0", "handle", encode("default", "m2", 1, [word]), "m2:1")
    assert (net.cores["m0"].member("m1").status == "suspect") == believed
    row = encode_record(Record("m2", 1, net.cores["m2"].me.incarnation, SUSPECT, "m2:1", {}, 0, {}, 0))
    net.cores["m0"].handle_stream(encode("default", accuser, 1, [encode_rows([row], [])]), f"{accuser}:1", net.now)
    assert (net.cores["m0"].member("m2").status == "suspect") == believed


def test_doubts_that_were_told_are_taken_back_by_one_that_had_failed(network):
    """It heard so little for so long that it accused; then it hears that it is it that had failed."""
    net = network()
    names = net.cluster(8)
    net.cut(names[:7], ["m7"], one_way=True)
    assert net.until(lambda: net.seen(MemberSuspected).get("m7"), within=60) < 60
    assert "m7" not in net.sees("m0")
    net.heal()
    net.run(1)
    assert all(net.sees(name) == names for name in names)
    assert {member.status for member in net.cores["m7"].members()} == {"alive"}
    about = [event for _, who, event in net.events if event.member.name != "m7" and who != "m7"]
    assert about == []


def test_a_late_answer_also_ends_a_row_that_nobody_answered(network):
    """One whose packets are all read late hears others: it accuses nobody."""
    net = network(config=replace(LAN, accuse_at=0.0, tcp_probe=False))
    net.cluster(20)
    slow = net.cores["m19"]
    handle = slow.handle

    def later(data, source, now):
        net._at(net.now + 1.5, lambda: net._do("m19", slow, handle(data, source, net.now)))
        return []

    slow.handle = later
    net.run(40)
    assert [
        event for _, who, event in net.events if type(event) is MemberSuspected and event.member.name != "m19"
    ] == []
