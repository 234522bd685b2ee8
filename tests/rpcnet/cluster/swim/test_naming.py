"""Members that come by a name which another process has, or had."""

from dataclasses import replace
from random import Random

import pytest

from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Exchange, NameTaken
from rpcnet.cluster.swim.event import MemberFailed, MemberJoined
from rpcnet.cluster.swim.member import MemberStatus
from rpcnet.cluster.swim.message import Ack, Holder, decode, encode, encode_message
from rpcnet.config import ClusterConfig


def packet(name, message, *, run=1):
    return encode("default", name, run, [encode_message(message)])


@pytest.mark.parametrize("run", [1, 2, 10**15])
def test_a_newcomer_is_refused_while_the_holder_answers(network, run):
    net = network()
    names = net.cluster(3)
    net.add("second", known_as="m2", join=["m0"], run=run)
    net.run(20)
    assert net.taken == {"second": "m2:1"}
    assert not net.cores["second"].has_joined
    assert net.events == [event for event in net.events if event[1] == "second"], "nobody has noticed"
    for name in names:
        assert net.cores[name].member("m2").address == "m2:1"
        assert net.cores[name].stats.name_conflicts == 0


def test_a_newcomer_of_the_name_of_its_seed_is_refused(network):
    net = network()
    net.cluster(2)
    net.add("second", known_as="m0", join=["m0"])
    net.run(5)
    assert net.taken == {"second": "m0:1"}


def test_one_lost_answer_does_not_cost_the_holder_its_name():
    seed, holder = "s:1", Holder(7, "h:1")
    core = Core("m", "m:1", run=9, config=ClusterConfig.lan(), random=Random(1), seeds=[seed])
    (join,) = (effect for effect in core.start(0.0) if isinstance(effect, Exchange))
    told = packet("s", holder)
    asked = [effect for effect in core.exchanged(join.number, told, 0.1) if isinstance(effect, Exchange)]
    assert [question.address for question in asked] == ["h:1", "h:1"]
    (again,) = (effect for effect in core.tick(core.next_deadline()) if isinstance(effect, Exchange))
    assert again.address == seed
    assert core.exchanged(again.number, told, 0.3) == [], "it is being asked"
    assert core.exchange_failed(asked[0].number, 0.6) == []
    sequence = decode(asked[1].data).messages[0].sequence
    assert core.exchanged(asked[1].number, packet("m", Ack(sequence), run=7), 0.6) == [NameTaken("h:1")]
    assert not core.has_joined


@pytest.mark.parametrize("run", [1, 2])
def test_a_newcomer_takes_the_name_of_one_that_does_not_answer(network, run):
    """Also where both started in one microsecond: then it begins a newer run."""
    net = network()
    net.cluster(4)
    net.crash("m2")
    net.add("again", known_as="m2", join=["m0"], run=run)
    net.run(3)
    assert net.taken == {}
    for name in ("m0", "m1", "m3", "again"):
        member = net.cores[name].member("m2")
        assert (member.address, member.run, member.status) == ("again:1", 2, MemberStatus.ALIVE)
    net.run(20)
    assert net.seen(MemberFailed) == {}


def test_one_that_starts_again_at_its_address_is_asked_for_by_nobody(network):
    net = network()
    net.cluster(3)
    net.crash("m2")
    net.run(0.5)  # between the periods' probes
    net.add("m2", join=["m0"], run=2)
    net.run(0.1)
    assert net.cores["m2"].stats.exchanges == 1, "its join alone"
    net.run(0.4)
    assert net.cores["m1"].member("m2").run == 2


def test_a_holder_that_is_the_newcomer_itself_is_not_in_its_way(network):
    """The old address leads to the new process: behind NAT, or `advertise` was changed."""
    net = network()
    net.cluster(3)
    newer = net.add("second", known_as="m2", join=["m0"], run=2)
    net.cores["m2"] = newer
    net.run(5)
    assert net.taken == {}
    assert net.cores["m0"].member("m2").address == "second:1"


def test_a_newcomer_that_was_refused_joins_once_the_holder_has_left(network):
    net = network()
    net.cluster(3)
    second = net.add("second", known_as="m2", join=["m0"], run=2)
    net.run(5)
    net.call("m2", "leave")
    net.run(5)
    assert second.has_joined
    assert net.cores["m1"].member("m2").address == "second:1"


def islands(network, *, runs):
    """Two clusters that have a member `x` each, and then meet."""
    net = network(config=replace(ClusterConfig.lan(), push_pull_interval=5.0))
    for island, run in zip("ab", runs, strict=True):
        net.add(f"{island}0", known_as=f"seed-{island}")
        net.add(f"{island}1", known_as="x", join=[f"{island}0"], run=run)
    net.run(5)
    net.events.clear()
    net.add("bridge", join=["a0", "b0"])
    net.run(30)
    return net


def test_of_two_that_meet_later_the_newer_run_wins_and_the_older_is_told(network):
    net = islands(network, runs=(2, 1))
    assert {net.cores[name].member("x").address for name in ("a0", "b0", "bridge")} == {"a1:1"}
    assert net.cores["b1"].stats.name_conflicts > 0, "it has been told"
    assert net.cores["b1"].me.run == 1, "and there is no war of ever higher runs"
    assert net.cores["a1"].me.run == 2


def test_of_two_with_equal_runs_the_higher_address_wins_and_the_other_is_told(network):
    net = islands(network, runs=(1, 1))
    assert {net.cores[name].member("x").address for name in ("a0", "b0", "bridge")} == {"b1:1"}
    assert net.cores["b1"].me.run == 2
    assert net.cores["a1"].me.run == 1
    assert net.cores["a1"].stats.name_conflicts > 0
    joined = [event for _, _, event in net.events if type(event) is MemberJoined and event.member.name == "x"]
    assert len(joined) <= 2 * len(net.cores), "it ends"
