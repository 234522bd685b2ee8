"""What each policy chooses, from candidates that are plain values."""

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet import InvalidArgument
from rpcnet.balance import ConsistentHash, LeastOutstanding, PowerOfTwoChoices, RoundRobin


@dataclass
class Plain:
    name: str
    outstanding: int = 0


@dataclass
class Call:
    method: str = "echo"
    metadata: dict[str, str] | None = None


def members(*names: str) -> list[Plain]:
    return [Plain(name) for name in sorted(names)]


def test_round_robin_gives_each_its_turn() -> None:
    policy, three = RoundRobin(), members("a", "b", "c")
    assert [policy.pick(three, Call()).name for _ in range(7)] == ["a", "b", "c", "a", "b", "c", "a"]


def test_round_robin_goes_on_by_name_whoever_comes_and_goes() -> None:
    policy = RoundRobin()
    assert policy.pick(members("a", "b", "c"), Call()).name == "a"
    assert policy.pick(members("a", "c"), Call()).name == "c", "b has gone"
    assert policy.pick(members("a", "aa", "c"), Call()).name == "a", "round once"
    assert policy.pick(members("a", "aa", "c"), Call()).name == "aa", "a newcomer has its turn"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_the_least_outstanding_is_never_busier_than_another(loads: list[int]) -> None:
    policy = LeastOutstanding()
    candidates = [Plain(f"m{number}", load) for number, load in enumerate(loads)]
    for _ in range(10):
        chosen = policy.pick(candidates, Call())
        assert chosen.outstanding == min(one.outstanding for one in candidates)
        chosen.outstanding += 1


def test_the_least_outstanding_shares_among_the_idle() -> None:
    policy, three = LeastOutstanding(), members("a", "b", "c")
    assert [policy.pick(three, Call()).name for _ in range(4)] == ["a", "b", "c", "a"]


def test_power_of_two_choices_keeps_loads_close_together() -> None:
    policy, ten = PowerOfTwoChoices(Random(1)), members(*"abcdefghij")
    for _ in range(1000):
        policy.pick(ten, Call()).outstanding += 1
    loads = [one.outstanding for one in ten]
    assert max(loads) - min(loads) <= 6, "one choice at random gives some 60"
    assert PowerOfTwoChoices(Random(1)).pick(ten[:1], Call()) is ten[0]


def test_consistent_hash_sends_a_key_to_one_member_alone() -> None:
    policy, five = ConsistentHash("user"), members(*"abcde")
    for number in range(50):
        call = Call(metadata={"user": str(number)})
        assert len({policy.pick(five, call).name for _ in range(3)}) == 1


def test_consistent_hash_moves_only_the_keys_of_who_left() -> None:
    policy, five = ConsistentHash("user"), members(*"abcde")
    calls = [Call(metadata={"user": str(number)}) for number in range(2000)]
    before = [policy.pick(five, call).name for call in calls]
    after = [policy.pick(members(*"abde"), call).name for call in calls]
    assert all(old == new for old, new in zip(before, after, strict=True) if old != "c")
    shares = Counter(before)
    assert min(shares.values()) > 300, "about 400 each"


def test_consistent_hash_refuses_a_call_without_its_key() -> None:
    for metadata in (None, {}, {"other": "1"}):
        with pytest.raises(InvalidArgument, match="no metadata 'user'"):
            ConsistentHash("user").pick(members("a"), Call(metadata=metadata))


@pytest.mark.parametrize("metadata", ["user", 5, {"user": 5}, {"user": "\ud800"}])
def test_consistent_hash_refuses_metadata_that_cannot_be_sent(metadata: Any) -> None:
    with pytest.raises(InvalidArgument):
        ConsistentHash("user").pick(members("a"), Call(metadata=metadata))


def test_consistent_hash_takes_bytes_and_long_names() -> None:
    long = members("x" * 128, "y" * 128)
    policy = ConsistentHash("user")
    assert len({policy.pick(long, Call(metadata={"user": bytes([number])})).name for number in range(50)}) == 2  # type: ignore[dict-item]
