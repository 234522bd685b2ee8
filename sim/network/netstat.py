"""All sockets of a network at a moment, as netstat(8) shows those of a machine: for tests that fail, and for people.

Values and their table; what a socket says of itself is its own affair (`row`). Knows no sockets and no machines. Tests:
tests/sim/network/test_netstat.py.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

__all__ = ["SocketRow", "Sockets", "shown"]


class SocketRow(Struct, frozen=True):
    """One socket."""

    node: str
    protocol: str
    """ "tcp", "udp" or "unix"."""
    address: str
    """ "10.0.0.1:7000", "[::1]:7000", or a path."""
    peer: str
    """The other end's address; "*" where it has none."""
    state: str
    """Of TCP as netstat calls it (LISTEN, ESTABLISHED, CLOSE_WAIT, …); empty for an unconnected datagram socket."""
    unread: int
    """Bytes that have arrived and that its program has not read; of a listener the connections to be accepted."""
    unsent: int
    """Bytes that its program has written and that the other machine has not acknowledged."""


class Sockets(tuple[SocketRow, ...]):
    """Rows, in the order of the nodes; as a text a table."""

    __slots__ = ()

    def __str__(self) -> str:
        names = SocketRow.__struct_fields__
        cells = [names, *([str(getattr(row, name)) or "-" for name in names] for row in self)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(_line(row, widths) for row in cells)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def shown(address: tuple[Any, ...]) -> str:
    """(ip, port) as a text."""
    ip, port = address[:2]
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
