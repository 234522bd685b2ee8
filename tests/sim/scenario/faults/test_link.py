"""`link`: pair by pair, and who has no way left."""

from sim.scenario.faults.link import Link, LinkChange
from tests.sim.scenario.fake_world import SOME, FakeWorld, play

SEEN = ["a", "b"], {"pairs": [["a", "b"]], "latency": "1s"}
"""Targets and detail of one that lies between a and b (tests/sim/scenario/test_warn.py)."""


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    edge = random.choice(
        [
            {"latency": "200ms"},
            {"loss": 0.3},
            {"loss": 1.0},
            {"jitter": "uniform(0ms, 50ms)", "duplicate": 0.2},
            {"reorder": 0.3, "corrupt": 0.1},
            {"bandwidth": "20kB/s", "queue": "8kB"},
        ]
    )
    return LinkChange(between=[SOME, "all"], **edge)


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
