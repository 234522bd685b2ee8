"""The events of a cluster, for users. The core makes those about one member (rpcnet.cluster.swim.event)."""

from dataclasses import dataclass

from rpcnet.cluster.swim.event import (
    ClusterEvent,
    Healed,
    HeldDown,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    Partitioned,
    Released,
    ServicesChanged,
    TagsChanged,
)
from rpcnet.cluster.swim.member import Member

__all__ = [
    "ClusterEvent",
    "Healed",
    "HeldDown",
    "Lagged",
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
class Lagged:
    """The reader of a watch fell behind by more than max_watch_events changes: they are left out, this is the result.

    No ClusterEvent, as it is about no single member.
    """

    members: tuple[Member, ...]
    """The members that match now, by name; changes that come next follow on these."""
    missed: int
    """How many changes were left out."""
