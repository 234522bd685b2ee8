"""What happened to membership, as users see it: one frozen event a change, with the member as it was then."""

from dataclasses import dataclass

from rpcnet.cluster.swim.member import Member

__all__ = [
    "ClusterEvent",
    "Condition",
    "Healed",
    "HeldDown",
    "MemberFailed",
    "MemberJoined",
    "MemberLeft",
    "MemberRecovered",
    "MemberSuspected",
    "Partitioned",
    "Released",
    "ServicesChanged",
    "TagsChanged",
]


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """A change of what we hold of one member."""

    member: Member


class MemberJoined(ClusterEvent):
    """A member that was not known here, or a newer run of one that was."""

    __slots__ = ()


class MemberSuspected(ClusterEvent):
    """It did not answer somebody; it still counts as a member and has time to refute."""

    __slots__ = ()


class MemberFailed(ClusterEvent):
    """It did not refute in time."""

    __slots__ = ()


class MemberRecovered(ClusterEvent):
    """It was suspect or failed, and has refuted."""

    __slots__ = ()


class MemberLeft(ClusterEvent):
    """It said that it leaves."""

    __slots__ = ()


class ServicesChanged(ClusterEvent):
    """It has other services, or its services other addresses."""

    __slots__ = ()


class TagsChanged(ClusterEvent):
    """It has published another batch of tags."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Partitioned:
    """This member has not seen a majority of the cluster for a while (partition.py). Of no single member."""

    up: int
    """How many are alive or suspect, ourselves included."""
    expected: int
    """How many there should be."""


@dataclass(frozen=True, slots=True)
class Healed:
    """After Partitioned: it sees a majority again."""

    up: int
    expected: int


@dataclass(frozen=True, slots=True)
class HeldDown:
    """This member has failed for the others again and again, and does not contradict for a while (damping.py)."""

    failures: int
    """How many are not forgotten."""
    seconds: float
    """So long none of its probes must be missed."""


@dataclass(frozen=True, slots=True)
class Released:
    """After HeldDown: it contradicts now, and so comes back."""


Condition = Partitioned | Healed | HeldDown | Released
"""About this member's own place in the cluster, and of no single member."""
