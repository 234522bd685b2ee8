"""The figures of TCP: Linux's defaults and those of RFCs, each of them once.

Two worlds use them: the connections of simulated machines (sim.network.tcp) and the wires of real processes
(sim.backends.shaper, sim.backends.wires). Numbers only. Tests: tests/sim/network/tcp, test_formulas.py.
"""

__all__ = [
    "BACKLOG",
    "CONNECT_TIMEOUT",
    "FAST_RETRANSMIT_PACKETS",
    "KEEPALIVE_COUNT",
    "KEEPALIVE_IDLE",
    "KEEPALIVE_INTERVAL",
    "LOOPBACK_BUFFER_BYTES",
    "MAX_RTO",
    "MIN_RTO",
    "PACKET_BYTES",
    "SEGMENT_BYTES",
    "SEND_BUFFER_BYTES",
    "SYN_TIMEOUTS",
    "USER_TIMEOUT",
    "WINDOW_BYTES",
]

PACKET_BYTES = 1448
"""Of data in a packet: Ethernet's MTU less IP and TCP headers with timestamps."""
SEGMENT_BYTES = 64 * 1024
"""At most so much is one event: what one write hands to the network interface (Linux: GSO)."""
SEND_BUFFER_BYTES = 256 * 1024
"""What the operating system takes of a program that writes, before it has to wait."""
LOOPBACK_BUFFER_BYTES = 3840 * 1024
"""The same where both ends are on one machine: with the window 4 MiB (Linux: net.ipv4.tcp_wmem)."""
WINDOW_BYTES = 256 * 1024
"""What may be sent and not yet read by the other program."""

MIN_RTO = 0.2
"""Seconds; Linux: TCP_RTO_MIN. The retransmission time-out is the round trip plus this (RFC 6298)."""
MAX_RTO = 120.0
"""Seconds; Linux: TCP_RTO_MAX. It doubles with each loss of the same packet, up to this."""
USER_TIMEOUT = 924.6
"""Seconds until a connection is given up whose packets are not acknowledged; Linux: tcp_retries2 = 15."""
FAST_RETRANSMIT_PACKETS = 3
"""So many packets that follow a lost one have it sent again at once (RFC 5681: duplicate acknowledgements)."""

SYN_TIMEOUTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Seconds that a connecting side waits for an answer, each time anew; Linux: tcp_syn_retries = 6."""
CONNECT_TIMEOUT = sum(SYN_TIMEOUTS)
"""Then it gives up: ETIMEDOUT."""
BACKLOG = 100
"""Connections that wait to be accepted; asyncio's default."""

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 7200, 75, 9
"""Seconds of silence before a connection with SO_KEEPALIVE asks, seconds between two probes, and how many (tcp(7))."""
