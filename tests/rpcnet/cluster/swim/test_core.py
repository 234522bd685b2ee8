"""The SWIM core on a network in memory: what a cluster must do when members and links fail."""

import itertools
from dataclasses import replace
from math import inf
from random import Random

import pytest
from msgspec import structs

from rpcnet.cluster.errors import ClusterClosed, InvalidRecord, TagsTooLarge
from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.dissemination import Dissemination
from rpcnet.cluster.swim.effect import Exchange, Noticed, Send
from rpcnet.cluster.swim.event import (
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    ServicesChanged,
    TagsChanged,
)
from rpcnet.cluster.swim.member import MemberStatus
from rpcnet.cluster.swim.message import (
    Ack,
    Alive,
    Dead,
    IndirectPing,
    Nack,
    Ping,
    Record,
    Refused,
    Rows,
    State,
    Suspect,
    Tags,
    decode,
    encode,
    encode_message,
)
from rpcnet.config import ClusterConfig

FAILED, LEFT, SUSPECT = MemberStatus.FAILED, MemberStatus.LEFT, MemberStatus.SUSPECT


def test_members_that_join_at_one_seed_all_see_each_other(network):
    net = network()
    names = net.cluster(5)
    for name in names:
        assert net.sees(name) == names


def test_fifty_members_that_join_at_once_all_see_each_other_within_seconds(network):
    net = network(loss=0.01)
    names = [f"m{number}" for number in range(50)]
    for name in names:
        net.add(name, join=names[:1])
    assert net.until(lambda: all(len(net.sees(name)) == 50 for name in names), within=30) < 30


@pytest.mark.parametrize("seed", range(5))
def test_a_crashed_member_is_found_by_all_and_nobody_else_is_blamed(network, seed):
    net = network(seed=seed, loss=0.01)
    names = net.cluster(5)
    net.crash("m3")
    net.run(15)
    survivors = [name for name in names if name != "m3"]
    assert sorted(net.seen(MemberFailed, of="m3")) == survivors
    assert max(net.seen(MemberFailed, of="m3").values()) < 5 + 12
    assert {event.member.name for _, _, event in net.events if type(event) is MemberFailed} == {"m3"}


def test_an_indirect_probe_saves_a_node_whose_link_to_me_alone_is_cut(network):
    net = network(config=replace(ClusterConfig.lan(), tcp_probe=False))
    net.cluster(5)
    net.cut(["m1"], ["m2"])
    net.run(60)
    assert net.seen(MemberFailed) == {}
    assert net.seen(MemberSuspected) == {}


def test_without_helpers_the_same_cut_link_is_suspected(network):
    """The twin of the test above: so it can fail."""
    net = network(config=replace(ClusterConfig.lan(), tcp_probe=False, indirect_probes=0))
    net.cluster(5)
    net.cut(["m1"], ["m2"])
    net.run(60)
    assert "m1" in net.seen(MemberSuspected, of="m2")


def test_the_probe_over_tcp_saves_a_node_whose_datagrams_are_all_lost(network):
    net = network(config=replace(ClusterConfig.lan(), indirect_probes=0))
    net.cluster(3)
    net.udp_only_cuts = True
    net.cut(["m2"], ["m0", "m1"])
    net.run(60)
    assert net.seen(MemberFailed) == {}


def test_every_update_reaches_every_member_of_fifty_under_loss(network):
    net = network(loss=0.01)
    names = net.cluster(50, settle=30)
    for number in range(10):
        net.call(names[number], "set_tags", {"turn": str(number)})
        took = net.until(
            lambda owner=names[number], turn=str(number): all(
                net.cores[name].member(owner).tags == {"turn": turn} for name in names
            ),
            within=10,
        )
        assert took < 3
    changed = [event for _, _, event in net.events if type(event) is TagsChanged]
    assert len(changed) == 10 * 50, "one event each, at each member"


def test_an_update_is_forwarded_by_those_who_heard_it(network):
    """The owner's packets reach one member only; everybody learns of the update all the same."""
    net = network(config=replace(ClusterConfig.lan(), push_pull_interval=0))
    names = net.cluster(10)
    net.cut(["m1"], [name for name in names if name not in ("m1", "m2")], one_way=True)
    net.call("m1", "set_tags", {"role": "worker"})
    assert net.until(lambda: all(net.cores[name].member("m1").tags for name in names), within=5) < 5


def test_the_accused_refutes_and_only_it_raises_its_incarnation(network):
    net = network()
    names = net.cluster(5)
    held = net.cores["m3"].me
    for name in names:
        assert net.cores[name].member("m3").incarnation == 0
    net.call("m1", "handle", packet("m2", suspect_of(held, "m2")), "m2")
    assert net.cores["m1"].member("m3").status is SUSPECT
    net.until(lambda: net.cores["m1"].member("m3").status is MemberStatus.ALIVE, within=2)
    assert net.cores["m3"].me.incarnation == 1
    net.run(2)
    assert {net.cores[name].member("m3").incarnation for name in names} == {1}
    assert net.seen(MemberFailed) == {}


def test_one_wrongly_declared_dead_is_back_within_a_second_and_never_stops(network):
    net = network()
    names = net.cluster(5)
    net.call("m1", "handle", packet("m2", Dead("m3", 1, 0, "m2")), "m2")
    net.run(1.5)
    for name in names:
        assert net.cores[name].member("m3").is_up
    assert "m1" in net.seen(MemberRecovered, of="m3")


@pytest.mark.parametrize("seed", range(10))
def test_a_stall_of_three_seconds_kills_nobody(network, seed):
    net = network(seed=seed)
    net.cluster(5, settle=5 + seed / 10)
    net.stall("m2", 3.0)
    net.run(30)
    assert net.seen(MemberFailed) == {}
    assert all(len(net.sees(name)) == 5 for name in net.cores)


@pytest.mark.parametrize("seed", range(5))
def test_one_stalled_for_ten_seconds_declares_nobody_dead_and_is_back_within_a_second(network, seed):
    net = network(seed=seed)
    names = net.cluster(5)
    net.stall("m2", 10.0)
    net.run(10)
    assert "m0" in net.seen(MemberFailed, of="m2"), "so long a stall is found"
    took = net.until(lambda: all(net.sees(name) == names for name in names), within=5)
    assert took < 1.5
    net.run(20)
    assert {event.member.name for _, observer, event in net.events if type(event) is MemberFailed} == {"m2"}


@pytest.mark.parametrize("seconds", [30, 300])
def test_a_healed_partition_converges_whatever_its_length(network, seconds):
    net = network(config=replace(ClusterConfig.lan(), gossip_to_dead_time=5))
    names = net.cluster(10)
    left, right = names[:5], names[5:]
    net.cut(left, right)
    net.run(seconds)
    assert all(net.sees(name) == left for name in left)
    assert all(net.sees(name) == right for name in right)
    net.call(left[1], "set_tags", {"side": "left"})
    net.call(right[1], "set_tags", {"side": "right"})
    net.heal()
    assert net.until(lambda: all(net.sees(name) == names for name in names), within=30) < 10
    net.run(5)
    for name in names:
        assert net.cores[name].member(left[1]).tags == {"side": "left"}
        assert net.cores[name].member(right[1]).tags == {"side": "right"}


def test_islands_that_share_a_seed_which_comes_late_become_one(network):
    net = network()
    net.add("a", join=["seed"])
    net.add("b", join=["seed"])
    net.run(5)
    assert net.sees("a") == ["a"]
    net.add("seed")
    assert net.until(lambda: all(len(net.sees(name)) == 3 for name in net.cores), within=10) < 3


def test_a_seed_that_is_oneself_is_no_seed(network):
    net = network()
    core = net.add("a", join=["a"])
    assert core.has_joined


@pytest.mark.parametrize("down_for", [0.2, 1.0, 10.0])
def test_restart_is_a_new_run_at_once_under_the_same_name(network, down_for):
    net = network()
    names = net.cluster(5)
    net.call("m3", "set_tags", {"life": "first"})
    net.run(2)
    net.crash("m3")
    net.run(down_for)
    net.events.clear()
    net.add("m3", join=["m0"], run=2)
    net.call("m3", "set_tags", {"life": "second"})

    def is_new() -> bool:
        return all(
            (m := net.cores[n].member("m3")).run == 2 and m.is_up and m.tags == {"life": "second"} for n in names
        )

    assert net.until(is_new, within=10) < 2
    joined = [event for _, _, event in net.events if type(event) is MemberJoined and event.member.name == "m3"]
    assert {event.member.run for event in joined} == {2}
    net.run(20)
    assert is_new()
    assert net.seen(MemberFailed, of="m3") == {}


def test_a_restarted_member_without_seeds_is_found_by_those_who_probe_it(network):
    net = network()
    names = net.cluster(5)
    net.crash("m0")
    net.add("m0", run=2)

    def is_found() -> bool:
        return net.sees("m0") == names and all(net.cores[name].member("m0").run == 2 for name in names)

    assert net.until(is_found, within=10) < 5


def test_a_restart_with_a_clock_that_went_back_takes_a_run_above_the_old_one(network):
    net = network()
    net.cluster(3)
    net.crash("m2")
    net.add("m2", join=["m0"], run=0)
    net.run(3)
    assert net.cores["m2"].me.run == 2
    assert net.cores["m0"].member("m2").run == 2
    assert net.cores["m0"].member("m2").is_up


def test_a_replayed_rumour_of_the_old_run_changes_nothing(network):
    net = network()
    net.cluster(3)
    old = net.cores["m2"].me
    net.crash("m2")
    net.add("m2", join=["m0"], run=2)
    net.run(2)
    net.events.clear()
    net.call("m0", "handle", packet("m1", Dead("m2", old.run, 99, "m1")), "m1")
    assert net.cores["m0"].member("m2").is_up
    net.run(5)
    assert net.events == []


def test_leave_is_flushed_and_seen_as_left_by_all(network):
    net = network(loss=0.01)
    names = net.cluster(5)
    net.call("m3", "leave")
    began = net.now
    net.until(lambda: "m3" in net.flushed, within=5)
    assert net.flushed["m3"] - began < 1
    net.crash("m3")
    net.run(15)
    assert sorted(net.seen(MemberLeft, of="m3")) == [name for name in names if name != "m3"]
    assert net.seen(MemberFailed) == {}


def test_all_may_leave_at_the_same_moment(network):
    net = network()
    names = net.cluster(5)
    for name in names:
        net.call(name, "leave")
    assert net.until(lambda: len(net.flushed) == 5, within=10) < 1


def test_a_leave_whose_peers_are_all_unreachable_ends_after_leave_timeout(network):
    net = network()
    names = net.cluster(3)
    net.cut(["m0"], names[1:])
    net.call("m0", "leave")
    took = net.until(lambda: "m0" in net.flushed, within=20)
    assert net.config.leave_timeout <= took < net.config.leave_timeout + 1


def test_a_member_needs_no_tags(network):
    net = network()
    net.cluster(3)
    assert dict(net.cores["m0"].member("m2").tags) == {}
    assert net.cores["m0"].member("m2").is_up


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_is_seen_whole_or_not_at_all_and_never_older_after_newer(network, seed):
    net = network(seed=seed, loss=0.1)
    names = net.cluster(8, settle=20)
    for batch in range(20):
        net.call("m1", "set_tags", {key: str(batch) for key in "abcd"})
        net.run(0.05)
    net.run(10)
    latest: dict[str, int] = {}
    for _, observer, event in net.events:
        if event.member.name == "m1" and event.member.tags:
            assert len(set(event.member.tags.values())) == 1
            assert event.member.version >= latest.get(observer, 0)
            latest[observer] = event.member.version
    assert {net.cores[name].member("m1").tags["a"] for name in names} == {"19"}


@pytest.mark.parametrize("sends", range(12))
def test_a_batch_is_whole_also_when_its_writer_crashes_after_any_of_its_datagrams(network, sends):
    net = network(seed=sends)
    names = net.cluster(6, settle=10)
    net.call("m1", "set_tags", dict.fromkeys("abcd", "before"))
    net.run(3)
    carry, sent = net._carry, []

    def crashing(source, target, data):
        if source == "m1":
            sent.append(target)
            if len(sent) > sends:
                net.cores.pop("m1", None)
                return
        carry(source, target, data)

    net._carry = crashing
    net.call("m1", "set_tags", dict.fromkeys("abcd", "after"))
    net.run(5)
    assert "m1" not in net.cores
    survivors = [name for name in names if name != "m1"]
    seen = {tuple(net.cores[name].member("m1").tags.values()) for name in survivors}
    assert seen in ({("before",) * 4}, {("after",) * 4}), "whole, and the same everywhere"
    assert all(len(set(event.member.tags.values())) <= 1 for _, _, event in net.events)


def test_two_that_hold_each_other_for_dead_and_do_not_refute_do_not_flood_each_other(network, monkeypatch):
    monkeypatch.setattr("rpcnet.cluster.swim.table.Table._about_me", lambda *_: None)
    net = network()
    net.cluster(2)
    net.cut(["m0"], ["m1"])
    net.run(20)
    net.heal()
    net.sent.clear()
    net.run(10)
    assert all(net.cores[name].members() == [net.cores[name].me] for name in ("m0", "m1"))
    assert len(net.sent) < 2 * 10 * 7


def test_two_of_one_name_at_one_address_end_their_war(network):
    net = network()
    net.cluster(3)
    elder = net.cores["m2"]
    net.cores["elder"] = net.cores.pop("m2")
    net._arm("elder", elder)
    net.add("m2", join=["m0"], run=2)
    net.run(60)
    assert net.cores["m0"].member("m2").run <= 10


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_stall_of_three_seconds_of_thirty_in_a_hundred_kills_nobody(network, seed):
    net = network(seed=seed, loss=0.01)
    names = net.cluster(100, settle=10)
    for name in names[20:50]:
        net.stall(name, 3.0)
    net.run(20)
    assert net.seen(MemberFailed) == {}


def test_tombstones_are_collected(network):
    net = network(config=replace(ClusterConfig.lan(), tombstone_time=30))
    net.cluster(3)
    net.crash("m2")
    net.run(20)
    assert net.cores["m0"].member("m2").status is FAILED
    net.run(60)
    assert net.cores["m0"].member("m2") is None
    assert [member.name for member in net.cores["m0"].members(all=True)] == ["m0", "m1"]


def test_two_probes_of_one_target_are_at_most_2n_minus_1_periods_apart(network):
    net = network()
    names = net.cluster(8)
    net.sent.clear()
    net.run(120)
    pings: dict[tuple[str, str], list[float]] = {}
    for time, source, effect in net.sent:
        if isinstance(decode(effect.data).messages[0], Ping):
            pings.setdefault((source, effect.address), []).append(time)
    assert len(pings) == len(names) * (len(names) - 1)
    for times in pings.values():
        assert max(b - a for a, b in itertools.pairwise(times)) <= 2 * len(names) - 1 + 0.1


def test_at_rest_a_member_sends_two_datagrams_a_period(network):
    net = network()
    net.cluster(10, settle=20)
    net.sent.clear()
    net.run(100)
    assert 1.9 <= len(net.sent) / 10 / 100 <= 2.2


def test_equal_inputs_give_equal_effects(network):
    def play(seed):
        net = network(seed=seed, loss=0.05)
        net.cluster(6, settle=20)
        net.crash("m4")
        net.run(20)
        return net.sent, net.events

    assert play(3) == play(3)
    assert play(3) != play(4)


@pytest.mark.parametrize(("seed", "is_asked_again"), [("10.0.0.7:1", False), ("[fd00::7]:1", False), ("alias:1", True)])
def test_a_seed_that_is_oneself_is_asked_again_if_it_is_a_name(seed, is_asked_again):
    """A name that stands for this member today may stand for others as well, or tomorrow."""
    core = Core("a", "a:1", run=1, config=ClusterConfig.lan(), random=Random(1), seeds=[seed])
    (request,) = (effect for effect in core.start(0.0) if isinstance(effect, Exchange))
    answer, _ = core.handle_stream(request.data, "a", 0.0)
    assert not core.has_joined
    core.exchanged(request.number, answer, 0.0)
    assert core.has_joined
    assert core.stats.malformed == 0
    asked = [effect.address for effect in core.tick(10.0) if isinstance(effect, Exchange)]
    assert asked == ([seed] if is_asked_again else [])


def test_a_seed_that_sends_our_own_request_back_is_asked_again_later():
    """Or whoever reflects one packet of a start could keep a member alone for ever."""
    core = Core("a", "a:1", run=1, config=ClusterConfig.lan(), random=Random(1), seeds=["10.0.0.7:1"])
    other = Core("b", "10.0.0.7:1", run=1, config=ClusterConfig.lan(), random=Random(1))
    other.start(0.0)
    (request,) = (effect for effect in core.start(0.0) if isinstance(effect, Exchange))
    core.exchanged(request.number, request.data, 0.0)
    now = 0.0
    while (now := core.next_deadline()) < inf:
        requests = [effect for effect in core.tick(now) if isinstance(effect, Exchange)]
        if requests:
            break
    assert 30 < now < 120
    answer, _ = other.handle_stream(requests[0].data, "a", now)
    core.exchanged(requests[0].number, answer, now)
    assert [member.name for member in core.members()] == ["a", "b"]
    assert not [effect for effect in core.tick(now + 200.0) if isinstance(effect, Exchange) and not effect.to]


def test_a_member_whose_seeds_are_gone_but_that_was_found_by_others_tries_the_failed_again(network):
    net = network()
    net.add("a", join=["gone"])
    net.add("b", join=["a"])
    net.run(3)
    assert net.cores["a"].has_joined
    net.cut(["a"], ["b"])
    net.run(20)
    assert net.sees("a") == ["a"]
    net.heal()
    assert net.until(lambda: net.sees("a") == net.sees("b") == ["a", "b"], within=10) < 5


def test_mechanisms_that_are_switched_off_stay_off(network):
    config = replace(ClusterConfig.lan(), push_pull_interval=0, reconnect_interval=0, gossip_to_dead_time=0)
    net = network(config=config)
    net.cluster(2)
    net.sent.clear()
    net.cut(["m0"], ["m1"])
    net.run(30)
    net.heal()
    net.sent.clear()
    net.run(30)
    assert net.sent == []


def test_after_stop_nothing_has_any_effect(network):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]
    core.stop()
    assert core.handle(packet("m1", Ping(1, "m0", 0)), "m1", net.now) == []
    assert core.handle_stream(packet("m1", Ping(1, "m0", 0)), "m1", net.now) == (None, [])
    assert core.exchanged(1, b"", net.now) == []
    assert core.leave(net.now) == []
    assert core.next_deadline() == inf
    with pytest.raises(ClusterClosed):
        core.set_tags({}, net.now)


def test_a_datagram_of_another_version_is_ignored_and_counted(network):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]
    data = bytearray(packet("m1", Ping(1, "m0", 0)))
    assert data[1] == 2
    data[1] = 3
    (noticed,) = core.handle(bytes(data), "m1", net.now)
    assert "'m1'" in noticed.text
    assert "version 3" in noticed.text
    assert core.stats.foreign_version == 1
    answer, _ = core.handle_stream(bytes(data), "m1", net.now)
    assert decode(answer).messages == [Refused("it speaks version 3 of the protocol, we speak 2")]


def bad_packet(sender, *, cluster="default", padding=0):
    """A packet whose message does not decode."""
    return encode(cluster, sender, 1, [encode_message(Ping(-1, "m0" + "x" * padding, 0))])


def test_a_member_whose_packets_are_refused_is_told_so(network):
    net = network()
    net.cluster(2)
    core, sender = net.cores["m0"], net.cores["m1"]
    effects = core.handle(bad_packet("m1", padding=120), "m1:1", net.now)
    (noticed,) = (effect for effect in effects if isinstance(effect, Noticed))
    assert noticed.about == ("refused", "m1")
    (send,) = (effect for effect in effects if isinstance(effect, Send))
    assert send.address == "m1:1"
    (heard,) = (effect for effect in sender.handle(send.data, "m0:1", net.now) if isinstance(effect, Noticed))
    assert heard.about == ("refused by", "m0")
    assert sender.stats.refused_by_others == core.stats.malformed == 1


def test_a_refusal_is_told_seldom_and_in_fewer_bytes_than_came(network):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]

    def answers(padding, now):
        data = bad_packet("m1", padding=padding)
        sent = [effect.data for effect in core.handle(data, "m1:1", now) if isinstance(effect, Send)]
        assert all(len(each) <= len(data) for each in sent)
        return len(sent)

    assert answers(0, net.now) == 0, "the reason is longer than what came"
    assert sum(answers(120, net.now) for _ in range(1000)) == 1
    assert answers(120, net.now + 1) == 1


def test_a_stranger_whose_packets_are_refused_is_told_nothing(network):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]
    data = bad_packet("m1", cluster="other", padding=120)
    on_datagram, (answer, on_stream) = core.handle(data, "m1:1", net.now), core.handle_stream(data, "m1:1", net.now)
    assert answer is None
    for effects in on_datagram, on_stream:
        (noticed,) = effects
        assert isinstance(noticed, Noticed) and "cluster 'other'" in noticed.text
    assert core.stats.foreign_cluster == 2


@pytest.mark.parametrize("address", ["0.0.0.0:7946", "m9:0", "nowhere"])
def test_a_record_that_nobody_may_announce_is_refused_here_too(network, address):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]
    alive = Alive("m9", 1, 0, address, {}, 0, {})
    effects = core.handle(packet("m1", alive), "m1:1", net.now)
    assert core.member("m9") is None
    assert core.stats.refused_records == 1
    assert [effect.about for effect in effects if isinstance(effect, Noticed)] == [("refused", "m9")]
    assert [effect for effect in effects if isinstance(effect, Send)] == [], "its sender is not to blame"
    row = Record("m9", 1, 0, 0, address, {}, 0, {}, 0)
    answer, _ = core.handle_stream(packet("m9", State([row])), "m9:1", net.now)
    assert any(isinstance(message, Refused) for message in decode(answer).messages), "it asked itself, and is told"


def test_tags_that_nobody_may_announce_change_nothing(network):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]
    core.handle(packet("m1", Tags("m1", 1, 5, {"a\n": "x"})), "m1:1", net.now)
    newer = Alive("m1", 1, 7, "m1:1", {"": "x"}, 9, {})
    core.handle(packet("m1", newer), "m1:1", net.now)
    core.handle(packet("m1", Alive("m1", 1, 7, "m1:1", {"rpc": "9000"}, 9, {})), "m1:1", net.now)
    assert (core.member("m1").version, core.member("m1").incarnation) == (0, 0)
    assert core.stats.refused_records == 2, "an empty name does not even decode"
    assert core.stats.malformed == 1


def test_a_member_that_nobody_reaches_stops_to_refute_and_says_why(network):
    net = network()
    net.cluster(3)
    core = net.cores["m2"]

    def accused(messages=()):
        before = core.me.incarnation
        accusation = Suspect("m2", 1, before, "m0")
        effects = core.handle(packet("m0", *messages, accusation), "m0:1", net.now)
        return core.me.incarnation > before, [effect.text for effect in effects if isinstance(effect, Noticed)]

    assert [accused()[0] for _ in range(5)] == [True, True, True, False, False]
    _, (said,) = accused()
    assert "m2:1" in said
    assert "advertise" in said
    assert accused([Ping(1, "m2", 0)]) == (True, []), "somebody has reached it"


def test_an_answer_of_use_is_one_of_another_member(network):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]
    assert core.is_answer(packet("m1", Ack(1)))
    assert core.is_answer(packet("m0", Ack(1), run=2)), "another run of our name"
    assert not core.is_answer(packet("m0", Ack(1)))
    assert not core.is_answer(encode("other", "m1", 1, []))
    assert not core.is_answer(b"HTTP/1.1 400 Bad Request")


def test_a_record_that_fits_into_no_datagram_is_refused_with_its_size():
    with pytest.raises(TagsTooLarge, match="max_datagram_bytes"):
        Core(
            "a",
            "a:1",
            run=1,
            config=ClusterConfig.lan(),
            random=Random(1),
            services={f"s{number}": "h" * 200 + ":1" for number in range(7)},
        )


def test_a_member_over_max_members_is_refused_and_counted(network):
    net = network(config=replace(ClusterConfig.lan(), max_members=2))
    for name in "abc":
        net.add(name, join=["a"])
    net.run(5)
    assert net.cores["a"].stats.refused_members > 0
    assert len(net.sees("a")) == 2


def test_a_datagram_of_another_cluster_is_ignored_and_counted(network):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]
    data = encode("other", "x", 5, [encode_message(Ping(1, "m0", 0))])
    (noticed,) = core.handle(data, "x", net.now)
    assert isinstance(noticed, Noticed) and "cluster 'other'" in noticed.text
    assert core.stats.foreign_cluster == 1


def test_a_ping_for_another_name_is_not_answered(network):
    net = network()
    net.cluster(2)
    effects = net.cores["m0"].handle(packet("m1", Ping(1, "somebody", 0)), "m1", net.now)
    assert [effect for effect in effects if isinstance(effect, Send)] == []


def test_a_stranger_is_asked_for_its_table_at_most_once_a_second(network):
    net = network()
    net.cluster(2)
    net.run(10)
    asked = []
    for number in range(20):
        asked += net.cores["m0"].handle(packet(f"x{number}", Ping(1, "nobody", 0)), "x", net.now)
    assert len([effect for effect in asked if isinstance(effect, Exchange)]) == 1


def test_a_member_that_is_always_late_still_finds_the_dead(network):
    """Late timers void a probe only a few times in a row."""
    core = Core("a", "a:1", run=1, config=ClusterConfig.lan(), random=Random(1))
    core.start(0.0)
    join = encode("default", "b", 1, [encode_message(alive_of("b"))])
    core.handle(join, "b", 0.0)
    now, events = 0.0, []
    while now < 600 and not any(isinstance(event, MemberFailed) for event in events):
        now = core.next_deadline() + 0.3
        events += core.tick(now)
    assert any(isinstance(event, MemberFailed) for event in events)


@pytest.mark.parametrize("seed", range(3))
def test_sixty_four_that_join_at_once_see_each_other_within_seconds(network, seed):
    """Those that join together are in nobody's table yet: digests find out, not the slow clock."""
    net = network(seed=seed, config=replace(ClusterConfig.lan(), push_pull_interval=1000.0))
    names = [f"m{number}" for number in range(64)]
    for name in names:
        net.add(name, join=names[:1])
    assert net.until(lambda: all(core._table.up == 64 for core in net.cores.values()), within=20) < 3


def test_a_crowd_is_seen_whole_although_it_is_told_less(network):
    sent = {}
    for crowded in (0, 4):
        net = network(config=replace(ClusterConfig.lan(), crowded_transmissions=crowded))
        names = [f"m{number}" for number in range(60)]
        for name in names:
            net.add(name, join=names[:1])
        net.run(12)
        assert all(core._table.up == 60 for core in net.cores.values())
        sent[crowded] = sum(core.stats.bytes_sent for core in net.cores.values())
    assert sent[4] < 0.9 * sent[0]


def test_a_newcomer_is_told_of_by_itself_with_its_first_tags(network):
    """Were its seed to tell of it as well, each join would be two pieces of news: without the tags, then the tags."""
    net = network()
    net.cluster(6, settle=20)
    net.add("new", join=["m0"])
    net.until(lambda: net.cores["new"].has_joined, within=1)
    net.call("new", "set_tags", {"role": "worker"})
    net.run(3)
    assert all(net.cores[f"m{number}"].member("new").tags == {"role": "worker"} for number in range(6))
    news = [
        (name, message)
        for time, name, send in net.sent
        for message in decode(send.data).messages
        if time > 20 and isinstance(message, Alive | Tags)
    ]
    name, first = news[0]
    assert (name, type(first), first.version) == ("new", Alive, 1)


def test_in_a_crowd_rows_that_another_lacks_are_not_sent_back(network):
    """They are on their way as news; what is missed is repaired once there is no crowd."""
    core = Core("a", "a:1", run=1, config=ClusterConfig.lan(), random=Random(1), seeds=["s:1"])
    (joins,) = [effect for effect in core.start(0.0) if isinstance(effect, Exchange)]
    rows = [Record(name, 1, 0, 0, f"{name}:1", {}, 0, {}, 0) for name in ["s", *(f"m{n}" for n in range(40))]]
    answer = encode("default", "s", 1, [encode_message(State(rows))])
    core.exchanged(joins.number, answer, 0.0)
    sent = []
    for crowd in (True, False):
        for number in range(40 if crowd else 0):
            news = encode_message(alive_of(f"x{number}"))
            core.handle(encode("default", "s", 1, [news]), "s:1", 0.1)
        if not crowd:
            core._queue.clear()
        core._contacts.push_pull(0.2)
        (asks,) = [effect for effect in core.tick(0.0) if isinstance(effect, Exchange)]
        parts = list(range(core._contacts._open[asks.number].parts))
        answer = encode("default", "s", 1, [encode_message(Rows(rows[:1], parts))])
        sent.append([type(effect) for effect in core.exchanged(asks.number, answer, 0.2)])
    assert sent == [[], [Exchange]]


def test_a_seed_that_is_slow_to_answer_is_asked_on_a_second_stream(network):
    """TCP sends a lost SYN again after a second, and then after two; a third stream would help nobody."""
    core = Core("a", "a:1", run=1, config=ClusterConfig.lan(), random=Random(1), seeds=["s:1"])
    asked = [(0.0, effect.number) for effect in core.start(0.0) if isinstance(effect, Exchange)]
    while (now := core.next_deadline()) < 9:
        asked += [(now, effect.number) for effect in core.tick(now) if isinstance(effect, Exchange)]
    assert [round(time, 1) for time, _ in asked] == [0.0, 0.3]
    for _, number in asked:
        answer = encode("default", "s", 1, [encode_message(State([Record("s", 1, 0, 0, "s:1", {}, 0, {}, 0)]))])
        core.exchanged(number, answer, 9.0)
    assert [member.name for member in core.members()] == ["a", "s"]


def test_where_one_row_differs_few_rows_are_exchanged(network):
    net = network(config=replace(ClusterConfig.lan(), push_pull_interval=0))
    net.cluster(60, settle=15)
    entry = net.cores["m7"]._table.entries["m3"]
    entry.record = structs.replace(entry.record, tags={"bit": "flipped"})
    net.cores["m7"]._table._changed(entry)
    before = sum(core.stats.stream_bytes_sent for core in net.cores.values())
    assert net.until(lambda: not net.cores["m7"].member("m3").tags, within=30) < 10, "the owner's word wins"
    net.run(5)
    assert len({core._table.digest for core in net.cores.values()}) == 1
    taken = sum(core.stats.stream_bytes_sent for core in net.cores.values()) - before
    assert taken < 60 * 60 * 40, "less than if each had sent its table once"


def test_at_rest_what_a_member_sends_does_not_grow_with_the_table(network):
    rates = []
    for count in (15, 60):
        net = network(config=replace(ClusterConfig.lan(), push_pull_interval=10))
        net.cluster(count, settle=15)
        began = [(core.stats.bytes_sent, core.stats.stream_bytes_sent) for core in net.cores.values()]
        net.run(30)
        ended = [(core.stats.bytes_sent, core.stats.stream_bytes_sent) for core in net.cores.values()]
        rates.append(sum(map(sum, ended)) - sum(map(sum, began)))
    assert rates[1] / 60 < 1.5 * rates[0] / 15


@pytest.mark.parametrize("seed", range(6))
def test_in_a_half_of_two_every_death_is_found_in_time(network, seed):
    net = network(seed=seed, config=ClusterConfig.local())
    names = net.cluster(5)
    net.cut(names[:2], names[2:])
    net.run(13)
    assert all(net.sees(name) == names[:2] for name in names[:2])


@pytest.mark.parametrize(("seed", "half"), [(15, (0, 2)), (16, (0, 1)), (17, (1, 3)), (36, (1, 4))])
def test_in_a_half_of_two_no_probe_goes_to_the_accused(network, seed, half):
    """Each lengthens the next, so the last death was found after 12 to 13 s."""
    net = network(seed=seed, config=ClusterConfig.local())
    names = [f"m{number}" for number in range(5)]
    for number, name in enumerate(names):
        net.add(name, join=names[:1], run=1000 + seed * 7 + number)
        net.run(0.01 + 0.001 * seed)
    net.run(5 + seed / 7)
    two = [names[number] for number in half]
    net.cut(two, [name for name in names if name not in two])
    net.run(10)
    assert all(net.sees(name) == two for name in two)


@pytest.mark.parametrize("seed", range(12))
def test_after_a_heal_nobody_within_reach_is_given_up(network, seed):
    net = network(seed=seed, config=ClusterConfig.local())
    names = net.cluster(5)
    net.cut(names[:2], names[2:])
    net.run(15 + seed / 10)
    net.heal()
    healed = net.now
    assert net.until(lambda: all(net.sees(name) == names for name in names), within=20) < 5
    net.run(20)
    assert [event for time, _, event in net.events if type(event) is MemberFailed and time > healed] == []


def test_many_that_died_long_ago_do_not_slow_the_healing(network):
    net = network(seed=2)
    names = net.cluster(10)
    gone = [Record(f"gone{number}", 1, 0, 2, f"gone{number}", {}, 0, {}, 3600) for number in range(1000)]
    for name in names:
        net.cores[name].handle_stream(packet("teller", State(gone)), "teller", net.now)
    net.cut(names[:5], names[5:])
    net.run(60)
    assert all(len(net.sees(name)) == 5 for name in names)
    net.heal()
    assert net.until(lambda: all(net.sees(name) == names for name in names), within=60) < 10


def test_nobody_is_looked_for_where_nobody_is_missing(network):
    net = network()
    net.cluster(3)
    net.run(5)
    assert all(("reconnect", "") not in core._timers for core in net.cores.values())
    net.crash("m2")
    net.run(20)
    assert all(("reconnect", "") in core._timers for core in net.cores.values())


def alone(config=None, **keys):
    core = Core("a", "a:1", run=1, config=config or ClusterConfig.lan(), random=Random(1), **keys)
    return core, core.start(0.0)


def sent_to(effects, address):
    return [
        decode(effect.data).messages for effect in effects if isinstance(effect, Send) and effect.address == address
    ]


RELAYS = 30


def test_requests_to_ping_others_are_bounded():
    """Whoever asks without end for pings of silent members is helped with so many at once, and no more."""
    core, _ = alone(ClusterConfig(max_relays=RELAYS))
    core.handle(packet("b", alive_of("b")), "b", 0.0)
    for number in range(RELAYS + 10):
        effects = core.handle(packet("b", IndirectPing(number, "x", "x")), "b", 0.0)
        assert len(sent_to(effects, "x")) == (number < RELAYS), number
    assert core.handle(packet("b", IndirectPing(9, "x", "x")), "b", 0.0) == []


def test_a_relay_that_was_answered_or_timed_out_makes_room():
    core, _ = alone(ClusterConfig(max_relays=RELAYS))
    core.handle(packet("b", alive_of("b")), "b", 0.0)
    asked = []
    for number in range(RELAYS):
        (messages,) = sent_to(core.handle(packet("b", IndirectPing(number, "x", "x")), "b", 0.0), "x")
        asked.append(messages[0].sequence)
    (back,) = sent_to(core.handle(packet("x", Ack(asked[7])), "x", 0.0), "b")
    assert back[0] == Ack(7)
    assert len(sent_to(core.handle(packet("b", IndirectPing(5000, "x", "x")), "b", 0.0), "x")) == 1
    assert len(sent_to(core.handle(packet("b", IndirectPing(5001, "x", "x")), "b", 0.0), "x")) == 0
    now = 0.0
    while core.next_deadline() < 5.0:
        now = core.next_deadline()
        core.tick(now)
    for number in range(RELAYS):
        effects = core.handle(packet("b", IndirectPing(number, "x", "x")), "b", now)
        assert len(sent_to(effects, "x")) == 1, "all have timed out"


def test_a_relay_that_stays_silent_is_told_once_and_a_late_ack_passed_on():
    core, _ = alone()
    core.handle(packet("b", alive_of("b")), "b", 0.0)
    (messages,) = sent_to(core.handle(packet("b", IndirectPing(7, "x", "x")), "b", 0.0), "x")
    told, now = [], 0.0
    while not told:
        now = core.next_deadline()
        told = [heard for heard in sent_to(core.tick(now), "b") if Nack(7) in heard]
    (late,) = sent_to(core.handle(packet("x", Ack(messages[0].sequence)), "x", now), "b")
    assert late[0] == Ack(7)
    assert sent_to(core.handle(packet("x", Ack(messages[0].sequence)), "x", now), "b") == [], "once"


def test_streams_that_are_asked_for_at_once_are_bounded():
    """With many seeds only so many are asked at once; the next ones when those have failed, none of them twice."""
    seeds = [f"s{number}" for number in range(11)]
    core, effects = alone(ClusterConfig(max_exchanges=7), seeds=seeds)
    first = [effect for effect in effects if isinstance(effect, Exchange)]
    assert [exchange.address for exchange in first] == seeds[:7]
    retry = core.next_deadline()
    while not (tried := [effect for effect in core.tick(retry) if isinstance(effect, Exchange)]) and retry < 1:
        retry = core.next_deadline()
    assert tried == [], "all are still open"
    for exchange in first[3:6]:
        core.exchange_failed(exchange.number, retry)
    while not (tried := [effect for effect in core.tick(retry) if isinstance(effect, Exchange)]):
        retry = core.next_deadline()
    assert [exchange.address for exchange in tried] == seeds[3:6], "the three that failed, none that is open"


def test_what_a_stream_asks_beside_its_questions_is_not_answered():
    core, _ = alone()
    data = packet("b", Ping(1, "somebody", 0), alive_of("b"), Ping(2, "a", 0))
    answer, _ = core.handle_stream(data, "b", 0.0)
    assert decode(answer).messages == [Ack(2)]
    assert core.handle_stream(packet("b", Ping(1, "somebody", 0)), "b", 0.0) == (None, [])
    assert [member.name for member in core.members()] == ["a"], "a stream carries questions, not news"


def test_an_answer_to_a_stream_may_hold_what_is_no_answer():
    core, effects = alone(seeds=["b"])
    (request,) = (effect for effect in effects if isinstance(effect, Exchange))
    answer = packet("b", Ping(1, "a", 0), State([record_of_name("b")]))
    core.exchanged(request.number, answer, 0.0)
    assert [member.name for member in core.members()] == ["a", "b"]
    assert core.has_joined


def test_a_seed_that_does_not_name_itself_in_its_table_is_not_asked_again():
    """Two islands meet in us, and the second answers with others only: there is nobody to compare with at once."""
    core, effects = alone(seeds=["b", "c"])
    first, second = (effect for effect in effects if isinstance(effect, Exchange))
    core.exchanged(first.number, packet("b", State([record_of_name("b"), record_of_name("x")])), 0.0)
    effects = core.exchanged(second.number, packet("c", State([record_of_name("y")])), 0.0)
    assert [member.name for member in core.members()] == ["a", "b", "x", "y"]
    assert not any(isinstance(effect, Exchange) for effect in effects)


def test_of_two_rows_in_a_first_table_the_newer_tags_count():
    core, effects = alone(seeds=["b"])
    (request,) = (effect for effect in effects if isinstance(effect, Exchange))
    rows = [Record("x", 1, 0, 0, "x:1", {}, version, {"v": str(version)}, 0) for version in (1, 2)]
    core.exchanged(request.number, packet("b", State(rows)), 0.0)
    assert core.member("x").tags == {"v": "2"}


def test_one_that_has_left_answers_no_rumour_of_its_tags(network):
    net = network()
    net.cluster(2)
    net.call("m1", "leave")
    version = net.cores["m1"].me.version
    net.call("m1", "handle", packet("m0", Tags("m1", 1, version + 3, {})), "m0")
    assert net.cores["m1"].me.version == version


def record_of_name(name):
    return Record(name, 1, 0, 0, f"{name}:1", {}, 0, {}, 0)


def packet(sender, *messages, run=1):
    return encode("default", sender, run, [encode_message(message) for message in messages])


def suspect_of(member, accuser):
    return Suspect(member.name, member.run, member.incarnation, accuser)


def alive_of(name, run=1, incarnation=0):
    return Alive(name, run, incarnation, f"{name}:1", {}, 0, {})


def test_services_that_change_are_one_event_at_every_member(network):
    net = network(loss=0.05)
    names = net.cluster(6)
    net.call("m0", "set_tags", {"role": "worker"})
    net.run(10)
    net.events.clear()
    net.call("m0", "set_services", {"rpc": "m0:5", "metrics": "m0:6"})
    net.run(10)
    for name in names:
        seen = [event for _, observer, event in net.events if observer == name and event.member.name == "m0"]
        assert [type(event) for event in seen] == [ServicesChanged], name
        member = net.cores[name].member("m0")
        assert seen[0].member == member
        assert (member.services, member.tags) == ({"rpc": "m0:5", "metrics": "m0:6"}, {"role": "worker"})


def test_services_and_tags_that_were_missed_come_with_the_table(network):
    net = network()
    names = net.cluster(4)
    net.cut(names[3:], names[:3])
    net.call("m0", "set_services", {"rpc": "m0:5"})
    net.call("m0", "set_tags", {"role": "worker"})
    net.call("m0", "set_services", {"rpc": "m0:7"})
    net.run(3)
    net.events.clear()
    net.heal()
    net.run(20)
    for name in names:
        member = net.cores[name].member("m0")
        assert (member.services, member.tags, member.version) == ({"rpc": "m0:7"}, {"role": "worker"}, 1)
    told = [event for _, observer, event in net.events if observer == "m3" and event.member.name == "m0"]
    assert told[-1].member == net.cores["m3"].member("m0"), "somebody who watches has seen it"


def test_services_that_are_the_same_send_nothing(network):
    net = network()
    net.cluster(2)
    core = net.cores["m0"]
    net.call("m0", "set_services", {"rpc": "m0:5"})
    incarnation = core.me.incarnation
    assert core.set_services({"rpc": "m0:5"}, net.now) == []
    assert core.me.incarnation == incarnation


def test_services_that_nobody_could_use_change_nothing(network):
    net = network()
    core = net.add("a")
    for services, error in [
        ({"rpc": "0.0.0.0:5"}, InvalidRecord),
        ({"rpc": 9001}, InvalidRecord),
        ({f"s{number}": "x" * 200 + ":5" for number in range(8)}, TagsTooLarge),
    ]:
        with pytest.raises(error):
            core.set_services(services, net.now)
    assert core.me.services == {}
    net.call("a", "leave")
    with pytest.raises(ClusterClosed):
        core.set_services({"rpc": "a:5"}, net.now)


@pytest.mark.parametrize("tells", [True, False])
def test_the_buddy_system_tells_a_suspect(network, tells):
    net = network(config=replace(ClusterConfig.lan(), buddy_system=tells, question_at=0.0))
    net.cluster(3)
    held = net.cores["m1"].me
    claim = encode_message(Suspect("m1", held.run, held.incarnation, "m2"))
    net.sent.clear()
    net.call("m0", "handle", encode("default", "m2", net.cores["m2"].me.run, [claim]), "m2:1")
    net.run(3)
    told = [
        message
        for _, source, send in net.sent
        if (source, send.address) == ("m0", "m1:1")
        for message in decode(send.data).messages
        if isinstance(message, Suspect) and message.accuser == "m0"
    ]
    assert bool(told) is tells


def test_news_of_others_waits_half_an_interval_on_average(network):
    config = replace(ClusterConfig.lan(), probe_interval=60.0)
    net = network(config=config)
    names = net.cluster(30, settle=12)
    took = []
    for value in "abcdef":
        net.call("m3", "set_tags", {"tag": value})
        took.append(
            net.until(
                lambda value=value: all(net.cores[name].member("m3").tags.get("tag") == value for name in names),
                within=5,
            )
        )
        net.run(5)
    assert sum(took) / len(took) < 0.75, "with whole intervals it takes 0.92 s"


def test_suspicions_are_passed_on_at_once_but_once_an_interval(network):
    net = network(config=replace(ClusterConfig.lan(), probe_interval=60.0))
    net.cluster(30, settle=12)
    run = {name: core.me.run for name, core in net.cores.items()}

    def hear_of(name):
        """How many packets m0 sends when it is told that this one is a suspect."""
        net.sent.clear()
        claim = encode_message(Suspect(name, run[name], net.cores[name].me.incarnation, "m2"))
        net.call("m0", "handle", encode("default", "m2", run["m2"], [claim]), "m2:1")
        return len(net.sent)

    net.run(5)
    assert hear_of("m1") == net.config.gossip_fanout
    assert hear_of("m3") == 0, "the clock of gossip runs"


def test_a_verdict_does_not_wait_for_the_next_tick(network, monkeypatch):
    def spread():
        """Mean seconds from the first to the median verdict."""
        took = 0.0
        for seed in (1, 2, 3):
            net = network(seed=seed)
            net.cluster(30)
            net.crash("m1")
            net.run(12)
            times = sorted(net.seen(MemberFailed, "m1").values())
            assert len(times) == 29
            took += (times[14] - times[0]) / 3
        return took

    assert spread() < 0.05
    monkeypatch.setattr(Dissemination, "is_pressing", False)
    assert spread() > 0.1


def test_news_of_others_goes_on_the_moment_it_comes(network):
    net = network()
    net.cluster(16)
    net.run(5)
    set_at = net.now
    net.call("m1", "set_tags", {"v": "1"})
    net.run(3)
    times = sorted(net.seen(TagsChanged, "m1").values())
    assert len(times) == 16
    assert times[12] < set_at + ClusterConfig.lan().gossip_interval + 0.05, "one interval, for the owner's to gather"


def test_urgent_news_that_reaches_suspects_alone_is_told_once_a_tick():
    """It does not count as told; it must not be told again and again in one tick for that."""
    core = Core("me", "me:1", run=5, config=ClusterConfig.lan(), random=Random(1))
    core.start(0.0)
    now = 0.0
    while core.next_deadline() < 0.5:  # there was nobody to tell of ourselves
        now = core.next_deadline()
        core.tick(now)
    messages = [Alive("b", 1, 0, "b:1", {}, 0, {}), Suspect("b", 1, 0, "c")]
    effects = core.handle(encode("default", "b", 1, [encode_message(message) for message in messages]), "b:1", now)
    told = [effect for effect in effects if isinstance(effect, Send)]
    assert len(told) == 1
    deadline = core.next_deadline()
    assert deadline == pytest.approx(now + ClusterConfig.lan().gossip_interval)
    assert len([effect for effect in core.tick(deadline) if isinstance(effect, Send)]) == 1
