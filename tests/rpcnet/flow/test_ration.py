"""A burst, then a rate."""

from rpcnet.flow.ration import Ration


def test_a_burst_is_given_at_once_and_then_so_many_a_second() -> None:
    ration = Ration(burst=3, rate=2.0, now=10.0)
    assert [ration.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert [ration.take(10.5), ration.take(10.5)] == [True, False]
    assert [ration.take(11.5) for _ in range(3)] == [True, True, False]


def test_what_is_not_taken_is_kept_only_up_to_the_burst() -> None:
    ration = Ration(burst=2, rate=10.0, now=0.0)
    assert [ration.take(1000.0) for _ in range(3)] == [True, True, False]


def test_what_is_refused_costs_nothing_and_what_comes_back_comes_evenly() -> None:
    ration = Ration(burst=1, rate=1.0, now=0.0)
    assert ration.take(0.0)
    assert [ration.take(at) for at in (0.25, 0.5, 0.75, 1.0)] == [False, False, False, True]
    assert not ration.take(1.5)
