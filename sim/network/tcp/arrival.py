"""What arrives at the other end of a connection: segments, markers, resets.

Kept apart from the end that sends: these run when a packet's time has come, on the machine that it came to. They are a
part of tcp.endpoint, and use what is private of it. Tests: tests/sim/network/tcp/test_endpoint.py.
"""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING

from sim.network.tcp.losses import appended

if TYPE_CHECKING:
    from sim.network.tcp.endpoint import Endpoint

__all__ = ["Packet", "arrive", "land", "was_reset"]

Packet = tuple["Endpoint", bytes, int, bool]
"""One under way: who sent it, data, its line of `sent` (0 = a marker), whether it has been through the inbox there."""


def arrive(sender: Endpoint) -> None:
    """Segments under way whose time has come reach the other machine, unless one before them is missing."""
    in_flight = sender.in_flight
    now = sender._schedule.now
    while in_flight and in_flight[0][0] <= now:
        _, data, line = in_flight.popleft()
        if line and in_flight and in_flight[0][2] and in_flight[0][0] <= now and _comes_with_the_next(sender):
            _gather(sender, data, line)
        else:
            land((sender, data, line, False))


def _comes_with_the_next(sender: Endpoint) -> bool:
    """Whether the reader is told once about a packet and the one after it: over loopback no time is between them."""
    target = sender.peer
    host = target.host
    return host is sender.host and host.inbox is None and target.there and not target.refuses


def _gather(sender: Endpoint, data: bytes, line: int) -> None:
    """A packet is there whose reader is told when the next one is."""
    target, cause = sender.peer, sender._cause
    cause[0] = target._next_line()
    target.append((target.received, sender._schedule.now, target._node, line, target._to, "tcp", len(data)))
    target._arrived += len(data)
    target.unread += len(data)
    target._chunks = appended(target._chunks, data)
    if sender._blocked:
        target._tell_sender(len(data))
    cause[0] = 0


def land(packet: Packet) -> None:
    """A packet is at the other machine: the hot path of what is received, in one piece."""
    sender, data, line, waited = packet
    target = sender.peer
    host = target.host
    if not (host.up and host.boots == target.boot and target.error is None):
        target.missed(data, line, sender)
    elif host.inbox is not None and not waited:
        host.inbox.segment(sender.host.name, partial(land, (sender, data, line, True)))
    elif not line:
        target.heed(data)
    elif target.refuses:
        target.refuse(sender)
    else:
        size, cause = len(data), sender._cause
        cause[0] = target._next_line()
        target.append((target.received, sender._schedule.now, target._node, line, target._to, "tcp", size))
        target._arrived += size
        target._read += size
        sink = target.sink
        if sink is None or target._chunks or not sink[0](sink[1], sink[2], data):
            target._read -= size
            target.unread += size
            target._chunks = appended(target._chunks, data)
            if sender._blocked:
                target._tell_sender(size)
            target._just_came = size
            target.on_readable()
            target._just_came = 0
        elif sender._blocked:
            target._tell_sender(size)
        cause[0] = 0


def was_reset(endpoint: Endpoint) -> None:
    """A reset is there."""
    inbox = endpoint.host.inbox
    if inbox is not None and inbox.keeps(endpoint._to, partial(was_reset, endpoint)):
        return
    if endpoint.alive() and endpoint.error is None:
        number = errno.EPIPE if endpoint.eof else errno.ECONNRESET  # Linux: tcp_reset()
        endpoint.fail(OSError(number, os.strerror(number)))
