"""Phi accrual: what the figure is, what it is fed with, and that it stays small."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from rpcnet.cluster.swim.phi import FAR, LEAST, Phi
from rpcnet.config import ClusterConfig


def fed(*gaps, shortest=0.1):
    phi, now = Phi(shortest), 0.0
    phi.heard("a", 1, now)
    for gap in gaps:
        now += gap
        phi.heard("a", 1, now)
    return phi, now


def test_phi_is_what_the_paper_says_for_a_normal_distribution():
    random = Random(1)
    phi, now = fed(*(max(0.2, random.gauss(2.0, 0.6)) for _ in range(5000)))
    # 2 s, and 1, 2, 3 deviations more: -log10(1 - F(z)).
    for deviations, expected in ((0, 0.301), (1, 0.80), (2, 1.64), (3, 2.87)):
        assert phi.of("a", now + 2.0 + 0.6 * deviations) == pytest.approx(expected, rel=0.25)


def test_phi_grows_without_end_and_without_a_jump():
    phi, now = fed(*[1.0] * 10)
    figures = [phi.of("a", now + silence / 100) for silence in range(3000)]
    assert all(later >= earlier for earlier, later in pairwise(figures))
    assert all(later - earlier < 0.05 + earlier / 20 for earlier, later in pairwise(figures))
    assert figures[-1] > 1000 > FAR
    assert phi.of("a", now) < 0.01


def test_too_little_was_heard_for_a_figure():
    assert Phi(0.1).of("a", 1.0) is None
    assert fed(*[1.0] * (LEAST - 1))[0].of("a", 9.0) is None
    assert fed(*[1.0] * LEAST)[0].of("a", 9.0) is not None


def test_several_datagrams_at_once_are_one_sign_of_life():
    bursts = fed(*[1.0, 0.01, 0.01] * 10)[0]
    assert bursts.of("a", 11.2 + 0.2) < 1
    assert bursts.of("a", 11.2 + 5.0) > 8


def test_a_newer_run_begins_anew():
    phi, now = fed(*[1.0] * 10)
    phi.heard("a", 2, now + 1)
    assert phi.of("a", now + 2) is None


def test_whoever_is_not_kept_is_forgotten():
    phi, now = fed(*[1.0] * 10)
    phi.heard("b", 1, now)
    phi.keep({"b"})
    assert phi.of("a", now) is None
    assert list(phi._gaps) == ["b"]


def test_nothing_is_counted_until_somebody_asks(network):
    net = network()
    net.cluster(3)
    core = net.cores["m0"]
    assert core._phi is None
    assert core.phi("m1", net.now) is None
    net.run(30)
    assert core.phi("m1", net.now) < 2
    assert core.phi("m0", net.now) is None, "oneself"
    assert core.phi("nobody", net.now) is None


def test_the_figure_of_one_that_crashed_rises_before_the_verdict(network):
    net = network()
    names = net.cluster(5)
    core = net.cores["m0"]
    core.phi("m1", net.now)
    net.run(120)
    before = max(core.phi(name, net.now) for name in names[1:])
    net.crash("m4")
    net.until(lambda: "m4" not in net.sees("m0"), within=60)
    assert core.phi("m4", net.now) is None, "of one that is not up there is none"
    net.add("m4", join=["m0"], run=2)
    net.run(120)
    net.crash("m4")
    net.run(4)
    assert core.phi("m4", net.now) > before


def test_the_forgotten_take_no_room(network):
    net = network(config=replace(ClusterConfig.lan(), tombstone_time=40.0))
    names = net.cluster(3)
    core = net.cores["m0"]
    core.phi("m1", net.now)
    net.run(10)
    net.crash("m2")
    net.run(100)
    assert sorted(core._phi._gaps) == names[1:2]
