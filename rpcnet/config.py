"""Every number that a user may turn, with its unit, its default and the reason for it.

Values only: frozen dataclasses, checked once when they are built: TypeError for a value of the wrong type, ValueError
for one that makes no sense, both naming the field. Nothing here reads a file, a clock or the environment. Durations are
seconds, sizes are bytes, limits begin with `max_`.

Tests: tests/rpcnet/test_config.py.
"""

import math
from dataclasses import Field, dataclass, fields, replace
from typing import Any, Final, Self, get_args

from rpcnet.address import NAME, is_name

__all__ = ["HELLO_LIMITS", "ClusterConfig", "RpcConfig", "is_duration"]

KIB = 1024
MIB = 1024 * KIB
USUAL_STREAMS: Final = 100
MAX_BYTES: Final = 2**31 - 1
"""Sizes fit into a signed 32-bit integer, so that a peer in any language can count them."""
WINDOW: Final = (KIB, MAX_BYTES)
"""Less would leave no room for an item beside what it costs (docs/protocol.md)."""
HELLO_LIMITS: Final[dict[str, tuple[int, int]]] = {
    "max_message_bytes": (1, MAX_BYTES),
    "max_frame_bytes": (KIB, 2**32 - 1),
    "max_metadata_bytes": (0, 16 * MIB),
    "max_streams": (0, MAX_BYTES),
    "stream_window_bytes": WINDOW,
    "connection_window_bytes": WINDOW,
}
"""The least and the most that an end may announce in HELLO. What RpcConfig takes, every peer takes."""
PROBE_ORDERS: Final = ("shared", "shuffled", "random")
LEAST_INTERVAL: Final = 0.001
"""Seconds. What is due more often keeps the processor busy, and below the clock's resolution it never ends."""
LEAST_DATAGRAM: Final = 512
MOST_DATAGRAM: Final = 65_507
"""The most that UDP over IPv4 carries."""
MOST_EXCHANGE: Final = 2**32 - 1
"""The length before a message on a stream has four bytes."""


_ACCEPTED: Final[dict[Any, tuple[type, ...]]] = {float: (float, int)}
"""What a field of an annotated type takes, where that is more than the type."""


def _check(config: Any, *, may_be_zero: frozenset[str], may_be_infinite: frozenset[str]) -> None:
    """Refuse values of another type than their field's, negative numbers, NaN, and a zero or infinity without sense."""
    for field in fields(config):
        value = getattr(config, field.name)
        name = f"{type(config).__name__}.{field.name}"
        _check_type(name, field, value)
        if value is None or isinstance(value, bool | str):
            continue
        least = 0 if field.name in may_be_zero else None
        if not (value > 0 or value == least):
            raise ValueError(f"{name} must be {'at least' if least == 0 else 'above'} 0, not {value!r}")
        endless = value == math.inf and field.name in may_be_infinite
        if field.type is not int and not endless and not _is_finite(value):
            raise ValueError(f"{name} must be finite, not {value!r}")


def _check_type(name: str, field: "Field[Any]", value: Any) -> None:
    """A bool is no number, though Python calls it an int; an int is a float as good as any."""
    types: tuple[Any, ...] = get_args(field.type) or (field.type,)
    taken = tuple(one for kind in types for one in _ACCEPTED.get(kind, (kind,)))
    if not isinstance(value, taken) or (isinstance(value, bool) and bool not in types):
        expected = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        raise TypeError(f"{name} must be {expected}, not {value!r}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond what a float holds
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcConfig:
    """Limits and times of one server or client."""

    default_timeout: float | None = None
    """Seconds: `timeout` of unary calls and `idle_timeout` of streams that name none. None = no limit."""
    insecure: bool = False
    """Allow addresses other than loopback without TLS."""
    max_message_bytes: int = 4 * MIB
    """gRPC's default, known to users."""
    max_streams: int = USUAL_STREAMS
    """Running handlers a connection (not open streams: a reset stream counts until its handler has ended). 0 = none
    are served, as a client may say; a server refuses every call then."""
    max_handlers: int = 100_000
    """Running handlers of a server, over all its connections; beyond it a call is refused, RESOURCE_EXHAUSTED. A guard
    against running out of memory (a waiting handler takes some 7 KiB), far above what one process does well."""
    max_connections: int = 10_000
    """Connections of a server, as Redis's `maxclients`; beyond it one is told why, and closed."""
    max_idle_seconds: float | None = None
    """A connection without calls for so long is closed in order by this end, be it client or server; the next call
    makes another. None = never: gRPC's default for servers (its clients close after 30 minutes)."""
    max_metadata_bytes: int = 64 * KIB
    """Longest metadata, trailers and details, each; 0 = none are taken."""
    max_depth: int = 64
    """Nesting of a typed payload."""
    handshake_timeout: float = 10.0
    """From accept or connect to the peer's HELLO; a peer that sends half a frame and goes silent is closed after it."""
    ping_interval: float = 20.0
    """Idle time after which the peer is asked for a sign of life."""
    ping_timeout: float = 20.0
    """Silence after a ping until the connection is given up."""
    stream_window_bytes: int = 512 * KIB
    """Credit of one stream: what a peer may have sent and nobody has read."""
    connection_window_bytes: int | None = None
    """Credit of one connection, over all its streams. None: max_streams * stream_window_bytes, which is also the least:
    who does not read holds up no other stream."""
    part_bytes: int = 128 * KIB
    """A larger message travels in parts of this size, so that it holds up nobody."""
    max_resets: int = 1000
    """Calls that a connection may cancel in a burst; beyond it comes GOAWAY, and the end once its calls are done."""
    resets_per_second: float = 33.0
    """How fast that allowance comes back."""
    late_timer_grace: float = 1.0
    """How long at most a late timer waits for what has already arrived to be read."""
    connect_timeout: float = 10.0
    reconnect_backoff: float = 0.05
    """Most of the first pause before connecting again. It doubles with each attempt in vain, up to
    max_reconnect_backoff; each pause is drawn evenly from 0 to that ("full jitter")."""
    max_reconnect_backoff: float = 5.0
    expose_errors: bool = False
    """Send the text of unexpected exceptions to the peer. Off: texts may hold secrets."""
    reflection: bool | None = None
    """Tell callers which methods there are, with their types. None = where the server's address is a Unix socket or
    loopback, so that only this machine can ask."""

    def __post_init__(self) -> None:
        infinite = {"default_timeout", "handshake_timeout", "ping_interval", "ping_timeout", "connect_timeout"}
        infinite.add("max_idle_seconds")
        zero = {"max_streams", "max_metadata_bytes"}
        _check(self, may_be_zero=frozenset(zero), may_be_infinite=frozenset(infinite))
        for name, (least, most) in {**HELLO_LIMITS, "part_bytes": WINDOW}.items():
            value = getattr(self, name, most)  # the longest frame is computed, from the part and the metadata
            if value is not None and not least <= value <= most:
                raise ValueError(f"RpcConfig.{name} must be {least} to {most}, not {value!r}")
        needed = max(1, self.max_streams) * self.stream_window_bytes
        if needed > MAX_BYTES:
            product = "RpcConfig.max_streams * RpcConfig.stream_window_bytes"
            raise ValueError(f"{product} must be {KIB} to {MAX_BYTES}, not {needed}")
        if self.connection_window < needed:
            raise ValueError(
                f"RpcConfig.connection_window_bytes ({self.connection_window}) must be at least max_streams"
                f" * stream_window_bytes ({needed}), or a few streams that nobody reads would stop all others"
            )

    @property
    def connection_window(self) -> int:
        """Bytes of credit of one connection; `connection_window_bytes`, or what stands for None there."""
        window = self.connection_window_bytes
        return (
            min((self.max_streams or USUAL_STREAMS) * self.stream_window_bytes, MAX_BYTES) if window is None else window
        )

    def with_default_timeout(self, seconds: float | None) -> Self:
        return replace(self, default_timeout=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """Times and multipliers of SWIM with Lifeguard. `lan()` is written out; the others are differences from it.

    Where a default has a peer, it is memberlist's (config.go at 1b4c746) unless the comment says why not.
    """

    cluster_name: str = "default"
    """Carried by every datagram: two clusters that meet do not merge. Printable text of 1 to 128 characters."""
    probe_interval: float = 1.0
    """Sooner = found sooner, more messages (two a member a period)."""
    probe_timeout: float | None = None
    """Wait for a direct ack before the helpers are asked; above the round trip's 99th percentile, and below
    probe_interval, or nobody would ever be asked. None = half of probe_interval."""
    indirect_probes: int = 3
    """Helpers asked when a direct probe stays silent. 0 = off."""
    probe_order: str = "shared"
    """`shared`: all probe in one order, so that each is probed once a period. `shuffled`: each in an order of its own,
    shuffled anew each round (memberlist), which leaves a third unprobed in a period. `random`: for comparison with the
    papers' formulas; nothing bounds the time between two probes."""
    tcp_probe: bool = True
    """Ask once more over TCP, so that a network that drops only datagrams kills nobody."""
    refusal_is_evidence: bool = True
    """A port that is closed on a machine that answers, as the prober sees twice and two helpers once, is a death
    without suspicion; each that is told of it knocks first. Needs tcp_probe. False = silence alone counts (memberlist).
    """
    suspicion_multiplier: float = 3.0
    """Least suspicion = multiplier * max(1, log10 n) * probe_interval. Lower = found sooner, more false deaths.
    memberlist has 4; 3 with a retransmit_multiplier of 6 has fewer false deaths than 4 with 4."""
    max_suspicion_multiplier: float = 6.0
    """Suspicion starts at this many times the least, 1 or more, and shrinks with each confirmation (Lifeguard §IV)."""
    accuse_at: float = 0.3
    """A probe that failed is told after this share of the least suspicion, which has begun by then, if no late answer
    has come. Below 1. 0 = told at once (memberlist)."""
    question_at: float = 0.5
    """After this share of the least suspicion a suspect is asked directly by each that suspects it, and again later;
    one that is given up elsewhere, but doubted by nobody here, is asked first. 0 = off."""
    retransmit_multiplier: int = 6
    """An update rides on multiplier * ceil(log10(n + 1)) messages (memberlist: 4)."""
    crowded_transmissions: int = 4
    """While very many updates wait (a storm of joins), joins and tags ride on so many messages at most, and hearing one
    counts as telling it; table digests repair what is missed. 0 = off."""
    gossip_interval: float = 0.2
    gossip_fanout: int = 3
    gossip_to_dead_time: float = 30.0
    """How long the dead are still told news, so that one wrongly dead learns of it and refutes."""
    push_pull_interval: float = 30.0
    """Tables are compared with one random member over TCP, by digests; rarer in large clusters. 0 = off."""
    tcp_timeout: float = 10.0
    buddy_system: bool = True
    """Who sends to a suspect tells it of that on the same packet, so that it refutes soon (Lifeguard §IV.C)."""
    max_awareness: int = 8
    """Local ill-health stretches the probe interval up to this many times (Lifeguard §IV). 0 = off."""
    reconnect_interval: float = 1.0
    """One unreachable member or seed is tried every so often, for ever: partitions heal."""
    reconnect_tries: int = 4
    """Each time, besides that one, so many members that failed lately are tried: the long dead delay no healing.
    0 = off."""
    hold_down: float = 30.0
    """A member that the others hold for failed contradicts at once, the first time. When it fails again before that is
    forgotten, it stays out until none of its probes has been missed for so many seconds; twice as many after each
    further failure. 0 = off: it is back as often as it fails."""
    max_hold_down: float = 600.0
    flap_memory: float = 300.0
    """One failure is forgotten for each so many seconds without another."""
    tombstone_time: float = 86_400.0
    """How long a failed or left member is remembered; at least push_pull_interval, or who missed it brings it back."""
    leave_timeout: float = 5.0
    """How long a leave waits until its message has been sent often enough."""
    join_timeout: float = 2.0
    """How long start() waits for a first seed to answer; afterwards joining goes on in the background."""
    late_timer_grace: float = 1.0
    """How long at most a late timer waits for what has already arrived to be read."""
    late_timer_tolerance: float = 0.1
    """A timer that fires later than this was held up by ourselves: no evidence against others, and local ill-health."""
    max_datagram_bytes: int = 1400
    """512 to 65507. Below the usual MTU of 1500 with IPv6 and UDP headers."""
    max_exchange_bytes: int | None = None
    """One push-pull message. None = max_members * max_datagram_bytes, which is also the least: a full table fits."""
    max_members: int = 10_000
    """Rows of the table, the remembered dead included."""
    max_relays: int = 1024
    """Pings that we send for others at once; whoever asks for more is not helped."""
    max_exchanges: int = 16
    """Streams that we hold open to others at once, probes aside."""
    max_streams: int = 256
    """Streams that others hold open to us. Of more, the oldest that has not shown yet that it is of this cluster is
    closed."""
    max_tags_bytes: int = 512
    """All tags of one member, encoded; below max_datagram_bytes, as they ride in one datagram."""
    expected_size: int | None = None
    """Members of the whole cluster: whoever sees half of them or fewer is partitioned. None = those that are up and
    those that failed lately."""
    max_watch_events: int = 1024
    """Changes that a watcher may be behind; beyond, it gets one Lagged with a snapshot instead."""
    insecure: bool = False
    """Allow addresses other than loopback without a key."""

    def __post_init__(self) -> None:
        zero = {"indirect_probes", "push_pull_interval", "max_awareness", "gossip_to_dead_time", "reconnect_interval"}
        zero |= {"crowded_transmissions", "reconnect_tries", "question_at", "accuse_at", "hold_down"}
        infinite = {"tombstone_time", "gossip_to_dead_time", "tcp_timeout", "leave_timeout", "join_timeout"}
        _check(self, may_be_zero=frozenset(zero), may_be_infinite=frozenset(infinite))
        if not is_name(self.cluster_name):
            raise ValueError(f"ClusterConfig.cluster_name must be {NAME}, not {self.cluster_name!r}")
        if self.probe_order not in PROBE_ORDERS:
            raise ValueError(f"ClusterConfig.probe_order must be one of {PROBE_ORDERS}, not {self.probe_order!r}")
        self._check_times()
        self._check_sizes()

    def _check_times(self) -> None:
        for name in ("probe_interval", "gossip_interval", "push_pull_interval", "reconnect_interval"):
            if 0 < getattr(self, name) < LEAST_INTERVAL:
                raise ValueError(f"ClusterConfig.{name} must be at least {LEAST_INTERVAL}, not {getattr(self, name)!r}")
        if self.probe_wait >= self.probe_interval:
            raise ValueError(
                f"ClusterConfig.probe_timeout ({self.probe_wait}) must be below ClusterConfig.probe_interval"
                f" ({self.probe_interval}), or helpers and TCP would never be asked; None = half of it"
            )
        if self.max_suspicion_multiplier < 1:
            raise ValueError(
                "ClusterConfig.max_suspicion_multiplier must be at least 1 (it multiplies the least suspicion),"
                f" not {self.max_suspicion_multiplier!r}"
            )
        if self.accuse_at >= 1:
            raise ValueError(
                "ClusterConfig.accuse_at must be below 1 (a share of the least suspicion, after which the verdict"
                f" may fall), not {self.accuse_at!r}"
            )
        if self.tombstone_time < self.push_pull_interval:
            raise ValueError(
                f"ClusterConfig.tombstone_time ({self.tombstone_time}) must be at least"
                f" ClusterConfig.push_pull_interval ({self.push_pull_interval}), or one that missed a death brings"
                " the dead back"
            )

    def _check_sizes(self) -> None:
        if not LEAST_DATAGRAM <= self.max_datagram_bytes <= MOST_DATAGRAM:
            raise ValueError(
                f"ClusterConfig.max_datagram_bytes must be {LEAST_DATAGRAM} to {MOST_DATAGRAM},"
                f" not {self.max_datagram_bytes}"
            )
        if self.max_tags_bytes >= self.max_datagram_bytes:
            raise ValueError(
                f"ClusterConfig.max_tags_bytes ({self.max_tags_bytes}) must be below ClusterConfig.max_datagram_bytes"
                f" ({self.max_datagram_bytes}): tags ride in one datagram"
            )
        table = self.max_members * self.max_datagram_bytes
        if table > MOST_EXCHANGE:
            raise ValueError(
                "ClusterConfig.max_members * ClusterConfig.max_datagram_bytes must be at most"
                f" {MOST_EXCHANGE}, not {table}: a table is sent in one message"
            )
        if not table <= self.exchange_limit <= MOST_EXCHANGE:
            raise ValueError(
                f"ClusterConfig.max_exchange_bytes must be max_members * max_datagram_bytes ({table}) to"
                f" {MOST_EXCHANGE}, not {self.exchange_limit}: a full table is sent in one message"
            )

    @property
    def probe_wait(self) -> float:
        """Seconds that a direct ack has: `probe_timeout`, or what stands for None there."""
        return self.probe_interval / 2 if self.probe_timeout is None else self.probe_timeout

    @property
    def exchange_limit(self) -> int:
        """Bytes of one push-pull message: `max_exchange_bytes`, or what stands for None there."""
        table = self.max_members * self.max_datagram_bytes
        return table if self.max_exchange_bytes is None else self.max_exchange_bytes

    @classmethod
    def lan(cls) -> Self:
        return cls()

    @classmethod
    def memberlist_lan(cls) -> Self:
        """memberlist's values and its order of probes, without what is ours: what `lan()` is compared with."""
        return cls(
            suspicion_multiplier=4.0,
            retransmit_multiplier=4,
            probe_order="shuffled",
            accuse_at=0.0,
            question_at=0.0,
            crowded_transmissions=0,
        )

    @classmethod
    def local(cls) -> Self:
        """One machine: short time-outs, few messages."""
        return cls(
            indirect_probes=1,
            retransmit_multiplier=2,
            gossip_interval=0.1,
            gossip_to_dead_time=15.0,
            push_pull_interval=15.0,
            tcp_timeout=1.0,
        )

    @classmethod
    def wan(cls) -> Self:
        """Round trips of hundreds of milliseconds."""
        return cls(
            probe_interval=5.0,
            suspicion_multiplier=6.0,
            retransmit_multiplier=4,
            gossip_interval=0.5,
            gossip_fanout=4,
            gossip_to_dead_time=60.0,
            push_pull_interval=60.0,
            tcp_timeout=30.0,
        )


def is_duration(setting: str) -> bool:
    """Whether that is a field of ClusterConfig in seconds: all floats but multipliers and shares are."""
    kinds = {field.name: field.type for field in fields(ClusterConfig)}
    return kinds.get(setting) in (float, float | None) and not setting.endswith(("_multiplier", "_at"))
