"""Which of several members a call goes to: candidates and a call in, one of them out.

Sans-IO: no connection, no clock; what is random is given. Candidates come in order of their names, so equal cases give
equal choices.

Tests: tests/rpcnet/balance/test_policy.py.
"""

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import Protocol, TypeVar

from rpcnet.errors import InvalidArgument, Metadata
from rpcnet.metadata import checked_metadata

__all__ = [
    "Candidate",
    "ConsistentHash",
    "LeastOutstanding",
    "Outgoing",
    "Policy",
    "PowerOfTwoChoices",
    "RoundRobin",
]


class Candidate(Protocol):
    """A member that may take the call."""

    @property
    def name(self) -> str: ...
    @property
    def outstanding(self) -> int:
        """Calls of this client that run there now; one that was let go counts until its handler has ended."""
        ...


class Outgoing(Protocol):
    """The call."""

    @property
    def method(self) -> str: ...
    @property
    def metadata(self) -> Metadata | None: ...


C = TypeVar("C", bound=Candidate)


class Policy(Protocol):
    """What chooses. One object serves one client."""

    @property
    def sticky(self) -> bool:
        """Whether all live members are candidates, those to which there is no connection yet too. Else those are left
        out as long as others are connected."""
        ...

    def pick(self, candidates: Sequence[C], call: Outgoing) -> C:
        """One of the candidates, of which there is at least one. An RpcError ends the call; so does what else it raises
        or returns, with Internal."""
        ...


class RoundRobin:
    """Each in its turn, by name, whoever comes and goes meanwhile."""

    sticky = False

    def __init__(self) -> None:
        self._last = ""

    def pick(self, candidates: Sequence[C], call: Outgoing) -> C:
        next_one = bisect_right(candidates, self._last, key=lambda candidate: candidate.name)
        chosen = candidates[next_one % len(candidates)]
        self._last = chosen.name
        return chosen


class LeastOutstanding:
    """The one with the fewest calls of ours running; among equals each in its turn."""

    sticky = False

    def __init__(self) -> None:
        self._turns = RoundRobin()

    def pick(self, candidates: Sequence[C], call: Outgoing) -> C:
        fewest = min(candidate.outstanding for candidate in candidates)
        return self._turns.pick([one for one in candidates if one.outstanding == fewest], call)


class PowerOfTwoChoices:
    """Two at random, and of those the one with fewer calls of ours running.

    Nearly as even as the least of all, and many clients that see the same do not all choose the same (M. Mitzenmacher,
    "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001).
    """

    sticky = False

    def __init__(self, random: Random | None = None) -> None:
        self._random = random if random is not None else Random()

    def pick(self, candidates: Sequence[C], call: Outgoing) -> C:
        if len(candidates) == 1:
            return candidates[0]
        one, other = self._random.sample(candidates, 2)
        return other if other.outstanding < one.outstanding else one


class ConsistentHash:
    """Calls of one key go to one member; where members come or go, only the keys that they win or lose move.

    The key is the metadata of this name; a call without it is refused with InvalidArgument. Rendezvous hashing
    (D. Thaler and C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on
    Networking 6(1), 1998): no ring to keep, and an even share for each. A member that restarts has its keys again.
    """

    sticky = True

    def __init__(self, key: str) -> None:
        self._key = key

    def pick(self, candidates: Sequence[C], call: Outgoing) -> C:
        value = None if call.metadata is None else checked_metadata(call.metadata).get(self._key)
        if value is None:
            raise InvalidArgument(
                f"call {call.method!r} has no metadata {self._key!r}, by which ConsistentHash chooses a member"
            )
        key = value.encode() if isinstance(value, str) else value
        return max(candidates, key=lambda candidate: blake2b(key, key=_short(candidate.name)).digest())


def _short(name: str) -> bytes:
    """A key for blake2b, which takes 64 bytes at most."""
    return blake2b(name.encode("utf-8", "replace"), digest_size=16).digest()
