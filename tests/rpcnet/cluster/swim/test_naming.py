"""Members that come by a name which another process has, or had."""

from dataclasses import replace

import pytest

from rpcnet.cluster.swim.event import MemberFailed, MemberJoined
from rpcnet.cluster.swim.member import MemberStatus
from rpcnet.config import ClusterConfig


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


def test_a_holder_whose_answer_is_lost_is_asked_again(network):
    net = network()
    net.cluster(3)
    net.cut(["second"], ["m2"])
    net.add("second", known_as="m2", join=["m0"])
    net.run(0.3)
    net.heal()
    net.run(20)
    assert net.taken == {"second": "m2:1"}
    assert net.cores["m0"].member("m2").address == "m2:1"


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
