"""Local health: a score between bounds."""

from rpcnet.cluster.swim.awareness import Awareness


def test_the_score_saturates_at_both_ends():
    awareness = Awareness(8)
    awareness.change(-3)
    assert awareness.score == 0
    awareness.change(100)
    assert awareness.score == 7


def test_zero_switches_it_off():
    awareness = Awareness(0)
    awareness.change(5)
    assert awareness.score == 0
