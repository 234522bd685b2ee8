"""SO_KEEPALIVE: an idle connection asks from time to time whether the other end is still there.

Costs nothing while it is: probes that are answered change nothing, so none is simulated. Only when a machine loses
power or the network changes does a connection that asked for it look whether its peer has fallen silent; then it waits
for as long as the probes would take and ends as Linux ends it (tcp(7)): ETIMEDOUT after `count` probes without an
answer, a reset where the peer has started anew since. The idle time counts from when the other end fell silent. Knows
who is up and which ways there are. Tests: tests/sim/network/tcp/test_keepalive.py.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from sim.network.tcp.endpoint import Endpoint

if TYPE_CHECKING:
    from sim.network.fabric import Network

__all__ = ["Keepalives", "keep_alive"]


def keep_alive(endpoint: Endpoint, idle: float, interval: float, count: int) -> None:
    """Have an idle connection end once its other end has been silent for `idle` + `count` · `interval` seconds."""
    network = endpoint.network
    if network.keepalives is None:
        network.keepalives = Keepalives(network)
    network.keepalives.set(endpoint, idle, interval, count)


class Keepalives:
    """The connections of a network that asked for it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._kept: dict[Endpoint, _Keepalive] = {}
        self._many = 64

    def set(self, endpoint: Endpoint, idle: float, interval: float, count: int) -> None:
        """From now on this one is kept alive so."""
        if len(self._kept) >= self._many:
            self._kept = {each: keepalive for each, keepalive in self._kept.items() if keepalive.open}
            self._many = 2 * len(self._kept) + 64
        self._kept[endpoint] = _Keepalive(self._network, endpoint, idle, interval, count)
        self._kept[endpoint].look()

    def unset(self, endpoint: Endpoint) -> None:
        self._kept.pop(endpoint, None)

    def kept(self, keepalive: _Keepalive) -> bool:
        return self._kept.get(keepalive.endpoint) is keepalive

    def look(self) -> None:
        """Somebody may have fallen silent."""
        for keepalive in self._kept.values():
            keepalive.look()


class _Keepalive:
    def __init__(self, network: Network, endpoint: Endpoint, idle: float, interval: float, count: int) -> None:
        self._network, self.endpoint = network, endpoint
        self._idle, self._interval, self._count = idle, interval, count
        self._asking = False

    @property
    def open(self) -> bool:
        return not self.endpoint.closed and self.endpoint.there

    @property
    def _answered(self) -> bool:
        """Whether a probe is: by an acknowledgement, or by a reset."""
        here, there = self.endpoint.host, self.endpoint.peer.host
        path = self._network.path
        return there.up and path(here, there) is not None and path(there, here) is not None

    def look(self) -> None:
        if not self._asking and self.open and not (self._answered and self.endpoint.peer.there):
            self._asking = True
            self._network.schedule.after(self._idle, self._probe, 0)

    def _probe(self, unanswered: int) -> None:
        """So many before this one have not been answered."""
        keepalives = self._network.keepalives
        if not self.open or keepalives is None or not keepalives.kept(self):
            return
        endpoint = self.endpoint
        if self._answered:
            self._asking = False
            if not endpoint.peer.there:
                endpoint.give_up(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        elif unanswered == self._count:
            endpoint.give_up(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        else:
            self._network.schedule.after(self._interval, self._probe, unanswered + 1)
