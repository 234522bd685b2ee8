"""What the core wants done, in order. Values; whoever runs the core carries them out."""

from dataclasses import dataclass

from rpcnet.cluster.swim.event import ClusterEvent, Healed, Partitioned

__all__ = ["Effect", "Exchange", "Flushed", "NameTaken", "Noticed", "Published", "Send", "Stats"]


@dataclass(frozen=True, slots=True)
class Send:
    """Send one datagram."""

    address: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """Connect to `address`, send `data`, and give the answer to `Core.exchanged`, or nothing to `exchange_failed`."""

    number: int
    address: str
    data: bytes
    timeout: float


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


Effect = Send | Exchange | Published | Flushed | NameTaken | Noticed | ClusterEvent | Partitioned | Healed


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
    """Questions and answers on streams, without their four bytes of length."""
    malformed: int = 0
    """Datagrams and stream messages that are no packet of ours, or too large."""
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
    """Datagrams whose address had no known IP yet."""
    probes: int = 0
    failed_probes: int = 0
    late_timers: int = 0
    refutations: int = 0
