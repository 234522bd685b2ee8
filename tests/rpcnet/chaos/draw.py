"""Draws a plan from a seed. Knows nothing of how it is played.

Every call is drawn so that it must end: one whose handler never answers has a deadline, an idle time-out or a caller
that lets go. The number of bytes is limited, so that a plan is played in about a tenth of a second.

Each seed has its own taste: one has many calls at once, another large items or impatient callers. So states are reached
that an even mixture of everything would hardly ever reach (A. Groce et al., Swarm Testing, ISSTA 2012).
"""

from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from rpcnet import RpcConfig
from tests.rpcnet.chaos.payload import NAMED_BYTES
from tests.rpcnet.chaos.plan import CLIENTS, SERVER, Call, Fault, Handling, Plan
from tests.rpcnet.chaos.raising import RAISES

__all__ = ["draw"]

KIB: Final = 1024
MIB: Final = 1024 * KIB
SECONDS: Final = 3.0
"""Calls begin and faults happen within so many seconds."""
MOST_BYTES: Final = 5 * MIB
KINDS: Final = (
    *("pause", "block", "cut", "cut", "loss", "slow", "slow_receive"),
    *("kill", "crash", "reset", "stop", "roll", "roll", "leave"),
)
"""Faults: stop = the server stops and starts again, roll = another one takes over its port, leave = a client closes."""
FORMS: Final[dict[str, tuple[str, ...]]] = {
    "unary": ("call",),
    "upload": ("list", "generator", "stream"),
    "download": ("for", "block", "receive"),
    "both": ("list", "generator", "stream", "own", "lockstep"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """What is frequent in the plan of one seed."""

    shapes: tuple[str, ...]
    calls: int
    together: float
    """The chance that a call begins at the same time as the one before."""
    within: float
    """Calls begin within so many seconds."""
    large: float
    limited: float
    """The chance of a deadline, and of an idle time-out."""
    let_go: float
    slow: float
    """The chance that a handler or a caller takes its time."""
    fails: float


def draw(seed: int) -> Plan:
    """The plan of a seed, always the same one."""
    random = Random(f"chaos/{seed}")
    server, client = _configs(random)
    calm = random.random() < 0.25
    taste = _taste(random)
    calls = _calls(random, taste, server, client)
    return Plan(
        seed=seed,
        server_config=server,
        client_config=client,
        latency=random.choice(("1ms", "uniform(1ms, 8ms)", "uniform(1ms, 8ms)", "20ms", "uniform(10us, 60ms)")),
        bandwidth=None if calm or random.random() < 0.8 else random.choice((300_000.0, 3_000_000.0)),
        loss=0.0 if calm else random.choice((0.0, 0.0, 0.0, 0.001, 0.02)),
        tie_break=random.choice(("fifo", "random")),
        tls=random.random() < 0.1,
        calls=calls,
        faults=() if calm else _faults(random, calls, taste.within),
    )


def _taste(random: Random) -> Taste:
    few = random.random() < 0.3
    return Taste(
        shapes=tuple(random.sample(tuple(FORMS), random.choice((1, 2)) if few else 4)),
        calls=random.choice((2, 4, 8, 16, 24, 32)),
        together=random.choice((0.0, 0.5, 0.5, 0.9)),
        within=random.choice((0.1, 1.0, SECONDS * 0.8, SECONDS * 0.8)),
        large=random.choice((0.0, 0.15, 0.15, 0.6)),
        limited=random.choice((0.1, 0.5, 0.9)),
        let_go=random.choice((0.0, 0.15, 0.15, 0.6)),
        slow=random.choice((0.1, 0.5, 0.9)),
        fails=random.choice((0.0, 0.2, 0.2, 0.6)),
    )


# Settings.


def _configs(random: Random) -> tuple[RpcConfig, RpcConfig]:
    """Small windows, parts and limits, or large ones; two ends need not agree."""
    times: dict[str, Any] = {
        "insecure": True,
        "ping_interval": random.choice((0.3, 0.5, 1.0)),
        "ping_timeout": random.choice((0.4, 1.0)),
        "handshake_timeout": random.choice((0.5, 1.5)),
        "late_timer_grace": random.choice((0.05, 0.2, 1.0)),
        "connect_timeout": random.choice((0.5, 1.5)),
        "reconnect_backoff": random.choice((0.01, 0.05)),
        "max_reconnect_backoff": 0.3,
    }
    default = random.choice((None, None, None, 0.5, 2.0))
    client = RpcConfig(default_timeout=default, **times, **_limits(random))
    if random.random() < 0.1:
        client = replace(client, max_streams=0)  # it runs no handlers
    return RpcConfig(**times, **_limits(random)), client


def _limits(random: Random) -> dict[str, int | float]:
    if random.random() < 0.4:
        return {}
    streams = random.choice((1, 2, 3, 10, 100))
    window = random.choice((1 * KIB, 1500, 4 * KIB, 20_000, 64 * KIB, 256 * KIB, MIB))
    return {
        "max_streams": streams,
        "stream_window_bytes": window,
        "connection_window_bytes": streams * window + random.choice((0, 1, 10 * KIB, MIB)),
        "part_bytes": random.choice((1 * KIB, 4 * KIB, 64 * KIB, 64 * KIB, 256 * KIB)),
        "max_message_bytes": random.choice((4 * MIB, 4 * MIB, 4 * MIB, 100_000)),
        "max_metadata_bytes": random.choice((64 * KIB, 1 * KIB)),
        "max_resets": random.choice((1000, 1, 3)),
        "resets_per_second": random.choice((33.0, 0.5)),
    }


# Calls.


def _calls(random: Random, taste: Taste, server: RpcConfig, client: RpcConfig) -> tuple[Call, ...]:
    window = min(server.stream_window_bytes, client.stream_window_bytes)
    edges = [server.part_bytes, client.part_bytes, server.stream_window_bytes - 64, client.stream_window_bytes - 64]
    budget = [min(MOST_BYTES, 50 * window)]

    def size() -> int:
        if random.random() < taste.large:
            drawn = random.choice((5_000, 30_000, 60_000, 70_000, 100_000, 300 * KIB, MIB, 3 * MIB))
        elif random.random() < 0.15:
            drawn = max(0, random.choice(edges) + random.choice((-1, 0, 1)))
        else:
            drawn = random.choice((0, 0, 1, NAMED_BYTES, 20, 100, 100, 300, 1000, 3000))
        drawn = min(drawn, budget[0])
        budget[0] -= drawn
        return drawn

    calls = []
    at = round(random.uniform(0, taste.within), 3)
    for number in range(1, taste.calls + 1):
        if random.random() >= taste.together:
            at = round(random.uniform(0, taste.within), 3)
        calls.append(_call(random, taste, number, at, size))
    return tuple(calls)


def _call(random: Random, taste: Taste, number: int, at: float, size: Any) -> Call:
    shape = random.choice(taste.shapes)
    form = random.choice(FORMS[shape])
    asks = 1 if shape in ("unary", "download") else _some(random)
    answers = 1 if shape in ("unary", "upload") else _some(random)
    if form == "lockstep":
        asks = answers = max(1, asks)
    sends = tuple(size() for _ in range(asks))
    handling = _handling(random, taste, shape, form, tuple(size() for _ in range(answers)))
    options: dict[str, Any] = {}
    if form in ("generator", "stream", "own"):
        options["pause"] = _seconds(random, taste.slow, 0.01, 0.2)
    if form in ("generator", "list") and random.random() < taste.fails / 2:
        options["raises_at"] = random.randrange(asks + 1)
        options["odd_error"] = random.random() < 0.3
    if shape in ("download", "both"):
        options["slow"] = _seconds(random, taste.slow / 2, 0.02, 0.3)
        if form != "lockstep" and random.random() < taste.let_go:
            options["leave_after"] = random.randrange(4)
            options["leave_by"] = random.choice(("break", "abort"))
    options |= _limits_of(random, taste, shape, never=handling.waits_for_ever)
    named = bool(sends) and sends[0] >= NAMED_BYTES and handling.reads != "none" and options.get("raises_at") != 0
    options["metadata"] = not named or random.random() < 0.3
    node = random.choice(CLIENTS)
    return Call(number=number, node=node, at=at, shape=shape, form=form, sends=sends, handling=handling, **options)


def _some(random: Random) -> int:
    return random.choice((0, 1, 2, 3, 5, 8, 20))


def _seconds(random: Random, chance: float, *seconds: float) -> float:
    return random.choice(seconds) if random.random() < chance else 0.0


def _handling(random: Random, taste: Taste, shape: str, form: str, sends: tuple[int, ...]) -> Handling:
    reads = "all"
    if shape == "upload":
        reads = random.choice(("all", "all", "some", "none"))
    elif shape == "both":
        reads = "each" if form == "lockstep" else random.choice(("all", "each", "each", "some", "none"))
    return Handling(
        reads=reads,
        before=_seconds(random, taste.slow, 0.01, 0.3, 1.0),
        pause=_seconds(random, taste.slow, 0.01, 0.2),
        sends=sends,
        end=_end(random, taste),
        cleanup=_seconds(random, taste.slow / 2, 0.1, 0.5, 0.5, 3.0),
        metadata=random.random() < 0.15,
        trailers=random.random() < 0.15,
    )


def _end(random: Random, taste: Taste) -> str:
    if random.random() >= taste.fails:
        return "ok"
    return random.choice(("never", "never", "stubborn", *random.sample(tuple(RAISES), 3)))


def _limits_of(random: Random, taste: Taste, shape: str, never: bool) -> dict[str, Any]:
    """Deadlines and who lets go; at least one of them where the handler never answers."""
    found: dict[str, Any] = {}
    seconds = (0.05, 0.3, 0.5, 1.0, 2.0)
    found["timeout"] = random.choice(seconds) if random.random() < taste.limited else None
    if shape == "unary":
        if found["timeout"] is None:
            found["timeout"] = random.choice((None, "default"))
    else:
        found["idle_timeout"] = random.choice((*seconds, "default")) if random.random() < taste.limited else None
    if random.random() < 0.03:
        found[random.choice(tuple(found))] = random.choice((0, -1.0, float("inf")))
    if random.random() < taste.let_go:
        found["cancel_after"] = random.choice((0.0, 0.001, 0.02, 0.3, 1.0))
    elif shape == "both" and random.random() < taste.let_go:
        found["abort_after"] = random.choice((0.0, 0.02, 0.3, 1.0))
    bounded = found.keys() & {"cancel_after", "abort_after"} or any(
        isinstance(found.get(name), float | int) and found[name] < 10 for name in ("timeout", "idle_timeout")
    )
    if never and not bounded:
        found[random.choice(tuple(found))] = random.choice(seconds)
    return found


# Faults.


def _faults(random: Random, calls: tuple[Call, ...], within: float) -> tuple[Fault, ...]:
    """Most happen while calls are made, some as one begins, and some so soon after each other that they overlap."""
    faults = []
    until = random.choice((within + 0.2, within + 0.6, SECONDS))
    for number in range(len(calls) + 1, len(calls) + 1 + random.choice((1, 1, 2, 3, 6))):
        kind = random.choice(KINDS)
        node = (
            random.choice((SERVER, *CLIENTS)) if kind in ("pause", "block", "slow_receive") else random.choice(CLIENTS)
        )
        if kind in ("kill", "crash"):
            node = CLIENTS[1] if random.random() < 0.25 else SERVER
        elif kind in ("stop", "roll"):
            node = SERVER
        amount = {
            "slow": random.choice((100_000.0, 1_000_000.0)),
            "loss": random.choice((0.05, 0.3)),
            "slow_receive": random.choice((0.01, 0.1)),
            "stop": random.choice((0.0, 0.1, 1.0)),
            "roll": random.choice((0.0, 0.1, 1.0)),
        }.get(kind, 0.0)
        lasts = 0.0 if kind in ("reset", "leave", "roll") else random.choice((0.05, 0.3, 1.0, 2.0))
        at = random.uniform(0.02, until)
        if random.random() < 0.3:
            at = max(0.02, random.choice(calls).at + random.uniform(-0.01, 0.03))
        faults.append(
            Fault(
                number=number,
                kind=kind,
                at=round(at, 3),
                lasts=lasts,
                node=node,
                one_way=kind == "cut" and random.random() < 0.4,
                reverse=random.random() < 0.5,
                amount=amount,
            )
        )
    return tuple(faults)
