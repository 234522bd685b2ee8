"""Cluster membership: SWIM with Lifeguard over asyncio. This file is a list."""

from rpcnet.cluster.cluster import Cluster
from rpcnet.cluster.errors import (
    ClusterClosed,
    ClusterError,
    InvalidKey,
    InvalidRecord,
    InvalidTag,
    KeyInUse,
    KeyringError,
    NameInUse,
    NotPermitted,
    TagsTooLarge,
    UnknownKey,
)
from rpcnet.cluster.events import (
    ClusterEvent,
    Healed,
    HeldDown,
    Lagged,
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
from rpcnet.cluster.registry import NodeStatus, Registry
from rpcnet.cluster.seal.keyring import Keyring
from rpcnet.cluster.swim.member import Member, MemberStatus
from rpcnet.cluster.transport import AddressInUse
from rpcnet.cluster.watch import Watch

__all__ = [
    "AddressInUse",
    "Cluster",
    "ClusterClosed",
    "ClusterError",
    "ClusterEvent",
    "Healed",
    "HeldDown",
    "InvalidKey",
    "InvalidRecord",
    "InvalidTag",
    "KeyInUse",
    "Keyring",
    "KeyringError",
    "Lagged",
    "Member",
    "MemberFailed",
    "MemberJoined",
    "MemberLeft",
    "MemberRecovered",
    "MemberStatus",
    "MemberSuspected",
    "NameInUse",
    "NodeStatus",
    "NotPermitted",
    "Partitioned",
    "Registry",
    "Released",
    "ServicesChanged",
    "TagsChanged",
    "TagsTooLarge",
    "UnknownKey",
    "Watch",
]
