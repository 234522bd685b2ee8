"""The partition detector: when a member says that it sees no majority, and when it does not."""

from dataclasses import replace

import pytest

from rpcnet.cluster.swim.event import Healed, Partitioned
from rpcnet.config import ClusterConfig

LAN = ClusterConfig.lan()


def told(net, name):
    """What a member said of partitions, in order."""
    return [event for observer, event in net.partitions if observer == name]


def kinds(net, name):
    return [type(event) for event in told(net, name)]


@pytest.mark.parametrize("size", [None, 5])
def test_only_the_side_without_a_majority_is_partitioned(network, size):
    net = network(config=replace(LAN, expected_size=size))
    names = net.cluster(5)
    net.cut(names[:2], names[2:])
    net.run(60)
    assert told(net, "m0") == told(net, "m1") == [Partitioned(2, 5)]
    assert net.cores["m0"].is_partitioned and not net.cores["m2"].is_partitioned
    assert [told(net, name) for name in names[2:]] == [[], [], []]
    net.heal()
    net.run(30)
    for name in names[:2]:
        partitioned, healed = told(net, name)
        assert (type(partitioned), type(healed)) == (Partitioned, Healed)
        assert healed.up >= 3 and healed.expected == 5
        assert not net.cores[name].is_partitioned


def test_of_two_equal_halves_both_are_partitioned(network):
    net = network()
    names = net.cluster(4)
    net.cut(names[:2], names[2:])
    net.run(60)
    assert [told(net, name) for name in names] == [[Partitioned(2, 4)]] * 4


def test_a_partition_lasts_as_long_as_the_cut(network):
    net = network()
    names = net.cluster(5)
    net.cut(names[:2], names[2:])
    net.run(600)
    assert kinds(net, "m0") == [Partitioned], "failures that are old do not heal it"
    net.heal()
    net.run(30)
    assert kinds(net, "m0") == [Partitioned, Healed]


def test_members_that_fail_one_by_one_are_no_partition(network):
    """Machines are replaced under new names: the failed are more than those up in the end, but not at one time."""
    net = network()
    net.cluster(3)
    for number in range(12):
        net.crash(f"m{number}")
        net.add(f"m{number + 3}", join=[f"m{number + 1}"])
        net.run(120)
    assert len(net.sees("m14")) == 3
    assert kinds(net, "m14") == []


@pytest.mark.parametrize("size", [None, 6])
def test_an_orderly_shutdown_is_no_partition(network, size):
    net = network(config=replace(LAN, expected_size=size))
    for name in net.cluster(6)[:5]:
        net.call(name, "leave")
        net.run(3)
        net.crash(name)
    net.run(60)
    assert net.partitions == []
    assert net.sees("m5") == ["m5"]


@pytest.mark.parametrize("size", [None, 10])
def test_members_that_come_one_by_one_are_no_partition(network, size):
    net = network(config=replace(LAN, expected_size=size))
    for number in range(10):
        net.add(f"m{number}", join=["m0"])
        net.run(20)
    assert len(net.sees("m9")) == 10
    assert net.partitions == []


def test_who_left_and_comes_back_is_expected_again(network):
    net = network(config=replace(LAN, expected_size=4))
    names = net.cluster(4)
    for name in names[2:]:
        net.call(name, "leave")
        net.run(3)
        net.crash(name)
    for name in names[2:]:
        net.add(name, join=["m0"], run=2)
    net.run(10)
    net.cut(["m0"], names[1:])
    net.run(60)
    assert [(type(event), event.expected) for event in told(net, "m0")] == [(Partitioned, 4)]


def test_more_members_than_expected_are_as_many_as_expected(network):
    net = network(config=replace(LAN, expected_size=3))
    names = net.cluster(5)
    net.cut(names[:2], names[2:])
    net.run(60)
    assert [kinds(net, name) for name in names] == [[]] * 5, "two of three are a majority"


def test_a_majority_that_is_missing_for_a_moment_is_no_partition(network):
    net = network(config=replace(LAN, expected_size=3))
    names = net.cluster(3)
    net.cut(["m0"], names[1:])
    assert net.until(lambda: net.sees("m0") == ["m0"], within=60) < 60
    net.heal()
    net.run(60)
    assert kinds(net, "m0") == []
    assert net.sees("m0") == names


def test_who_leaves_during_a_partition_says_nothing_more(network):
    net = network()
    names = net.cluster(5)
    net.cut(names[:1], names[1:])
    net.run(60)
    net.call("m0", "leave")
    net.heal()
    net.run(20)
    assert kinds(net, "m0") == [Partitioned]


def test_a_newcomer_counts_no_deaths_that_it_has_not_seen(network):
    net = network()
    names = net.cluster(6)
    for name in names[1:]:
        net.crash(name)
    net.run(60)
    assert kinds(net, "m0") == [Partitioned]
    net.add("new", join=["m0"])
    net.run(20)
    assert net.sees("new") == ["m0", "new"]
    assert kinds(net, "new") == []
