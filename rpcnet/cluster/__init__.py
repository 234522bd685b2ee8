"""Cluster membership: SWIM with Lifeguard over asyncio. This file is a list."""

from rpcnet.cluster.cluster import Cluster
from rpcnet.cluster.errors import ClusterClosed, ClusterError, InvalidTag, NotPermitted, TagsTooLarge, WatchOverflow
from rpcnet.cluster.events import (
    ClusterEvent,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    TagsChanged,
)
from rpcnet.cluster.registry import NodeStatus, Registry
from rpcnet.cluster.swim.member import Member, MemberStatus
from rpcnet.cluster.transport import AddressInUse
from rpcnet.cluster.watch import Watch

__all__ = [
    "AddressInUse",
    "Cluster",
    "ClusterClosed",
    "ClusterError",
    "ClusterEvent",
    "InvalidTag",
    "Member",
    "MemberFailed",
    "MemberJoined",
    "MemberLeft",
    "MemberRecovered",
    "MemberStatus",
    "MemberSuspected",
    "NodeStatus",
    "NotPermitted",
    "Registry",
    "TagsChanged",
    "TagsTooLarge",
    "Watch",
    "WatchOverflow",
]
