"""RPC, streams and SWIM cluster membership for asyncio. This file is a list; see docs/architecture.md for the rooms."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rpcnet.service import service  # now: the module, when it is loaded, takes the place of its name

if TYPE_CHECKING:
    from rpcnet.address import AddressInUse, InsecureAddressError
    from rpcnet.client import RpcClient
    from rpcnet.client.bidirectional import BidirectionalStream
    from rpcnet.client.reply import Reply
    from rpcnet.client.stream import ClientStream
    from rpcnet.cluster import (
        Cluster,
        ClusterClosed,
        ClusterError,
        ClusterEvent,
        Healed,
        HeldDown,
        InvalidKey,
        InvalidRecord,
        InvalidTag,
        KeyInUse,
        Keyring,
        KeyringError,
        Lagged,
        Member,
        MemberFailed,
        MemberJoined,
        MemberLeft,
        MemberRecovered,
        MemberStatus,
        MemberSuspected,
        NameInUse,
        NodeStatus,
        NotPermitted,
        Partitioned,
        Released,
        ServicesChanged,
        TagsChanged,
        TagsTooLarge,
        UnknownKey,
        Watch,
    )
    from rpcnet.config import ClusterConfig, RpcConfig
    from rpcnet.context import CurrentCall, current_call
    from rpcnet.errors import (
        Aborted,
        AlreadyExists,
        Cancelled,
        DataLoss,
        DeadlineExceeded,
        FailedPrecondition,
        Internal,
        InvalidArgument,
        Metadata,
        NotFound,
        OutOfRange,
        PermissionDenied,
        ResourceExhausted,
        RpcError,
        Status,
        StreamApplicationError,
        StreamError,
        StreamTimeout,
        StreamTransportError,
        Unauthenticated,
        Unavailable,
        Unimplemented,
        Unknown,
    )
    from rpcnet.interceptors import InterceptedCall, Interceptor, Proceed, log_calls
    from rpcnet.peer import Peer
    from rpcnet.server import RpcServer
    from rpcnet.stats import RpcStats

__all__ = [
    "Aborted",
    "AddressInUse",
    "AlreadyExists",
    "BidirectionalStream",
    "Cancelled",
    "ClientStream",
    "Cluster",
    "ClusterClosed",
    "ClusterConfig",
    "ClusterError",
    "ClusterEvent",
    "CurrentCall",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Healed",
    "HeldDown",
    "InsecureAddressError",
    "InterceptedCall",
    "Interceptor",
    "Internal",
    "InvalidArgument",
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
    "Metadata",
    "NameInUse",
    "NodeStatus",
    "NotFound",
    "NotPermitted",
    "OutOfRange",
    "Partitioned",
    "Peer",
    "PermissionDenied",
    "Proceed",
    "Released",
    "Reply",
    "ResourceExhausted",
    "RpcClient",
    "RpcConfig",
    "RpcError",
    "RpcServer",
    "RpcStats",
    "ServicesChanged",
    "Status",
    "StreamApplicationError",
    "StreamError",
    "StreamTimeout",
    "StreamTransportError",
    "TagsChanged",
    "TagsTooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "UnknownKey",
    "Watch",
    "current_call",
    "log_calls",
    "service",
]

_HOMES = {
    "AddressInUse": "address",
    "InsecureAddressError": "address",
    "RpcClient": "client",
    "BidirectionalStream": "client.bidirectional",
    "Reply": "client.reply",
    "ClientStream": "client.stream",
    "ClusterConfig": "config",
    "RpcConfig": "config",
    "CurrentCall": "context",
    "current_call": "context",
    "InterceptedCall": "interceptors",
    "Interceptor": "interceptors",
    "Proceed": "interceptors",
    "log_calls": "interceptors",
    "Peer": "peer",
    "RpcServer": "server",
    "RpcStats": "stats",
}
"""The modules of names that are loaded late, but for those of rpcnet.errors and rpcnet.cluster."""


def __getattr__(name: str) -> Any:
    """Names are loaded when they are asked for: who only calls does not wait for a server and a cluster."""
    if name not in __all__:
        raise AttributeError(f"module 'rpcnet' has no attribute {name!r}")
    errors = import_module("rpcnet.errors")
    home = _HOMES.get(name) or ("errors" if hasattr(errors, name) else "cluster")
    value = getattr(import_module(f"rpcnet.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
