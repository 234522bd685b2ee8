"""What TCP does about losses: when a segment is there that lost a packet, and how long a silent way is tried again.

The part of a sender that knows time-outs; its bytes, their order and the windows are those of tcp.endpoint, which
packet is lost is sim.network.fate's. Fast retransmit is RFC 5681's, the retransmission time-out RFC 6298's with Linux'
limits. Nothing here runs where nothing is lost or cut. Tests: tests/sim/network/tcp/test_losses.py,
tests/sim/network/test_formulas.py.
"""

from __future__ import annotations

import errno
import math
import os
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from sim.network.fate import first_lost
from sim.network.tcp.defaults import FAST_RETRANSMIT_PACKETS, MAX_RTO, MIN_RTO, PACKET_BYTES, USER_TIMEOUT

if TYPE_CHECKING:
    from sim.network.fabric import Path
    from sim.network.tcp.endpoint import Endpoint

__all__ = ["EMPTY", "Losses", "Queue", "Segment", "appended"]

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


class Losses:
    """Of what one endpoint sends; made when its way is a bad one for the first time."""

    __slots__ = ("_endpoint", "_holes", "_resend", "_since", "_timeout", "_unheard")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._holes: list[tuple[Segment, int]] = []
        """Lost segments that wait for their time-out, and how many packets have been sent behind each."""
        self._resend: Queue[tuple[bytes, int]] = EMPTY
        self._since = 0.0
        """When it stalled."""
        self._timeout = MIN_RTO
        self._unheard = False

    # -- over a lossy way ------------------------------------------------------------------------------------------

    def under_way(self, path: Path, now: float, size: int, data: bytes, line: int) -> Segment:
        """A segment that takes the wire's time, and more where one of its packets is lost.

        A loss that at least three packets follow is seen after a round trip (fast retransmit, RFC 5681 §3.2); a later
        segment may bring the third. Else it takes the retransmission time-out (RFC 6298), doubling for each loss again.
        """
        packets = max(1, math.ceil(size / PACKET_BYTES))
        arrival = path.travel(now, size, path.round_trip)
        assert arrival is not None, "it waits where a queue is full"
        random = self._endpoint.network.random
        lost = first_lost(path.passed, random, packets)
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
        lost_again = first_lost(path.passed, random, 1)
        while lost_again is not None and segment[0] - arrival <= USER_TIMEOUT:
            segment[0] += timeout
            timeout = min(2 * timeout, MAX_RTO)
            lost_again = first_lost(path.passed, random, 1)
        if segment[0] - arrival > USER_TIMEOUT:
            self._endpoint.network.schedule.at(now + USER_TIMEOUT, self._give_up, segment)
        return segment

    def _give_up(self, segment: Segment) -> None:
        """It was lost again and again; what came behind it is of no use without it."""
        endpoint = self._endpoint
        if endpoint.alive() and endpoint.error is None and any(each is segment for each in endpoint.in_flight):
            endpoint.in_flight.clear()
            endpoint.fail(_timed_out())

    def _follow_holes(self, packets: int, when: float) -> None:
        """So many packets follow what was lost. Behind which they are three, that is sent again and there by `when`.

        Unless its time-out has come before.
        """
        waiting = []
        for hole, behind in self._holes:
            if behind + packets < FAST_RETRANSMIT_PACKETS:
                waiting.append((hole, behind + packets))
            elif when < hole[0]:
                hole[0] = self._endpoint.in_order(when)
                self._endpoint.expect(hole)
        self._holes = waiting

    # -- into a cut, or to a machine without power -----------------------------------------------------------------

    def stall(self, packet: tuple[bytes, int]) -> None:
        """The way is cut or the other machine silent: keep it, and try again when the time-out has passed."""
        self._resend = appended(self._resend, packet)
        endpoint = self._endpoint
        if not endpoint.stalled:
            endpoint.stalled = True
            schedule = endpoint.network.schedule
            self._since = schedule.now
            self._timeout = self._first_timeout()
            schedule.after(self._timeout, self._retry, None)

    def _first_timeout(self) -> float:
        endpoint = self._endpoint
        return MIN_RTO + endpoint.network.round_trip(endpoint.host, endpoint.peer.host)

    def go_unheard(self) -> None:
        """The way back is cut: what is sent arrives, but no acknowledgement does, and so it is sent again and again."""
        if not self._unheard:
            self._unheard = True
            schedule, timeout = self._endpoint.network.schedule, self._first_timeout()
            schedule.after(timeout, self._listen, (schedule.now, timeout))

    def _listen(self, tried: tuple[float, float]) -> None:
        since, timeout = tried
        endpoint = self._endpoint
        network = endpoint.network
        if not endpoint.alive() or endpoint.error is not None or endpoint.is_released:
            return
        if network.path(endpoint.peer.host, endpoint.host) is not None:
            self._unheard = False
        elif network.schedule.now - since > USER_TIMEOUT:
            endpoint.fail(_timed_out())
        else:
            timeout = min(2 * timeout, MAX_RTO)
            network.schedule.after(timeout, self._listen, (since, timeout))

    def _retry(self, _: None) -> None:
        endpoint = self._endpoint
        if not endpoint.alive() or endpoint.error is not None or not endpoint.stalled:
            return
        network = endpoint.network
        if network.schedule.now - self._since > USER_TIMEOUT:
            endpoint.fail(_timed_out())
        elif network.path(endpoint.host, endpoint.peer.host) is None or not endpoint.peer.host.up:
            self._timeout = min(2 * self._timeout, MAX_RTO)
            network.schedule.after(self._timeout, self._retry, None)
        else:
            endpoint.stalled = False
            packets, self._resend = self._resend, EMPTY
            while packets:
                endpoint.transmit(*packets.popleft())
                if endpoint.stalled:
                    for packet in packets:
                        self.stall(packet)
                    return
            endpoint.pump()


def _timed_out() -> OSError:
    return TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
