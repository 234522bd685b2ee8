"""What stands before a machine's sockets while packets to it are held back or read late.

A hold keeps what would arrive from some machines, the packets of TCP's handshake and its resets included, and hands it
over when it ends, in order. A late reader gets each packet after a delay that is drawn for it, in order as well, while
its timers are on time: its operating system has the packet already, so buffers and windows fill. Knows no TCP and no
UDP: they say how a packet is handed over. Tests: tests/sim/network/test_inbox.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.network.host import OVERHEAD_BYTES, RECEIVE_BUFFER_BYTES, Address, Host

if TYPE_CHECKING:
    from sim.network.fabric import Network
    from sim.network.udp import DatagramSocket

__all__ = ["Inbox"]

_Packet = tuple[str, Callable[[], None], int]
"""Who sent it, how it is handed over, how many bytes of the receive buffer it takes."""


class Inbox:
    """Of one host."""

    def __init__(self, network: Network, host: Host) -> None:
        self._network, self._host = network, host
        self._holds: dict[str, _Hold] = {}
        self._late: dict[str, Callable[[], float]] = {}
        self._waiting: deque[tuple[float, _Packet]] = deque()
        """Packets that will be read late: (time of reading, packet)."""
        self._unread = 0

    # -- rules -----------------------------------------------------------------------------------------------------

    def hold(self, name: str, sender: str) -> None:
        """Keep what comes from that machine."""
        self._holds.setdefault(name, _Hold()).senders.add(sender)

    def holds_from(self, sender: str) -> bool:
        return any(sender in hold.senders for hold in self._holds.values())

    def read_late(self, name: str, delay: Callable[[], float]) -> None:
        """Hand over each packet so many seconds after it came."""
        self._late[name] = delay

    def end(self, name: str) -> None:
        """Remove the rule of that name and deliver the packets that no other rule still keeps."""
        if self._late.keys() == {name}:
            # In order, before anything that they cause: the rule goes when all are through.
            while self._waiting:
                self._hand_over(self._waiting.popleft()[1])
        self._late.pop(name, None)
        ended = self._holds.pop(name, None)
        if ended is not None:
            for packet in ended.kept:
                self._take(*packet)
        if not (self._holds or self._late) and self._host.inbox is self:
            self._host.inbox = None

    # -- packets ---------------------------------------------------------------------------------------------------

    def keeps(self, sender: str, hand_over: Callable[[], None]) -> bool:
        """Whether that is kept until a hold ends: what the operating system answers, and no program reads."""
        for hold in self._holds.values():
            if sender in hold.senders:
                hold.kept.append((sender, hand_over, -1))
                return True
        return False

    def _take(self, sender: str, hand_over: Callable[[], None], size: int) -> None:
        for hold in self._holds.values():
            if sender in hold.senders:
                hold.kept.append((sender, hand_over, size))
                return
        if not self._late or size < 0:
            hand_over()
            return
        schedule = self._network.schedule
        due = schedule.now + sum(delay() for delay in self._late.values())
        if self._waiting:
            due = max(due, self._waiting[-1][0])
        self._waiting.append((due, (sender, hand_over, size)))
        self._unread += size
        schedule.at(due, self._read, due)

    def _read(self, due: float) -> None:
        """Deliver one packet at its time, unless a removed rule delivered it earlier."""
        if self._waiting and self._waiting[0][0] <= due:
            self._hand_over(self._waiting.popleft()[1])

    def _hand_over(self, packet: _Packet) -> None:
        self._unread -= packet[2]
        packet[1]()

    def datagram(self, socket: DatagramSocket, sender: str, data: bytes, source: Address, line: int) -> bool:
        """As DatagramSocket.deliver; False where nothing more fits into the receive buffer."""
        size = len(data) + OVERHEAD_BYTES
        if self._late and self._unread + size > RECEIVE_BUFFER_BYTES and not self.holds_from(sender):
            return False

        def hand_over() -> None:
            reason = "no_listener" if socket.closed else ""
            if not reason and not socket.deliver(sender, data, source, line, True):
                reason = "buffer_full"
            if reason:
                network = self._network
                to, now = self._host.name, network.schedule.now
                network.trace.record(now, sender, "dropped", line, to=to, protocol="udp", reason=reason)

        self._take(sender, hand_over, size)
        return True

    def segment(self, sender: str, hand_over: Callable[[], None]) -> None:
        """Hand over a packet of a stream; the window bounds how much of one can wait here."""
        self._take(sender, hand_over, 0)


class _Hold:
    def __init__(self) -> None:
        self.senders: set[str] = set()
        self.kept: deque[_Packet] = deque()
