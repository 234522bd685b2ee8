"""The events of a cluster, for users; the core makes them (rpcnet.cluster.swim.event)."""

from rpcnet.cluster.swim.event import (
    ClusterEvent,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    TagsChanged,
)

__all__ = [
    "ClusterEvent",
    "MemberFailed",
    "MemberJoined",
    "MemberLeft",
    "MemberRecovered",
    "MemberSuspected",
    "TagsChanged",
]
