"""What the core wants done, in order. Values; whoever runs the core carries them out."""

from dataclasses import dataclass

from msgspec import Struct

from rpcnet.cluster.swim.event import ClusterEvent, Condition

__all__ = ["Effect", "Exchange", "Flushed", "NameTaken", "Noticed", "Published", "Send", "Stats"]


class Send(Struct, frozen=True):  # made faster than a dataclass, and nearly all are this one
    """Send one datagram."""

    address: str
    data: bytes
    to: str | None = None
    """The member that it is for; None = whoever is there."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Connect to `address`, send `data`, and give the answer to `Core.exchanged`, or nothing to `exchange_failed`."""

    number: int
    address: str
    data: bytes
    timeout: float
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """Our own tags are now these, under this version."""

    run: int
    version: int
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Flushed:
    """Our leave has been told to enough others, or they had their time."""


@dataclass(frozen=True, slots=True)
class NameTaken:
    """Another process has our name, at this address, and answers there. We have not joined."""

    address: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that whoever runs this member should know, as a sentence; `about` groups what is the same."""

    about: tuple[str, str]
    text: str


Effect = Send | Exchange | Published | Flushed | NameTaken | Noticed | ClusterEvent | Condition


@dataclass(slots=True)
class Stats:
    """Counters of one cluster; they only grow."""

    datagrams_sent: int = 0
    bytes_sent: int = 0
    datagrams_received: int = 0
    bytes_received: int = 0
    exchanges: int = 0
    """Streams that we opened: push-pull and TCP probes."""
    stream_bytes_sent: int = 0
    """Questions and answers on streams."""
    malformed: int = 0
    """Datagrams and stream messages that are no packet of ours, or too large."""
    unknown_key: int = 0
    """Sealed with a key that the keyring does not have."""
    unsealed: int = 0
    """Plain, where there is a keyring."""
    sealed: int = 0
    """Sealed, where there is no keyring."""
    forged: int = 0
    """Whose seal does not fit: damaged, or made without the key."""
    damaged: int = 0
    """Plain, and its checksum does not fit."""
    replayed: int = 0
    """Sealed, and came before: repeated by the network, or by somebody who has recorded it."""
    misdirected: int = 0
    """Sealed for a member of another name."""
    foreign_version: int = 0
    foreign_cluster: int = 0
    """From a cluster of another name."""
    name_conflicts: int = 0
    """Claims of another process that runs under our name."""
    refused_members: int = 0
    """Members over max_members."""
    refused_records: int = 0
    """Records of members that break the rules of what may be announced."""
    refused_by_others: int = 0
    """Notices that others do not take what we send."""
    unresolved: int = 0
    """Datagrams whose address had no known IP yet, or one of a family (IPv4, IPv6) that our socket does not reach."""
    probes: int = 0
    failed_probes: int = 0
    late_timers: int = 0
    refutations: int = 0
