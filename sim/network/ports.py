"""Sockets of one machine by the address that they are bound to, and how many have each port.

Knows no socket. Tests: tests/sim/network/test_ports.py.
"""

from typing import Any, Generic, TypeVar

__all__ = ["Bound"]


Socket = TypeVar("Socket")


class Bound(dict[Any, Socket], Generic[Socket]):
    """By (ip, port), or by file where they are Unix sockets."""

    __slots__ = ("ports",)

    def __init__(self) -> None:
        self.ports: dict[int, int] = {}
        """How many addresses have this port."""

    def __setitem__(self, address: Any, socket: Socket) -> None:
        if isinstance(address, tuple) and address not in self:
            self.ports[address[1]] = self.ports.get(address[1], 0) + 1
        super().__setitem__(address, socket)

    def __delitem__(self, address: Any) -> None:
        super().__delitem__(address)
        if isinstance(address, tuple) and (left := self.ports.pop(address[1]) - 1):
            self.ports[address[1]] = left

    def clear(self) -> None:
        super().clear()
        self.ports.clear()
