"""The network between machines: which way lies between two of them now, and how to change it.

Answers two questions of the hot path: whose address is this, and what is the path from one host to another (None = no
way through). Knows no event loop and no program. What changes its ways is kept by sim.network.rules, what befalls a
packet on one is sim.network.fate's; datagrams are sim.network.udp's, connections sim.network.tcp's. Tests:
tests/sim/network/test_network.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from sim.network import fate
from sim.network.host import Host
from sim.network.latency import Constant, Distribution, parse_latency, typical
from sim.network.link import Link, join, spelt_out
from sim.network.rules import Cut, Rules
from sim.network.schedule import Schedule
from sim.network.wire import Wire
from sim.trace import Trace

if TYPE_CHECKING:
    from sim.network.graph import Graph
    from sim.network.inbox import Inbox
    from sim.network.netstat import Sockets
    from sim.network.tcp.keepalive import Keepalives
    from sim.network.udp import DatagramSocket

__all__ = ["Network", "NotConnected", "Path", "UnknownNode", "demand_connected"]

LOOPBACK = Link(latency=Constant(25e-6))


class UnknownNode(KeyError):
    """A name that no node has."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(name)
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        self.text = f"there is no node {name!r}; there are: {shown or 'none yet'}"

    def __str__(self) -> str:
        return self.text


class NotConnected(ValueError):
    """A graph in which some machine cannot reach another, or is missing."""


def topology() -> Any:
    """sim.network.graph, loaded where a graph is used: networkx takes longer to import than all the rest."""
    from sim.network import graph

    return graph


def demand_connected(graph: Graph, names: Sequence[str]) -> None:
    """Raise NotConnected unless every one of these is in the graph and can reach every other."""
    missing = [name for name in names if name not in graph]
    if missing:
        raise NotConnected(f"the graph has no node {missing[0]!r}; give each machine a node of its name")
    lost = topology().unreachable(graph, names) if names else None
    if lost is not None:
        raise NotConnected(
            f"the graph is not connected: there is no way from {lost[0]!r} to {lost[1]!r}; add an edge, and cut it "
            "with network.partition() once the simulation runs"
        )


class Path:
    """The way from one host to another: its hops, and the joined link, its delay bound to the network's randomness."""

    __slots__ = ("delay", "hops", "link", "passed", "plain", "round_trip")

    def __init__(self, link: Link, hops: Iterable[tuple[Wire | None, Distribution]], random: Random) -> None:
        self.link = link
        self.delay: Callable[[], float] = link.delay.sampler(random)
        """Draws seconds."""
        self.plain = link.plain
        self.passed = fate.passes(link)
        """The chance that a packet of a stream arrives whole."""
        self.round_trip = 2 * typical(link.delay)
        """Seconds, as TCP estimates it."""
        self.hops = [(wire, delay.sampler(random)) for wire, delay in hops]

    def travel(self, now: float, size: int, again: float | None = None) -> float | None:
        """When something sent now arrives: each wire's time and each hop's latency; None = a queue was full.

        With `again` it is sent again then, so many seconds later.
        """
        at = now
        for wire, delay in self.hops:
            if wire is not None:
                left = wire.take(now, at, size, again)
                if left is None:
                    return None
                at = left
            at += delay()
        return at


class Network:
    """All hosts and what lies between them.

    With no graph given all machines hang on one switch, and `default_link` says what lies between any two of them.
    """

    def __init__(self, schedule: Schedule, random: Random, trace: Trace) -> None:
        self.schedule = schedule
        self.random = random
        self.trace = trace
        self.sent = trace.shape("sent", "to", "protocol", "bytes", "crc")
        """The numbers of the shapes that sockets append to the trace."""
        self.received = trace.shape("received", "from", "protocol", "bytes")
        self.dropped = trace.shape("dropped", "to", "protocol", "reason")
        self.cause: list[int] = [0]
        """The line of the event that is being answered; one cell, shared with the simulation."""
        self.hosts: dict[str, Host] = {}
        self.directory: dict[str, Host] = {}
        """By name and by address."""
        self.hearers: dict[tuple[Any, ...], DatagramSocket] = {}
        """The socket that an address was found to lead to, from any other machine; forgotten when one is closed."""
        self.keepalives: Keepalives | None = None
        """Connections with SO_KEEPALIVE; None = there was none yet."""
        self._looks = False
        self._graph: Graph | None = None
        self._default = Link()
        self._pairs: dict[tuple[str, str], dict[str, Any]] = {}
        """In what the way from one machine to another differs from the default link or the graph's, for good."""
        self._rules = Rules()
        self._paths: dict[tuple[Host, Host], Path | None] = {}
        self._links: dict[tuple[Any, Any], Link] = {}
        """The links of the graph's edges, built from their data when first used."""
        self._trees: dict[str, dict[Any, Any]] = {}
        """The shortest paths from a machine, as far as they were asked for."""
        self._watched = True
        """True while every part of the graph reports its changes; a part that is added does not do so yet."""
        self._wires: dict[tuple[str, str], Wire] = {}
        self._loopback = Path(LOOPBACK, [(None, LOOPBACK.delay)], random)
        self.uniform: Path | None = None
        """The one path between any two machines, where the network is that even …"""
        self.plain: Path | None = None
        """… and where that path is plain, for the hot path."""
        self._changed()

    # -- what lies between -----------------------------------------------------------------------------------------

    def default_link(self, link: Link | None = None, /, **settings: Any) -> None:
        """Set what lies between any two machines: `preset="lan"`, or `latency="uniform(1ms, 5ms)", loss=0.01`, …

        Raises QuantityError for a setting that makes no sense.
        """
        self._default = link or Link.of(settings)
        self._changed()

    def pair_link(self, source: str, target: str, **settings: Any) -> None:
        """Set what lies on the way from one machine to another, as far as it is not what lies there for all.

        Said again, the later settings count, key by key. Raises UnknownNode, QuantityError.
        """
        self._known(source, target)
        _demand_two(source, target)
        Link.of(settings)
        self._pairs[source, target] = self._pairs.get((source, target), {}) | spelt_out(settings)
        self._changed()

    @property
    def graph(self) -> Graph:
        """The topology. Edge data: latency, jitter, loss, duplicate, reorder, corrupt, bandwidth, queue, preset.

        Change it as you like (`graph.remove_edge("a", "b")`, `graph["a"]["b"]["latency"] = "50ms"`): routes follow.
        """
        if self._graph is None:
            star: Graph = topology().star(self.hosts)
            return star
        return self._graph

    @graph.setter
    def graph(self, graph: Graph) -> None:
        self._graph = topology().checked_graph(graph)
        self._graph_changed()
        self._watch()

    def _graph_changed(self) -> None:
        """Called in the middle of a change by networkx: new parts are watched later, when a route is asked for."""
        self._watched = False
        self._changed()

    def _watch(self) -> None:
        if not self._watched and self._graph is not None:
            topology().watch(self._graph, self._graph_changed)
            self._watched = True

    def link(self, source: str, target: str, *, name: str | None = None, one_way: bool = False, **edge: Any) -> str:
        """Change the link between two neighbours of the graph, until `heal(name)`. Returns the name.

        Whoever's way leads over it meets the change, and takes another way where that is shorter now; a link that loses
        everything is no way at all. Of two machines that are no neighbours, or where there is no graph, it changes all
        that lies between them.
        """
        if self._graph is None or not self._graph.has_edge(source, target):
            self._known(source, target)
        _demand_two(source, target)
        Link.of(edge)
        name = name or f"link {source} {target}"
        self._rules.change(name, source, target, edge, one_way=one_way)
        self._changed()
        return name

    def partition(self, *groups: Sequence[str], one_way: bool = False, name: str | None = None) -> str:
        """Cut groups of nodes from each other, until healed; whoever is in no group stays connected to all.

        `one_way`: what the first group sends does not reach the others, the way back is open. Returns the name.
        """
        for group in groups:
            if isinstance(group, str):
                raise TypeError(f"a group of a partition is a list of nodes, [{group!r}], not the text {group!r}")
            self._known(*group)
        name = name or " | ".join(",".join(group) for group in groups)
        self._rules.cut(name, Cut.between([frozenset(group) for group in groups], one_way=one_way))
        self._changed()
        return name

    def isolate(self, node: str, *, name: str | None = None) -> str:
        """Cut one node from everybody, until healed. Returns the name."""
        self._known(node)
        name = name or f"isolate {node}"
        self._rules.cut(name, Cut.around(node))
        self._changed()
        return name

    def hold(self, source: str, target: str, *, name: str | None = None) -> str:
        """Keep what one machine sends to another, and deliver it when healed, in order. Returns the name."""
        self._known(source, target)
        _demand_two(source, target)
        name = name or f"hold {source} {target}"
        self._inbox(target, name).hold(name, source)
        return name

    def slow_receive(self, node: str, latency: Any, *, name: str | None = None) -> str:
        """Have a machine's program read each packet late, by a duration or distribution, until healed.

        Packets stay in order, and its timers are on time. Returns the name. Raises QuantityError.
        """
        self._known(node)
        delay = parse_latency(latency).sampler(self.random)
        name = name or f"slow_receive {node}"
        self._inbox(node, name).read_late(name, delay)
        return name

    def _inbox(self, node: str, name: str) -> Inbox:
        host = self.hosts[node]
        inbox = host.inbox
        if inbox is None:
            from sim.network.inbox import Inbox  # few simulations keep packets back

            inbox = host.inbox = Inbox(self, host)
        self._rules.keep(name, inbox)
        return inbox

    def fell_silent(self) -> None:
        """A machine may have, for another one: whoever asks for that looks, when all changes of now are made."""
        if self.keepalives is not None and not self._looks:
            self._looks = True
            self.schedule.after(0.0, self._look, self.keepalives)

    def _look(self, keepalives: Keepalives) -> None:
        self._looks = False
        keepalives.look()

    def heal(self, name: str | None = None) -> bool:
        """Undo the cut, change, hold or slowness of that name, or all of them. False where there was none."""
        ended = self._rules.let_go(name)
        if ended:
            # An event of its own: nothing of a node runs while somebody heals.
            self.schedule.after(0.0, _hand_over, ended)
        found = self._rules.end(name)
        self._changed()
        return found or bool(ended)

    # -- the hot path ----------------------------------------------------------------------------------------------

    def host_of(self, ip: str, asker: Host) -> Host | None:
        """The host that `ip`, an address or a name, leads to from host `asker`; None if there is no such host."""
        return self.directory.get(ip) or (asker if asker.owns(ip) else None)

    def path(self, source: Host, target: Host) -> Path | None:
        """The way from one host to another now; None = cut off."""
        if source is target:
            return self._loopback
        if self.uniform is not None:
            return self.uniform
        try:
            return self._paths[source, target]
        except KeyError:
            path = self._paths[source, target] = self._find(source, target)
            return path

    def add_host(self, host: Host) -> None:
        directory, names = self.directory, (*host.addresses, host.name)
        for known_as in names:
            if known_as in directory:
                raise ValueError(f"{known_as} is {directory[known_as].name}'s already")
        self.hosts[host.name] = host
        for known_as in names:
            directory[known_as] = host

    def addresses(self, name: str) -> list[str]:
        """The addresses of a node's name; none where there is no such node."""
        if name == "localhost":
            return ["127.0.0.1"]
        host = self.hosts.get(name)
        return [] if host is None else list(host.addresses)

    def sockets(self) -> Sockets:
        """All sockets of all nodes now, as netstat shows them; printed it is a table.

        Connections that one program has closed and the other has not are there too, at both ends.
        """
        from sim.network.netstat import Sockets  # for whoever looks

        rows = [row for host in self.hosts.values() for row in host.rows()]
        held = {endpoint for host in self.hosts.values() for endpoint in host.endpoints}
        left = [each.peer for each in held if each.peer not in held and each.peer.alive() and each.error is None]
        order = {name: number for number, name in enumerate(self.hosts)}
        rows += sorted((each.row() for each in left), key=lambda row: (row.address, row.peer))
        return Sockets(sorted(rows, key=lambda row: order[row.node]))

    def resolve(self, name: str) -> str:
        """The first address of a node's name; an address is itself."""
        if name == "localhost":
            return "127.0.0.1"
        host = self.hosts.get(name)
        return name if host is None else host.ip

    def check_connected(self) -> None:
        """Raise NotConnected unless every host can reach every other (asked once, when a simulation starts)."""
        if self._graph is not None:
            demand_connected(self._graph, list(self.hosts))

    def _changed(self) -> None:
        """Forget all computed routes. The one link of a network without graph and rules is computed at once."""
        self._paths.clear()
        self._links.clear()
        self._trees.clear()
        shaped = self._rules.shape_links or bool(self._pairs)
        uniform = self._graph is None and not shaped and self._default.bandwidth is None
        default = self._default
        self.uniform = Path(default, [(None, default.delay)], self.random) if uniform else None
        self.plain = self.uniform if default.plain else None
        self.fell_silent()

    def round_trip(self, source: Host, target: Host) -> float:
        """Seconds of a round trip. Where the route is cut now, those from before, as TCP has measured them then."""
        path = self.path(source, target) or self._way(source, target)
        return 0.0 if path is None else path.round_trip

    def _find(self, source: Host, target: Host) -> Path | None:
        if self._rules.blocks(source.name, target.name):
            return None
        path = self._way(source, target)
        return None if path is None or path.link.loss >= 1 else path

    def _way(self, source: Host, target: Host) -> Path | None:
        """The way where nothing cuts it; None where there is none in the graph."""
        a, b = source.name, target.name
        links, hops = [self._default], [(a, b)]
        if self._graph is not None:
            self._watch()
            if a not in self._trees:
                self._trees[a] = topology().tree(self._graph, a, self._link_of)
            found = topology().route(self._graph, self._trees[a], a, b, self._link_of)
            if found is None:
                return None
            links, hops = found
        whole = join(links)
        ways = [(self._wire(hop, link), link.delay) for link, hop in zip(links, hops, strict=True)]
        if self._graph is None or not self._graph.has_edge(a, b):
            for_good = self._pairs.get((a, b))
            changes = [*(() if for_good is None else (for_good,)), *self._rules.changes(a, b)]
            for edge in changes:
                whole = Link.of(edge, whole)
            if any({"bandwidth", "queue"}.intersection(edge) for edge in changes):
                ways = [(self._wire((a, b), whole), whole.delay)]
            elif changes:
                # The wires on the way are still shared with whoever else uses them.
                ways = [*((wire, Constant(0.0)) for wire, _ in ways if wire), (None, whole.delay)]
        return Path(whole, ways, self.random)

    def _wire(self, hop: tuple[str, str], link: Link) -> Wire | None:
        return self._wires.setdefault(hop, Wire()).set(link) if link.bandwidth else None

    def _link_of(self, a: Any, b: Any, data: Mapping[str, Any]) -> Link:
        """An edge of the graph in one direction, with all that changes it."""
        try:
            return self._links[a, b]
        except KeyError:
            link = self._links[a, b] = self._rules.changed(topology().edge_link(data, self._default), a, b)
            return link

    def between(self, source: str, target: str) -> Link | None:
        """What lies now between two machines, all the way, or between two neighbours of the graph; None = no way."""
        if source in self.hosts and target in self.hosts:
            path = self.path(self.hosts[source], self.hosts[target])
            return None if path is None else path.link
        assert self._graph is not None, f"{source} and {target} are no machines, and there is no graph"
        link = self._link_of(source, target, self._graph.edges[source, target])
        return None if link.loss >= 1 else link

    def apart(self, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those pairs whose first machine cannot reach the second now; with a graph, out of all pairs of machines."""
        hosts = self.hosts
        both = ((a, b) for a, b in pairs if a in hosts and b in hosts)
        found = {(a, b) for a, b in both if self.path(hosts[a], hosts[b]) is None}
        if self._graph is not None:
            found |= topology().apart(self._graph, list(self.hosts), self._link_of)
        return found

    def _known(self, *names: str) -> None:
        for name in names:
            if name not in self.hosts:
                raise UnknownNode(name, self.hosts)


def _demand_two(source: str, target: str) -> None:
    if source == target:
        raise ValueError(f"nothing lies between {source!r} and itself; name two nodes")


def _hand_over(ended: Iterable[tuple[Inbox, str]]) -> None:
    for inbox, name in ended:
        inbox.end(name)
