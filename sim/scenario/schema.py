"""What a scenario says, as frozen structs that mirror the TOML word for word.

A struct's fields are the keys of its table; what a key means and which unit it has stands beside it, and
docs/scenarios.md is tested against it. The same structs can be built in Python, where durations are seconds and
probabilities 0 … 1.
Values only: nothing here reads a file, knows a world or judges. Reading and checking: sim.scenario.load. The Scenario
that users hold, which loads, runs and sweeps itself: sim.api.

Tests: tests/sim/scenario/test_docs.py, tests/sim/scenario/test_load.py.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from sim.network.latency import Distribution, parse_latency
from sim.network.quantity import parse_seconds

__all__ = [
    "Between",
    "Cluster",
    "Drawn",
    "Duration",
    "Each",
    "Edge",
    "Network",
    "Node",
    "Origin",
    "Pick",
    "Probability",
    "Scenario",
    "Selector",
    "Sweep",
    "parse_drawn",
    "parse_duration",
]

# --- units ------------------------------------------------------------------------------------------------------------


class _SpeltInText(type):
    """Its instances are plain floats: the name says how the number is spelt in a file, and goes when it is read."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, float)


Interleaving = Literal["fifo", "random", "pct", "pos", "surw", "mix"]


class _SpeltOrDrawn(type):
    """Its instances are plain floats and distributions."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, float) or hasattr(value, "sampler")


if TYPE_CHECKING:
    Duration = float
    Drawn = float | Distribution
    Probability = float
else:

    class Duration(float, metaclass=_SpeltInText):
        """Seconds; in a file text with a unit: "10s", "200ms", "1m"."""

    class Drawn(float, metaclass=_SpeltOrDrawn):
        """Seconds, or a distribution that they are drawn from; in a file "10s" or "uniform(5s, 10s)"."""

    class Probability(float, metaclass=_SpeltInText):
        """0 … 1; in a file "5%" or 0.05."""


def parse_duration(value: object) -> float:
    """Seconds of "200ms", "10s", "1.5m", "1h". Raises ValueError for anything else, a plain number included."""
    if isinstance(value, str):
        if re.fullmatch(r"\s*[0-9.]+\s*", value):
            raise ValueError(f'{value!r} is not a duration: it has no unit; did you mean "{value.strip()}s"?')
        return parse_seconds(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    hint = f'; did you mean "{value}s"?' if is_number else ""
    raise ValueError(f'a duration is text with a unit, like "10s", "200ms" or "1.5m", not {value!r}{hint}')


def parse_drawn(value: object) -> "float | Distribution":
    """Seconds of "10s", or what "uniform(5s, 10s)" draws from. Raises ValueError for anything else."""
    if isinstance(value, str) and "(" in value:
        return parse_latency(value, "a duration or a distribution")
    return parse_duration(value)


# --- who --------------------------------------------------------------------------------------------------------------


class Pick(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Some of the nodes that `of` selects, drawn from the seed."""

    pick: str | int
    """`2`, so many; `one`, `minority` (as many as can be fewer than half), `majority` (more than half), `30%`."""
    of: str | list[str] = "all"
    """Of whom."""


# A name, a pattern (`worker-*`), a label (`role=worker`), `all`, or what is left without one (`!client`); a list of
# these; or a Pick. What they mean: sim.scenario.select.
Selector = str | list[str | Pick] | Pick


class Each(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node after the other: a rolling fault."""

    each: Selector
    """Whom."""
    next: str = "ready"
    """When the next one follows: `ready` (the one before is up again; needs `for`), `ready + 2s`, or a duration."""


# --- nodes and what lies between --------------------------------------------------------------------------------------


class Node(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[node]]`: a machine, or `count` of them."""

    name: str
    """Letters, digits, `-` and `_`; `all` is taken."""
    app: str
    """`module:function`, an `async def` that takes the node's context, or nothing."""
    count: int | None = None
    """So many nodes, `name-1`, `name-2`, …; numbered whenever it is given."""
    labels: dict[str, str] = {}
    """What `role=worker` selects by."""
    args: dict[str, Any] = {}
    """Keyword arguments of the function."""
    env: dict[str, str] = {}
    """Environment variables."""
    cpu: str | None = None
    """What each step of its program takes: `50us`, `lognormal(50us, 1)`; left out = no time. Not on sockets."""
    start: Duration = 0.0
    """How long after time zero it starts; left out = at once, and time zero waits until it is ready."""

    def names(self) -> list[str]:
        return [self.name] if self.count is None else [f"{self.name}-{i}" for i in range(1, self.count + 1)]


class Edge(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What lies on the way between two nodes. Left out = as the preset, or as before."""

    preset: str | None = None
    """`loopback`, `lan`, `datacenter`, `wan`, `cross-region`, `wifi`, `mobile`; keys beside it win over it."""
    latency: str | None = None
    """`20ms`, `uniform(1ms, 5ms)`, `normal(20ms, 3ms)`, `lognormal(20ms, 0.4)`, …: one way."""
    jitter: str | None = None
    """Added to each latency, drawn anew: a duration or a distribution."""
    loss: Probability | None = None
    """Share of packets that never arrive."""
    duplicate: Probability | None = None
    """Share of datagrams that arrive twice."""
    reorder: Probability | None = None
    """Share of datagrams that later ones overtake."""
    corrupt: Probability | None = None
    """Share of datagrams with a flipped bit."""
    bandwidth: str | None = None
    """`1MB/s`, `10Mbit/s`."""
    queue: str | int | None = None
    """Bytes that wait for the bandwidth before more is lost: a number, or `64KB`."""

    def edge(self) -> dict[str, Any]:
        """What is said, in the words of `network.default_link`."""
        return {name: value for name in Edge.__struct_fields__ if (value := getattr(self, name)) is not None}


class Between(Edge, frozen=True, kw_only=True):
    """`[[network.link]]`: what lies between some of the nodes, or between two zones or routers."""

    from_: Selector | None = field(default=None, name="from")
    """Whose packets, with `to`: one way. A selector, a zone or a router."""
    to: Selector | None = None
    """To whom."""
    between: list[Selector] | None = None
    """Two of these: both ways."""


class Network(Edge, frozen=True, kw_only=True):
    """`[network]`: what lies between any two nodes."""

    zones: str | None = None
    """A label of the nodes: each of its values is a zone, a switch with its nodes around it."""
    graph: str | None = None
    """A GraphML file, or a networkx generator with its arguments; left out = all nodes on one switch."""
    machines: str | dict[str, str] = "id"
    """Which nodes of a GraphML file are whose: the same `id`, in `order`, an attribute of that name, or a table."""
    links: tuple[Between, ...] = field(default=(), name="link")
    """What lies between some of them, where it is something else."""

    def link(self) -> dict[str, Any]:
        return self.edge()


class Cluster(Struct, frozen=True, kw_only=True):
    """`[cluster]`: what `node.cluster()` is built with. Beside these keys every field of ClusterConfig."""

    preset: Literal["local", "lan", "wan"] = "lan"
    """Which ClusterConfig the fields differ from."""
    join: Selector | None = None
    """At whom the others join; left out = at the first node of the file."""
    keys: tuple[str, ...] = ()
    """Keys with which each node starts, as base64 text, the first one seals; left out = plain datagrams."""
    settings: dict[str, Any] = {}
    """Fields of ClusterConfig, in its units; in a file they stand in the table itself, durations as text."""


# --- many runs --------------------------------------------------------------------------------------------------------


class Sweep(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[sweep]`: what `rpcnet-sim sweep` runs where its command line says nothing else."""

    seeds: str | None = None
    """`1:5000`, both ends included; left out = the file's `seed` alone."""
    interleaving: Interleaving | None = None
    """Of these runs; left out = as the file says for a single run."""
    matrix: dict[str, list[Any]] = {}
    """Key, as for `--set`, and the values that it takes; every combination is run with every seed."""


# --- the whole --------------------------------------------------------------------------------------------------------


class Origin(Struct, frozen=True):
    """Where a scenario was read: for messages, replay commands and the report."""

    file: Path
    text: str
    lines: Mapping[str, int] = {}
    """Line of an element by its path: `fault[0]`, `expect[2]`, …"""
    overrides: tuple[str, ...] = ()
    """As a command line gives them: `node.worker.count=50`."""


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One scenario: nodes, what happens to them, what must hold."""

    name: str
    """What the run is called, in reports and file names: no `/`, and no dot in front."""
    duration: Duration
    """From time zero to the end, when everything is undone and every node is stopped."""
    summary: str = ""
    """The question that it asks, in a sentence or two."""
    seed: int = 1
    """All chance of a run comes from it; the command line may give another."""
    catches: tuple[str, ...] = ()
    """Defects (sim/defects, or `module:function`) that must make this scenario fail."""
    tie_break: Literal["fifo", "random"] = "fifo"
    """Order of events at the same virtual time: as they were caused, or the seed's choice."""
    interleaving: Interleaving = "fifo"
    """Which ready task of a node goes next: first come, first served, or the choice of a strategy; `mix` draws one."""
    network: Network = Network()
    """What lies between the nodes."""
    cluster: Cluster = Cluster()
    """Settings of the membership protocol."""
    node: tuple[Node, ...]
    """The machines."""
    fault: tuple[Any, ...] = ()
    """What happens to them: structs of sim.scenario.faults."""
    expect: tuple[Any, ...] = ()
    """What must hold: structs of sim.scenario.expect."""
    sweep_: Sweep | None = field(default=None, name="sweep")
    """Which seeds and settings `rpcnet-sim sweep` runs; a single run does not look at it."""
    origin: Origin | None = None
    """Not a key: set by `load`."""

    def line(self, element: str) -> int:
        """The line of the file where `fault[0]`, `expect[2]`, … stands; 0 where it was built in Python."""
        return self.origin.lines.get(element, 0) if self.origin else 0
