"""Addresses for the processes of one run: 256 of 127.0.0.0/8 that no other run and no other program uses.

Linux answers on every address of 127.0.0.0/8 without configuration. A block is held by a socket bound to its last
address, so two runs at the same time never share one.

Tests: tests/sim/backends/test_sockets.py.
"""

import os
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from rpcnet.app import GOSSIP_PORT
from sim.backends.program import ProgramError

__all__ = ["AddressBlock", "connected"]

NODES_AT_MOST = 253
TRIES = 64
ESTABLISHED = "01"


class AddressBlock:
    """A /24 of loopback addresses, held while this is entered. Node `i` has `address(i)`, from 0."""

    def __init__(self, nodes: int) -> None:
        if nodes > NODES_AT_MOST:
            raise ProgramError(f"{nodes} nodes are too many for the sockets backend (at most {NODES_AT_MOST}); use sim")
        self._nodes = nodes
        self._prefix = ""
        self._lock: socket.socket | None = None

    def address(self, number: int) -> str:
        return f"{self._prefix}.{number + 1}"

    def __enter__(self) -> Self:
        problem: OSError | None = None
        for _ in range(TRIES):
            first, second = os.urandom(2)
            # 127.0.x.y is where people put their own servers, and some systems a name server.
            self._prefix = f"127.{64 + first % 128}.{second}"
            try:
                self._lock = _bound(f"{self._prefix}.254", socket.SOCK_DGRAM)
                for number in range(self._nodes):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        _bound(self.address(number), kind).close()
            except OSError as error:
                problem = error
                self._release()
            else:
                return self
        raise ProgramError(
            f"no free block of loopback addresses in {TRIES} tries ({problem}); "
            f"is port {GOSSIP_PORT} taken on 0.0.0.0, or is this not Linux?"
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def connected(address: str) -> bool:
    """Whether this address has a TCP connection with another one, as the kernel tells (proc_net_tcp)."""
    own = int.from_bytes(socket.inet_aton(address), sys.byteorder).to_bytes(4, "big").hex().upper()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if state == ESTABLISHED and local.startswith(own) and not remote.startswith(own):
            return True
    return False


def _bound(address: str, kind: socket.SocketKind) -> socket.socket:
    probe = socket.socket(socket.AF_INET, kind)
    try:
        probe.bind((address, GOSSIP_PORT))
    except OSError:
        probe.close()
        raise
    return probe
