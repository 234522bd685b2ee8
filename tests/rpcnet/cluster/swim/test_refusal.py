"""A closed port on a machine that answers is evidence: death without suspicion, and never of one that lives."""

from dataclasses import replace
from random import Random

import pytest

from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Exchange, Send
from rpcnet.cluster.swim.event import MemberFailed, MemberSuspected
from rpcnet.cluster.swim.message import (
    Ack,
    Alive,
    Closed,
    Dead,
    Gone,
    IndirectPing,
    Knock,
    Nack,
    Ping,
    decode,
    encode,
    encode_message,
)
from rpcnet.config import ClusterConfig


@pytest.mark.parametrize("count", [3, 16])
def test_a_killed_process_is_found_without_suspicion(network, count):
    net = network(loss=0.01)
    names = net.cluster(count)
    net.crash("m1", refuses=True)
    net.until(lambda: len(net.seen(MemberFailed, "m1")) == count - 1, within=10)
    assert len(net.seen(MemberFailed, "m1")) == len(names) - 1
    assert net.seen(MemberSuspected) == {}


def test_switched_off_a_refusal_counts_as_silence(network):
    took = {}
    for is_evidence in (True, False):
        net = network(config=replace(ClusterConfig.lan(), refusal_is_evidence=is_evidence))
        net.cluster(8)
        net.crash("m1", refuses=True)
        took[is_evidence] = net.until(lambda net=net: len(net.seen(MemberFailed, "m1")) == 7, within=20)
    assert took[True] < 3 < took[False] < 20


def test_one_of_two_is_never_judged_by_the_other_alone(network):
    net = network()
    net.cluster(2)
    net.crash("m1", refuses=True)
    net.run(2.5)
    assert net.seen(MemberSuspected, "m1")
    assert not net.seen(MemberFailed, "m1")


@pytest.mark.parametrize("seed", range(4))
def test_a_listener_that_is_started_again_is_no_death(network, seed):
    """All members in turn, for 300 ms, while pings are lost as well."""
    net = network(seed=seed, loss=0.05)
    for name in net.cluster(10) * 3:
        net.refusing[name] = None
        net.run(0.3)
        del net.refusing[name]
        net.run(net.random.random())
    net.run(10)
    assert net.seen(MemberFailed) == {}


def test_those_cut_off_by_a_refusing_wall_are_not_buried_after_it_has_gone(network):
    net = network()
    names = net.cluster(10)
    net.cut(names[:5], names[5:])
    net.run(1.0)
    net.heal()
    for name in names[5:]:
        for other in names[:5]:
            gone = encode("default", other, 1, [encode_message(Gone(name, 1, 0, other))])
            net._carry(other, names[9], gone)
    net.run(10)
    assert all(net.sees(name) == sorted(names) for name in names)
    assert not [name for name, at in net.seen(MemberFailed).items() if name != names[9]], (
        "nobody believes one that errs"
    )


class Member:
    """A core whose effects the test looks at."""

    def __init__(self, **changes):
        self.core = Core("me", "me:1", run=5, config=replace(ClusterConfig.lan(), **changes), random=Random(1))
        self.now = 0.0
        self.core.start(0.0)

    def hear(self, *messages, sender="b"):
        data = encode("default", sender, 1, [encode_message(message) for message in messages])
        return self.core.handle(data, f"{sender}:1", self.now)

    def know(self, *names):
        for name in names:
            self.hear(Alive(name, 1, 0, f"{name}:1", {}, 0, {}), sender=name)

    def failed(self, number, *, refused):
        return self.core.exchange_failed(number, self.now, refused=refused)

    def wait(self, seconds):
        effects, end = [], self.now + seconds
        while (at := self.core.next_deadline()) <= end:
            self.now = max(self.now, at)
            effects += self.core.tick(self.now)
        self.now = end
        return effects


def sent(effects, kind):
    return [
        (effect.address, message)
        for effect in effects
        if isinstance(effect, Send)
        for message in decode(effect.data).messages
        if isinstance(message, kind)
    ]


def streams(effects):
    return [effect for effect in effects if isinstance(effect, Exchange)]


def failures(effects):
    return [effect.member.name for effect in effects if isinstance(effect, MemberFailed)]


@pytest.fixture
def probing():
    """A member that has pinged "x" alone, and waits."""
    member = Member(push_pull_interval=0, gossip_to_dead_time=0)
    member.know("x")
    while not sent(member.wait(0.01), Ping):
        pass
    member.know("a", "b", "c")
    return member


def test_only_who_was_refused_before_asks_helpers_to_knock(probing):
    (stream,) = streams(probing.wait(0.2))
    assert stream.address == "x:1"
    probing.failed(stream.number, refused=True)
    effects = probing.wait(0.35)
    assert len(sent(effects, Knock)) == 3
    assert not sent(effects, IndirectPing)
    assert [stream.address for stream in streams(effects)] == ["x:1"], "and asks again itself"


def test_a_stream_that_ends_in_silence_is_no_refusal(probing):
    (stream,) = streams(probing.wait(0.2))
    probing.failed(stream.number, refused=False)
    effects = probing.wait(0.35)
    assert not sent(effects, Knock)
    assert len(sent(effects, IndirectPing)) == 3
    assert not streams(effects)


def test_two_refusals_of_ours_and_two_helpers_are_a_death(probing):
    (first,) = streams(probing.wait(0.2))
    probing.failed(first.number, refused=True)
    effects = probing.wait(0.35)
    ((_, knock), *_), (second,) = sent(effects, Knock), streams(effects)
    assert failures(probing.hear(Closed(knock.sequence), sender="a")) == []
    assert failures(probing.hear(Closed(knock.sequence + 1), sender="b")) == [], "that is another question"
    assert failures(probing.hear(Closed(knock.sequence), sender="a")) == [], "each helper counts once"
    assert failures(probing.hear(Closed(knock.sequence), sender="b")) == []
    assert failures(probing.failed(second.number, refused=True)) == ["x"]
    assert any(gone.name == "x" for _, gone in sent(probing.wait(0.5), Gone)), "it is told on as what it is"


def test_one_that_left_meanwhile_is_not_judged(probing):
    (first,) = streams(probing.wait(0.2))
    probing.failed(first.number, refused=True)
    effects = probing.wait(0.35)
    ((_, knock), *_), (second,) = sent(effects, Knock), streams(effects)
    probing.failed(second.number, refused=True)
    probing.hear(Closed(knock.sequence), sender="a")
    probing.hear(Alive("x", 2, 0, "x:2", {}, 0, {}))
    assert failures(probing.hear(Closed(knock.sequence), sender="b")) == []


def test_a_helper_knocks_only_where_its_own_ping_is_not_answered():
    member = Member()
    member.know("a", "x")
    asked = member.hear(Knock(7, "x", "x:1"), sender="a")
    ((_, ping),) = sent(asked, Ping)
    assert not streams(asked)
    assert sent(member.hear(Ack(ping.sequence), sender="x"), Ack) == [("a:1", Ack(7))]
    assert not [stream for stream in streams(member.wait(0.3)) if stream.data == b""]


def test_a_helper_that_is_refused_says_so_at_once():
    member = Member(push_pull_interval=0, probe_interval=30.0, probe_timeout=0.5)
    member.know("a", "x")
    member.hear(Knock(7, "x", "x:1"), sender="a")
    (stream,) = streams(member.wait(0.06))
    assert sent(member.failed(stream.number, refused=True), Closed) == [("a:1", Closed(7))]
    assert sent(member.wait(0.4), Nack) == [("a:1", Nack(7))], "and that it is well"
    member.wait(30)
    assert member.failed(stream.number, refused=True) == [], "which is forgotten by then"


def test_a_rumour_is_believed_when_we_are_refused_too():
    member = Member()
    member.know("a", "x")
    effects = member.hear(Gone("x", 1, 0, "a"), sender="a")
    (stream,) = streams(effects)
    assert (stream.address, failures(effects)) == ("x:1", [])
    assert streams(member.hear(Gone("x", 1, 0, "a"), sender="a")) == [], "we knock once"
    assert failures(member.failed(stream.number, refused=True)) == ["x"]
    assert failures(member.hear(Gone("x", 1, 0, "a"), sender="a")) == []


def test_a_rumour_that_three_tell_is_believed():
    member = Member()
    member.know("a", "b", "c", "x")
    heard = [failures(member.hear(Gone("x", 1, 0, "a"), sender=name)) for name in "aabc"]
    assert heard == [[], [], [], ["x"]]


def test_a_rumour_of_one_that_answers_changes_nothing():
    member = Member()
    member.know("a", "x")
    (stream,) = streams(member.hear(Gone("x", 1, 0, "a"), sender="a"))
    answer = encode("default", "x", 1, [encode_message(Ack(0))])
    effects = member.core.exchanged(stream.number, answer, member.now)
    assert not [effect for effect in effects if isinstance(effect, MemberSuspected | MemberFailed)]


def test_a_rumour_of_one_that_is_silent_is_a_suspicion():
    member = Member()
    member.know("a", "x")
    (stream,) = streams(member.hear(Gone("x", 1, 0, "a"), sender="a"))
    effects = member.failed(stream.number, refused=False)
    assert any(isinstance(effect, MemberSuspected) for effect in effects)


def test_a_newer_rumour_takes_the_place_of_the_older():
    member = Member()
    member.know("a", "x")
    (first,) = streams(member.hear(Gone("x", 1, 0, "a"), sender="a"))
    (second,) = streams(member.hear(Gone("x", 1, 1, "a"), sender="a"))
    assert failures(member.failed(first.number, refused=True)) == []
    assert failures(member.failed(second.number, refused=True)) == ["x"]


@pytest.mark.parametrize("rumour", [Gone("me", 5, 0, "a"), Gone("x", 0, 9, "a"), Gone("nobody", 1, 0, "a")])
def test_a_rumour_that_is_no_news_of_a_member_is_a_death_like_others(rumour):
    member, other = Member(), Member()
    for each, message in ((member, rumour), (other, Dead(*(getattr(rumour, key) for key in rumour.__struct_fields__)))):
        each.know("a", "x")
        each.hear(message, sender="a")
    assert member.core.members(all=True) == other.core.members(all=True)
    assert member.core.me.incarnation == other.core.me.incarnation
