"""What befalls a packet: each decision against its chance, the order of the draws, and that nobody else decides."""

import ast
import math
from pathlib import Path
from random import Random

import pytest

import sim
from sim.backends import shaper
from sim.network import fabric, fate
from sim.network.link import Link

LATENCY = 0.01
RUNS = 4000


class Numbered(Random):
    """Draws 0.5 each time and notes what was asked of it."""

    def __init__(self):
        super().__init__(1)
        self.asked = []

    def random(self):
        self.asked.append("draw")
        return 0.5

    def randrange(self, *arguments):
        self.asked.append(f"one of {arguments[0]}")
        return 3


def verdict_on(way, random, now, data):
    return fate.datagram(way, way.delay, random, now, data)


def path(random, **edge):
    link = Link.of({"latency": LATENCY, **edge})
    return fabric.Path(link, [(None, link.delay)], random)


def test_nothing_is_drawn_of_a_plain_way():
    random = Numbered()
    assert verdict_on(path(random), random, 5.0, b"x") == ((5.0 + LATENCY, b"x"),)
    assert not fate.packet_is_lost(Link(), random)
    assert fate.first_lost(fate.passes(Link()), random, 100) is None
    assert random.asked == []


def test_a_datagram_draws_in_the_order_of_the_docs():
    random = Numbered()
    edge = {"loss": 0.1, "corrupt": 1.0, "reorder": 1.0, "duplicate": 1.0, "latency": "uniform(0ms, 20ms)"}
    verdict = verdict_on(path(random, **edge), random, 0.0, b"\0\0")
    assert verdict == ((pytest.approx(0.02), b"\x08\0"), (pytest.approx(0.03), b"\x08\0"))
    # Loss, latency, corruption and which bit, reordering and its latency, duplication and its latency.
    assert random.asked == ["draw", "draw", "draw", "one of 16", "draw", "draw", "draw", "draw"]


@pytest.mark.parametrize(("edge", "reason"), [({"loss": 0.6}, "loss"), ({"bandwidth": 1.0, "queue": 0}, "queue_full")])
def test_a_datagram_that_does_not_arrive_has_a_reason(edge, reason):
    random = Numbered()
    wires = shaper.Way(Link.of({"latency": LATENCY, **edge}), random)
    wires.travel(0.0, 10)
    assert verdict_on(wires, random, 0.0, b"x") == reason


@pytest.mark.parametrize(
    "make", [path, lambda random, **edge: shaper.Way(Link.of(edge), random)], ids=["sim", "shaper"]
)
def test_both_worlds_give_the_same_verdict(make):
    """The way of a simulated network and that of a real process, asked with the same seed."""
    edge = {"latency": "uniform(1ms, 9ms)", "loss": 0.2, "corrupt": 0.2, "reorder": 0.2, "duplicate": 0.2}
    random, expected = Random(7), Random(7)
    way, reference = make(random, **edge), path(expected, **edge)
    for number in range(200):
        data = bytes([number]) * 3
        assert verdict_on(way, random, 0.0, data) == verdict_on(reference, expected, 0.0, data)


@pytest.mark.parametrize("packets", [1, 2, 40])
def test_the_first_lost_packet_is_geometric(packets):
    random, passed = Random(3), 0.9
    first = [fate.first_lost(passed, random, packets) for _ in range(RUNS)]
    assert sum(each is None for each in first) / RUNS == pytest.approx(passed**packets, abs=0.025)
    assert first.count(0) / RUNS == pytest.approx(1 - passed, abs=0.025)
    assert all(each is None or 0 <= each < packets for each in first)


@pytest.mark.parametrize("packets", [1, 3])
def test_a_packet_of_several_is_lost_as_often(packets):
    random, link = Random(4), Link(loss=0.2)
    lost = sum(fate.packet_is_lost(link, random, packets) for _ in range(RUNS))
    assert lost / RUNS == pytest.approx(1 - 0.8**packets, abs=0.025)


def test_a_damaged_packet_of_a_stream_is_a_lost_one():
    assert fate.passes(Link(loss=0.1, corrupt=0.5)) == pytest.approx(0.45)
    assert math.isclose(fate.passes(Link()), 1.0)


def test_nobody_else_asks_a_link_what_becomes_of_a_packet():
    """Its chances are read where links are made and joined, where ways that lose all are none, and by fate alone."""
    chances = {"loss", "corrupt", "duplicate", "reorder"}
    allowed = {"network/fate.py", "network/link.py", "network/graph.py", "network/fabric.py"}
    root = Path(sim.__file__).parent
    readers = set()
    for folder in ("network", "kernel", "backends"):
        for file in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr in chances and isinstance(node.ctx, ast.Load):
                    readers.add(file.relative_to(root).as_posix())
    assert readers <= allowed, "decide it in sim/network/fate.py"
    assert "network/fate.py" in readers
