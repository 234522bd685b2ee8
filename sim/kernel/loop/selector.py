"""The selector that watches a node's simulated sockets, and asyncio's table of the transports above them.

Level-triggered as epoll is. Which sockets may have something is marked by the sockets themselves, so that nobody looks
at all of them; sim.kernel.loop.run asks the marked ones. Tests: tests/sim/kernel/loop/test_loop.py.
"""

import os
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from sim.kernel.loop.run import Turns
    from sim.kernel.loop.sockets import SimulatedSocket

__all__ = ["Selector", "Transports"]

FIRST_DESCRIPTOR = 1_000_000  # beyond any real one, so that a use outside of the simulation fails


class Selector:
    """A node's sockets, and which of them may have something (`marked`)."""

    __slots__ = ("_descriptor", "_numbers", "detached", "inheritable", "inodes", "loop", "marked", "sockets")

    def __init__(self, loop: "Turns") -> None:
        self.loop = loop
        self.sockets: dict[int, SimulatedSocket] = {}
        self.marked: dict[int, SimulatedSocket] = {}
        self.detached: frozenset[int] = frozenset()
        """Descriptors that no object of the program has since `detach()`."""
        self.inheritable: frozenset[int] = frozenset()
        """Those that a child process would have."""
        self.inodes = 0
        """How many of its sockets' files have been given a number."""
        self._numbers: dict[int, Number] | None = None
        """Descriptors of the real machine that adopted sockets have; None = there was none yet."""
        self._descriptor = FIRST_DESCRIPTOR

    def add(self, added: "SimulatedSocket") -> int:
        """Give a new socket its descriptor."""
        self._descriptor += 1
        self.sockets[self._descriptor] = added
        return self._descriptor

    def renumber(self, watched: "SimulatedSocket", descriptor: int) -> None:
        """From now on that socket has this descriptor of the real machine."""
        self.remove(watched.fileno())
        numbers = self._numbers = self._numbers or {}
        numbers[descriptor] = Number(descriptor)
        self.sockets[descriptor] = watched

    def remove(self, descriptor: int) -> None:
        self.sockets.pop(descriptor, None)
        self.marked.pop(descriptor, None)
        if self.detached:
            self.detached -= {descriptor}
        if self.inheritable:
            self.inheritable -= {descriptor}
        if self._numbers:
            self._numbers.pop(descriptor, None)

    def get_key(self, descriptor: int) -> SelectorKey:
        """As a real selector's: a transport's repr() asks it. Raises KeyError."""
        watched = self.sockets[descriptor]
        wanted = (EVENT_READ if watched.reader else 0) | (EVENT_WRITE if watched.writer else 0)
        if not wanted:
            raise KeyError(descriptor)
        return SelectorKey(descriptor, descriptor, wanted, (watched.reader, watched.writer))

    def close(self) -> None:
        self.marked.clear()
        self._numbers = None


class Number:
    """Reserves a real descriptor's number after its file was closed; the number is free when this object goes."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, descriptor, inheritable=False)
        os.close(null)

    def __del__(self) -> None:
        os.close(self._descriptor)


class Transports:
    """asyncio's table of transports by descriptor. It stores none: each socket refers to its transport."""

    __slots__ = ("_sockets",)

    def __init__(self, sockets: "dict[int, SimulatedSocket]") -> None:
        self._sockets = sockets

    def get(self, descriptor: int) -> Any:
        found = self._sockets.get(descriptor)
        return None if found is None or found.transport is None else found.transport()

    def __getitem__(self, descriptor: int) -> Any:
        transport = self.get(descriptor)
        if transport is None:
            raise KeyError(descriptor)
        return transport

    def __setitem__(self, descriptor: int, transport: Any) -> None:
        self._sockets[descriptor].transport = ref(transport)

    def __delitem__(self, descriptor: int) -> None:
        self[descriptor]  # raises KeyError
        self._sockets[descriptor].transport = None

    def values(self) -> list[Any]:
        return [transport for each in self._sockets if (transport := self.get(each)) is not None]
