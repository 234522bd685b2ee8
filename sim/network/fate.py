"""What befalls a packet on its way: whether it is lost, damaged, overtaken or doubled. The only place that decides it.

A datagram gets one verdict: why it does not arrive, or what of it arrives and when. A stream is told which of its
packets is lost first, the setting up of a connection whether its packet is. Who asks: UDP, TCP, and the wires of real
processes (sim.backends.shaper). Draws are made in the order of the docs, and only where the link can do that to a
packet: this order is part of what a seed means. Knows no sockets and no routes; the way that is asked about says how
long it takes. Formulas: docs/network-model.md. Tests: tests/sim/network/test_fate.py.
"""

import math
from collections.abc import Callable
from random import Random
from typing import Literal, Protocol

from sim.network.link import Link

__all__ = ["Arrivals", "Lost", "Way", "datagram", "datagram_loss", "first_lost", "packet_is_lost", "passes"]

FRAGMENT_BYTES = 1480  # Ethernet's MTU of 1500 less the IP header (RFC 791)
UDP_HEADER_BYTES = 8

Lost = Literal["loss", "queue_full"]
"""Why a datagram does not arrive: the `reason` of `dropped` in the trace."""
Arrivals = tuple[tuple[float, bytes], ...]
"""What arrives of one, and when, in seconds: itself, and perhaps a copy."""


class Way(Protocol):
    """From one machine to another."""

    @property
    def link(self) -> Link: ...

    def travel(self, now: float, size: int) -> float | None:
        """When something sent now has arrived; None where it finds no room in a queue."""
        ...


def datagram(way: Way, delay: Callable[[], float], random: Random, now: float, data: bytes) -> Lost | Arrivals:
    """The verdict on a datagram; `delay` draws a latency in seconds.

    Draws, in this order: loss, its latency, corruption, reordering, duplication.
    """
    link, draw = way.link, random.random
    if link.loss and draw() < datagram_loss(link, len(data)):
        return "loss"
    when = way.travel(now, len(data))
    if when is None:
        return "queue_full"
    if link.corrupt and data and draw() < link.corrupt:
        data = _flip_a_bit(data, random.randrange(len(data) * 8))
    if link.reorder and draw() < link.reorder:
        when += delay()
    if link.duplicate and draw() < link.duplicate:
        return (when, data), (when + delay(), data)
    return ((when, data),)


def datagram_loss(link: Link, size: int) -> float:
    """The chance that a datagram of so many bytes is lost: with each of the fragments that IP makes of it."""
    whole = size + UDP_HEADER_BYTES
    return link.loss if whole <= FRAGMENT_BYTES else 1 - (1 - link.loss) ** math.ceil(whole / FRAGMENT_BYTES)


def packet_is_lost(link: Link, random: Random, packets: int = 1) -> bool:
    """Whether TCP loses a packet that carries no data (SYN and its answer), or one of so many."""
    loss = link.loss
    return bool(loss) and random.random() < (loss if packets == 1 else 1 - (1 - loss) ** packets)


def passes(link: Link) -> float:
    """The chance that a packet of a stream arrives whole: TCP's checksum turns a damaged one into a loss."""
    return (1 - link.loss) * (1 - link.corrupt)


def first_lost(passed: float, random: Random, packets: int) -> int | None:
    """Which of so many packets, counted from 0, is the first to be lost, where each passes with that chance.

    None = none of them is. Geometric, drawn by inversion; nothing is drawn where nothing can be lost.
    """
    if passed == 1.0:
        return None
    first = int(math.log(1.0 - random.random()) / math.log(passed))
    return first if first < packets else None


def _flip_a_bit(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
