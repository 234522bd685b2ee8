"""Lifeguard's suspicion time: a table of rows against the formula."""

from dataclasses import replace

import pytest

from rpcnet.cluster.swim.suspicion import Suspicion, minimum, remaining, wanted
from rpcnet.config import ClusterConfig

LAN = ClusterConfig.memberlist_lan()


# memberlist suspicion_test.go: n confirmations of k between 2 s and 30 s, rounded there to ms.
@pytest.mark.parametrize(
    ("confirmations", "k", "expected"),
    [(0, 3, 30.0), (1, 3, 16.0), (2, 3, 7.81), (3, 3, 2.0), (4, 3, 2.0), (5, 3, 2.0), (0, 0, 2.0)],
)
def test_time_shrinks_with_confirmations_as_published(confirmations, k, expected):
    assert remaining(2.0, 30.0, confirmations, k) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("members", "expected"), [(1, 4.0), (5, 4.0), (10, 4.0), (16, 4.82), (50, 6.80), (100, 8.0), (1000, 12.0)]
)
def test_least_time_grows_with_the_logarithm_of_the_members(members, expected):
    assert minimum(LAN, members) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("members", "expected"), [(2, 0), (3, 0), (4, 2), (100, 2)])
def test_no_confirmation_is_waited_for_where_too_few_could_confirm(members, expected):
    assert wanted(LAN, members) == expected


def test_each_accuser_counts_once():
    suspicion = Suspicion.begin(LAN, 10, "a", 100.0)
    assert suspicion.deadline == pytest.approx(124.0)
    assert not suspicion.confirm("a")
    assert suspicion.confirm("b")
    assert not suspicion.confirm("b")
    assert suspicion.confirm("c")
    assert suspicion.deadline == pytest.approx(104.0)
    assert not suspicion.confirm("d"), "no more than k are wanted"


def test_time_in_which_we_were_stalled_is_given_back():
    suspicion = Suspicion.begin(replace(LAN, max_suspicion_multiplier=1), 3, "a", 10.0)
    suspicion.shift(3.0)
    assert suspicion.deadline == pytest.approx(17.0)
