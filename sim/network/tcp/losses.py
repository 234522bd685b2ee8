"""What TCP does about losses: when a segment is there that lost a packet, and how long a silent way is tried again.

The half of a sender that knows time-outs; its bytes, their order and the windows are those of tcp.endpoint.
Fast retransmit is RFC 5681's, the retransmission time-out RFC 6298's with Linux' limits. Nothing here runs where
nothing is lost or cut.
"""

from __future__ import annotations

import errno
import math
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sim.network.fabric import Network, Path
from sim.network.fate import first_lost
from sim.network.host import Host
from sim.network.schedule import Schedule
from sim.network.tcp.defaults import FAST_RETRANSMIT_PACKETS, MAX_RTO, MIN_RTO, PACKET_BYTES, USER_TIMEOUT

if TYPE_CHECKING:
    from sim.network.tcp.endpoint import Endpoint

__all__ = ["EMPTY", "Queue", "Retransmission", "Segment", "appended"]

_T = TypeVar("_T")
Queue = deque[_T]
EMPTY: Any = ()
"""What a queue is until something is put into it: a deque takes 760 bytes, and most connections need none."""


def appended(queue: Queue[_T], item: _T) -> Queue[_T]:
    """The queue with that at its end."""
    if queue is EMPTY:
        return deque((item,))
    queue.append(item)
    return queue


Segment = list[Any]
"""[time at which it has arrived, data, line of `sent`]: one write under way."""


class Retransmission:
    """Base of Endpoint."""

    __slots__ = ("_holes", "_resend", "_stalled_since", "_timeout", "_unheard")

    # Endpoint's.
    network: Network
    host: Host
    peer: Endpoint
    error: OSError | None
    _schedule: Schedule
    _in_flight: Queue[Segment]
    _alive: Callable[[], bool]
    _expect: Callable[[Segment], None]
    _fail: Callable[[OSError], None]
    _in_order: Callable[[float], float]
    _pump: Callable[[], None]
    _transmit: Callable[[bytes, int], None]

    def _none_lost(self) -> None:
        """As it begins."""
        # Lost segments that wait for their time-out, and how many packets have been sent behind each.
        self._holes: list[tuple[Segment, int]] = []
        self._resend: Queue[tuple[bytes, int]] = EMPTY
        self._stalled_since: float | None = None
        self._timeout = MIN_RTO
        self._unheard = False

    # -- over a lossy way ------------------------------------------------------------------------------------------

    def _over_a_bad_way(self, path: Path, now: float, data: bytes, line: int) -> Segment:
        """A segment that takes the wire's time, and more where one of its packets is lost.

        A loss that at least three packets follow is seen after a round trip (fast retransmit, RFC 5681 §3.2); a later
        segment may bring the third. Else it takes the retransmission time-out (RFC 6298), doubling for each loss again.
        """
        packets = max(1, math.ceil(len(data) / PACKET_BYTES))
        arrival = path.travel(now, len(data), path.round_trip)
        assert arrival is not None, "it waits where a queue is full"
        lost = first_lost(path.passed, self.network.random, packets)
        round_trip = path.round_trip
        if self._holes:
            self._follow_holes(packets, arrival + round_trip)
        segment: Segment = [arrival, data, line]
        if lost is None:
            return segment
        following = packets - 1 - lost
        timeout = MIN_RTO + round_trip
        if following >= FAST_RETRANSMIT_PACKETS:
            segment[0] += round_trip
        else:
            segment[0] += timeout
            timeout *= 2
            self._holes.append((segment, following))
        lost_again = first_lost(path.passed, self.network.random, 1)
        while lost_again is not None and segment[0] - arrival <= USER_TIMEOUT:
            segment[0] += timeout
            timeout = min(2 * timeout, MAX_RTO)
            lost_again = first_lost(path.passed, self.network.random, 1)
        if segment[0] - arrival > USER_TIMEOUT:
            self._schedule.at(now + USER_TIMEOUT, self._give_up, segment)
        return segment

    def _give_up(self, segment: Segment) -> None:
        """It was lost again and again; what came behind it is of no use without it."""
        if self._alive() and self.error is None and any(each is segment for each in self._in_flight):
            self._in_flight.clear()
            self._fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))

    def _follow_holes(self, packets: int, when: float) -> None:
        """So many packets follow what was lost. Behind which they are three, that is sent again and there by `when`.

        Unless its time-out has come before.
        """
        waiting = []
        for hole, behind in self._holes:
            if behind + packets < FAST_RETRANSMIT_PACKETS:
                waiting.append((hole, behind + packets))
            elif when < hole[0]:
                hole[0] = self._in_order(when)
                self._expect(hole)
        self._holes = waiting

    # -- into a cut, or to a machine without power -----------------------------------------------------------------

    def _stall(self, packet: tuple[bytes, int]) -> None:
        """The way is cut or the other machine silent: keep it, and try again when the time-out has passed."""
        self._resend = appended(self._resend, packet)
        if self._stalled_since is None:
            network = self.network
            self._stalled_since = network.schedule.now
            self._timeout = MIN_RTO + network.round_trip(self.host, self.peer.host)
            network.schedule.after(self._timeout, self._retry, None)

    def _go_unheard(self) -> None:
        """The way back is cut: what is sent arrives, but no acknowledgement does, and so it is sent again and again."""
        if not self._unheard:
            self._unheard = True
            timeout = MIN_RTO + self.network.round_trip(self.host, self.peer.host)
            self._schedule.after(timeout, self._listen, (self._schedule.now, timeout))

    def _listen(self, tried: tuple[float, float]) -> None:
        since, timeout = tried
        if not self._alive() or self.error is not None:
            return
        if self.network.path(self.peer.host, self.host) is not None:
            self._unheard = False
        elif self._schedule.now - since > USER_TIMEOUT:
            self._fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        else:
            timeout = min(2 * timeout, MAX_RTO)
            self._schedule.after(timeout, self._listen, (since, timeout))

    def _retry(self, _: None) -> None:
        if not self._alive() or self.error is not None or self._stalled_since is None:
            return
        network, now = self.network, self.network.schedule.now
        if now - self._stalled_since > USER_TIMEOUT:
            self._fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        elif network.path(self.host, self.peer.host) is None or not self.peer.host.up:
            self._timeout = min(2 * self._timeout, MAX_RTO)
            network.schedule.after(self._timeout, self._retry, None)
        else:
            self._stalled_since = None
            packets, self._resend = self._resend, EMPTY
            while packets:
                self._transmit(*packets.popleft())
                if self._stalled_since is not None:
                    for packet in packets:
                        self._stall(packet)
                    return
            self._pump()
