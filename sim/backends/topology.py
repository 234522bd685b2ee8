"""What lies between the nodes of a program: its links and graph, and what faults have changed, for both worlds.

The same sim.network that carries simulated packets answers here for real ones.

Tests: tests/sim/backends/test_faults.py.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from sim.backends.program import Program, ProgramError
from sim.network.fabric import Network
from sim.network.host import Host
from sim.network.link import Link
from sim.network.schedule import Schedule
from sim.trace import Trace

__all__ = ["Topology", "lay_out"]


def lay_out(network: Network, program: Program) -> None:
    """Give a network the links of a program. Raises ProgramError naming the setting that makes no sense."""
    try:
        network.default_link(**program.link)
    except (ValueError, OSError) as error:
        raise ProgramError(f"network: {error}") from error
    if program.graph is not None or program.zones:
        from sim.backends.graph import GraphError, graph_of

        try:
            network.graph = graph_of(program)
        except GraphError as error:
            raise ProgramError(f"network: {error}") from error
    for link in program.links:
        for way in () if link.of_edges else link.ways:
            network.pair_link(*way, **link.settings)


class Topology:
    """The network of a program whose packets travel elsewhere: it only says what lies between two nodes."""

    def __init__(self, program: Program, hosts: Mapping[str, str]) -> None:
        self._network = Network(Schedule(), Random(program.seed), Trace())
        self._hosts = {name: Host(name, address) for name, address in hosts.items()}
        for host in self._hosts.values():
            self._network.add_host(host)
        lay_out(self._network, program)
        try:
            self._network.check_connected()
        except ValueError as error:
            raise ProgramError(f"network: {error}") from error

    def between(self, source: str, target: str) -> Link | None:
        """The joined link from one node to another now; None = cut."""
        return self._network.between(source, target)

    def apart(self, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        return self._network.apart(pairs)

    def partition(self, name: str, groups: Sequence[Sequence[str]], one_way: bool) -> None:
        self._network.partition(*groups, one_way=one_way, name=name)

    def isolate(self, name: str, node: str) -> None:
        self._network.isolate(node, name=name)

    def link(self, name: str, source: str, target: str, edge: Mapping[str, Any]) -> bool:
        """Whether that changes what lies between the two."""
        before = self.between(source, target)
        self._network.link(source, target, name=name, one_way=True, **edge)
        return before != self.between(source, target)

    def heal(self, name: str | None) -> bool:
        """Undo that cut or change, or all of them."""
        return self._network.heal(name)
