"""What a world is given to run, and what every world can do.

A `Program` is data: nodes with their entry points, links, settings, and scripts that inject faults. A `World` runs one
and writes its trace. The two worlds are sim.backends.simulated and sim.backends.sockets; a word that one of them cannot
do is missing from its class, and a scenario with a fault that needs it is refused before anything starts.

Tests: tests/sim/backends/test_both_worlds.py.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from rpcnet.app import AppError, add_working_directory, cluster_config, convert_arguments, keyring_of, load_app

__all__ = [
    "LinkProgram",
    "NodeProgram",
    "Outcome",
    "Program",
    "ProgramError",
    "Ready",
    "Runner",
    "Script",
    "World",
    "check_program",
]


class ProgramError(Exception):
    """A program that cannot run in this world: an app that cannot be imported, a verb or setting it does not have."""


class NodeProgram(Struct, frozen=True, kw_only=True):
    """One node: its name and what runs on it."""

    name: str
    app: str
    """`module:function`."""
    arguments: Mapping[str, Any] = {}
    environment: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    cpu: str | None = None
    """What each step of a simulated node takes; on sockets the machine decides."""
    start: float = 0.0
    """Seconds after time zero; 0 = at once, and time zero waits until it is ready."""


class LinkProgram(Struct, frozen=True, kw_only=True):
    """What some ways are like that differ from the others."""

    ways: tuple[tuple[str, str], ...]
    """From, to: of nodes, or of neighbours in the graph."""
    settings: Mapping[str, Any]
    """Edge data."""
    of_edges: bool = False
    """Each is an edge of the graph; else all that lies between two nodes."""


class Ready(Struct, frozen=True):
    """A script yields this to wait until a (restarted) node is ready."""

    node: str


# Yields seconds to wait (from now) or Ready(node); calls the world's verbs in between. At `duration`, before any node
# is stopped, the world closes the scripts that still run, in order: their `finally` blocks undo what they did, with
# verbs and `record`, without waiting.
Script = Generator[float | Ready, None, None]


class Program(Struct, frozen=True, kw_only=True):
    """Everything that a world needs; the same object runs in both."""

    scenario: str
    seed: int
    duration: float
    """Virtual (or real) seconds from time zero to the end."""
    nodes: tuple[NodeProgram, ...]
    scripts: Callable[["World"], Sequence[Script]]
    """Called once, at time zero; the scripts run side by side."""
    link: Mapping[str, Any] = {}
    """What lies between any two nodes, in the words of `network.default_link`: preset, latency, loss, …"""
    graph: str | None = None
    """A GraphML file or `networkx generator(args)`; None = all nodes on one switch."""
    machines: str | Mapping[str, str] = "id"
    """How nodes of the file are matched: by `id`, in `order`, by an attribute, or as the mapping says (id → node)."""
    zones: Mapping[str, tuple[str, ...]] = {}
    """Instead of a graph: a switch for each of these, and the nodes that hang on it."""
    links: tuple[LinkProgram, ...] = ()
    """Later ones are laid on top of earlier ones."""
    tie_break: str = "fifo"
    interleaving: str = "fifo"
    """Which ready task of a simulated node goes next; on sockets the machine decides."""
    cluster: Mapping[str, Any] = {}
    """`preset` and fields of ClusterConfig that differ from it."""
    keys: tuple[str, ...] = ()
    """Of each node's keyring at its start, the first one seals; () = none."""
    seeds: tuple[str, ...] = ()
    """Names of the nodes whose gossip address others join at."""
    defects: tuple[str, ...] = ()
    """`module:function` of context managers to enter before any application is imported, in every node's process."""
    wall_limit: float | None = None
    """Real seconds that a simulation may take; None = as long as it takes. Not for sockets."""
    grace: float = 10.0
    """Seconds after the end in which stopped nodes may finish."""
    ready_timeout: float = 30.0


def check_program(program: Program) -> None:
    """Find what would keep a node from starting. Raises ProgramError."""
    names = [node.name for node in program.nodes]
    for name in names:
        if names.count(name) > 1:
            raise ProgramError(f"two nodes are called {name!r}; names are unique")
    for seed in program.seeds:
        if seed not in names:
            raise ProgramError(f"seed {seed!r} is no node; there are: {', '.join(names)}")
    add_working_directory()
    for node in program.nodes:
        try:
            convert_arguments(load_app(node.app), node.arguments)
            cluster_config(program.cluster)
            keyring_of(program.keys)
        except AppError as error:
            raise ProgramError(f"{node.name}: {error}") from error


class World(Protocol):
    """A running program, as fault scripts see it.

    Verbs take node names, seconds and plain numbers; each takes effect at once.

    Every verb that changes something returns True where it had an effect on something that was there to be affected
    (False: crash of a dead node, a cut of a link that is cut already, …). Verbs that end by themselves (pause, block)
    take seconds.
    """

    name: str

    @property
    def now(self) -> float:
        """Seconds since time zero."""
        ...

    def moment(self) -> AbstractContextManager[None]:
        """What is done and recorded in this block has one time, that of its beginning, whatever time it takes."""
        ...

    def names(self) -> Sequence[str]: ...
    def is_up(self, node: str) -> bool: ...
    def record(self, event: str, /, **fields: object) -> None:
        """Write an event of the runner into the trace."""
        ...

    def crash(self, node: str) -> bool: ...
    def kill(self, node: str) -> bool: ...
    def stop(self, node: str) -> bool: ...
    def restart(self, node: str) -> bool: ...
    def pause(self, node: str, seconds: float) -> bool: ...
    def block(self, node: str, seconds: float) -> bool: ...
    def partition(self, name: str, groups: Sequence[Sequence[str]], one_way: bool = False) -> bool:
        """Cut the groups from each other until `heal(name)`. one_way: the first group cannot be heard by the others."""
        ...

    def heal(self, name: str) -> bool:
        """Undo the partition, isolation, link change, hold, slowness or wrong clock of that name.

        False where nothing of that name is in force.
        """
        ...

    def isolate(self, name: str, node: str) -> bool: ...
    def link(self, name: str, source: str, target: str, **edge: object) -> bool:
        """Change what lies on the way from source to target (one way): latency, jitter, loss, bandwidth, …"""
        ...

    def apart(self, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these lead nowhere now, from the first to the second; where there is a graph, of all nodes'."""
        ...

    def hold(self, name: str, source: str, target: str) -> bool:
        """Keep what source sends to target until `heal(name)`, and deliver it then, in order."""
        ...

    def slow_receive(self, name: str, node: str, latency: str) -> bool:
        """Have a node's program read each packet late, by a drawn latency, until `heal(name)`."""
        ...

    def slow(self, name: str, node: str, factor: float) -> bool:
        """Have each step of a node's program take so many times as long, until `heal(name)`."""
        ...

    def clock(self, name: str, node: str, offset: float, drift: float) -> bool:
        """Move a node's wall clock by seconds, and its pace by a share (1e-4 is 100 ppm), until `heal(name)`."""
        ...

    def reset(self, node: str) -> bool:
        """Reset the node's connections with other nodes, at both ends."""
        ...


class Runner(Protocol):
    """Runs one program in one world, to the end, and writes its trace. Raises ProgramError before anything starts.

    `follow` is called with the world once it stands: its `now` may be read from other threads.
    """

    def __call__(
        self, program: Program, trace: Path, follow: Callable[["World"], object] | None = None
    ) -> "Outcome": ...


class Outcome(Struct, frozen=True, kw_only=True):
    """What a world says of a run beyond its trace."""

    backend: str
    digest: str | None
    """None on sockets, and where the wall limit ended it."""
    virtual_seconds: float
    wall_seconds: float
    error: str | None = None
    """The first failure of an application, or of the run: text with the node's name and traceback."""
    waiting: tuple[tuple[str, str, str], ...] = ()
    """When the run's end began, of each task its node, its name and where it waits: a hang explained. Not on sockets,
    nor of many nodes."""
