"""The control channel between the runner and one node's process: what they say, and how it is framed.

A socket pair that the child inherits. Messages are pickled, as the arguments of an application may be anything; both
ends are ours, and nobody else holds the socket. They are structs, as each start of a node waits for them, and
dataclasses take ten times as long to define. Knows no process, no loop and no shaper.

Tests: tests/sim/backends/test_sockets.py.
"""

import pickle
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from sim.network.link import Link

__all__ = ["Applied", "Block", "Channel", "Ended", "Message", "Ready", "Reset", "Start", "Ways"]


class Ways(Struct, frozen=True, kw_only=True):
    """What lies between a node and each other address, each direction for itself; None = cut."""

    number: int
    """Answered by Applied(number)."""
    out: Mapping[str, Link | None]
    into: Mapping[str, Link | None]
    silent: frozenset[str] = frozenset()
    """Addresses without power: nothing goes there or comes from there, not even the end of a connection."""
    held_out: frozenset[str] = frozenset()
    """Addresses for which everything is kept until they are gone from here, and sent then."""
    held_into: frozenset[str] = frozenset()
    """Addresses that keep what they have for us."""
    late: tuple[str, ...] = ()
    """Latencies with which the program reads what has arrived; they add up."""
    offset: float = 0.0
    """Seconds by which the node's wall clock is wrong …"""
    drift: float = 0.0
    """… and how much too fast its loop's clock runs."""
    right: bool = True
    """Whether nothing is wrong with its clock."""


class Start(Struct, frozen=True, kw_only=True):
    """Everything that a process needs to be a node."""

    name: str
    host: str
    hosts: Mapping[str, str]
    """Addresses of all nodes, by name."""
    app: str
    arguments: Mapping[str, Any]
    labels: Mapping[str, str]
    seeds: tuple[str, ...]
    cluster: Mapping[str, Any]
    keys: tuple[str, ...]
    defects: tuple[str, ...]
    directory: str
    trace: str
    epoch: float
    """The runner's time.monotonic() that counts as raw time 0 in every file of this run."""
    seed: str
    """Of this node and this start of it."""
    grace: float
    ways: Ways


class Block(Struct, frozen=True):
    """Keep the event loop busy."""

    seconds: float


class Reset(Struct, frozen=True):
    """Reset all connections with other nodes."""


class Applied(Struct, frozen=True):
    number: int


class Ready(Struct, frozen=True):
    """The application called node.ready()."""


class Ended(Struct, frozen=True):
    """The application is done; what it left behind is counted next, and then the process ends."""

    status: str
    error: str | None = None
    traceback: str = ""


Message = Ways | Start | Block | Reset | Applied | Ready | Ended

_LENGTH = struct.Struct("!I")


class Channel:
    """One end. Neither reading nor writing blocks: a process that is stopped reads nothing for a while."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.closed = False
        self.unsent = bytearray()
        """What did not fit; call `flush` when the socket can be written again."""
        self._buffer = bytearray()

    def send(self, message: Message) -> None:
        """Say something; an end that is gone does not hear it."""
        data = pickle.dumps(message)
        self.unsent += _LENGTH.pack(len(data)) + data
        self.flush()

    def flush(self) -> None:
        try:
            while self.unsent:
                sent = self.socket.send(self.unsent, socket.MSG_DONTWAIT)
                del self.unsent[:sent]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.unsent.clear()

    def receive(self) -> Iterator[Message]:
        """Whatever has arrived; `closed` afterwards where the other end is gone."""
        while True:
            try:
                data = self.socket.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
                break
            self._buffer += data
        yield from self._messages()

    def wait(self) -> Message | None:
        """Block until there is a message; None where the other end is gone. For the child, before its loop runs."""
        while True:
            for message in self._messages():
                return message
            data = self.socket.recv(65536)
            if not data:
                self.closed = True
                return None
            self._buffer += data

    def _messages(self) -> Iterator[Message]:
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            data = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield pickle.loads(data)
